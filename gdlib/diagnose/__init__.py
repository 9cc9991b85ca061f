"""What a run costs, and what it could have cost."""

from gdlib.diagnose import cost

__all__ = ["cost"]
