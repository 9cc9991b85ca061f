"""A Sphinx extension: a widget's stored picture (pictures.py) stands in its place until its host has drawn it, and is all that there
is on paper and without JavaScript. MyST-NB would show the view alone."""

import re
from pathlib import Path
from typing import Any

import nbformat
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

VIEW, PICTURE = "application/vnd.jupyter.widget-view+json", "image/png"
WITHOUT = "<noscript><p>This is a picture: its sliders and menus answer where JavaScript is on.</p></noscript>"


def about_pictures(notebook: Path) -> dict[str, dict[str, Any]]:
    """Of each view in ``notebook``, by its model's id, what is stored beside its picture."""
    outputs = [o for cell in nbformat.read(notebook, as_version=4).cells for o in cell.get("outputs", [])]
    shown = [output for output in outputs if {VIEW, PICTURE} <= output.get("data", {}).keys()]
    return {output.data[VIEW]["model_id"]: output.metadata for output in shown}


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
            told = about[re.search(r'"model_id": "(\w+)"', view.astext())[1]]
            picture["alt"] = told["widget"]["alt"]
            for side in ("width", "height"):  # host.css gives them, and Sphinx would make a picture with a size a link
                picture.attributes.pop(side, None)
            style = f"--wide: {told[PICTURE]['height']}px; --narrow: {told['widget']['narrow']}px"
            start = nodes.raw(text=f'<div class="widget-first" style="{style}">', format="html")
            end = nodes.raw(text=f"{WITHOUT}</div>", format="html")
            view.children[:] = [start, picture, *view.children, end]
            for child in view.children:
                child.parent = view


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_post_transform(FirstPictures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
