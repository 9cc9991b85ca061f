"""The formulas against published figures and against what torch counts and allocates."""

import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gdlib import models
from gdlib.choosing import cost


def test_flops_of_gpt3():
    """Brown et al. 2020, table D.1: 174.6e9 parameters, 300e9 tokens, 3.14e23 FLOP."""
    assert cost.training_flops(174.6e9, 300e9) == pytest.approx(3.14e23, rel=0.01)


def test_flops_against_torchs_counter():
    model, n = models.mlp(256, 256, 256, 256), 32
    x = torch.randn(n, 256, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        model(x).sum().backward()
    matrices = sum(p.numel() for p in model.parameters() if p.ndim == 2)
    assert counter.get_total_flops() == cost.training_flops(matrices, n)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("sgd", torch.optim.SGD),
        ("momentum", lambda p: torch.optim.SGD(p, momentum=0.9)),
        ("adamw", torch.optim.AdamW),
    ],
)
def test_memory_against_what_torch_allocates(name, make):
    model = models.mlp(100, 200, 10)
    optimizer = make(model.parameters())
    model(torch.randn(5, 100)).sum().backward()
    optimizer.step()
    parameters = list(model.parameters())
    expected = cost.training_memory(sum(p.numel() for p in parameters), "fp32", name)
    assert sum(p.untyped_storage().nbytes() for p in parameters) == expected["weights"]
    assert sum(p.grad.untyped_storage().nbytes() for p in parameters) == expected["gradients"]
    states = [t for s in optimizer.state.values() for t in s.values() if torch.is_tensor(t) and t.ndim]
    assert sum(t.untyped_storage().nbytes() for t in states) == expected["optimizer"]


def test_sixteen_bytes_a_parameter():
    assert sum(cost.training_memory(1e9, "mixed", "adamw").values()) == 16e9


def test_activations_of_gpt3():
    """36 t h l with t = 2048, h = 12288, l = 96, which the shape is taken from, the last normalisation, and the log-probabilities."""
    expected = 2048 * (36 * 12288 * 96 + 6 * 12288 + 4 * 50257)
    assert cost.activation_memory(12 * 96 * 12288**2) == pytest.approx(expected, rel=1e-9)
    assert cost.activation_memory(cost.Shape(96, 12288)) == pytest.approx(expected, rel=1e-9)


def test_gpt2s_own_number_of_parameters():
    """Radford et al. 2019, table 2, as the released weights have them: 124 million and 1.56 billion."""
    assert cost.Shape(12, 768).parameters == 124_439_808
    assert cost.Shape(48, 1600).parameters == 1_557_611_200


def test_days_and_devices():
    assert cost.training_days(86400e12, devices=10, peak=1e12, utilization=0.5) == pytest.approx(0.2)
    assert cost.devices_needed(100.0, memory=30.0, activations=10.0) == 5
    assert cost.devices_needed(100.0, memory=10.0, activations=10.0) == math.inf


def test_what_each_remedy_takes_away():
    """By hand, for 7e9 parameters: 16 bytes each with AdamW, of which 8 are its two moments; frozen ones 2 in mixed precision."""
    assert sum(cost.training_memory(7e9, remedy="8-bit state").values()) == pytest.approx(7e9 * (2 + 2 + 4 + 2))
    assert sum(cost.training_memory(7e9, remedy="low rank").values()) == pytest.approx(7e9 * (2 + 0.01 * 16))
    assert cost.training_memory(7e9, remedy="recompute") == cost.training_memory(7e9)
    gpt3 = 12 * 96 * 12288**2  # 96 layers of width 12,288
    expected = 2048 * (12288 * (4 * 96 + 6) + 4 * 50257)
    assert cost.activation_memory(gpt3, remedy="recompute") == pytest.approx(expected, rel=1e-6)
    assert cost.training_flops(1.0, 1.0, "recompute") == 8.0
    assert cost.training_flops(1.0, 1.0, "low rank") == 4.0


def test_when_the_network_is_what_a_step_waits_for():
    """The inequalities of chapter 4.5, by hand."""
    rate, link, shape = 125e12, 25e9, cost.Shape(32, 4096, vocabulary=0, context=0)
    for devices in (8, 64):
        for tokens in (2**17, 2**20):
            given = {"tokens": tokens, "devices": devices, "rate": rate, "link": link}
            rho = {way: cost.network_share(shape, way=way, **given) for way in ("ddp", "tensor", "pipeline")}
            share = 4 * (devices - 1) * rate / (3 * link * tokens)
            assert rho["ddp"] == pytest.approx(share, rel=0.01)  # all but biases
            assert rho["tensor"] == pytest.approx(2 * (devices - 1) * rate / (9 * link * shape.width))
            assert rho["pipeline"] == pytest.approx(devices * rate / (18 * link * shape.width * shape.layers))
    assert cost.bubble(1, 1) == 0
    assert cost.utilization(1e9, 1e6, seconds=60.0, peak=1e12, devices=100) == 1.0


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: cost.training_flops(-1, 1), ValueError, "parameters must be a positive finite number; got -1"),
        (lambda: cost.training_flops(1, "many"), TypeError, "tokens must be a positive number"),
        (lambda: cost.training_memory(1, "fp8"), ValueError, "precision must be one of 'fp32', 'mixed'; got 'fp8'"),
        (lambda: cost.training_memory(1, optimizer="lion"), ValueError, "optimizer must be one of"),
        (lambda: cost.activation_memory(1, 0), ValueError, "tokens_per_device"),
        (lambda: cost.activation_memory(1, attention="slow"), ValueError, "attention must be one of 'flash', 'stored'"),
        (lambda: cost.step_memory(1e6, devices=2, parallel="both"), ValueError, "parallel must be one of"),
        (lambda: cost.traffic(1e6, 1, 4, "ring"), ValueError, "way must be one of 'ddp', 'fsdp'"),
        (lambda: cost.traffic(1e6, 1, 4, "hsdp", replicas=3), ValueError, "replicas must divide devices = 4; got 3"),
        (lambda: cost.network_share(1e6, 1, 4, link=0), ValueError, "link"),
        (lambda: cost.bubble(0, 1), ValueError, "stages"),
        (lambda: cost.utilization(1, 1, 0.0, 1), ValueError, "seconds"),
        (lambda: cost.training_days(1, 1, 1, utilization=1.5), ValueError, "utilization must be a finite number of at"),
        (lambda: cost.training_days(1, 0, 1), ValueError, "devices"),
        (lambda: cost.devices_needed(1, -1), ValueError, "memory"),
    ],
)
def test_bad_input(call, error, said):
    with pytest.raises(error, match=said):
        call()
