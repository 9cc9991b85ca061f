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


def test_precision_by_device_and_dtype(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert device.precision("auto", cpu).name == "fp32"
    assert device.precision("auto", torch.device("mps")).dtype is None
    for supported, name in ((True, "bf16"), (False, "fp16")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, s=supported: s)
        found = device.precision("auto", cuda)
        assert found.name == name
        assert found.reason
    assert device.precision("auto", cuda, torch.float64) == ("fp32", None, "the model is float64 and keeps it")
    assert device.precision("fp16", cpu).dtype == torch.float16
    with pytest.raises(ValueError, match="precision must be one of 'auto', 'fp32', 'bf16', 'fp16'; got 'tf32'"):
        device.precision("tf32", cpu)
