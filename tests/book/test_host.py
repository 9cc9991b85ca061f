"""The book's own host of widgets held against html-manager: the same moves give the same models and the same readouts in both."""

import itertools
import json
import re

import anywidget
import ipywidgets as ipy
import pytest
import traitlets
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from ipywidgets.embed import dependency_state, embed_data
from visiting import LIVE, ROOT, SITE, Watched, serve

STATIC = ROOT / "book" / "_static"
HEAD = '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>x</title><link rel="icon" href="data:,"></head><body>'
TAG = '<script type="application/vnd.jupyter.widget-{}+json">{}</script>'

COMMON = """
<script>
const plain = (value) => value instanceof DataView ? [...new Uint8Array(value.buffer)].join()
  : Array.isArray(value) ? value.map(plain) : value?.model_id ? `IPY_MODEL_${value.model_id}` : value;
const events = (element, ...kinds) => kinds.forEach((kind) => element.dispatchEvent(new Event(kind, { bubbles: true })));
// What both hosts are asked for: (id, key, value) sets a model, (kind, which, what) acts on a control.
const acts = {
  set: (model, key, value) => get(model).set(key, value),
  slider: (which, key) => {
    const handle = nth(".noUi-handle, input[type=range]", which); // one that is disabled gets no key from a reader either
    if (!handle.disabled) handle.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  },
  dropdown: (which, index) => { const list = nth("select", which); list.selectedIndex = index % list.length; events(list, "change"); },
  toggle: (which, index) => { const all = nth(".widget-toggle-buttons", which).querySelectorAll("button"); all[index % all.length].click(); },
  checkbox: (which) => nth("input[type=checkbox]", which).click(),
  text: (which, words) => { const input = nth(".widget-text input", which); input.value = words; events(input, "input"); },
  enter: (which) => events(nth(".widget-text input", which), "change"),
};
const nth = (selector, which) => { const all = [...shown().querySelectorAll(selector)]; return all[which % all.length]; };
const act = (moves) => { for (const [name, ...given] of moves) acts[name](...given); };
const look = (state) => ({
  models: Object.fromEntries(Object.entries(state).map(([id, keys]) => [id, Object.fromEntries(keys.map((key) => [key, plain(value(id, key))]))])),
  readouts: [...shown().querySelectorAll(".widget-readout")].map((e) => e.textContent),
});
</script>
"""
OURS = """<script>
const get = (id) => widgetHost.models.get(id), value = (id, key) => get(id).get(key), shown = () => document;
</script>"""
THEIRS = """<script src="_static/widgets-loader.js"></script><script>
let models, place;
const get = (id) => models.find((model) => model.model_id === id), value = (id, key) => get(id).get(key), shown = () => place;
async function show(state, ids, sliders) {
  place?.remove();
  document.body.append(place = document.createElement("div"));
  models = await showWithHtmlManager(state, ids.map((id) => [place, id]));
  for (let i = 0; i < 2000 && place.querySelectorAll(".widget-readout").length < sliders; i++) await new Promise((done) => setTimeout(done, 5));
}
</script>"""


def page_of(state: dict, ids: list[str]) -> str:
    """A page with our host and the widgets of ``state`` whose ids are ``ids``."""
    views = "".join(TAG.format("view", json.dumps({"model_id": id})) for id in ids)
    style, host = '<link rel="stylesheet" href="_static/host.css">', '<script defer src="_static/host.js"></script>'
    text = json.dumps(state).replace("</", "<\\/")
    return HEAD + style + COMMON + OURS + views + TAG.format("state", text) + host


@pytest.fixture(scope="module")
def both(browser, tmp_path_factory):
    """``both(state, ids)`` shows models in either host and gives back their two pages."""
    folder = tmp_path_factory.mktemp("hosts")
    (folder / "_static").symlink_to(STATIC)
    (folder / "theirs.html").write_text(HEAD + COMMON + THEIRS)
    server, context, numbers = serve(folder), browser.new_context(), itertools.count()
    base = f"http://127.0.0.1:{server.server_port}/"
    ours, theirs = Watched(context, base), Watched(context, base)
    theirs.open(base + "theirs.html")

    def opened(state: dict, ids: list[str]):
        name = f"ours-{next(numbers)}.html"  # one name again within a second would show what the browser has kept
        (folder / name).write_text(page_of(state, ids))
        ours.open(base + name).evaluate("widgetHost.ready")
        sliders = ours.page.locator(".widget-readout").count()
        theirs.page.evaluate("([state, ids, sliders]) => show(state, ids, sliders)", [state, ids, sliders])
        return ours, theirs

    yield opened
    context.close()
    server.shutdown()


def synced(state: dict) -> dict[str, list[str]]:
    """Of each model the keys that say something: not its module's names, nor what is a model itself."""
    left_out = {"layout", "style", "children", "source", "target"}
    return {
        id: [key for key in model["state"] if not key.startswith("_") and key not in left_out]
        for id, model in state["state"].items()
    }


def hold(both, state: dict, ids: list[str], moves: list[list]) -> None:
    """The same ``moves`` in both hosts; after each, all models and readouts are the same."""
    keys = synced(state)
    ours, theirs = both(state, ids)
    for done in [[], *([move] for move in moves)]:
        found, expected = (
            watched.page.evaluate("([moves, keys]) => { act(moves); return look(keys); }", [done, keys])
            for watched in (ours, theirs)
        )
        for id in keys:
            for key, value in expected["models"][id].items():
                same = found["models"][id][key]
                assert same == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value), (done, id, key)
        assert found["readouts"] == expected["readouts"], done
    assert ours.wrong == theirs.wrong == []


@pytest.mark.parametrize("path", LIVE)
def test_a_page_of_the_book_moves_as_in_html_manager(both, path):
    html = (SITE / path).read_text(encoding="utf-8")
    (text,) = re.findall(TAG.format("state", "(.*?)").replace("+", r"\+"), html, re.S)
    views = re.findall(TAG.format("view", "(.*?)").replace("+", r"\+"), html, re.S)
    state, ids = with_code(json.loads(text)), [json.loads(view)["model_id"] for view in views]
    sliders = [(id, m["state"]) for id, m in state["state"].items() if "SliderModel" in m["model_name"]]
    keys = ["ArrowRight", "ArrowRight", "End", "PageDown", "ArrowLeft", "Home", "PageUp", "ArrowUp", "ArrowDown"]
    moves = [["slider", which, key] for which in range(len(sliders)) for key in keys]
    for id, slider in sliders:
        for share in (0.0, 0.33, 0.71, 1.0):
            if "_options_labels" in slider:
                moves.append(["set", id, "index", round(share * (len(slider["_options_labels"]) - 1))])
            else:
                value = slider["min"] + share * (slider["max"] - slider["min"])
                whole = slider["step"] == 1
                moves.append(["set", id, "value", round(value) if whole else slider.get("base", 0) ** value or value])
    hold(both, state, ids, moves)


def with_code(state: dict) -> dict:
    """``state`` with the code that several widgets share in each of them, as html-manager wants it."""
    for model in state["state"].values():
        for key in ("_esm", "_css"):
            if isinstance(model["state"].get(key), dict):
                model["state"][key] = state["state"][model["state"][key]["as"]]["state"][key]
    return state


NAMES = st.text(st.sampled_from("abcdefg "), min_size=1, max_size=6).map(str.strip).filter(bool)
FLAGS = {
    "continuous_update": st.booleans(),
    "disabled": st.sampled_from([False] * 4 + [True]),
    "readout": st.booleans(),
}


@st.composite
def int_sliders(draw):
    low, span = draw(st.integers(-60, 60)), draw(st.integers(1, 120))
    value, step = draw(st.integers(low, low + span)), draw(st.integers(1, max(1, span // 2)))
    form = draw(st.sampled_from(["d", ".2s", ".3s", ".1f"]))
    flags = {key: draw(flag) for key, flag in FLAGS.items()}
    return ipy.IntSlider(value, low, low + span, step, readout_format=form, **flags)


@st.composite
def float_sliders(draw):
    low, step = draw(st.integers(-500, 500)) / 100, draw(st.sampled_from([0.01, 0.02, 0.1, 0.25, 1.0, None]))
    high = low + draw(st.integers(1, 60)) * (step or 0.1)
    value = low + draw(st.floats(0, 1)) * (high - low)
    form = draw(st.sampled_from([".2f", ".4f", ".3g", ".4g", ".2s", "d"]))
    flags = {key: draw(flag) for key, flag in FLAGS.items()}
    return ipy.FloatSlider(value, min=low, max=high, step=step, readout_format=form, **flags)


@st.composite
def log_sliders(draw):
    base, step = draw(st.sampled_from([10, 2, 2.5])), draw(st.sampled_from([0.05, 0.1, 0.5]))
    low = draw(st.integers(-60, 60)) / 10
    high = low + draw(st.integers(1, 80)) * step
    value = base ** min(high, max(low, low + draw(st.floats(0, 1)) * (high - low)))
    form = draw(st.sampled_from([".3g", ".2s", ".4g", ".3f"]))
    flags = {key: draw(flag) for key, flag in FLAGS.items()}
    value = min(max(value, base**low), base**high)
    return ipy.FloatLogSlider(value, base=base, min=low, max=high, step=step, readout_format=form, **flags)


@st.composite
def choices(draw, kind):
    options = draw(st.lists(NAMES, min_size=2, max_size=6, unique=True))
    flags = {key: draw(flag) for key, flag in FLAGS.items()} if kind is ipy.SelectionSlider else {}
    return kind(options=options, index=draw(st.integers(0, len(options) - 1)), **flags)


PLAIN = [
    st.builds(ipy.Checkbox, st.booleans(), description=NAMES, indent=st.booleans()),
    st.builds(ipy.Text, NAMES, description=NAMES, continuous_update=st.booleans()),
    st.builds(ipy.Label, NAMES),
    st.builds(ipy.HTML, NAMES.map("<b>{}</b>".format)),
    st.builds(ipy.Play, st.integers(0, 5), max=st.integers(6, 9), show_repeat=st.booleans()),
    choices(ipy.Dropdown),
    choices(ipy.ToggleButtons),
]
SLIDERS = [int_sliders(), float_sliders(), log_sliders(), choices(ipy.SelectionSlider)]
KEYS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End"]
WHICH = st.integers(0, 9)
MOVES = st.lists(
    st.one_of(
        *[st.tuples(st.just("slider"), WHICH, st.sampled_from(KEYS))] * 6,
        st.tuples(st.just("dropdown"), WHICH, WHICH),
        st.tuples(st.just("toggle"), WHICH, WHICH),
        st.tuples(st.just("checkbox"), WHICH),
        st.tuples(st.just("text"), WHICH, NAMES),
        st.tuples(st.just("enter"), WHICH),
        *[st.tuples(st.just("set"), WHICH, st.floats(-0.2, 1.2))] * 3,
    ),
    min_size=12,
    max_size=30,
)
NEEDS = {
    "slider": "Slider",
    "dropdown": "Dropdown",
    "toggle": "ToggleButtons",
    "checkbox": "Checkbox",
    "text": "Text",
    "enter": "Text",
}


def is_ragged(slider: ipy.Widget) -> bool:
    """Whether the end of a slider lies beside its raster."""
    steps = (slider.max - slider.min) / slider.step if getattr(slider, "step", None) else 0
    return abs(steps - round(steps)) > 1e-9


def moves_on(made: list[ipy.Widget], moves: list[tuple]) -> list[list]:
    """Those of ``moves`` for which there is a control; "set" becomes a value between the ends of a slider."""
    kinds, sliders, wanted = [type(widget).__name__ for widget in made], [], []
    sliders = [widget for widget in made if hasattr(widget, "readout")]
    for name, *what in moves:
        if name == "set" and sliders:
            widget = sliders[what[0] % len(sliders)]
            if isinstance(widget, ipy.SelectionSlider):
                wanted.append(
                    ["set", widget.model_id, "index", round(min(max(what[1], 0), 1) * (len(widget.options) - 1))]
                )
                continue
            value = widget.min + what[1] * (widget.max - widget.min)
            whole = isinstance(widget, ipy.IntSlider)
            value = round(value) if whole else widget.base**value if isinstance(widget, ipy.FloatLogSlider) else value
            wanted.append(["set", widget.model_id, "value", value])
        elif name != "set" and any(NEEDS[name] in kind for kind in kinds):
            if what[-1] == "PageDown" and any(is_ragged(widget) for widget in sliders):
                what[-1] = (
                    "ArrowLeft"  # from such an end noUiSlider goes five times the last, shorter step; ours goes five steps
                )
            wanted.append([name, *what])
    return wanted


@settings(
    max_examples=40, derandomize=True, phases=[Phase.generate], deadline=None, suppress_health_check=list(HealthCheck)
)
@given(
    st.lists(st.one_of(*SLIDERS, *SLIDERS, *PLAIN), min_size=1, max_size=6),
    st.lists(st.tuples(WHICH, WHICH, st.booleans()), max_size=3),
    MOVES,
)
def test_generated_widgets_move_as_in_html_manager(both, made, pairs, moves):
    links = []
    for one, other, way in pairs:
        a, b = made[one % len(made)], made[other % len(made)]
        ends = [next((key for key in ("index", "value") if key in w.keys), None) for w in (a, b)]
        alike = type(a) is type(b) or {type(a), type(b)} <= {ipy.IntSlider, ipy.FloatSlider, ipy.Play}
        if a is not b and alike:
            links.append((ipy.jslink if way else ipy.jsdlink)((a, ends[0]), (b, ends[1])))
    shown = ipy.VBox([ipy.HBox(made[:2]), *made[2:]])
    state = embed_data(views=[shown], state=dependency_state([shown], drop_defaults=False), drop_defaults=False)
    try:
        hold(both, state["manager_state"], [shown.model_id], moves_on(made, moves))
    finally:
        ipy.Widget.close_all()


DRAWN = """export default {
  initialize({ model }) { model.set("begun", true); },
  render({ model, el, signal }) {
    const seen = new Uint8Array(model.get("data").buffer), tell = () => { el.textContent = `${[...seen]} ${model.get("a")} ${model.get("begun")}`; };
    el.className += " drawn";
    model.on("change:a", tell);
    tell();
    signal.addEventListener("abort", () => { window.ended = [...(window.ended ?? []), "signal"]; });
    return () => { window.ended = [...(window.ended ?? []), "returned"]; };
  },
};"""


class Drawn(anywidget.AnyWidget):
    _esm = DRAWN
    _css = ".drawn { color: rgb(1, 2, 3); }"
    a = traitlets.Float(1.0).tag(sync=True)
    begun = traitlets.Bool(False).tag(sync=True)
    data = traitlets.Bytes(b"\x00\x07\xff").tag(sync=True)


class Failing(anywidget.AnyWidget):
    _esm = 'export default { render() { throw new Error("on purpose"); } };'


@pytest.fixture
def ours(browser, tmp_path):
    """``ours(*widgets)`` shows widgets on a page with our host alone, as a `Watched`."""
    (tmp_path / "_static").symlink_to(STATIC)
    server, contexts = serve(tmp_path), []
    base = f"http://127.0.0.1:{server.server_port}/"

    def opened(*made: ipy.Widget, **options) -> Watched:
        data = embed_data(views=made, state=dependency_state(made, drop_defaults=False), drop_defaults=False)
        name = f"ours-{len(contexts)}.html"
        (tmp_path / name).write_text(page_of(data["manager_state"], [widget.model_id for widget in made]))
        contexts.append(browser.new_context(**options))
        watched = Watched(contexts[-1], base)
        watched.asked = []
        watched.page.on("request", lambda request: watched.asked.append(request.url.removeprefix(base)))
        watched.open(base + name).evaluate("widgetHost.ready")
        return watched

    yield opened
    for context in contexts:
        context.close()
    server.shutdown()


def test_it_is_at_most_12_kb_and_alone_where_nothing_else_is_needed(ours):
    assert (STATIC / "host.js").stat().st_size <= 12 * 1024
    plain = ours(ipy.HBox([ipy.IntSlider(), Drawn()]))
    assert [url for url in plain.asked if "vendor" in url or "host-" in url] == []
    more = ours(ipy.Checkbox(description="more"))
    assert "_static/host-controls.js" in more.asked
    assert [url for url in more.asked if "vendor" in url] == []
    assert plain.wrong == more.wrong == []


@pytest.mark.parametrize(
    "other",
    [
        lambda: ipy.IntRangeSlider(description="other"),
        lambda: ipy.FloatSlider(readout_format="+.3e", description="other"),
        lambda: ipy.IntSlider(description="<b>other</b>", description_allow_html=True),
    ],
)
def test_state_that_it_does_not_know_is_left_to_html_manager(ours, other):
    watched = ours(other(), ipy.VBox([ipy.IntSlider(description="whole"), Drawn()]))
    watched.page.locator(".drawn").wait_for()
    assert watched.page.locator(".noUi-handle").count() >= 2
    assert watched.page.locator("input[type=range]").count() == 0
    assert watched.wrong == []


def test_an_anywidget_has_its_bytes_style_events_and_end(ours):
    drawn, slider = Drawn(), ipy.FloatSlider(2.0, max=5, step=0.5, description="a")
    holder = ipy.VBox([slider, drawn])
    link = ipy.jslink((slider, "value"), (drawn, "a"))
    watched = ours(holder)
    page, element = watched.page, watched.page.locator(".drawn")
    assert element.inner_text() == "0,7,255 2 true"
    assert element.evaluate("(e) => getComputedStyle(e).color") == "rgb(1, 2, 3)"
    page.get_by_role("slider", name="a").press("ArrowRight")
    assert element.inner_text() == "0,7,255 2.5 true"
    page.evaluate("(id) => widgetHost.models.get(id).set('children', [])", holder.model_id)
    assert page.evaluate("window.ended") == ["signal", "returned"]
    assert page.locator(".drawn").count() == 0
    assert watched.wrong == []
    link.close()


def test_one_that_fails_says_so_and_the_others_show(ours):
    watched = ours(Failing(), ipy.VBox([Failing(), ipy.IntSlider(description="whole")]), Drawn())
    assert watched.page.get_by_role("alert").all_inner_texts() == ["This widget could not be shown: on purpose"] * 2
    assert watched.page.get_by_role("slider", name="whole").count() == 1
    assert watched.page.locator(".drawn").count() == 1
    assert [wrong for wrong in watched.wrong if "on purpose" not in wrong] == []


def test_a_slider_is_dragged_touched_and_read_out(ours):
    made = [
        ipy.FloatLogSlider(1.0, min=-2, max=2, description="rate", continuous_update=flag) for flag in (True, False)
    ]
    watched = ours(*made, has_touch=True)
    page, ids = watched.page, [widget.model_id for widget in made]
    value = "(id) => widgetHost.models.get(id).get('value')"
    for which, id in enumerate(ids):
        handle = page.get_by_role("slider", name="rate").nth(which)
        assert handle.get_attribute("aria-valuetext") == "1.00"
        box = handle.bounding_box()
        assert box["height"] >= 24  # for a thumb
        middle = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + box["width"] / 2, middle)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.75, middle, steps=4)
        held = page.evaluate(value, id)
        page.mouse.up()
        there = page.evaluate(value, id)
        assert 5 < there < 20
        assert held == (there if which == 0 else 1.0)  # not told before it is let go
        assert page.locator(".widget-readout").nth(which).inner_text() == handle.get_attribute("aria-valuetext")
        page.touchscreen.tap(box["x"] + box["width"] * 0.25, middle)
        assert 0.05 < page.evaluate(value, id) < 0.2
    assert watched.wrong == []


def test_layout_and_style_show_and_follow(ours):
    slider = ipy.IntSlider(
        description="wide", layout={"width": "432px", "visibility": "hidden"}, style={"description_width": "123px"}
    )
    watched = ours(slider)
    root = watched.page.locator(".widget-slider")
    look = "(e) => [e.offsetWidth, e.querySelector('label').offsetWidth, getComputedStyle(e).visibility]"
    assert root.evaluate(look) == [432, 123, "hidden"]
    id = slider.layout.model_id
    watched.page.evaluate("(id) => widgetHost.models.get(id).set({ visibility: null, width: '300px' })", id)
    assert root.evaluate(look) == [300, 123, "visible"]
    assert watched.wrong == []


def test_play_runs_to_the_end_and_stops(ours):
    play = ipy.Play(0, max=3, interval=1)
    slider = ipy.IntSlider(max=3, description="at")
    link = ipy.jslink((play, "value"), (slider, "value"))
    watched = ours(play, slider)
    watched.page.get_by_role("button", name="play").click()
    watched.page.wait_for_function("(id) => widgetHost.models.get(id).get('playing') === false", arg=play.model_id)
    assert watched.page.get_by_role("slider", name="at").get_attribute("aria-valuetext") == "3"
    watched.page.get_by_role("button", name="stop").click()
    assert watched.page.get_by_role("slider", name="at").get_attribute("aria-valuetext") == "0"
    assert watched.wrong == []
    link.close()


def test_an_output_of_text_is_shown(ours):
    output = ipy.Output(outputs=({"output_type": "stream", "name": "stdout", "text": "\x1b[31mhello\x1b[0m\n"},))
    watched = ours(output)
    assert watched.page.locator(".widget-output").inner_text().strip() == "hello"
    assert watched.wrong == []


@pytest.mark.parametrize("path", LIVE)
def test_a_page_shows_its_widgets_before_any_script_in_the_size_they_take(browser, base, path):
    for width in (1280, 390):
        without, scripted = (
            browser.new_context(viewport={"width": width, "height": 900}, java_script_enabled=flag)
            for flag in (False, True)
        )
        page = without.new_page()
        page.goto(base + path)
        for picture in page.locator(".widget-first > img").all():
            assert picture.is_visible()
            assert ((SITE / path).parent / picture.get_attribute("src")).exists()
        pictures, questions = page.locator(".widget-first > img"), page.locator(".widget-first > .question-first")
        assert page.locator(".widget-first noscript p").count() == pictures.count()
        assert pictures.count() + questions.count() >= 1  # a question stands there in words
        page = scripted.new_page()
        page.goto(base + path)
        page.wait_for_selector(".widget-first > [data-drawn]", state="attached")
        page.evaluate("widgetHost.ready")
        page.wait_for_function(
            "document.querySelectorAll('.widget-first > :not([data-drawn]).widget-subarea').length === 0"
        )
        assert not any(picture.is_visible() for picture in page.locator(".widget-first > img").all())
        for reserved, taken in page.locator(".widget-first").evaluate_all(
            "(all) => all.map((e) => [parseFloat(getComputedStyle(e).minHeight), e.querySelector('.widget-subarea').offsetHeight])"
        ):
            assert abs(reserved - taken) <= 40, (
                f"{taken} px where {reserved} are kept; make notebooks takes pictures anew"
            )
        without.close()
        scripted.close()
