"""How the widgets behave on a page: as sliders where they are sliders, quietly, within what is theirs, and gone when they end."""

import numpy as np
import pytest
import torch
from axe import AXE
from test_curve_explorer import curves
from test_schedule_widgets import diagram, range_test, workshop
from test_snapshot_widgets import predictions, quiz, texts
from visiting import SLIDERS

from gdlib import History, Sweep, Trainer, data, models, sweep, widgets


def runs() -> widgets.RunExplorer:
    table = sweep(
        lambda: models.linear(10), data.diabetes().train, torch.nn.functional.mse_loss,
        lr=[0.01, 0.1, 1e3], batch_size=[8, 32], steps=60, seeds=[0, 1],
    )  # fmt: skip
    return widgets.RunExplorer(table, lr=0.1, batch_size=32)


def cockpit() -> widgets.Cockpit:
    torch.manual_seed(0)
    trainer, history = (
        Trainer(models.mlp(64, 16, 10), data.digits().train, torch.nn.functional.cross_entropy),
        History(),
    )
    for _ in trainer.run(40, history=history):
        pass
    return widgets.Cockpit(trainer, recorded=history)


DRAGGED = {
    "descent": widgets.DescentExplorer,
    "phase": diagram,
    "range": range_test,
    "predictions": predictions,
    "texts": texts,
}
MAKERS = {
    **DRAGGED,
    "cost": widgets.CostCalculator,
    "plan": widgets.RunPlanner,
    "curves": curves,
    "runs": runs,
    "schedule": workshop,
    "cockpit": cockpit,
    "quiz": quiz,
}
PLACE = "c => ['now', 'text', 'max', 'min'].map(name => c.getAttribute(`aria-value${name}`))"


@pytest.mark.parametrize("name", DRAGGED)
def test_a_picture_that_is_dragged_is_a_slider(alone, name):
    """Named, with a place within its ends and what that means; keys move it, and a drag that began elsewhere does not."""
    watched = alone(DRAGGED[name]())
    page, slider = watched.page, watched.page.get_by_role("slider").locator("visible=true").and_(
        watched.page.locator("canvas")
    )  # fmt: skip
    assert slider.count() == 1
    assert slider.get_attribute("aria-label")
    now, text, most, least = slider.evaluate(PLACE)
    assert float(least) <= float(now) <= float(most)
    assert text
    slider.press("Home")
    page.wait_for_function("([c, t]) => c.getAttribute('aria-valuetext') !== t", arg=[slider.element_handle(), text])
    first = slider.evaluate(PLACE)
    slider.press("ArrowRight")
    page.wait_for_function(
        "([c, t]) => c.getAttribute('aria-valuetext') !== t", arg=[slider.element_handle(), first[1]]
    )
    then, box = slider.evaluate(PLACE), slider.bounding_box()
    page.mouse.move(box["x"] + 80, box["y"] - 4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 30, box["y"] + 90, steps=3)
    page.mouse.up()
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert slider.evaluate(PLACE) == then
    assert watched.wrong == []


@pytest.mark.parametrize("name", MAKERS)
def test_nothing_is_read_out_while_something_moves_and_nothing_is_left(alone, name):
    """No live region changes with each move: the last of a series is told when it has come to rest. At the end nobody listens."""
    explorer = MAKERS[name]()
    watched = alone(explorer)
    page = watched.page
    assert page.locator(".gd [aria-live], .gd output, .gd [role=status]").count() == 0
    before = page.locator(".gd-readout").text_content()
    handle = page.locator(SLIDERS).first
    told = handle.evaluate(
        """async (handle, before) => {
            const [status, readout] = ['.gd-status', '.gd-readout'].map((name) => document.querySelector(name));
            const told = [], frame = () => new Promise(requestAnimationFrame);
            new MutationObserver(() => told.push(status.textContent)).observe(status, { childList: true });
            for (const key of ['Home', 'ArrowRight', 'ArrowRight', 'ArrowRight', 'ArrowRight', 'ArrowRight']) {
                handle.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
                await frame();
                await frame();
            }
            while (readout.textContent !== before && status.textContent !== readout.textContent) await frame();
            return told;
        }""",
        before,
    )
    assert len(told) < 6
    for summary in page.locator(".gd summary").all():
        summary.click()
    page.evaluate(f"{AXE};0")
    assert (
        page.evaluate("async () => (await axe.run('.widget-vbox')).violations.map(({id, nodes}) => [id, nodes.length])")
        == []
    )
    # Its module's own render ends it, with a model that counts who listens.
    drawing = explorer.drawing
    state = {
        key: {"bytes": list(value)} if isinstance(value, bytes) else value
        for key, value in drawing.get_state().items()
        if not key.startswith("_") and key != "layout"
    }
    left = watched.page.evaluate(
        """async ([source, state]) => {
            const values = Object.fromEntries(Object.entries(state).map(
                ([key, v]) => [key, v?.bytes ? new DataView(Uint8Array.from(v.bytes).buffer) : v]));
            const heard = new Map();
            const model = {
                get: (name) => values[name], set: (name, value) => { values[name] = value; }, save_changes() {}, send() {},
                on: (event, act) => heard.set(act, (heard.get(act) ?? new Set()).add(event)),
                off: (event, act) => { heard.get(act)?.delete(event); },
            };
            const el = document.body.appendChild(document.createElement('div'));
            const { default: widget } = await import(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })));
            const end = widget.render({ model, el });
            await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
            const during = [...heard.values()].reduce((sum, events) => sum + events.size, 0), drawn = el.childElementCount;
            end();
            return [during, drawn, [...heard.values()].reduce((sum, events) => sum + events.size, 0), el.childElementCount];
        }""",
        [drawing._esm, state],
    )
    assert left[0] > 0
    assert left[1] == 2
    assert left[2:] == [0, 0]


def test_axes_stand_still_while_a_slider_moves(alone):
    """The marks at the left of the picture are the same for a run that falls and for one that diverges."""
    watched = alone(runs())
    page = watched.page
    axis = "() => { const c = document.querySelector('.gd-runs canvas'); const k = c.width / c.clientWidth;" \
        " return [...c.getContext('2d').getImageData(0, 0, 44 * k, c.height).data].join(); }"  # fmt: skip
    before = page.evaluate(axis)
    for _ in range(2):
        page.locator(SLIDERS).first.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('.gd-runs').dataset.final === 'diverged'")
    assert page.evaluate(axis) == before


def test_a_rate_beside_its_limit_is_told_apart(alone):
    watched = alone(widgets.DescentExplorer(lr=0.19952623))
    assert "Descends: 0.1995 < 2/L = 0.2." in watched.page.locator(".gd-readout").inner_text()


def test_without_motion_the_session_is_there_at_once(alone):
    watched = alone(cockpit())
    page = watched.page
    page.emulate_media(reduced_motion="reduce")
    page.get_by_role("button", name="Stop").click()
    page.wait_for_function("() => document.querySelector('.gd-cockpit').dataset.steps === '0'")
    page.get_by_role("button", name="Start").click()
    page.wait_for_function("() => document.querySelector('.gd-cockpit').dataset.steps === '40'")
    assert page.locator(".gd-cockpit").get_attribute("data-state") == "recorded"


def test_a_kernel_that_does_not_answer_is_named(alone):
    """After a restart a button says so, instead of doing nothing."""
    watched = alone(runs())
    said = watched.page.evaluate(
        """async ([source, state]) => {
            const values = { ...state, table: new DataView(Uint8Array.from(state.table).buffer) };
            let hear;
            const model = {
                get: (name) => values[name], set() {}, save_changes() {}, send() {}, off() {},
                on: (event, act) => { if (event === 'msg:custom') hear = [...(hear ?? []), act]; },
            };
            const el = document.body.appendChild(document.createElement('div'));
            const { default: widget } = await import(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })));
            widget.render({ model, el });
            for (const act of hear) act({ hello: true });
            const train = [...el.querySelectorAll('button')].find((b) => b.textContent === 'Train this for real');
            train.click();
            while (train.disabled) await new Promise((done) => setTimeout(done, 100));
            await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
            return el.querySelector('.gd-readout').textContent;
        }""",
        [
            runs().drawing._esm,
            {k: list(v) if isinstance(v, bytes) else v for k, v in runs().drawing.get_state().items() if k[0] != "_"},
        ],
    )
    assert "No answer yet. The kernel is busy, or was restarted: then run this cell again." in said


def test_losses_below_zero_are_drawn_where_they_are(alone):
    """Not at 1e-30."""
    losses = np.linspace(3, -2, 40, dtype=np.float32) * np.ones((2, 2, 1, 1), np.float32)
    table = Sweep(np.array([0.1, 1.0]), np.array([8, 32]), np.array([0]), losses)
    for explorer in (widgets.RunExplorer(table, lr=0.1, batch_size=32), widgets.PhaseDiagram({"SGD": table})):
        watched = alone(explorer)
        assert "final loss -1.81 (-1.81–-1.81) over 1 seed" in watched.page.locator(".gd-readout").inner_text()
        assert watched.wrong == []
