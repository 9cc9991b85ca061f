import pytest

from gdlib import schedules


def test_constant_is_constant():
    assert {schedules.constant(0.1)(step) for step in range(1000)} == {0.1}


def test_a_number_is_the_constant_function_and_a_function_stays():
    assert schedules.as_schedule(0.3)(7) == 0.3
    assert schedules.as_schedule(max) is max


@pytest.mark.parametrize("lr", [0, -1.0, float("nan"), float("inf")])
def test_not_a_rate(lr):
    with pytest.raises(ValueError, match="lr must be a positive finite number; got"):
        schedules.constant(lr)


@pytest.mark.parametrize("lr", ["0.1", None, True, [0.1]])
def test_not_a_number(lr):
    with pytest.raises(TypeError, match="lr must be a positive number; got"):
        schedules.as_schedule(lr)
