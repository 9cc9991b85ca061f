import pytest
import torch

from gdlib import device


def test_auto_prefers_an_accelerator_and_falls_back_to_the_cpu():
    found = device.resolve("auto").type
    wanted = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert found == wanted


def test_names_and_devices():
    assert device.resolve("cpu") == device.resolve(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.gpu
def test_cuda_by_number():
    assert device.resolve("cuda:0") == torch.device("cuda:0")


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "cpu:1", "xla", "meta", ""])
def test_unknown_devices(name):
    with pytest.raises(ValueError, match=r"device must be \"auto\" or one of this machine's \(.*cpu.*\); got"):
        device.resolve(name)


def test_not_a_device():
    with pytest.raises(TypeError, match="device must be"):
        device.resolve(3)
