"""Many processes against one: the same losses, checkpoints that move between them, workers killed for real."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import worker

from gdlib import distributed

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
WORKER = str(Path(__file__).with_name("worker.py"))
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
ENVIRONMENT["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"  # see gdlib.distributed


def torchrun(processes: int, *arguments, options: tuple = (), timeout: float = 240) -> subprocess.CompletedProcess:
    """Run tests/training/worker.py in so many processes; one process is plain python."""
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), *options]
    command += [WORKER, *map(str, arguments)]
    done = subprocess.run(command, env=ENVIRONMENT, timeout=timeout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def losses(folder: Path, processes: int, parallel: str, size: int, name: str = "sgd", **more) -> dict:
    out = folder / f"{name}-{processes}-{parallel}-{size}.json"
    extra = [more.get(key, "") for key in ("load", "save", "micro")]
    torchrun(processes, "together", out, parallel, more.get("steps", 30), size, *extra)
    return json.loads(out.read_text())


def hand_over(file: Path, writers: tuple[int, str], readers: tuple[int, str]) -> list[float]:
    """The losses of 12 steps of some processes, which save to ``file``, and of 18 of others, which load it."""
    first = losses(file.parent, *writers, 61, "adam", steps=12, save=file)
    second = losses(file.parent, *readers, 61, "adam2", steps=18, load=file)
    return first["losses"] + second["losses"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Runs of one process, by batch size and optimizer, each trained once."""
    folder, known = tmp_path_factory.mktemp("alone"), {}

    def run(size: int, name: str = "sgd") -> dict:
        if (size, name) not in known:
            known[size, name] = losses(folder, 1, "auto", size, name)
        return known[size, name]

    return run


@pytest.mark.parametrize(
    ("processes", "parallel", "size", "name"),
    [
        (2, "ddp", 61, "sgd"),
        (3, "ddp", 61, "sgd"),
        (3, "ddp", 2, "sgd"),
        (2, "fsdp", 61, "adam"),
        (3, "fsdp", 61, "sgd"),
    ],
)
def test_many_processes_train_as_one(tmp_path, alone, processes, parallel, size, name):
    """Batch sizes that the processes do not divide, and one with fewer samples than processes."""
    one, many = alone(size, name), losses(tmp_path, processes, parallel, size, name)
    assert many["losses"] == pytest.approx(one["losses"], rel=1e-8)
    assert many["norms"] == pytest.approx(one["norms"], rel=1e-8)
    assert many["test"] == pytest.approx(one["test"], rel=1e-8)


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_micro_batches_in_many_processes(tmp_path, alone, parallel):
    """Shares of 30 and 31 samples, 15 at a time: two parts would do for one process, the other needs three."""
    many = losses(tmp_path, 2, parallel, 61, micro="15")
    assert many["losses"] == pytest.approx(alone(61)["losses"], rel=1e-8)


@pytest.mark.parametrize(
    ("writers", "readers"), [((3, "fsdp"), (2, "fsdp")), ((1, "auto"), (3, "fsdp")), ((3, "ddp"), (2, "fsdp"))]
)
def test_what_n_processes_wrote_m_can_load(tmp_path, alone, writers, readers):
    handed_over = hand_over(tmp_path / "run.pt", writers, readers)
    assert handed_over == pytest.approx(alone(61, "adam")["losses"], rel=1e-8)


def test_one_process_loads_what_each_of_many_wrote_for_itself_and_refuses_it_torn(tmp_path, alone):
    file = tmp_path / "run.pt"
    handed_over = hand_over(file, (2, "fsdp"), (1, "auto"))
    assert handed_over == pytest.approx(alone(61, "adam")["losses"], rel=1e-8)
    (folder,) = tmp_path.glob("run.pt.*.shards")
    shards = sorted(folder.iterdir())
    sizes = [shard.stat().st_size for shard in shards]
    assert len(sizes) == 2 and max(sizes) < 1.2 * min(sizes), "each process writes about half"

    trainer = worker.together_trainer("adam", 61)
    before = [p.clone() for p in trainer.model.parameters()]
    for spoil in (
        lambda: shards[1].write_bytes(shards[1].read_bytes()[: sizes[1] // 2]),
        lambda: shutil.rmtree(folder),
    ):
        spoil()
        with pytest.raises(
            ValueError, match=r"path must name a checkpoint whose shards are whole; .*run\.pt\..*\.shards"
        ):
            trainer.load(file)
        assert trainer.steps_done == 0
        assert all(torch.equal(p, q) for p, q in zip(before, trainer.model.parameters()))


@pytest.mark.parametrize(("processes", "size", "workers"), [(2, 31, 0), (3, 4, 1)])
def test_labels_few_and_uneven_a_loss_that_is_trained_and_augmented_samples(tmp_path, processes, size, workers):
    """The same sums, counts and augmentations on one process and on many, whatever share has labels; evaluation is shared."""
    found = []
    for n in (1, processes):
        out = tmp_path / f"{n}.json"
        torchrun(n, "labelled", out, 12, size, workers if n > 1 else 0)
        found.append(json.loads(out.read_text()))
    one, many = found
    assert many["losses"] == pytest.approx(one["losses"], rel=1e-10)
    assert many["log"] == pytest.approx(one["log"], rel=1e-9)
    assert one["log"] != 0
    assert many["test"] == pytest.approx(one["test"], rel=1e-9)
    assert many["test"]["rows"] == 600


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_a_worker_killed_with_sigkill_is_started_again_and_comes_to_the_same_end(tmp_path, parallel):
    for folder, killed in ((tmp_path / "calm", True), (tmp_path / "killed", False)):
        folder.mkdir()
        if killed:
            (folder / "killed").touch()  # so that nobody kills itself
        torchrun(2, "killed", folder, 30, parallel, options=("--max-restarts", "2"))
    assert (tmp_path / "killed" / "killed").exists()
    ends = [torch.load(tmp_path / name / "end.pt") for name in ("calm", "killed")]
    assert torch.equal(*ends)
    assert len(list((tmp_path / "killed").glob("run.pt.*"))) == (parallel == "fsdp"), "shards of older checkpoints"


def test_rank_0_alone_prints_and_writes(tmp_path):
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "gdlib",
        "train",
    ]
    command += [
        "digits",
        "--steps",
        "20",
        "--checkpoint",
        str(tmp_path / "run.pt"),
        "--out",
        str(tmp_path / "out.json"),
    ]
    done = subprocess.run(command, env=ENVIRONMENT, timeout=240, capture_output=True, text=True, check=True)
    assert done.stdout.count("digits on 2 x cpu, fp32") == 1
    assert done.stdout.count("test loss") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.json", "run.pt"]
    assert len(json.loads((tmp_path / "out.json").read_text())["loss"]) == 20


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory) -> dict:
    out = tmp_path_factory.mktemp("mistakes") / "found.json"
    torchrun(2, "mistakes", out)
    return json.loads(out.read_text())


def test_mistake_mean_of_unequal_means(mistakes):
    assert mistakes["mean of unequal means"][0] > 1e-3
    assert mistakes["weighted means"][0] < 1e-12


def test_mistake_exchange_at_every_micro_batch(mistakes):
    every, last = mistakes["exchange at every micro-batch"], mistakes["exchange at the last"]
    assert every[0] < 1e-12 > last[0]
    assert every[1] >= 3 * last[1]


def test_mistake_forgotten_set_epoch(mistakes):
    assert mistakes["forgotten set_epoch: passes are alike"]
    assert not mistakes["batch_indices: passes are alike"]


def test_mistake_batch_norm(mistakes):
    assert mistakes["batch norm sees its share alone"]
    assert not mistakes["batch norm of the share is that of the batch"]


def test_shares_cover_the_batch(monkeypatch):
    for n in (1, 2, 3, 8):
        monkeypatch.setattr(distributed, "size", lambda n=n: n)
        for batch in (1, 2, 7, 8, 64):
            seen, total = [], 0.0
            for r in range(n):
                monkeypatch.setattr(distributed, "rank", lambda r=r: r)
                part, weight = distributed.share(batch)
                seen += list(range(batch))[part] if weight else []
                total += weight
            assert seen == list(range(batch))
            assert total == pytest.approx(n)


def test_micro_batches_cover_every_share_in_equally_many_parts(monkeypatch):
    for n, batch, micro in ((1, 50, 7), (2, 61, 15), (3, 7, 1), (8, 3, 2)):
        monkeypatch.setattr(distributed, "size", lambda n=n: n)
        seen, counts = [], set()
        for r in range(n):
            monkeypatch.setattr(distributed, "rank", lambda r=r: r)
            parts = distributed.micro_batches(batch, micro)
            assert all(part.stop - part.start <= micro for part, _ in parts)
            assert sum(weight for _, weight in parts) == pytest.approx(distributed.share(batch)[1])
            seen += [i for part, weight in parts if weight for i in list(range(batch))[part]]
            counts.add(len(parts))
        assert seen == list(range(batch))
        assert len(counts) == 1


def test_two_hosts(tmp_path, alone):
    """Two network namespaces of this machine, joined by a cable of their own: each runs a torchrun of its own."""
    ip = shutil.which("ip")
    assert ip, "no ip: install Debian's or Ubuntu's package iproute2"
    assert os.geteuid() == 0, "two hosts on one machine need root, to make network namespaces"
    tag = f"gd{os.getpid() % 10000}"
    hosts = [f"{tag}a", f"{tag}b"]

    def run(*words: str) -> None:
        subprocess.run([ip, *words], check=True, capture_output=True)

    try:
        for host in hosts:
            run("netns", "add", host)
        run("link", "add", hosts[0], "netns", hosts[0], "type", "veth", "peer", "name", hosts[1], "netns", hosts[1])
        for place, host in enumerate(hosts, start=1):
            run("-n", host, "addr", "add", f"10.77.0.{place}/24", "dev", host)
            run("-n", host, "link", "set", host, "up")
            run("-n", host, "link", "set", "lo", "up")
        out, started = tmp_path / "sgd-hosts.json", []
        for node, host in enumerate(hosts):
            command = [ip, "netns", "exec", host, sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"]
            command += ["--node-rank", str(node), "--nproc-per-node", "1", "--master-addr", "10.77.0.1"]
            command += ["--master-port", "29511", WORKER, "together", str(out), "ddp", "30", "61"]
            environment = ENVIRONMENT | {"GLOO_SOCKET_IFNAME": host}
            started.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
        for process in started:
            _, said = process.communicate(timeout=240)
            assert process.returncode == 0, said[-3000:]
        assert json.loads(out.read_text())["losses"] == pytest.approx(alone(61)["losses"], rel=1e-8)
    finally:
        for host in hosts:
            subprocess.run([ip, "netns", "del", host], check=False, capture_output=True)
