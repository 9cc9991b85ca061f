"""The state of a run is a value: whatever happens in between, what follows is bit for bit what would have followed."""

import copy
import random
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_trainer import assert_same
from torch import nn

from gdlib import Divergence, Trainer, batching, data, range_test, schedules

split = data.digits()
cross_entropy = nn.functional.cross_entropy


class Careless(nn.Module):
    """All that a careless checkpoint forgets: dropout, batch norm, a buffer that is not saved and is assigned anew, extra state, and
    draws from NumPy's and Python's generators."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 16), nn.BatchNorm1d(16), nn.Dropout(0.3), nn.Linear(16, 10))
        self.register_buffer("running", torch.zeros(64), persistent=False)
        self.calls = {"train": 0}

    def get_extra_state(self):
        return dict(self.calls)

    def set_extra_state(self, state):
        self.calls = dict(state)

    def forward(self, x):
        if self.training:
            self.calls["train"] += 1
            self.running = 0.9 * self.running + 0.1 * x.mean(0)
            x = x * (1 + 0.1 * np.random.normal()) + 0.1 * random.random()
        return self.layers(x - self.running)


class Temperature(nn.Module):
    """A loss with a parameter and a buffer of its own."""

    def __init__(self):
        super().__init__()
        self.log = nn.Parameter(torch.zeros(()))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, outputs, targets):
        if self.training:
            self.seen += len(targets)
        return cross_entropy(outputs * self.log.exp(), targets)


def make(seed=0, **options):
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    rate = schedules.plateau(3e-3, factor=0.5, patience=1, every=3)
    trainer = Trainer(
        Careless(), split.train, Temperature(), torch.optim.AdamW, lr=lambda step: rate(step) / (1 + step / 50),
        batch_size=batching.follow_lr(rate, 3e-3, 16, largest=64), device="cpu", seed=seed, **options,
    )  # fmt: skip
    trainer.extra["best"] = 1.5
    trainer.extra["noise"] = torch.Generator().manual_seed(seed)
    trainer.extra["numpy"] = np.random.default_rng(seed)
    trainer.extra["average"] = torch.optim.swa_utils.AveragedModel(nn.Linear(2, 2))
    return trainer


def losses(trainer, steps):
    """Of some steps whose body uses the reader's own things as well."""
    found = []
    for step in trainer.run(steps):
        trainer.extra["best"] = min(trainer.extra["best"], step.loss)
        found.append(
            (step.loss, torch.rand(1, generator=trainer.extra["noise"]).item(), trainer.extra["numpy"].normal())
        )
    return found


def test_what_follows_a_state_is_what_followed_it_before(tmp_path):
    whole = make()
    first = losses(whole, 11)
    state = whole.state_dict()
    whole.save(tmp_path / "run.pt")
    rest = losses(whole, 13)
    end = whole.state_dict()
    for load in (lambda other: other.load_state_dict(state), lambda other: other.load(tmp_path / "run.pt")):
        other = make(seed=3)
        losses(other, 2)
        load(other)
        assert other.seed == 0
        assert losses(other, 13) == rest
        assert_same(other.state_dict(), end)
    whole.load_state_dict(state)
    assert losses(whole, 13) == rest
    assert len({loss for loss, *_ in first + rest}) == 24


def test_a_state_is_left_alone_by_later_steps():
    trainer = make()
    trainer.fit(3)
    state = trainer.state_dict()
    kept = copy.deepcopy(state)
    trainer.fit(5)
    assert_same(state, kept)


def spoil(trainer):
    """Whatever one may do with a trainer."""
    trainer.lr, trainer.batch_size, trainer.micro_batch_size = 0.5, 7, 3
    trainer.seed, trainer.data = 9, split.test
    trainer.fit(4)
    trainer.model.eval()
    for p in trainer.model.layers[0].parameters():
        p.requires_grad_(False)
    trainer.extra["best"], trainer.extra["more"] = 0.0, 1
    np.random.normal()
    random.random()
    trainer.loss_fn.seen += 100


def test_scratch_leaves_no_trace():
    trainer, calm = make(), make()
    for t in (trainer, calm):
        t.fit(5)
    gradients = [p.grad.clone() for p in trainer.parameters()]
    before, generators = trainer.state_dict(), (np.random.get_state()[1].copy(), random.getstate())
    modes = [m.training for m in trainer.model.modules()]
    with trainer.scratch() as same:
        assert same is trainer
        spoil(trainer)
    assert_same(trainer.state_dict(), before)
    assert (np.random.get_state()[1] == generators[0]).all()
    assert random.getstate() == generators[1]
    assert [m.training for m in trainer.model.modules()] == modes
    assert all(p.requires_grad for p in trainer.parameters())
    assert all(torch.equal(p.grad, g) for p, g in zip(trainer.parameters(), gradients))
    assert trainer.data is split.train
    calm.load_state_dict(before)
    after = losses(trainer, 6)
    calm.load_state_dict(before)
    assert losses(calm, 6) == after


def test_scratch_leaves_no_trace_of_an_error_inside():
    trainer = make()
    before = trainer.state_dict()
    with pytest.raises(ZeroDivisionError), trainer.scratch():
        spoil(trainer)
        raise ZeroDivisionError
    assert_same(trainer.state_dict(), before)


def test_a_range_test_is_a_scratch():
    trainer = make()
    trainer.fit(3)
    before = trainer.state_dict()
    range_test(trainer, steps=20)
    assert_same(trainer.state_dict(), before)


class Fails(Exception):
    pass


@pytest.mark.parametrize("where", ["forward", "loss", "backward"])
@pytest.mark.parametrize("error", [Fails, KeyboardInterrupt])
def test_a_step_that_fails_changes_nothing(where, error):
    """Dropout, batch norm, generators and the assigned buffer have all moved when the error comes."""
    expected = losses(make(), 9)
    trainer, failing = make(), [False]

    def fail(*_):
        if failing[0]:
            raise error

    match where:
        case "forward":
            trainer.model.layers[3].register_forward_hook(fail)
        case "loss":
            trainer.loss_fn.register_forward_hook(fail)
        case "backward":
            trainer.model.layers[0].weight.register_hook(fail)
    trainer.fit(4)
    before = trainer.state_dict()
    failing[0] = True
    with pytest.raises(error):
        trainer.fit(1)
    after = trainer.state_dict()
    for state in (before, after):  # the reader's own counter is not a step's to give back
        state["model"].pop("_extra_state")
    assert_same(after, before)
    failing[0] = False
    assert [loss for loss, *_ in expected[4:]] == [loss for loss, *_ in losses(trainer, 5)]


class Poison(torch.utils.data.Dataset):
    """Samples of which one, from step ``at`` on, makes the loss, the gradient or the update something that is not finite."""

    def __init__(self, value):
        self.value = value

    def __len__(self):
        return 800

    def __getitem__(self, i):
        return torch.tensor([self.value if i == 333 else 1.0 + i / 800]), torch.zeros(1)


class Root(nn.Module):
    """At 0 the root has a finite value and an infinite slope."""

    def __init__(self):
        super().__init__()
        self.norm, self.w = nn.BatchNorm1d(1), nn.Parameter(torch.ones(1))

    def forward(self, x):
        self.norm(x)
        return (x * self.w).abs().sqrt()


class Wild(torch.optim.SGD):
    """A rule of the reader's own that overflows by itself, at its tenth update."""

    def step(self, closure=None):
        super().step()
        self.updates = getattr(self, "updates", 0) + 1
        if self.updates == 10:
            with torch.no_grad():
                self.param_groups[0]["params"][0].fill_(float("inf"))


@pytest.mark.parametrize(
    ("what", "value", "optimizer"),
    [
        ("loss", float("nan"), torch.optim.AdamW),
        ("loss", float("inf"), partial(torch.optim.SGD, momentum=0.9)),
        ("gradient", 0.0, torch.optim.AdamW),
        ("gradient", 0.0, partial(torch.optim.SGD, momentum=0.9)),
        ("update", 1.0, partial(Wild, momentum=0.9)),
    ],
)
@pytest.mark.parametrize("every", [1, 5, 1000])
def test_no_state_that_is_not_finite_is_ever_kept_or_written(tmp_path, what, value, optimizer, every):
    file, before, saved = tmp_path / "run.pt", None, None
    trainer = Trainer(Root(), Poison(value), nn.functional.mse_loss, optimizer, lr=1e-3, batch_size=20, device="cpu")
    with pytest.raises(Divergence) as caught:
        for _ in trainer.run(40, checkpoint=file, every=every):
            before = trainer.state_dict()
            saved = torch.load(file)
    assert caught.value.what == what
    assert caught.value.step == trainer.steps_done > 0
    assert_same(trainer.state_dict(), before)
    for state in (before, saved, torch.load(file)):
        values = [*state["model"].values(), *(t for own in state["optimizer"]["state"].values() for t in own.values())]
        assert all(torch.as_tensor(t).isfinite().all() for t in values)
    trainer.data = Poison(1.0)  # a third of the rate is no help against bad data; without them the run goes on
    trainer.lr = 1e-3 / 3
    if what != "update":
        assert np.isfinite(trainer.fit(5).loss).all()


def test_what_could_not_be_read_back_is_refused_when_it_is_saved(tmp_path):
    trainer = make()
    trainer.save(tmp_path / "run.pt")
    good = (tmp_path / "run.pt").read_bytes()
    trainer.extra["oops"] = object()
    with pytest.raises(TypeError, match=r"state\['extra'\]\['oops'\]\['value'\] must be a tensor or a plain value"):
        trainer.save(tmp_path / "run.pt")
    assert (tmp_path / "run.pt").read_bytes() == good
    trainer.extra.pop("oops")
    trainer.optimizer.param_groups[0]["mine"] = np.float32(0.5)
    trainer.save(tmp_path / "run.pt")
    other = make()
    other.load(tmp_path / "run.pt")
    assert other.optimizer.param_groups[0]["mine"] == 0.5


def test_things_of_the_readers_own_must_be_there_before_they_can_be_loaded():
    trainer, other = make(), make()
    other.extra.pop("average")
    before = other.state_dict()
    with pytest.raises(ValueError, match="extra must hold 'average', made as in the run that was saved"):
        other.load_state_dict(trainer.state_dict())
    assert_same(other.state_dict(), before)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["run", "save", "load", "scratch", "fail", "copy", "evaluate"]), max_size=12))
def test_any_order_of_events_ends_where_the_undisturbed_run_does(tmp_path_factory, events):
    """Runs of three steps, and in between whatever may happen."""
    file = tmp_path_factory.mktemp("state") / "run.pt"
    trainer, calm, failing = make(), make(), [False]

    def fail(*_):
        if failing[0]:
            raise Fails

    trainer.loss_fn.register_forward_hook(fail)
    states = {0: trainer.state_dict()}
    trainer.save(file)
    at = saved = 0
    for event in events:
        match event:
            case "run":
                losses(trainer, 3)
                at += 3
            case "save":
                trainer.save(file)
                saved = at
            case "load":
                trainer.load(file)
                at = saved
            case "scratch":
                with trainer.scratch():
                    spoil(trainer)
            case "fail":
                calls, failing[0] = trainer.model.calls["train"], True
                with pytest.raises(Fails):
                    trainer.fit(1)
                trainer.model.calls["train"], failing[0] = calls, False
            case "copy":
                trainer.load_state_dict(trainer.state_dict())
            case "evaluate":
                trainer.evaluate(split.test)
        if at not in states:
            calm.load_state_dict(states[at - 3])
            losses(calm, 3)
            states[at] = calm.state_dict()
        assert_same(trainer.state_dict(), states[at], event)


# A state that is damaged, or of another run


def adam(model=None, groups=None, **settings) -> Trainer:
    torch.manual_seed(0)
    model = model or nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 10))
    optimizer = partial(torch.optim.AdamW, **settings) if groups is None else torch.optim.AdamW(groups(model), lr=1e-3)
    return Trainer(model, split.train, cross_entropy, optimizer, lr=1e-3, batch_size=32)


@pytest.mark.parametrize("key", sorted(adam().state_dict()))
def test_a_state_that_lacks_something_changes_nothing(key):
    trainer = adam()
    trainer.fit(2)
    state, before = trainer.state_dict(), trainer.state_dict()
    trainer.fit(1)
    after = trainer.state_dict()
    del state[key]
    with pytest.raises(ValueError, match=f"{key} is missing|state must be what Trainer.state_dict gave"):
        trainer.load_state_dict(state)
    assert_same(trainer.state_dict(), after)
    trainer.load_state_dict(before)
    assert trainer.steps_done == 2


def damaged(state: dict, what: str) -> dict:
    generators = state["generators"][0]
    match what:
        case "python":
            generators["python"]["words"][3] = 2**40
        case "torch":
            generators["torch"] = generators["torch"][:-1]
        case "numpy":
            generators["numpy"]["pos"] = 10**6
        case "moment":
            state["optimizer"]["state"][0]["exp_avg"] = torch.zeros(3)
        case "counter":
            state["steps_done"] = -1
        case "extra":
            state["extra"]["average"]["state_dict"] = {"nonsense": torch.zeros(1)}
    return state


@pytest.mark.parametrize("what", ["python", "torch", "numpy", "moment", "counter", "extra"])
def test_a_state_with_a_damaged_part_changes_nothing(what):
    trainer = adam()
    trainer.extra["average"] = nn.Linear(2, 2)
    trainer.fit(2)
    state = damaged(trainer.state_dict(), what)
    trainer.fit(2)
    before = trainer.state_dict()
    with pytest.raises(ValueError, match="state|extra"):
        trainer.load_state_dict(state)
    assert_same(trainer.state_dict(), before)


def test_moments_do_not_go_to_other_parameters_of_the_same_shape():
    def in_order(*order):
        return lambda model: [{"params": model[i].parameters()} for i in order]

    twins = lambda: nn.Sequential(nn.Linear(64, 10), *(nn.Linear(10, 10) for _ in range(2)))  # noqa: E731
    trainer = adam(twins(), in_order(1, 2, 0))
    trainer.fit(2)
    other = adam(twins(), in_order(2, 1, 0))
    with pytest.raises(ValueError, match=r"parameters in this order: where it has '1.weight', this one has '2.weight'"):
        other.load_state_dict(trainer.state_dict())
    adam(twins(), in_order(1, 2, 0)).load_state_dict(trainer.state_dict())


def test_settings_that_a_checkpoint_brings_are_named(tmp_path, recwarn):
    trainer = adam(weight_decay=0.1, betas=(0.9, 0.95))
    trainer.fit(2, checkpoint=tmp_path / "x.pt")
    other = adam(weight_decay=0.01, betas=(0.9, 0.95))
    with pytest.warns(UserWarning, match=r"settings of the optimizer go on: weight_decay=0.1, not 0.01$"):
        other.fit(until=3, checkpoint=tmp_path / "x.pt")
    recwarn.clear()
    same = adam(weight_decay=0.1, betas=(0.9, 0.95))
    same.lr = 0.7  # code, not state
    same.fit(until=4, checkpoint=tmp_path / "x.pt")
    assert not recwarn.list


def test_a_rate_that_torchs_scheduler_drives_is_no_other_setting(tmp_path, recwarn):
    for until in (2, 4):
        torch.manual_seed(0)
        model = nn.Linear(64, 10)
        trainer = Trainer(model, split.train, cross_entropy, partial(torch.optim.SGD, lr=0.1), batch_size=32)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(trainer.optimizer, factor=0.5, patience=0, threshold=1.0)
        trainer.extra["scheduler"] = scheduler
        for step in trainer.run(until=until, checkpoint=tmp_path / "x.pt", every=1):
            scheduler.step(step.loss)
    assert trainer.optimizer.param_groups[0]["lr"] < 0.1
    assert not recwarn.list
