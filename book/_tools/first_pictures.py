"""A Sphinx extension: a widget's stored picture (pictures.py) stands in its place until its host has drawn it, and is all that there
is on paper and without JavaScript. MyST-NB would show the view alone. Of a question that is its words, and its answer, folded."""

import re
from html import escape
from pathlib import Path
from typing import Any

import nbformat
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

VIEW, PICTURE = "application/vnd.jupyter.widget-view+json", "image/png"
STATE = "application/vnd.jupyter.widget-state+json"
WITHOUT = "<noscript><p>This is a picture: its sliders and menus answer where JavaScript is on.</p></noscript>"


def about_pictures(notebook: Path) -> dict[str, dict[str, Any]]:
    """Of each view in ``notebook``, by its model's id, what is stored beside its picture; of a question also its own state."""
    stored = nbformat.read(notebook, as_version=4)
    outputs = [o for cell in stored.cells for o in cell.get("outputs", [])]
    shown = [output for output in outputs if {VIEW, PICTURE} <= output.get("data", {}).keys()]
    models = stored.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    return {(id := o.data[VIEW]["model_id"]): dict(o.metadata, question=question_in(models, id)) for o in shown}


def question_in(models: dict[str, Any], id: str) -> dict[str, Any] | None:
    """The state of the question that a view begins with, if it does."""
    for child in models[id]["state"].get("children", [])[:1]:
        state = models[child.removeprefix("IPY_MODEL_")]["state"]
        if state.get("_anywidget_id", "").endswith("QuestionDrawing"):
            return state
    return None


def told(question: dict[str, Any]) -> tuple[str, str]:
    """A question in HTML: what it asks, and its answers with their reasons."""
    kind, answer, words = question["kind"], question["answer"], question["words"]
    if kind == "choices":
        asked = "".join(f"<li>{escape(choice)}</li>" for choice, _ in words["choices"])
        pairs = [(f"{'✓' if k == answer else '✗'} {choice}", why) for k, (choice, why) in enumerate(words["choices"])]
    else:
        asked = ""
        values = [answer, *question["mistakes"]] if kind == "number" else []
        names = [f"{value:g} {words['unit']}" for value in values] or [""] * (1 + len(words["mistakes"]))
        marked = [f"{'✗' if k else '✓'} {name}" for k, name in enumerate(names)]
        pairs = list(zip(marked, [words["reason"], *words["mistakes"]]))
    prompt = f"<p><strong>{escape(words['prompt'])}</strong></p>" + (f"<ul>{asked}</ul>" if asked else "")
    return prompt, "<dl>" + "".join(f"<dt>{escape(said)}</dt><dd>{escape(why)}</dd>" for said, why in pairs) + "</dl>"


class FirstPictures(SphinxPostTransform):
    """Put the picture and the view into one element of the size that the widget will have."""

    default_priority = 3  # before MyST-NB picks one of the two
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        about = None
        for bundle in self.document.findall(
            lambda node: node.get("nb_element") == "mime_bundle" if isinstance(node, nodes.container) else False
        ):
            kinds = {child["mime_type"]: child for child in bundle.children}
            if not {VIEW, PICTURE} <= kinds.keys():
                continue
            about = about or about_pictures(Path(self.env.doc2path(self.env.docname)))
            view, picture = kinds[VIEW], next(kinds[PICTURE].findall(nodes.image))
            known = about[re.search(r'"model_id": "(\w+)"', view.astext())[1]]
            picture["alt"] = known["widget"]["alt"]
            for side in ("width", "height"):  # host.css gives them, and Sphinx would make a picture with a size a link
                picture.attributes.pop(side, None)
            style = f"--wide: {known[PICTURE]['height']}px; --narrow: {known['widget']['narrow']}px"
            before, after, without = f'<div class="widget-first" style="{style}">', "", WITHOUT
            if known["question"]:
                prompt, answers = told(known["question"])
                before += f'<div class="question-first">{prompt}<details><summary>Answer</summary>{answers}'
                after, without = "</details></div>", ""
            raw = [nodes.raw(text=text, format="html") for text in (before, after, f"{without}</div>")]
            view.children[:] = [raw[0], picture, raw[1], *view.children, raw[2]]
            for child in view.children:
                child.parent = view


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_post_transform(FirstPictures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
