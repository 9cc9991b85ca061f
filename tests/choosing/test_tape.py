"""A tape gives what its function gives, or there is none."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap

from gdlib import data, models
from gdlib.choosing import _tape


def stacked(model, loss_fn, runs=3):
    """Losses and gradients of ``runs`` models at once, as a function of weights, inputs and targets; and the weights."""
    many = [model() for _ in range(runs)]
    names = [name for name, _ in many[0].named_parameters()]
    weights = [torch.stack([m.get_parameter(name).detach() for m in many]) for name in names]
    each = vmap(lambda p, x, y: loss_fn(functional_call(many[0], p, (x,)), y))

    def function(*tensors):
        *state, x, y = tensors
        with torch.enable_grad():
            state = [w.detach().requires_grad_() for w in state]
            loss = each(dict(zip(names, state)), x, y)
            return loss.detach(), *torch.autograd.grad(loss.sum(), state)

    return function, weights


def characters(seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(0, 97, (3, 2, 8), generator=generator) for _ in range(2)]


def vectors(seed, targets):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(3, 5, 64, generator=generator)
    return x, torch.randint(0, 10, (3, 5), generator=generator) if targets else torch.randn(
        3, 5, 10, generator=generator
    )


CASES = {
    "classes": (lambda: models.mlp(64, 20, 10), nn.functional.cross_entropy, lambda k: vectors(k, True)),
    "quantities": (lambda: models.mlp(64, 20, 20, 10), nn.functional.mse_loss, lambda k: vectors(k, False)),
    "pictures": (lambda: models.convnet((8, 8), 4, 4, outputs=10), nn.functional.cross_entropy, lambda k: vectors(k, True)),
    "characters": (
        lambda: models.gpt(len(data.CHARACTERS), context=8, width=16, layers=2, heads=2), models.next_token_loss, characters,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_it_gives_what_the_function_gives(case):
    torch.manual_seed(0)
    model, loss_fn, batch = CASES[case]
    function, weights = stacked(model, loss_fn)
    tape = _tape.record(function, (*weights, *batch(0)), (*weights, *batch(1)))
    assert tape is not None
    for k in (2, 3):
        for wanted, got in zip(function(*weights, *batch(k)), tape(*weights, *batch(k))):
            torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-6)


def test_what_writes_into_tensors_is_played_as_it_is():
    def function(x):
        y = x * 2
        z = y.view(-1)
        z.add_(1.0)
        return (y + z.view_as(y),)

    a, b = torch.randn(2, 3), torch.randn(2, 3)
    tape = _tape.record(function, (a,), (b,))
    torch.testing.assert_close(tape(a), function(a))
    torch.testing.assert_close(tape(b), function(b))


def test_there_is_none_for_what_python_decides_anew():
    calls = []

    def counting(x):
        calls.append(1)
        return (x * len(calls),)

    def deciding(x):
        return (x if x.sum() > 0 else -x * 2,)

    ones = torch.ones(3)
    assert _tape.record(counting, (ones,), (ones,)) is None
    assert _tape.record(deciding, (ones,), (-ones,)) is None
