"""Schedules against torch's own over whole runs, boundaries included, and against their formulas where torch has none."""

import copy
import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler as theirs

from gdlib import batching, schedules

STEPS = 100


def by_torch(make, steps=STEPS, losses=None):
    """The rates that a scheduler of torch sets, step by step, from a base rate of 0.4."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4)
    scheduler, rates = make(optimizer), []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(*([losses[step]] if losses else []))
    return rates


PAIRS = {
    "constant": (schedules.constant(0.4), lambda o: theirs.ConstantLR(o, factor=1.0)),
    "step": (schedules.step_decay(0.4, every=30, factor=0.1), lambda o: theirs.StepLR(o, 30, 0.1)),
    "milestones": (
        schedules.step_decay(0.4, milestones=[10, 70, 99], factor=0.3),
        lambda o: theirs.MultiStepLR(o, [10, 70, 99], 0.3),
    ),
    "exponential": (schedules.exponential(0.4, 0.97), lambda o: theirs.ExponentialLR(o, 0.97)),
    "time": (schedules.time_based(0.4, 0.05), lambda o: theirs.LambdaLR(o, lambda t: 1 / (1 + 0.05 * t))),
    "linear": (schedules.polynomial(0.4, 60), lambda o: theirs.PolynomialLR(o, 60)),
    "power": (schedules.polynomial(0.4, 99, power=2.5), lambda o: theirs.PolynomialLR(o, 99, 2.5)),
    "linear to final": (schedules.polynomial(0.4, 60, final=0.1), lambda o: theirs.LinearLR(o, 1.0, 0.25, 60)),
    "cosine": (schedules.cosine(0.4, 99, final=0.01), lambda o: theirs.CosineAnnealingLR(o, 99, 0.01)),
    "restarts": (schedules.cosine_restarts(0.4, 30), lambda o: theirs.CosineAnnealingWarmRestarts(o, 30)),
    "growing restarts": (
        schedules.cosine_restarts(0.4, 10, multiply=2, final=0.02),
        lambda o: theirs.CosineAnnealingWarmRestarts(o, 10, 2, 0.02),
    ),
    "one cycle": (schedules.one_cycle(0.4, STEPS), lambda o: theirs.OneCycleLR(o, 0.4, STEPS, cycle_momentum=False)),
    "steep cycle": (
        schedules.one_cycle(0.4, STEPS, rise=0.1, start_factor=0.1, final_factor=0.01),
        lambda o: theirs.OneCycleLR(
            o, 0.4, STEPS, pct_start=0.1, div_factor=10, final_div_factor=100, cycle_momentum=False
        ),
    ),
    "warmup": (
        schedules.warmup(schedules.cosine(0.4, 99), 20, start=0.1),
        lambda o: theirs.ChainedScheduler([theirs.LinearLR(o, 0.1, 1.0, 20), theirs.CosineAnnealingLR(o, 99)]),
    ),
    "warmup and step": (
        schedules.warmup(schedules.step_decay(0.4, every=10, factor=0.5), 25, start=0.5),
        lambda o: theirs.ChainedScheduler([theirs.LinearLR(o, 0.5, 1.0, 25), theirs.StepLR(o, 10, 0.5)]),
    ),
    "warmup, stable, decay": (
        schedules.warmup_stable_decay(0.4, STEPS, warmup=10, decay=30),
        lambda o: theirs.LambdaLR(o, lambda t: min(1, t / 10, (100 - t) / 30)),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_equals_torch_at_every_step(name):
    mine, torchs = PAIRS[name]
    assert [mine(step) for step in range(STEPS)] == pytest.approx(by_torch(torchs), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("name", PAIRS)
def test_as_torch_sets_the_rates_in_a_plain_loop(name):
    mine, _ = PAIRS[name]
    assert by_torch(lambda o: schedules.as_torch(mine, o)) == [mine(step) for step in range(STEPS)]


@pytest.mark.parametrize(
    "options",
    [
        {"patience": 3},
        {"patience": 0, "factor": 0.5},
        {"patience": 2, "factor": 0.5, "cooldown": 4, "min_lr": 0.03},
        {"patience": 1, "factor": 0.7, "threshold": 0.2},
    ],
)
def test_plateau_equals_reduce_lr_on_plateau(options):
    wave = [2.0 + math.sin(0.7 * t) + 1.5 * math.exp(-t / 9) for t in range(STEPS)]
    expected = by_torch(lambda o: theirs.ReduceLROnPlateau(o, eps=0.0, **{"factor": 0.1} | options), losses=wave)
    assert by_torch(lambda o: schedules.as_torch(schedules.plateau(0.4, **options), o), losses=wave) == expected
    assert len(set(expected)) > 2


def test_plateau_looks_at_the_mean_of_every_so_many_losses():
    rate, slow = (schedules.plateau(1.0, factor=0.5, patience=1, every=n) for n in (1, 4))
    for look in (3.0, 2.0, 2.5, 2.5, 2.5):
        rate.observe(look)
        for part in (-1.0, 1.0, -2.0, 2.0):
            slow.observe(torch.tensor(look + part, requires_grad=True))
        assert slow(0) == rate(0)
    assert rate(0) == 0.5


def test_plateau_goes_on_from_its_state():
    losses = [2.0, 1.0, 1.0, 1.5, 1.0, 1.0, 0.9, 1.0, 1.0, 1.0, 1.0]
    whole, rates = schedules.plateau(1.0, patience=1, cooldown=1, every=2), []
    for loss in losses:
        whole.observe(loss)
        rates.append(whole(0))
    for cut in range(len(losses)):
        first, second = (schedules.plateau(1.0, patience=1, cooldown=1, every=2) for _ in range(2))
        for loss in losses[:cut]:
            first.observe(loss)
        second.load_state_dict(copy.deepcopy(first.state_dict()))
        for loss, rate in zip(losses[cut:], rates[cut:]):
            second.observe(loss)
            assert second(0) == rate


def test_as_torch_resumes_and_knows_its_plateau():
    wave = [2.0 + math.sin(t) for t in range(20)]
    make = lambda o: schedules.as_torch(schedules.warmup(schedules.plateau(0.4, patience=1), 5), o)  # noqa: E731
    whole = by_torch(make, 20, wave)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4)
    scheduler = make(optimizer)
    for loss in wave[:8]:
        optimizer.step()
        scheduler.step(loss)
    state = copy.deepcopy(scheduler.state_dict())
    again = make(optimizer)
    again.load_state_dict(state)
    for t in range(8, 20):
        assert again.get_lr() == [whole[t]]
        optimizer.step()
        again.step(wave[t])
    with pytest.raises(ValueError, match="loss must be given"):
        again.step()


def test_as_torch_scales_groups():
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": weights[:1]}, {"params": weights[1:], "lr_scale": 0.1}]
    optimizer = torch.optim.SGD(groups, lr=5.0)
    schedules.as_torch(schedules.cosine(1.0, 10), optimizer)
    assert [group["lr"] for group in optimizer.param_groups] == [1.0, 0.1]


@given(lr=st.floats(1e-6, 1e3), steps=st.integers(1, 500), share=st.floats(0, 1), step=st.integers(0, 2000))
def test_falling_schedules_stay_between_their_ends_and_hold_the_last(lr, steps, share, step):
    final = lr * share
    for rate in (schedules.polynomial(lr, steps, 2.0, final), schedules.cosine(lr, steps, final)):
        assert final - 1e-12 * lr <= rate(step) <= lr * (1 + 1e-12)
        assert rate(0) == pytest.approx(lr)
        assert rate(step + 1) <= rate(step) + 1e-12 * lr
        assert rate(steps) == rate(steps + step) == pytest.approx(final, abs=1e-12 * lr)


@given(warm=st.integers(0, 50), level=st.integers(1, 50), fall=st.integers(0, 50))
def test_warmup_stable_decay_at_its_boundaries(warm, level, fall):
    steps = warm + level + fall
    rate = schedules.warmup_stable_decay(2.0, steps, warm, fall, final=0.5)
    assert rate(0) == (0.0 if warm else 2.0)
    assert {rate(step) for step in range(warm, warm + level)} == {2.0}
    assert rate(steps) == rate(10 * steps) == (0.5 if fall else 2.0)


LEVEL = schedules.plateau(1.0)


def by_a_global_name(step):
    return 2 * LEVEL(step)


class Halved:
    def __init__(self, schedule):
        self.schedule = schedule

    def __call__(self, step):
        return self.schedule(step) / 2


def half(schedule, step):
    return schedule(step) / 2


@pytest.mark.parametrize(
    "compose",
    [
        lambda inner: inner,
        lambda inner: schedules.warmup(schedules.warmup(inner, 5), 3),
        lambda inner: lambda step: 0.5 * inner(step),
        lambda inner: lambda step, schedule=inner: schedule(step),
        lambda inner: partial(half, inner),
        lambda inner: partial(half, schedule=inner),
        lambda inner: Halved(Halved(inner)),
        lambda inner: Halved(inner).__call__,
        lambda inner: lambda step, both=[{"a": inner}]: both[0]["a"](step),
        lambda inner: batching.follow_lr(inner, base_lr=1.0, base_batch_size=8),
        lambda inner: batching.scale_lr(0.1, batching.follow_lr(inner, 1.0, 8), 8),
    ],
)
def test_a_plateau_is_found_in_whatever_it_is_composed_into(compose):
    inner = schedules.plateau(1.0)
    assert schedules.plateaus(compose(inner), compose(inner), inner) == [inner]


def test_a_plateau_is_found_by_a_global_name_and_nothing_where_there_is_none():
    assert schedules.plateaus(by_a_global_name) == [LEVEL]
    assert schedules.plateaus(schedules.warmup(schedules.cosine(1.0, 9), 3), max, np.cos, None) == []


def test_plateau_with_losses_below_zero():
    """As the same losses lifted above zero, with no threshold; torch's relative threshold goes the wrong way there."""
    losses = [-1.0, -1.5, -1.4, -1.5001, -1.45, -1.49, -3.0, -2.9, -2.9]
    below, above = schedules.plateau(1.0, patience=1, threshold=0.0), schedules.plateau(1.0, patience=1, threshold=0.0)
    strict = schedules.plateau(1.0, patience=1, threshold=0.1)
    seen = []
    for loss in losses:
        below.observe(loss)
        above.observe(loss + 10)
        strict.observe(loss)
        seen.append((below(0), above(0), strict.best))
    assert [a for a, _, _ in seen] == [b for _, b, _ in seen]
    assert [best for _, _, best in seen][-3:] == [-3.0] * 3
    assert seen[3][2] == -1.5, "-1.5001 is better by less than a tenth"


def test_a_number_is_the_constant_function_and_a_function_stays():
    assert schedules.as_schedule(0.3)(7) == 0.3
    assert schedules.as_schedule(max) is max


@pytest.mark.parametrize("lr", [0, -1.0, float("nan"), float("inf")])
def test_not_a_rate(lr):
    for make in (
        schedules.constant,
        lambda lr: schedules.step_decay(lr, every=2),
        lambda lr: schedules.exponential(lr, 0.9),
        lambda lr: schedules.time_based(lr, 0.9),
        lambda lr: schedules.polynomial(lr, 9),
        lambda lr: schedules.cosine(lr, 9),
        lambda lr: schedules.cosine_restarts(lr, 9),
        lambda lr: schedules.one_cycle(lr, 9),
        lambda lr: schedules.warmup_stable_decay(lr, 9, 3, 3),
        lambda lr: schedules.warmup(lr, 9),
        schedules.plateau,
    ):
        with pytest.raises(ValueError, match="(lr|schedule) must be a positive finite number; got"):
            make(lr)


@pytest.mark.parametrize("lr", ["0.1", None, True, [0.1]])
def test_not_a_number(lr):
    with pytest.raises(TypeError, match="lr must be a positive number; got"):
        schedules.as_schedule(lr)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: schedules.step_decay(1.0), "one of every and milestones must be given"),
        (lambda: schedules.step_decay(1.0, every=3, milestones=[4]), "one of every and milestones"),
        (lambda: schedules.step_decay(1.0, every=3, factor=1.5), "factor must be above 0 and at most 1; got 1.5"),
        (lambda: schedules.exponential(1.0, decay=0.0), "decay must be a positive finite number"),
        (lambda: schedules.exponential(1.0, decay=1.01), "decay must be above 0 and at most 1"),
        (lambda: schedules.time_based(1.0, decay=-0.1), "decay must be a finite number of at least 0"),
        (lambda: schedules.polynomial(1.0, steps=0), "steps must be a whole number of at least 1; got 0"),
        (lambda: schedules.cosine(1.0, steps=5, final=2.0), "final must be a finite number between 0 and 1; got 2.0"),
        (lambda: schedules.one_cycle(1.0, steps=5, rise=1.0), "rise must be above 0 and below 1"),
        (lambda: schedules.warmup_stable_decay(1.0, 9, 5, 5), r"warmup \+ decay must be at most steps = 9; got 5 \+ 5"),
        (lambda: schedules.warmup(1.0, 5, start=1.5), "start must be a finite number between 0 and 1"),
        (lambda: schedules.plateau(1.0, factor=1), "factor must be above 0 and below 1"),
        (lambda: schedules.plateau(1.0, patience=-1), "patience must be a whole number of at least 0"),
    ],
)
def test_bad_arguments(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_as_torch_wants_an_optimizer():
    with pytest.raises(TypeError, match="optimizer must be a torch.optim.Optimizer; got str"):
        schedules.as_torch(0.1, "sgd")
