"""The trainer against a loop written out by hand, bit for bit."""

import copy
import math
from functools import partial

import pytest
import torch
from torch import nn

from gdlib import Divergence, Trainer, batching, data, models, schedules
from gdlib.data import Dataset, Split, batch_indices, leaves

split = data.digits()
cross_entropy = nn.functional.cross_entropy


def digits_model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return models.mlp(64, 32, 10)


def noisy_model(seed: int = 0) -> nn.Module:
    """Dropout draws random numbers and batch norm has buffers: what a careless checkpoint forgets."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 10))


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([t.detach().cpu().double().flatten() for t in model.state_dict().values()])


def assert_same(state, other, name="state"):
    """Two states are equal, bit for bit."""
    if isinstance(state, torch.Tensor):
        assert torch.equal(state, other), name
    elif isinstance(state, dict):
        assert state.keys() == other.keys(), name
        for key in state:
            assert_same(state[key], other[key], f"{name}[{key!r}]")
    elif isinstance(state, (list, tuple)):
        assert len(state) == len(other), name
        for i, (one, two) in enumerate(zip(state, other)):
            assert_same(one, two, f"{name}[{i}]")
    else:
        assert state == other or state != state, name


def hand_written(model, optimizer, lr, batch_size, steps, seed=0):
    """The loop that `Trainer` must equal, with nothing of its in it but the order of the samples."""
    x, y, seen, losses = split.train.inputs, split.train.targets, 0, []
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = lr(step)
        rows = batch_indices(len(x), seen, batch_size(step), seed)
        optimizer.zero_grad()
        loss = cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        seen += batch_size(step)
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("make_model", [digits_model, noisy_model])
@pytest.mark.parametrize(
    "optimizer",
    [torch.optim.SGD, partial(torch.optim.SGD, momentum=0.9, nesterov=True), torch.optim.AdamW],
    ids=["sgd", "nesterov", "adamw"],
)
def test_equals_a_hand_written_loop(make_model, optimizer):
    lr, batch_size = (lambda step: 0.1 / (1 + step)), (lambda step: 16 + step)
    mine, theirs = make_model(), make_model()
    torch.manual_seed(5)
    expected = hand_written(theirs, optimizer(theirs.parameters()), lr, batch_size, steps=120, seed=3)
    torch.manual_seed(5)
    trainer = Trainer(mine, split.train, cross_entropy, optimizer, lr=lr, batch_size=batch_size, device="cpu", seed=3)
    assert [step.loss for step in trainer.run(120)] == expected
    assert torch.equal(weights(mine), weights(theirs))


def test_float64_is_kept():
    train = split.train.to(dtype=torch.float64)
    trainer = Trainer(digits_model().double(), train, cross_entropy, device="cpu")
    trainer.fit(3)
    assert next(trainer.model.parameters()).dtype == torch.float64


@pytest.mark.gpu
@pytest.mark.parametrize("make_model", [digits_model])
def test_cuda_trains_as_the_cpu_does(make_model):
    runs = [
        Trainer(make_model(), split.train, cross_entropy, lr=0.1, device=d, precision="fp32").fit(50).loss
        for d in ("cpu", "cuda")
    ]
    assert runs[0] == pytest.approx(runs[1], rel=1e-3)


def test_steps_say_what_happened():
    trainer = Trainer(digits_model(), split.train, cross_entropy, lr=0.2, batch_size=lambda step: 10 * (step + 1))
    steps = list(trainer.run(3))
    assert [s.index for s in steps] == [0, 1, 2]
    assert [s.batch_size for s in steps] == [10, 20, 30]
    assert [s.samples_seen for s in steps] == [10, 30, 60]
    assert {s.lr for s in steps} == {0.2}
    assert [s.index for s in trainer.run(2)] == [3, 4]
    assert (trainer.steps_done, trainer.samples_seen) == (5, 150)
    assert repr(steps[0]).startswith("Step(0, lr=0.2, batch_size=10, loss=2.")


def test_grad_norm_is_that_of_all_gradients_and_belongs_to_its_step():
    trainer = Trainer(digits_model(), split.train, cross_entropy)
    kept = None
    for step in trainer.run(2):
        gradient = torch.cat([p.grad.flatten() for p in trainer.model.parameters()])
        assert step.grad_norm == pytest.approx(gradient.norm().item(), rel=1e-6)
        kept = kept or step
    with pytest.raises(RuntimeError, match="grad_norm of step 0 must be looked at before the next step"):
        _ = kept.grad_norm


def test_lr_and_batch_size_may_be_assigned_during_a_run():
    trainer = Trainer(digits_model(), split.train, cross_entropy, lr=0.1, batch_size=8)
    seen = []
    for step in trainer.run(4):
        seen.append((step.lr, step.batch_size))
        trainer.lr, trainer.batch_size = 0.1 / 2 ** (step.index + 1), 8 * (step.index + 2)
    assert seen == [(0.1, 8), (0.05, 16), (0.025, 24), (0.0125, 32)]
    with pytest.raises(ValueError, match="lr must be a positive finite number; got -1"):
        trainer.lr = -1


def test_leaving_the_loop_early_leaves_a_trainer_that_goes_on():
    one, other = (Trainer(digits_model(), split.train, cross_entropy) for _ in range(2))
    for step in one.run(100):
        if step.index == 9:
            break
    one.fit(10)
    other.fit(20)
    assert torch.equal(weights(one.model), weights(other.model))


def test_lr_scale_multiplies_and_none_leaves_the_optimizers_own():
    model = digits_model()
    groups = [{"params": model[0].parameters(), "lr_scale": 0.1}, {"params": model[2].parameters()}]
    trainer = Trainer(model, split.train, cross_entropy, torch.optim.SGD(groups, lr=1.0), lr=0.5)
    trainer.fit(1)
    assert [group["lr"] for group in trainer.optimizer.param_groups] == [0.05, 0.5]
    own = Trainer(digits_model(), split.train, cross_entropy, partial(torch.optim.SGD, lr=0.7), lr=None)
    (step,) = own.run(1)
    assert math.isnan(step.lr)
    assert own.optimizer.param_groups[0]["lr"] == 0.7


def test_frozen_parameters_stay():
    model = digits_model()
    model[0].weight.requires_grad_(False)
    before = model[0].weight.clone()
    Trainer(model, split.train, cross_entropy).fit(5)
    assert torch.equal(model[0].weight, before)


def test_evaluate_is_the_mean_over_all_samples_and_changes_nothing():
    model = noisy_model()
    trainer = Trainer(model, split.train, cross_entropy)
    trainer.fit(20)
    state, rng = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    model[3].eval()
    modes = [module.training for module in model.modules()]
    found = trainer.evaluate(split.test)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), rng)
    assert all(torch.equal(a, b) for a, b in zip(state.values(), model.state_dict().values()))
    model.eval()
    with torch.no_grad():
        outputs = model(split.test.inputs)
    assert found["loss"] == pytest.approx(cross_entropy(outputs, split.test.targets).item(), rel=1e-6)
    assert found["accuracy"] == (outputs.argmax(1) == split.test.targets).double().mean().item()


def test_evaluate_weights_a_short_last_part_by_its_size():
    x = torch.arange(3000.0)[:, None]
    trainer = Trainer(models.linear(1), (x, x), nn.functional.mse_loss)
    with torch.no_grad():
        expected = nn.functional.mse_loss(trainer.model(x), x).item()
    assert trainer.evaluate((x, x)) == {"loss": pytest.approx(expected, rel=1e-5)}


@pytest.mark.parametrize("lr", [100.0, 1e38])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_divergence_leaves_the_state_of_before_its_step(lr, momentum):
    train = data.diabetes().train
    torch.manual_seed(0)
    model = nn.Sequential(models.linear(10), nn.BatchNorm1d(1), models.linear(1))
    trainer = Trainer(model, train, nn.functional.mse_loss, partial(torch.optim.SGD, momentum=momentum), lr=lr)
    losses, before = [], None
    with pytest.raises(Divergence, match="with lr .*; try a third of that rate") as caught:
        for step in trainer.run(10_000):
            losses.append(step.loss)
            before = trainer.state_dict()
    assert not math.isfinite(caught.value.loss)
    assert caught.value.what == "loss"
    assert caught.value.step == trainer.steps_done == len(losses)
    assert all(math.isfinite(loss) for loss in losses)
    assert_same(trainer.state_dict(), before)
    assert all(t.isfinite().all() for t in leaves(before) if isinstance(t, torch.Tensor))


@pytest.mark.parametrize("optimizer", [partial(torch.optim.SGD, momentum=0.9), torch.optim.AdamW])
@pytest.mark.parametrize("stop", [1, 37])
def test_resuming_equals_never_having_stopped(tmp_path, optimizer, stop):
    make = partial(
        Trainer,
        data=split.train,
        loss_fn=cross_entropy,
        optimizer=optimizer,
        lr=lambda s: 0.05 / (1 + s),
        batch_size=100,
    )
    torch.manual_seed(1)
    whole = make(noisy_model(), seed=4)
    expected = whole.fit(60)
    torch.manual_seed(1)
    first = make(noisy_model(), seed=4)
    losses = first.fit(stop).loss.tolist()
    first.save(tmp_path / "run.pt")
    torch.manual_seed(99)
    second = make(noisy_model(seed=8))
    second.load(tmp_path / "run.pt")
    losses += second.fit(60 - stop).loss.tolist()
    assert losses == expected.loss.tolist()
    assert torch.equal(weights(second.model), weights(whole.model))
    assert (second.steps_done, second.samples_seen, second.seed) == (60, 6000, 4)


def test_a_checkpoint_that_does_not_fit_changes_nothing(tmp_path):
    good = Trainer(digits_model(), split.train, cross_entropy)
    good.save(tmp_path / "good.pt")
    torch.manual_seed(0)
    others = {
        r"has \(32, 64\) for '0.weight', the model \(33, 64\)": Trainer(
            models.mlp(64, 33, 10), split.train, cross_entropy
        ),
        "optimizer_class 'AdamW'.* has 'SGD'": Trainer(digits_model(1), split.train, cross_entropy, torch.optim.AdamW),
        "samples 360.* has 1437": Trainer(digits_model(1), split.test, cross_entropy),
    }
    for said, other in others.items():
        before = weights(other.model)
        with pytest.raises(ValueError, match=said):
            other.load(tmp_path / "good.pt")
        assert torch.equal(weights(other.model), before)
    torch.save({"something": 1}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"must name a checkpoint of Trainer.save; got .*other.pt"):
        good.load(tmp_path / "other.pt")


def test_fit_shows_a_bar_when_asked(capfd):
    Trainer(digits_model(), split.train, cross_entropy).fit(3, progress=True)
    assert "3/3" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"model": "mlp"}, TypeError, "model must be a torch.nn.Module; got str"),
        ({"model": nn.ReLU()}, ValueError, "model must have a parameter to train"),
        ({"data": split}, TypeError, "data must be a Dataset; got a Split: pass its .train or .test"),
        ({"data": [1, 2, 3]}, TypeError, "data must be a gdlib.data.Dataset or a pair"),
        ({"data": ([[1.0]], [1, 2])}, ValueError, "one length; got 1 and 2"),
        ({"data": ([], [])}, ValueError, "inputs must hold at least one sample"),
        ({"loss_fn": 3}, TypeError, "loss_fn must be a function"),
        ({"optimizer": "sgd"}, TypeError, "optimizer must be a function from the parameters"),
        ({"optimizer": list}, TypeError, "it gave list"),
        ({"optimizer": torch.optim.SGD(nn.Linear(1, 1).parameters())}, ValueError, "holds none of them"),
        ({"lr": -0.1}, ValueError, "lr must be a positive finite number; got -0.1"),
        ({"lr": 0}, ValueError, "lr must be"),
        ({"lr": math.nan}, ValueError, "lr must be"),
        ({"lr": math.inf}, ValueError, "lr must be"),
        ({"lr": "0.1"}, TypeError, "lr must be a positive number; got '0.1'"),
        ({"batch_size": 0}, ValueError, "batch_size must be a whole number of at least 1; got 0"),
        ({"batch_size": -4}, ValueError, "batch_size must be"),
        ({"batch_size": 6.4}, TypeError, "batch_size must be a whole number; got 6.4"),
        ({"batch_size": "64"}, TypeError, "batch_size must be"),
        ({"device": "cuda:77"}, ValueError, "device must be"),
        ({"device": "abacus"}, ValueError, "device must be"),
        ({"seed": -1}, ValueError, "seed must be"),
        ({"precision": "fp8"}, ValueError, "precision must be one of 'auto', 'fp32', 'bf16', 'fp16'; got 'fp8'"),
        ({"micro_batch_size": 0}, ValueError, "micro_batch_size must be a whole number of at least 1; got 0"),
        ({"clip_norm": -1.0}, ValueError, "clip_norm must be a positive finite number; got -1.0"),
        ({"compile": 3}, TypeError, "compile must be True, False or the name of a backend; got 3"),
        ({"parallel": "pipeline"}, ValueError, "parallel must be one of 'auto', 'ddp', 'fsdp'"),
        ({"parallel": "ddp"}, ValueError, "needs several processes: start the script with torchrun"),
    ],
)
def test_bad_arguments(change, error, said):
    with pytest.raises(error, match=said):
        Trainer(**{"model": digits_model(), "data": split.train, "loss_fn": cross_entropy} | change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"model": models.mlp(63, 10)},
            r"do not fit together: inputs \(64, 64\) float32, targets \(64,\) int64; torch",
        ),
        ({"model": models.mlp(64, 5)}, "do not fit together"),
        ({"loss_fn": lambda a, b: cross_entropy(a, b, reduction="none")}, r"must return a scalar tensor.*got \(64,\)"),
        ({"loss_fn": lambda a, b: 1.0}, "must return a scalar tensor.*got float"),
        ({"lr": lambda step: -1.0}, r"lr\(step\) must be a finite number of at least 0; got -1.0"),
        ({"lr": lambda step: math.nan}, r"lr\(step\)"),
        ({"batch_size": lambda step: 0}, r"batch_size\(step\) must be a whole number of at least 1; got 0"),
    ],
)
def test_what_the_first_step_finds_wrong(change, said):
    trainer = Trainer(**{"model": digits_model(), "data": split.train, "loss_fn": cross_entropy} | change)
    with pytest.raises(ValueError, match=said):
        trainer.fit(1)
    assert trainer.steps_done == 0


def test_targets_that_would_be_paired_with_every_output_are_refused():
    train = data.diabetes().train
    flat = Dataset(train.inputs, train.targets[:, 0])
    with pytest.raises(ValueError, match=r"shape of the model's outputs, \(64, 1\); got \(64,\)"):
        Trainer(models.linear(10), flat, nn.functional.mse_loss).fit(1)


@pytest.mark.parametrize("steps", [-1, 2.5, "10"])
def test_bad_steps_are_refused_before_the_first(steps):
    with pytest.raises((ValueError, TypeError), match="steps must be"):
        Trainer(digits_model(), split.train, cross_entropy).run(steps)


def test_a_split_is_two_datasets():
    assert isinstance(split, Split)


def run_of(steps=40, make_model=digits_model, **options):
    """Losses and weights of a run from one start, whatever the options."""
    model = make_model()
    torch.manual_seed(5)
    trainer = Trainer(model, split.train, cross_entropy, **{"lr": 0.1, "batch_size": 50, "device": "cpu"} | options)
    return trainer.fit(steps).loss, weights(model), trainer


def test_any_kind_of_data_trains_alike():
    expected = run_of()[1]
    for given in (
        (split.train.inputs, split.train.targets),
        torch.utils.data.TensorDataset(split.train.inputs, split.train.targets),
    ):
        model = digits_model()
        trainer = Trainer(model, given, cross_entropy, lr=0.1, batch_size=50, device="cpu")
        trainer.fit(40)
        assert torch.equal(weights(model), expected)
        assert trainer.epochs_done == 2000 // 1437
    stream = list(zip(split.train.inputs, split.train.targets))
    trainer = Trainer(digits_model(), (sample for sample in stream), cross_entropy, lr=0.1, batch_size=50)
    assert trainer.fit(20).loss[-1] < 2.3


@pytest.mark.parametrize("micro", [1, 7, 25, 50, 1000])
@pytest.mark.parametrize("optimizer", [partial(torch.optim.SGD, momentum=0.9), torch.optim.AdamW])
def test_micro_batches_add_up_to_the_batch(micro, optimizer):
    """7 leaves parts of 6 and of 7."""
    whole, parts = (run_of(20, optimizer=optimizer, lr=0.01, micro_batch_size=m) for m in (None, micro))
    assert parts[0] == pytest.approx(whole[0], rel=2e-5)
    assert torch.allclose(parts[1], whole[1], rtol=1e-3, atol=2e-5)


def test_micro_batches_are_exact_in_float64():
    train = split.train.to(dtype=torch.float64)
    losses = []
    for micro in (None, 7):
        trainer = Trainer(digits_model().double(), train, cross_entropy, batch_size=50, micro_batch_size=micro)
        losses.append(trainer.fit(30).loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)


class Hungry(nn.Module):
    """Runs out of memory above a number of samples, after having spoilt what a forward pass can spoil."""

    def __init__(self, most: int):
        super().__init__()
        torch.manual_seed(0)
        self.layers, self.most, self.refused = (
            nn.Sequential(nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Dropout(0.3), nn.Linear(16, 10)),
            most,
            0,
        )

    def forward(self, x):
        outputs = self.layers(x)
        if len(x) > self.most:
            self.refused += 1
            raise torch.OutOfMemoryError("out of memory")
        return outputs


def test_when_memory_runs_out_the_step_is_repeated_in_halves_and_nothing_is_lost():
    with pytest.warns(UserWarning, match="out of memory: micro_batch_size is now") as told:
        losses, found, trainer = run_of(12, lambda: Hungry(most=15))
    assert [str(w.message)[-2:] for w in told] == ["25", "13"]
    assert trainer.micro_batch_size == 13
    assert trainer.model.refused == 2
    expected = run_of(12, lambda: Hungry(most=99), micro_batch_size=13)
    assert losses.tolist() == expected[0].tolist()
    assert torch.equal(found, expected[1])


def test_a_batch_of_one_that_does_not_fit_is_an_error():
    model = nn.Linear(64, 10)
    model.register_forward_pre_hook(lambda module, inputs: Hungry(most=0)(torch.zeros(2, 64)))
    with pytest.warns(UserWarning, match="out of memory"), pytest.raises(torch.OutOfMemoryError):
        run_of(1, lambda: model, batch_size=4)


def test_clipping_is_torchs_and_grad_norm_is_that_before_it():
    model, theirs = digits_model(), digits_model()
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1)
    trainer = Trainer(model, split.train, cross_entropy, batch_size=50, clip_norm=0.05, device="cpu")
    for step in trainer.run(15):
        rows = batch_indices(1437, 50 * step.index, 50, 0)
        optimizer.zero_grad()
        cross_entropy(theirs(split.train.inputs[rows]), split.train.targets[rows]).backward()
        norm = nn.utils.clip_grad_norm_(theirs.parameters(), 0.05)
        optimizer.step()
        assert step.grad_norm == norm.item() > 0.05
    assert torch.equal(weights(model), weights(theirs))


def test_compiled_equals_eager():
    assert run_of(compile="eager")[1].equal(run_of()[1])
    assert torch.allclose(run_of(compile="aot_eager")[1], run_of()[1], atol=1e-5)


@pytest.mark.parametrize(("precision", "close"), [("bf16", 0.05), ("fp16", 0.02)])
def test_sixteen_bits_train_as_thirty_two_do(precision, close):
    """The forward pass computes in 16 bits; weights, gradients and losses stay in 32."""
    seen = []
    model = digits_model()
    model[0].register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    trainer = Trainer(model, split.train, cross_entropy, lr=0.1, batch_size=50, device="cpu", precision=precision)
    losses = trainer.fit(60).loss
    assert set(seen) == {{"bf16": torch.bfloat16, "fp16": torch.float16}[precision]}
    assert {p.dtype for p in model.parameters()} | {p.grad.dtype for p in model.parameters()} == {torch.float32}
    assert losses == pytest.approx(run_of(60)[0], abs=close)
    assert trainer.precision.reason == "as asked for"


class Tiny(nn.Module):
    """A loss so small that its gradient is nothing in fp16 without a scale."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 10, bias=False)
        nn.init.zeros_(self.layer.weight)

    def forward(self, x):
        return self.layer(x)


def test_the_loss_scale_saves_gradients_from_underflow():
    def tiny_loss(outputs, targets):
        return (outputs.float() * 1e-8).sum(1).mean()

    moved = {}
    for precision in ("fp16", "fp32"):
        model = Tiny()
        Trainer(model, split.train, tiny_loss, lr=1e6, batch_size=50, device="cpu", precision=precision).fit(1)
        moved[precision] = model.layer.weight.detach().clone()
    assert moved["fp32"].any()
    assert torch.allclose(moved["fp16"], moved["fp32"], rtol=5e-3, atol=1e-5)
    with torch.autocast("cpu", torch.float16):  # without a scale, the same gradient is zero
        model = Tiny()
        tiny_loss(model(split.train.inputs[:50]), None).backward()
    assert not model.layer.weight.grad.any()


def test_recomputing_activations_changes_nothing_but_memory():
    train = data.python_source(context=16).train
    found = []
    for prepare in (lambda model: model, partial(models.recompute, kind=models.Block)):
        torch.manual_seed(0)
        model = prepare(models.gpt(97, context=16, width=32, layers=2))
        kept: list[int] = []
        keep = partial(lambda kept, t: kept.append(t.numel()) or t, kept)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            models.next_token_loss(model(train.inputs[:4]), train.targets[:4])
        trainer = Trainer(model, train, models.next_token_loss, torch.optim.AdamW, lr=1e-3, batch_size=8, device="cpu")
        found.append((trainer.fit(5).loss.tolist(), sum(kept)))
    assert found[0][0] == found[1][0]
    assert found[1][1] < 0.5 * found[0][1]


def test_a_plateau_hears_every_loss_and_lives_in_the_checkpoint(tmp_path):
    def make():
        rate = schedules.warmup(schedules.plateau(0.5, factor=0.5, patience=0, every=2), 10)
        return Trainer(digits_model(), split.train, cross_entropy, lr=rate, batch_size=20, device="cpu")

    whole = make().fit(120)
    expected, steps = schedules.plateau(0.5, factor=0.5, patience=0, every=2), []
    for step, loss in enumerate(whole.loss):
        steps.append(expected(step) * min(1.0, step / 10))
        expected.observe(loss)
    assert whole.lr.tolist() == pytest.approx(steps)
    assert len(set(whole.lr[10:])) > 2
    first, second = make(), make()
    first.fit(47)
    first.save(tmp_path / "run.pt")
    second.load(tmp_path / "run.pt")
    assert second.fit(73).lr.tolist() == whole.lr[47:].tolist()


def test_a_growing_batch_drops_and_repeats_no_sample_within_an_epoch():
    x = torch.arange(1000.0)[:, None]
    seen = []

    class Seeing(nn.Linear):
        def forward(self, inputs):
            seen.extend(inputs[:, 0].int().tolist())
            return super().forward(inputs * 0)

    sizes = batching.step_growth(16, every=5, factor=2, largest=300)
    trainer = Trainer(Seeing(1, 1), (x, x), nn.functional.mse_loss, batch_size=sizes, lr=1e-9, device="cpu")
    history = trainer.fit(30)
    assert history.batch_size.tolist() == [sizes(step) for step in range(30)]
    assert history.samples_seen[-1] == sum(history.batch_size) == len(seen)
    assert trainer.epochs_done == len(seen) // 1000 > 2
    for epoch in range(trainer.epochs_done):
        assert sorted(seen[1000 * epoch : 1000 * (epoch + 1)]) == list(range(1000))


def test_after_a_divergence_the_run_goes_back_with_a_third_of_the_rate(tmp_path):
    train = data.diabetes().train
    trainer = Trainer(models.linear(10), train, nn.functional.mse_loss, lr=2.0, batch_size=50, device="cpu")
    with pytest.warns(UserWarning, match="back to step .* with a third of the rate") as told:
        history = trainer.fit(400, checkpoint=tmp_path / "run.pt", every=25, retries=3)
    assert 1 <= len(told) <= 3
    assert history.index.tolist() == list(range(400))
    assert history.lr[-1] == pytest.approx(2.0 / 3 ** len(told))
    assert history.loss[-1] < 1.0
    again = Trainer(models.linear(10), train, nn.functional.mse_loss, lr=2.0, batch_size=50, device="cpu")
    again.load(tmp_path / "run.pt")
    assert next(again.run(1)).lr == history.lr[-1]
    with pytest.raises(ValueError, match="checkpoint must be given, for retries to go back to"):
        trainer.run(1, retries=1)
    worse = Trainer(models.linear(10), train, nn.functional.mse_loss, lr=1e9, batch_size=50, device="cpu")
    with pytest.warns(UserWarning, match="back to step 0"), pytest.raises(Divergence):
        worse.fit(400, checkpoint=tmp_path / "worse.pt", retries=1)


@pytest.mark.gpu
def test_the_device_is_never_waited_for():
    """Steps whose numbers nobody looks at are queued, not awaited: torch is told to raise at every wait."""
    train = data.digits().train
    trainer = Trainer(
        models.mlp(64, 100, 10), train, cross_entropy, torch.optim.AdamW, lr=1e-3, device="cuda", clip_norm=1.0
    )
    trainer.fit(20)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in trainer.run(10):
            pass
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@pytest.mark.parametrize("lr", [100.0, 1e38])
def test_on_a_gpu_divergence_is_told_as_of_its_own_step(lr):
    train = data.diabetes().train
    found = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        trainer = Trainer(models.linear(10), train, nn.functional.mse_loss, lr=lr, device=device, precision="fp32")
        with pytest.raises(Divergence) as caught:
            trainer.fit(10_000)
        assert all(p.isfinite().all() for p in trainer.model.parameters())
        assert caught.value.step == trainer.steps_done
        found.append(caught.value.step)
    assert abs(found[0] - found[1]) <= 1


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["auto", "bf16", "fp16"])
def test_sixteen_bits_on_a_gpu(precision):
    losses = [run_of(100, device="cuda", precision=p)[0] for p in ("fp32", precision)]
    assert losses[0] == pytest.approx(losses[1], abs=0.05)


# What others bring: schedulers, dtypes, sparse gradients


def small(**options) -> Trainer:
    torch.manual_seed(0)
    return Trainer(
        models.mlp(10, 16, 1), (torch.randn(200, 10), torch.randn(200, 1)), nn.functional.mse_loss, **options
    )


@pytest.mark.parametrize("by", ["scheduler", "hand"])
def test_a_rate_that_something_else_sets_is_told_once(by):
    trainer = small(lr=0.05)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(trainer.optimizer, 0.5)

    def train():
        for step in trainer.run(5):
            assert step.lr == 0.05
            if by == "scheduler":
                scheduler.step()
            else:
                trainer.optimizer.param_groups[0]["lr"] *= 0.5

    with pytest.warns(UserWarning, match=r"something else has set the optimizer's lr to 0.025 .*lr=None") as told:
        train()
    assert len(told) == 1


def test_a_rate_that_belongs_to_somebody_is_not_told(recwarn, tmp_path):
    trainer = small(lr=None, optimizer=partial(torch.optim.SGD, lr=0.05))
    scheduler = torch.optim.lr_scheduler.ExponentialLR(trainer.optimizer, 0.5)
    for _ in trainer.run(3):
        scheduler.step()
    assert trainer.optimizer.param_groups[0]["lr"] == 0.05 / 8
    trainer = small(lr=schedules.cosine(0.1, 10))
    trainer.fit(3)
    trainer.lr = 0.3
    trainer.fit(2)
    trainer.save(tmp_path / "x.pt")
    with trainer.scratch():
        trainer.lr = 0.01
        trainer.fit(2)
    trainer.optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "lr": 7.0})
    trainer.fit(2)
    trainer.optimizer = torch.optim.SGD(trainer.model.parameters(), lr=1e-3)
    trainer.fit(2)
    fresh = small(lr=0.7)
    fresh.load(tmp_path / "x.pt")
    fresh.fit(2)
    assert [str(w.message) for w in recwarn.list if "something else" in str(w.message)] == []


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_float64_as_the_default_dtype(optimizer):
    small(optimizer=optimizer, lr=0.01).fit(2)
    torch.set_default_dtype(torch.float64)
    try:
        trainer = small(optimizer=optimizer, lr=0.01)
        trainer.fit(3)
        trainer.data = (torch.full((9, 10), 1e200), torch.zeros(9, 1))
        with pytest.raises(Divergence):
            trainer.fit(1)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_training_where_gradients_are_off_is_refused_in_words(off):
    trainer = Trainer(models.linear(10), data.diabetes().train, nn.functional.mse_loss)
    with off(), pytest.raises(RuntimeError, match="training needs gradients"):
        trainer.fit(1)
    trainer.fit(1)


def test_sparse_gradients_are_clipped_like_dense_ones():
    x, y = torch.randint(0, 20, (64, 3)), torch.randn(64, 8)
    found = []
    for sparse in (True, False):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Embedding(20, 8, sparse=sparse), nn.Flatten(), nn.Linear(24, 8))
        trainer = Trainer(model, (x, y), nn.functional.mse_loss, lr=0.1, batch_size=16, clip_norm=0.2)
        history = trainer.fit(6)
        free = Trainer(model, (x, y), nn.functional.mse_loss, lr=0.1, batch_size=16)
        norms = [step.grad_norm for step in free.run(3)]
        found.append((history["grad_norm"], norms, weights(model)))
    for one, other in zip(*found):
        assert torch.allclose(torch.as_tensor(one), torch.as_tensor(other), rtol=1e-5)


def test_an_unknown_backend_is_refused_at_once():
    with pytest.raises(ValueError, match="compile must be one of .*'inductor'.*got 'nonsense'"):
        small(compile="nonsense")
