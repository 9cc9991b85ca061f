"""A Sphinx extension for what `_config.yml` cannot say: which scripts go on which page, when pictures load, and where the
library is."""

import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.ext.autodoc.mock import _MockObject

sys.path.insert(0, str(Path(__file__).parents[2]))
_MockObject.__or__ = _MockObject.__ror__ = lambda self, other: Any  # for annotations such as str | torch.device


def leave_scripts_to_their_pages(app: Sphinx, config: Config) -> None:
    """Jupyter Book puts every script under ``_static`` on every page. All of them need ``later.js``; what widgets need is in
    ``nb_ipywidgets_js`` in the configuration."""
    config.html_js_files = [("later.js", {})]


def load_pictures_late(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """A figure is fetched when it comes near: it must not compete with what the first widget needs."""
    for image in doctree.findall(nodes.image):
        image["loading"] = "lazy"


def let_the_theme_wait(app: Sphinx, error: Exception | None) -> None:
    """The theme's scripts, which its templates name, are left to ``later.js``: the first widget would wait for them."""
    for page in Path(app.outdir).rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        later = re.sub(r'<script defer (src="[^"]*_static/scripts/)', r'<script type="text/later" \1', html)
        page.write_text(later, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", leave_scripts_to_their_pages)
    app.connect("doctree-resolved", load_pictures_late)
    app.connect("build-finished", let_the_theme_wait)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
