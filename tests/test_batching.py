import pytest

from gdlib import batching


def test_constant_is_constant():
    assert {batching.constant(64)(step) for step in range(1000)} == {64}


def test_a_number_is_the_constant_function_and_a_function_stays():
    assert batching.as_batch_size(3)(7) == 3
    assert batching.as_batch_size(max) is max


@pytest.mark.parametrize("size", [0, -1])
def test_not_a_size(size):
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1; got"):
        batching.constant(size)


@pytest.mark.parametrize("size", ["64", None, True, 6.4, float("nan")])
def test_not_a_whole_number(size):
    with pytest.raises(TypeError, match="batch_size must be a whole number; got"):
        batching.as_batch_size(size)
