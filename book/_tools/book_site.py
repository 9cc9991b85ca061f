"""A Sphinx extension for the one thing `_config.yml` cannot say: which scripts go on which page."""

from sphinx.application import Sphinx
from sphinx.config import Config


def leave_scripts_to_their_pages(app: Sphinx, config: Config) -> None:
    """Jupyter Book puts every script under ``_static`` on every page. Ours are named where they are needed: by
    ``mathjax_path`` and ``nb_ipywidgets_js`` in the configuration."""
    config.html_js_files = []


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", leave_scripts_to_their_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
