"""Formulas are set while the book is built: KaTeX runs in an embedded V8 (`mini-racer`), and a page needs no script for them.

Each formula becomes KaTeX's HTML, for the eyes, beside MathML with the TeX in it, for screen readers and for copying. What KaTeX
does not know is a warning with file, line and formula; ``make book`` lets no warning pass.
"""

import atexit
import functools
import json
import re
from pathlib import Path

from docutils import nodes
from py_mini_racer import MiniRacer
from sphinx.application import Sphinx
from sphinx.locale import _
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

KATEX = Path(__file__).parents[1] / "_static" / "vendor" / "katex"
NUMBERED = re.compile(r"(\\(?:begin|end)\{(?:align|alignat|equation|gather|multline))\}")
logger = logging.getLogger(__name__)


class FormulaError(ValueError):
    """What KaTeX says about a formula that it cannot set."""


@functools.cache
def _engine() -> MiniRacer:
    engine = MiniRacer()
    atexit.register(engine.close)  # left to the garbage collector, its thread may keep the process from ending
    for source in (KATEX / "katex.min.js", Path(__file__).with_suffix(".js")):
        engine.eval(source.read_text(encoding="utf-8"))
    return engine


@functools.cache
def typeset(tex: str, display: bool = False) -> str:
    """HTML and MathML of a formula. `FormulaError` if KaTeX does not know a macro, or not without a doubt what is meant."""
    answer = json.loads(_engine().call("typeset", tex, display))
    if "error" in answer:
        raise FormulaError(answer["error"].removeprefix("KaTeX parse error: "))
    if not display:
        return answer["html"]
    # book.css makes a formula smaller where the screen is narrower than the whole, and breaks it where it would become too small.
    style = f"--whole:{sum(answer['pieces']):.1f};--piece:{max(answer['pieces']):.1f}"
    return answer["html"].replace('<span class="katex-display">', f'<span class="katex-display" style="{style}">', 1)


def display_tex(tex: str, ready: bool = False) -> str:
    """TeX of a formula on a line of its own, as Sphinx reads it: lines end in ``\\\\``, blank lines part formulas, ``ready`` ones
    bring their environment. Equations get their numbers from Sphinx, so environments do not number anything."""
    if not ready:
        parts = [part.strip() for part in tex.split("\n\n") if part.strip()]
        parts = [rf"\begin{{split}}{part}\end{{split}}" if r"\\" in part else part for part in parts]
        tex = parts[0] if len(parts) == 1 else r"\begin{gathered}" + r"\\ ".join(parts) + r"\end{gathered}"
    return NUMBERED.sub(r"\1*}", tex)


def _put(translator: HTML5Translator, node: nodes.Element, tex: str, display: bool) -> None:
    try:
        translator.body.append(typeset(tex, display))
    except FormulaError as error:
        logger.warning("KaTeX cannot set the formula %s: %s", node.astext(), error, location=node, type="formula")
        translator.body.append(translator.encode(node.astext()))


def visit_inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(translator.starttag(node, "span", "", CLASS="math notranslate nohighlight"))
    _put(translator, node, node.astext(), display=False)
    translator.body.append("</span>")
    raise nodes.SkipNode


def visit_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(translator.starttag(node, "div", CLASS="math notranslate nohighlight"))
    if node["number"]:
        translator.body.append(f'<span class="eqno">({get_node_equation_number(translator, node)})')
        translator.add_permalink_ref(node, _("Link to this equation"))
        translator.body.append("</span>")
    ready = node.get("nowrap", False) or "amsmath" in node.get("classes", [])
    _put(translator, node, display_tex(node.astext(), ready), display=True)
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("katex", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
