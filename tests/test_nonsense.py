"""Every argument of the functions that one reads and calls, given nonsense: an answer, or a `TypeError` or `ValueError` that names it."""

import inspect
import math

import pytest
import torch

from gdlib import batching, data, descent, models, problems, schedules
from gdlib.diagnose import cost

BOWL = problems.Quadratic((1.0, 10.0))
OPTIMIZER = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
SAMPLES = data.Dataset(torch.zeros(9, 2), torch.zeros(9))
VALID = {
    schedules.constant: {"lr": 0.1},
    schedules.step_decay: {"lr": 0.1, "every": 10, "factor": 0.5},
    schedules.exponential: {"lr": 0.1, "decay": 0.9, "every": 2},
    schedules.time_based: {"lr": 0.1, "decay": 0.9},
    schedules.polynomial: {"lr": 0.1, "steps": 10, "power": 2.0, "final": 0.01},
    schedules.cosine: {"lr": 0.1, "steps": 10, "final": 0.01},
    schedules.cosine_restarts: {"lr": 0.1, "period": 10, "multiply": 2, "final": 0.0},
    schedules.one_cycle: {"lr": 0.1, "steps": 10, "rise": 0.3, "start_factor": 0.1, "final_factor": 0.01},
    schedules.warmup_stable_decay: {"lr": 0.1, "steps": 10, "warmup": 2, "decay": 3, "final": 0.0},
    schedules.warmup: {"schedule": 0.1, "steps": 10, "start": 0.0},
    schedules.plateau: {"lr": 0.1, "factor": 0.5, "patience": 3, "every": 1, "threshold": 0.0, "cooldown": 0, "min_lr": 0.0},
    schedules.as_torch: {"schedule": 0.1, "optimizer": OPTIMIZER},
    batching.constant: {"size": 8},
    batching.ramp: {"start": 8, "stop": 64, "steps": 10},
    batching.step_growth: {"size": 8, "every": 10, "factor": 2.0, "largest": 64},
    batching.follow_lr: {"schedule": 0.1, "base_lr": 0.1, "base_batch_size": 8, "rule": "linear", "largest": 64},
    batching.scale_lr: {"lr": 0.1, "batch_size": 16, "base_batch_size": 8, "rule": "sqrt"},
    problems.Quadratic: {"curvatures": (1.0, 2.0)},
    problems.LeastSquares: {"x": torch.ones(4, 2), "y": torch.ones(4)},
    descent.descend: {"problem": BOWL, "start": [1.0, 1.0], "lr": 0.1, "steps": 3, "momentum": 0.5, "tolerance": 0.1},
    data.batch_indices: {"n": 9, "samples_seen": 4, "batch_size": 3, "seed": 0},
    data.hold_out: {"data": SAMPLES, "count": 3, "seed": 0},
    models.linear: {"inputs": 3, "outputs": 2},
    models.gpt: {"vocabulary": 7, "context": 4, "width": 8, "layers": 1, "heads": 2},
    cost.training_flops: {"parameters": 1e9, "tokens": 2e10},
    cost.training_days: {"flops": 1e20, "devices": 8, "peak": 3e14, "utilization": 0.4},
    cost.training_memory: {"parameters": 1e9, "precision": "mixed", "optimizer": "adamw", "remedy": "none"},
    cost.activation_memory: {"parameters": 1e9, "tokens_per_device": 2048, "precision": "mixed", "remedy": "none"},
    cost.utilization: {"parameters": 1e9, "tokens": 1e6, "seconds": 10.0, "peak": 3e14, "devices": 2},
}  # fmt: skip
NONSENSE = [
    None, "nonsense", b"", math.nan, math.inf, -math.inf, -1, 0, 2.5, -0.5, True, 1j, [], {}, (), object(), [None], ["a"],
    torch.tensor([math.nan]),
]  # fmt: skip


@pytest.mark.parametrize("function", VALID, ids=lambda function: function.__name__)
def test_nonsense_is_refused_by_name_or_means_something(function):
    valid = VALID[function]
    function(**valid)
    for name in valid:
        assert name in inspect.signature(function).parameters
        for nonsense in NONSENSE:
            error = error_of(function, {**valid, name: nonsense})
            assert error is None or isinstance(error, (TypeError, ValueError)), (
                f"{name}={nonsense!r} fails inside: {error!r}"
            )
            assert error is None or name in str(error), (
                f"{name}={nonsense!r} is refused with {error!r}, which does not name it"
            )


def error_of(function, arguments: dict) -> Exception | None:
    try:
        function(**arguments)
    except Exception as error:
        return error
    return None
