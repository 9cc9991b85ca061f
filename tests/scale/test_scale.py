"""The formulas of `gdlib.diagnose.cost` against what torch allocates, keeps and sends, within 5 %, for GPTs of three sizes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import many
import pytest
import torch
import torch.distributed as dist
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.testing._internal.distributed.fake_pg import FakeStore

from gdlib import distributed, models
from gdlib.choosing import cost
from gdlib.training import counting

ROOT = Path(__file__).parents[2]
SHAPES = {
    name: cost.Shape(layers, width, vocabulary, context, heads=width // 32)
    for name, (layers, width, vocabulary, context) in many.SIZES.items()
}
SEQUENCES = 4
CASES = [
    (size, precision, remedy) for size in SHAPES for precision in ("fp32", "mixed") for remedy in ("none", "recompute")
]
AUTOCAST = {"fp32": "fp32", "mixed": "bf16"}


@pytest.mark.parametrize("size", SHAPES)
def test_shape_counts_every_parameter(size):
    assert SHAPES[size].parameters == sum(p.numel() for p in many.gpt_trainer(size, 1).model.parameters())


@pytest.mark.parametrize("attention", cost.ATTENTIONS)
@pytest.mark.parametrize(("size", "precision", "remedy"), CASES)
def test_activations_are_what_autograd_keeps(size, precision, remedy, attention):
    shape = SHAPES[size]
    model = many.gpt_trainer(size, 1, recompute=remedy == "recompute").model
    ids = torch.randint(shape.vocabulary, (SEQUENCES, shape.context))
    backend = SDPBackend.FLASH_ATTENTION if attention == "flash" else SDPBackend.MATH

    def loss():
        with sdpa_kernel(backend), torch.autocast("cpu", torch.bfloat16, enabled=precision == "mixed"):
            return models.next_token_loss(model(ids), ids)

    _, kept = counting.kept(loss, without=[*model.parameters(), ids])
    copied = shape.vocabulary * shape.width if remedy == "recompute" else shape.matrices  # which working_weights counts
    kept -= 2 * copied if precision == "mixed" else 0
    expected = cost.activation_memory(shape, ids.numel(), precision, remedy, attention)
    assert kept == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize(("size", "precision", "remedy"), CASES)
def test_the_peak_of_a_step_of_one_process(size, precision, remedy, accumulate):
    shape, micro = SHAPES[size], SEQUENCES if accumulate else None
    trainer = many.gpt_trainer(
        size, SEQUENCES * (1 + accumulate), AUTOCAST[precision], micro, recompute=remedy == "recompute"
    )
    expected = cost.step_memory(shape, SEQUENCES * shape.context, precision, remedy=remedy, accumulate=accumulate)
    assert many.peak(trainer) == pytest.approx(sum(expected.values()), rel=0.05)


@pytest.fixture
def fake(request):
    """A group of processes of which only this one is there: it sends and gets nothing, and holds what one of many holds."""
    dist.init_process_group("fake", rank=0, world_size=request.param, store=FakeStore())
    yield request.param
    dist.destroy_process_group()


@pytest.mark.parametrize(
    ("size", "precision", "remedy", "parts", "fake"),
    [
        ("wide", "fp32", "none", 1, 4), ("wide", "mixed", "recompute", 2, 4), ("deep", "mixed", "none", 1, 64),
        ("deep", "fp32", "none", 2, 2), ("large head", "fp32", "recompute", 1, 8), ("large head", "mixed", "none", 2, 4),
    ],
    indirect=["fake"],
)  # fmt: skip
def test_the_peak_of_a_step_of_one_of_many_processes_with_fsdp(fake, size, precision, remedy, parts):
    shape = SHAPES[size]
    model = many.gpt_trainer(size, 1, recompute=remedy == "recompute").model
    dtype = torch.bfloat16 if precision == "mixed" else None
    model = distributed.wrap(model, "fsdp", torch.device("cpu"), dtype)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    ids = torch.randint(shape.vocabulary, (SEQUENCES, shape.context))

    def step():
        for _ in range(parts):
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype is not None):
                outputs = model(ids)  # which Trainer holds too
                loss = models.next_token_loss(outputs, ids)
            loss.backward()
        optimizer.step()

    for _ in range(2):
        step()
        optimizer.zero_grad()
    tensors = [*model.parameters(), *(t for state in optimizer.state.values() for t in state.values() if t.ndim)]
    state = sum(distributed.local(tensor).nbytes for tensor in tensors)
    _, more = counting.allocated(step)
    expected = cost.step_memory(shape, ids.numel(), precision, remedy=remedy, accumulate=parts > 1, devices=fake)
    assert state + max(more) == pytest.approx(sum(expected.values()), rel=0.05)


@pytest.fixture(scope="module", params=[2, 4])
def counted(request, tmp_path_factory):
    """Of so many processes: what each way of training sent, and held."""
    out = tmp_path_factory.mktemp("scale") / "counted.json"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(request.param)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    script = str(Path(__file__).with_name("many.py"))
    done = subprocess.run(
        [*command, script, str(out)], env=environment, timeout=600, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return request.param, json.loads(out.read_text())


linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process has sent")


@pytest.mark.slow
@linux
def test_what_ddp_and_fsdp_send_and_hold(counted):
    """Gloo adds up and scatters by adding everything up everywhere: its reduce-scatter sends twice a ring's."""
    n, found = counted
    assert len([name for name in found if name.endswith("sent")]) >= 4
    for name, value in found.items():
        if not name.endswith(("sent", "peak")):
            continue
        size, engine, precision, parts, what = name.rsplit(" ", 4)
        shape, precision, parts = SHAPES[size], "mixed" if precision == "bf16" else "fp32", int(parts)
        if what == "sent":
            expected = cost.traffic(shape, 1, n, engine, precision, parts)
            expected += (n - 1) / n * 4 * shape.parameters * parts if engine == "fsdp" else 0
        else:
            tokens = SEQUENCES * shape.context
            held = cost.step_memory(shape, tokens, precision, accumulate=parts > 1, devices=n, parallel=engine)
            expected = sum(held.values())
        assert value == pytest.approx(expected, rel=0.05), name


@pytest.mark.slow
def test_cut_in_any_way_it_is_the_same_training(counted):
    _, found = counted
    one, _ = found["one"]
    assert one == sorted(one, reverse=True) and one[0] > 1.01 * one[-1]
    for way in {"tensor", "sequence", "pipeline", "hsdp"} & found.keys():
        assert found[way][0] == pytest.approx(one, rel=1e-10), way


@pytest.mark.slow
@linux
def test_what_every_other_way_sends(counted):
    """In float64 every number has twice the bytes of fp32's. Gloo's reduce-scatter sends twice a ring's."""
    n, found = counted
    shape = cost.Shape(many.STACK["layers"], many.STACK["width"], vocabulary=0, context=0)
    tokens = many.STACK["sequences"] * many.STACK["context"]
    ring = {way: 2 * cost.traffic(shape, tokens, n, way, "fp32") for way in ("tensor", "sequence", "pipeline")}
    ring["pipeline"] /= 2 if n == 2 else 1  # of two stages each is at an end
    ring["sequence"] *= 1.5  # half of it is reduce-scatter
    ring["sequence"] += (n - 1) / n * 8 * tokens * shape.width  # the outputs gathered, for the loss
    if n > 2:
        ring["hsdp"] = 2 * cost.traffic(shape, tokens, n, "hsdp", "fp32", replicas=2)
        ring["hsdp"] += 2 * (n // 2 - 1) / (n // 2) * 4 * shape.parameters
    for way, expected in ring.items():
        assert found[way][1] == pytest.approx(expected, rel=0.05), way
