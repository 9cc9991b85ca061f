"""What a run costs, which learning rate it bears, and from which batch size on more samples a step hardly help."""

from gdlib.diagnose import cost
from gdlib.diagnose.noise_scale import CriticalBatch, NoiseScale, fit_critical_batch, gradient_noise_scale
from gdlib.diagnose.range_test import RangeTest, range_test
from gdlib.diagnose.recommend import Recommendation, Trial, recommend

__all__ = [
    "CriticalBatch",
    "NoiseScale",
    "RangeTest",
    "Recommendation",
    "Trial",
    "cost",
    "fit_critical_batch",
    "gradient_noise_scale",
    "range_test",
    "recommend",
]
