"""A Sphinx extension for what `_config.yml` cannot say: which scripts go on which page, and where the library is."""

import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.ext.autodoc.mock import _MockObject

sys.path.insert(0, str(Path(__file__).parents[2]))
_MockObject.__or__ = _MockObject.__ror__ = lambda self, other: Any  # for annotations such as str | torch.device


def leave_scripts_to_their_pages(app: Sphinx, config: Config) -> None:
    """Jupyter Book puts every script under ``_static`` on every page. All of them need ``later.js``; what widgets need is in
    ``nb_ipywidgets_js`` in the configuration."""
    config.html_js_files = [("later.js", {})]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", leave_scripts_to_their_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
