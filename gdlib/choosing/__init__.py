"""Choosing a learning rate and a batch size: sweep, range test, noise scale, critical batch, cost, and a search that uses them."""

from gdlib.choosing import cost
from gdlib.choosing._branch import BranchTest, branch_test
from gdlib.choosing._noise_scale import CriticalBatch, NoiseScale, fit_critical_batch, gradient_noise_scale
from gdlib.choosing._range_test import RangeTest, range_test
from gdlib.choosing._recommend import Recommendation, recommend
from gdlib.choosing._setting import Setting, Trial
from gdlib.choosing._sweep import Sweep, sweep

__all__ = [
    "BranchTest",
    "CriticalBatch",
    "NoiseScale",
    "RangeTest",
    "Recommendation",
    "Setting",
    "Sweep",
    "Trial",
    "branch_test",
    "cost",
    "fit_critical_batch",
    "gradient_noise_scale",
    "range_test",
    "recommend",
    "sweep",
]
