"""Shapes, the order of layers, and initial weights that follow torch's generator."""

import pytest
import torch
from torch import nn

from gdlib import models


def test_mlp_is_linear_layers_with_relu_between():
    model = models.mlp(3, 5, 4, 2)
    assert [type(layer) for layer in model] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    x = torch.randn(7, 3)
    first, second, third = (layer for layer in model if isinstance(layer, nn.Linear))
    torch.testing.assert_close(model(x), third(second(first(x).clamp(min=0)).clamp(min=0)))


def test_two_sizes_are_a_linear_model():
    assert sum(p.numel() for p in models.mlp(10, 1).parameters()) == 11
    assert models.linear(10)(torch.zeros(4, 10)).shape == (4, 1)


def test_weights_follow_the_seed():
    made = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        made.append(models.mlp(64, 32, 10)[0].weight.detach())
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


@pytest.mark.parametrize("sizes", [(3,), (), (3, 0), (3, -1)])
def test_bad_sizes(sizes):
    with pytest.raises(ValueError, match="sizes must"):
        models.mlp(*sizes)
    with pytest.raises(TypeError, match="sizes must be a whole number"):
        models.mlp(3.5, 2)
    with pytest.raises(ValueError, match="inputs must be a whole number of at least 1; got 0"):
        models.linear(0)
