"""Batch sizes against their formulas, and against the schedules that they are coupled to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdlib import batching, schedules


def test_constant_is_constant():
    assert {batching.constant(64)(step) for step in range(1000)} == {64}


def test_a_number_is_the_constant_function_and_a_function_stays():
    assert batching.as_batch_size(3)(7) == 3
    assert batching.as_batch_size(max) is max


@given(start=st.integers(1, 999), stop=st.integers(1, 999), steps=st.integers(1, 99), step=st.integers(0, 300))
def test_a_ramp_is_a_line_between_its_ends(start, stop, steps, step):
    size = batching.ramp(start, stop, steps)
    assert (size(0), size(steps), size(steps + step)) == (start, stop, stop)
    assert min(start, stop) <= size(step) <= max(start, stop)
    if step <= steps:
        assert abs(size(step) - (start + (stop - start) * step / steps)) <= 0.5 + 1e-9


def test_step_growth_is_step_decay_upside_down():
    size, rate = batching.step_growth(16, every=7, factor=2), schedules.step_decay(1.0, every=7, factor=0.5)
    assert [size(step) for step in range(50)] == [16 / rate(step) for step in range(50)]
    assert max(batching.step_growth(16, 7, 2, largest=100)(step) for step in range(10_000)) == 100
    with pytest.raises(ValueError, match="largest must be given: at step 10000000"):
        size(10_000_000)


SCHEDULES = [
    schedules.exponential(0.4, 0.98),
    schedules.step_decay(0.4, every=20, factor=0.5),
    schedules.time_based(0.4, 0.1),
]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("rule", "power"), [("linear", 1.0), ("sqrt", 0.5)])
def test_following_and_scaling_undo_each_other(schedule, rule, power):
    """The batch grows as the rate would have fallen, so the rate scaled to that batch does not fall at all."""
    size = batching.follow_lr(schedule, base_lr=0.4, base_batch_size=64, rule=rule)
    rate = batching.scale_lr(schedule, size, base_batch_size=64, rule=rule)
    for step in range(100):
        assert size(step) == pytest.approx(64 * (0.4 / schedule(step)) ** (1 / power), abs=0.5)
        assert rate(step) == pytest.approx(0.4, rel=1 / 64)


def test_where_the_batch_stops_growing_the_rate_decays():
    schedule = schedules.cosine(0.4, 100)
    size = batching.follow_lr(schedule, base_lr=0.4, base_batch_size=64, largest=256)
    rate = batching.scale_lr(schedule, size, base_batch_size=64)
    sizes = [size(step) for step in range(101)]
    assert sizes == sorted(sizes)
    assert sizes[-1] == 256
    for step in range(101):
        if size(step) == 256:
            assert rate(step) == pytest.approx(4 * schedule(step))
    with pytest.raises(ValueError, match="largest must be given: at step 100 the schedule is 0"):
        batching.follow_lr(schedule, 0.4, 64)(100)


def test_a_higher_base_rate_raises_the_batch():
    assert batching.follow_lr(0.1, base_lr=0.4, base_batch_size=64)(0) == 256
    assert batching.follow_lr(schedules.cosine(0.1, 9), base_lr=0.4, base_batch_size=64, rule="none")(5) == 64


@given(lr=st.floats(1e-4, 10), size=st.integers(1, 4096), base=st.integers(1, 4096))
def test_scaling_rules(lr, size, base):
    scaled = {rule: batching.scale_lr(lr, size, base, rule) for rule in batching.RULES}
    assert scaled["none"] == lr
    assert scaled["linear"] == pytest.approx(lr * size / base)
    assert scaled["sqrt"] ** 2 == pytest.approx(lr * scaled["linear"])


@pytest.mark.parametrize("size", [0, -1])
def test_not_a_size(size):
    for make in (
        batching.constant,
        lambda size: batching.ramp(size, 8, 8),
        lambda size: batching.step_growth(size, 8, 2),
        lambda size: batching.follow_lr(0.1, 0.1, size),
        lambda size: batching.scale_lr(0.1, size, 8),
    ):
        with pytest.raises(ValueError, match="must be a whole number of at least 1; got"):
            make(size)


@pytest.mark.parametrize("size", ["64", None, True, 6.4, float("nan")])
def test_not_a_whole_number(size):
    with pytest.raises(TypeError, match="batch_size must be a whole number; got"):
        batching.as_batch_size(size)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: batching.step_growth(8, 8, factor=0.5), "factor must be a finite number of at least 1; got 0.5"),
        (lambda: batching.step_growth(8, 8, 2, largest=4), "largest must be a whole number of at least 8; got 4"),
        (lambda: batching.follow_lr(0.1, -1, 8), "base_lr must be a positive finite number"),
        (
            lambda: batching.scale_lr(0.1, 8, 8, rule="cubic"),
            "rule must be one of 'linear', 'sqrt', 'none'; got 'cubic'",
        ),
    ],
)
def test_bad_arguments(make, said):
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize("rate", [-0.1, float("nan")])
def test_a_batch_follows_no_rate_that_is_none(rate):
    with pytest.raises(ValueError, match=r"schedule\(step\) must be a finite number of at least 0"):
        batching.follow_lr(lambda step: rate, 0.1, 32, largest=64)(3)
