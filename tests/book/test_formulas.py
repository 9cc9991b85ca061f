"""Formulas are set while the book is built: each one, as the sources have it, and none that KaTeX does not know."""

import ast
import html
import inspect
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from markdown_it.renderer import RendererHTML
from markdown_it.tree import SyntaxTreeNode
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from visiting import PAGES, ROOT, SITE

TOOLS = ROOT / "book" / "_tools"
MATH = {"math_inline", "math_inline_double", "math_block", "math_block_label", "amsmath"}
sys.path.insert(0, str(TOOLS))

import formulas  # noqa: E402


def plain(tex: str) -> str:
    """TeX without what the build adds to it, and without spaces."""
    return re.sub(r"\s|\\(begin|end)\{(split|gathered)\}", "", tex.replace("*}", "}"))


def in_sources(path: Path) -> list[str]:
    """TeX of all formulas of a page's Markdown."""
    text = path.read_text(encoding="utf-8")
    cells = [text]
    if path.suffix == ".ipynb":
        cells = ["".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "markdown"]
    config = MdParserConfig(enable_extensions={"amsmath", "colon_fence", "deflist", "dollarmath", "html_image"})
    parser, found = create_md_parser(config, RendererHTML), []

    def walk(source: str) -> None:
        for node in SyntaxTreeNode(parser.parse(source)).walk():
            if node.type in MATH:
                found.append(node.content)
            elif node.type in ("fence", "colon_fence") and node.info.strip().startswith("{"):
                walk(node.content)  # a directive's text

    for cell in cells:
        walk(cell)
    return found


def on_page(page: Path) -> list[str]:
    """TeX of all formulas in a page's text: what stands beside them for screen readers."""
    article = re.search(r'<article class="bd-article".*?</article>', page.read_text(encoding="utf-8"), re.DOTALL)
    notes = re.findall(r'<annotation encoding="application/x-tex">(.*?)</annotation>', article[0], re.DOTALL)
    return [html.unescape(tex) for tex in notes]


def pages_with_sources() -> list[Path]:
    return [p for p in sorted((ROOT / "book").rglob("*")) if p.suffix in (".ipynb", ".md") and page_of(p).exists()]


def page_of(source: Path) -> Path:
    return SITE / source.relative_to(ROOT / "book").with_suffix(".html")


def is_reference(source: Path) -> bool:
    return "automodule" in source.read_text(encoding="utf-8")


@pytest.mark.parametrize("source", pages_with_sources(), ids=lambda p: str(p.relative_to(ROOT / "book")))
def test_every_formula_of_the_sources_is_on_its_page(source):
    there, wanted = Counter(map(plain, on_page(page_of(source)))), Counter(map(plain, in_sources(source)))
    assert not wanted - there
    assert is_reference(source) or not there - wanted


def in_docstrings() -> tuple[Counter, Counter]:
    """TeX of the formulas in the library's docstrings: of what a reader can call, and of all."""
    public, every = Counter(), Counter()

    def walk(node: ast.AST, hidden: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef | ast.FunctionDef):
                private = hidden or child.name.startswith("_")
                take(child, private)
                walk(child, private or isinstance(child, ast.FunctionDef))

    def take(node: ast.AST, hidden: bool) -> None:
        text = inspect.cleandoc(ast.get_docstring(node) or "")
        found = re.findall(r":math:`([^`]+)`", text) + re.findall(
            r"^ *\.\. math::(.*?)(?:\n\s*\n|\Z)", text, re.DOTALL | re.MULTILINE
        )
        every.update(map(plain, found))
        public.update(map(plain, [] if hidden else found))

    for path in sorted((ROOT / "gdlib").rglob("*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        take(module, True)
        walk(module, False)
    return public, every


def test_every_formula_of_the_library_is_in_its_reference():
    references = [source for source in pages_with_sources() if is_reference(source)]
    there = Counter(plain(tex) for source in references for tex in on_page(page_of(source)))
    written = Counter(plain(tex) for source in references for tex in in_sources(source))
    public, every = in_docstrings()
    assert sum(public.values()) > 100
    assert not public - there
    assert set(there - written) <= set(every)


def test_no_page_has_tex_or_a_script_left_to_set():
    for page in PAGES:
        text = (SITE / page).read_text(encoding="utf-8")
        assert "MathJax" not in text
        assert not re.search(r'class="math[^>]*>(?!\s*<span class="(katex|eqno))', text), (
            f"{page} holds a formula that is not set"
        )
        assert text.count('<span class="katex">') == len(re.findall(r"<math[ >]", text))


@pytest.mark.parametrize(
    ("tex", "said"),
    [
        (r"\nosuchmacro{x}", r"Undefined control sequence: \\nosuchmacro"),
        (r"x^", "Expected group"),
        (r"\frac{1", "Unexpected end"),
        ("é", "strict"),
        (r"\includegraphics{x}", "may not"),
    ],
)
def test_what_katex_does_not_know_is_refused(tex, said):
    with pytest.raises(formulas.FormulaError, match=said):
        formulas.typeset(tex)


def test_a_formula_is_html_for_the_eyes_and_mathml_for_the_ears():
    page = formulas.typeset(r"\frac{\eta}{2}", display=True)
    assert "<mfrac><mi>η</mi><mn>2</mn></mfrac>" in page
    assert 'class="katex-display"' in page


@pytest.mark.parametrize(
    ("tex", "ready", "wanted"),
    [
        ("x", False, "x"),
        (r"a &= b \\ &= c", False, r"\begin{split}a &= b \\ &= c\end{split}"),
        ("a\n\nb", False, r"\begin{gathered}a\\ b\end{gathered}"),
        (r"\begin{align} a &= b \end{align}", True, r"\begin{align*} a &= b \end{align*}"),
        (r"\begin{equation*} a \end{equation*}", True, r"\begin{equation*} a \end{equation*}"),
    ],
)
def test_display_tex_as_sphinx_reads_it(tex, ready, wanted):
    assert formulas.display_tex(tex, ready) == wanted
    assert "<math " in formulas.typeset(wanted, display=True)


def build(folder: Path, text: str) -> subprocess.CompletedProcess:
    """A book of one page, made as ``make book`` does: warnings are errors."""
    (folder / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(TOOLS)!r})\nextensions = ['myst_parser', 'formulas']\n"
        "myst_enable_extensions = ['amsmath', 'dollarmath']\nhtml_math_renderer = 'katex'\n"
    )
    (folder / "index.md").write_text(text)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", str(folder), str(folder / "out")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_broken_formula_fails_the_build_with_its_file_and_itself(tmp_path):
    done = build(tmp_path, "# Page\n\nRight: $x^2$.\n\nWrong: $\\nosuchmacro{x}$.\n")
    assert done.returncode != 0
    assert re.search(r"index\.md:\d+: WARNING: KaTeX cannot set the formula \\nosuchmacro\{x\}", done.stderr)
    assert "x^2" not in done.stderr


def test_labels_numbers_and_references(tmp_path):
    text = "# Page\n\n$$a = b$$ (first)\n\n\\begin{align}\nc &= d \\\\\ne &= f\n\\end{align}\n\nSee {eq}`first`.\n"
    done = build(tmp_path, text)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "out" / "index.html").read_text()
    assert re.search(r'id="equation-first".*?<span class="eqno">\(1\)', page, re.DOTALL)
    assert re.search(r'href="#equation-first">.*?\(1\)', page)
    assert page.count('class="katex-display"') == 2
    assert "eqn-num" not in page, "KaTeX numbers nothing: Sphinx does"
