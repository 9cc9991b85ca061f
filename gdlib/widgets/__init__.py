"""Pictures of runs that answer at once: on a page without a kernel, and in a notebook with one."""

from gdlib.widgets.cost import CostCalculator
from gdlib.widgets.descent import DescentExplorer
from gdlib.widgets.runs import RunExplorer

__all__ = ["CostCalculator", "DescentExplorer", "RunExplorer"]
