"""Figures that look alike throughout the book (`gdlib.plots`), and the report of `recommend` as one HTML page."""

from gdlib.drawing._plots import (
    COLORS,
    CYCLE,
    contours,
    heat_map,
    label,
    loss_against_lr,
    losses,
    range_test,
    schedules,
    steps_to_target,
    style,
)
from gdlib.drawing._report import write_report

__all__ = [
    "COLORS",
    "CYCLE",
    "contours",
    "heat_map",
    "label",
    "loss_against_lr",
    "losses",
    "range_test",
    "schedules",
    "steps_to_target",
    "style",
    "write_report",
]
