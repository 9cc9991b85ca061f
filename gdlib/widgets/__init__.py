"""Pictures of runs that answer at once: on a page without a kernel, and in a notebook with one."""

from gdlib.widgets.along import Snapshots
from gdlib.widgets.cockpit import Cockpit
from gdlib.widgets.cost import CostCalculator
from gdlib.widgets.curves import Axis, CurveExplorer
from gdlib.widgets.descent import DescentExplorer
from gdlib.widgets.phase import PhaseDiagram
from gdlib.widgets.plan import RunPlanner
from gdlib.widgets.predictions import PredictionExplorer
from gdlib.widgets.question import Question
from gdlib.widgets.quiz import Case, RunQuiz
from gdlib.widgets.range_test import RangeTestExplorer
from gdlib.widgets.runs import RunExplorer
from gdlib.widgets.schedule import ScheduleWorkshop
from gdlib.widgets.texts import TextExplorer

__all__ = [
    "Axis",
    "Case",
    "Cockpit",
    "CostCalculator",
    "CurveExplorer",
    "DescentExplorer",
    "PhaseDiagram",
    "PredictionExplorer",
    "Question",
    "RangeTestExplorer",
    "RunExplorer",
    "RunPlanner",
    "RunQuiz",
    "ScheduleWorkshop",
    "Snapshots",
    "TextExplorer",
]
