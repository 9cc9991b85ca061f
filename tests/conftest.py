"""Tests marked ``gpu`` are left out where there is no GPU; the summary counts them as deselected."""

import matplotlib as mpl
import pytest
import torch
from hypothesis import HealthCheck, settings

mpl.use("agg")
settings.register_profile("any machine", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")  # a limit in time says how busy a machine is; the same examples everywhere


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    needing = [item for item in items if item.get_closest_marker("gpu")]
    items[:] = [item for item in items if item not in needing]
    config.hook.pytest_deselected(items=needing)
