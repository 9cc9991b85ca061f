"""What a run costs, which learning rate it bears, and from which batch size on more samples a step hardly help."""

from gdlib.diagnose import cost
from gdlib.diagnose.noise_scale import NoiseScale, gradient_noise_scale
from gdlib.diagnose.range_test import RangeTest, range_test

__all__ = ["NoiseScale", "RangeTest", "cost", "gradient_noise_scale", "range_test"]
