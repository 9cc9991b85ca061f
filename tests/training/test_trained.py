"""What is trained and how an optimizer is stepped, against torch's own `step`."""

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from gdlib.training._trained import trainable, update


def made(**kw) -> tuple[torch.nn.Parameter, torch.optim.Optimizer]:
    p = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    p.grad = torch.tensor([0.5, 0.25])
    return p, torch.optim.SGD([p], lr=0.1, momentum=0.9, **kw)


@pytest.mark.parametrize("kw", [{}, {"foreach": True}, {"fused": True}, {"differentiable": False, "nesterov": True}])
def test_an_update_is_torchs_own(kw: dict) -> None:
    (p, ours), (q, theirs) = made(**kw), made(**kw)
    for _ in range(3):
        update(ours)
        theirs.step()
    assert torch.equal(p, q)
    assert torch.equal(ours.state[p]["momentum_buffer"], theirs.state[q]["momentum_buffer"])
    assert torch.is_grad_enabled() and p.is_leaf


def test_whoever_listens_to_a_step_is_called() -> None:
    _, optimizer = made()
    heard = []
    handles = [
        optimizer.register_step_pre_hook(lambda *_: heard.append("before")),
        optimizer.register_step_post_hook(lambda *_: heard.append("after")),
        register_optimizer_step_post_hook(lambda *_: heard.append("any")),
    ]
    update(optimizer)
    assert heard == ["before", "after", "any"]
    for handle in handles:
        handle.remove()
    update(optimizer)
    assert len(heard) == 3


def test_torchs_schedulers_and_profiler_see_the_step(recwarn: pytest.WarningsRecorder) -> None:
    _, optimizer = made()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    update(optimizer)
    scheduler.step()  # warns where the optimizer was not stepped before
    assert not recwarn.list
    _, optimizer = made()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        update(optimizer)
    assert "Optimizer.step#SGD.step" in {event.key for event in profile.key_averages()}


def test_an_optimizer_of_the_readers_own_is_stepped_as_it_is() -> None:
    class Signs(torch.optim.Optimizer):
        def __init__(self, parameters):
            super().__init__(parameters, {"lr": 0.1})

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    p.sub_(p.grad.sign(), alpha=group["lr"])

    p = torch.nn.Parameter(torch.zeros(2))
    p.grad = torch.tensor([3.0, -1.0])
    update(Signs([p]))
    assert torch.equal(p, torch.tensor([-0.1, 0.1]))


def test_a_model_without_values_is_refused() -> None:
    with torch.device("meta"):
        model = torch.nn.Linear(4, 1)
    with pytest.raises(ValueError, match="model must have its values; got parameters on the meta device"):
        trainable(model, None)
