"""What a run costs, which learning rate it bears, and from which batch size on more samples a step hardly help."""

from gdlib.choosing import (
    BranchTest,
    CriticalBatch,
    NoiseScale,
    RangeTest,
    Recommendation,
    Setting,
    Trial,
    branch_test,
    cost,
    fit_critical_batch,
    gradient_noise_scale,
    range_test,
    recommend,
)

__all__ = [
    "BranchTest",
    "CriticalBatch",
    "NoiseScale",
    "RangeTest",
    "Recommendation",
    "Setting",
    "Trial",
    "branch_test",
    "cost",
    "fit_critical_batch",
    "gradient_noise_scale",
    "range_test",
    "recommend",
]
