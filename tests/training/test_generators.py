"""The generators' states are values: what follows when they are put back is what followed before."""

import random

import numpy as np
import torch

from gdlib.training._generators import generators, host_generators, same_generators, set_generators

CPU = torch.device("cpu")


def draws() -> list[float]:
    """Some of each; one normal of two, for the second waits in NumPy's and Python's generators."""
    return [torch.rand(1).item(), np.random.normal(), np.random.rand(), random.gauss(0, 1), random.random()]


def test_what_follows_is_what_followed_before():
    draws()
    state = generators(CPU)
    first = draws() + draws()
    assert not same_generators(state, generators(CPU))
    set_generators(state, CPU)
    assert same_generators(state, host_generators())
    assert draws() + draws() == first
