"""A deck of slides for each chapter, from the headings, questions, boxed formulas and figures of its notebook: `make slides` writes
`_build/slides/`, which needs no network.

Reveal (https://revealjs.com, version 5.2.1, MIT, in `reveal/`) shows them: to the right the sections, downwards what is in each. Formulas
are set while the slides are made, as for the pages. nbconvert's own slides would fetch Reveal, MathJax and more from other hosts, and
show every cell.
"""

import base64
import html
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
from markdown_it import MarkdownIt

sys.path.insert(0, str(Path(__file__).parent))

from formulas import KATEX, FormulaError, display_tex, typeset

ROOT = Path(__file__).parents[2]
SITE, SLIDES = ROOT / "_build" / "html", ROOT / "_build" / "slides"
LEFT_OUT = {"Exercises", "References", "Questions"}
WHOLE = {"Your prediction", "Five sentences to remember"}
MUCH = 550  # characters of text that fit a slide in full size
BOXED = re.compile(r"^\$\$(?:(?!\$\$).)*?\\boxed(?:(?!\$\$).)*?\$\$", re.DOTALL | re.MULTILINE)
MATH = re.compile(r"\$\$(.+?)\$\$|(?<!\\)\$(?!\s)([^$\n]+?)(?<!\s)\$", re.DOTALL)
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
<link rel="stylesheet" href="reveal/reset.css"><link rel="stylesheet" href="reveal/reveal.css">
<link rel="stylesheet" href="katex/katex.min.css"><style>
body {{ background: #fff; }}
.reveal {{ font: 30px/1.35 system-ui, sans-serif; color: #222; }}
.reveal h1, .reveal h2, .reveal h3 {{ font-weight: 600; line-height: 1.2; margin: 0 0 .6em; }}
.reveal h1 {{ font-size: 1.9em; }} .reveal h2 {{ font-size: 1.4em; }} .reveal h3 {{ font-size: 1.15em; }}
.reveal p, .reveal ul, .reveal ol {{ margin: 0 0 .7em; text-align: left; }} .reveal li {{ margin: 0 0 .4em 1.2em; }}
.reveal img {{ max-width: 100%; max-height: 480px; }} .reveal .caption {{ font-size: .62em; color: #444; }}
.reveal code {{ font-family: ui-monospace, monospace; font-size: .9em; }} .reveal a {{ color: #1b5e9b; }}
</style></head><body><div class="reveal"><div class="slides">
{slides}
</div></div><script src="reveal/reveal.js"></script><script>
Reveal.initialize({{ hash: true, width: 1100, height: 680, slideNumber: "c/t", controls: true, transition: "none" }});
</script></body></html>
"""


def shown(text: str) -> str:
    """Markdown with formulas as HTML."""
    kept: list[str] = []

    def put(match: re.Match) -> str:
        tex, display = (match[1], True) if match[1] else (match[2], False)
        try:
            kept.append(typeset(display_tex(tex.strip()) if display else tex, display))
        except FormulaError:
            kept.append(html.escape(match[0]))
        return f"\x02{len(kept) - 1}\x03"

    made = MarkdownIt("commonmark").enable("table").render(MATH.sub(put, text))
    return re.sub("\x02(\\d+)\x03", lambda match: kept[int(match[1])], made)


def first_words(text: str) -> str:
    """The first paragraph of ``text``, as far as its third sentence."""
    text = re.sub(r"^```.*?^```|<details>.*?</details>", "", text, flags=re.DOTALL | re.MULTILINE).strip()
    paragraph = next((p for p in re.split(r"\n\s*\n", text) if not p.startswith(("$$", "|", "<", "*A picture"))), "")
    if paragraph.startswith(("- ", "1. ")):
        return paragraph
    return " ".join(re.split(r"(?<=[.?!])\s+(?=[A-Z*])", re.sub(r"\s*\n\s*", " ", paragraph))[:3])


def pages(text: str) -> list[str]:
    """A list of long points as as many lists as it needs slides; other text stays whole."""
    points = re.split(r"^(?=- |\d+\. )", text, flags=re.MULTILINE)
    if len(text) < MUCH or len(points) < 3:
        return [text]
    made = [points[0]] if points[0].strip() else []
    for point in points[1:]:
        if made and len(made[-1]) + len(point) < 1.6 * MUCH:
            made[-1] += point
        else:
            made.append(point)
    return made


def small(text: str) -> str:
    return f'<div style="font-size: .8em">{shown(text)}</div>'


def sections(text: str) -> Iterator[tuple[int, str, str]]:
    """The headings in Markdown: each one's level, words, and what stands below it until the next; first what stands above all."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    parts = re.split(r"^(#{1,4}) (.+)$", text, flags=re.MULTILINE)
    yield 0, "", parts[0]
    for level, title, below in zip(parts[1::3], parts[2::3], parts[3::3]):
        yield len(level), title.strip(), below


def deck(notebook: nbformat.NotebookNode) -> tuple[str, list[list[str]]]:
    """The chapter's title, and its slides: a list for each section, one under the other."""
    title, columns, left_out, figure = "", [], False, None
    for cell in notebook.cells:
        if cell.metadata.get("exercise"):
            continue
        if cell.cell_type == "code":
            pictures = [o.data["image/png"] for o in cell.outputs if "image/png" in o.get("data", {})]
            figure = pictures[-1] if pictures else None
            continue
        if cell.source.startswith("**Fig. ") and figure and columns and not left_out:
            picture = figure if isinstance(figure, str) else base64.b64encode(figure).decode()
            alt = html.escape(re.sub(r"[*`$\\]", "", cell.source))
            columns[-1].append(
                f'<img alt="{alt}" src="data:image/png;base64,{picture.strip()}"><div class="caption">{shown(cell.source)}</div>'
            )
            figure = None
            continue
        for level, words, below in sections(cell.source):
            if level == 1:
                title = words
                about = re.split(r"\s*Reading: ", below.strip())[0]
                columns.append([f"<h1>{shown(words)[3:-5]}</h1>{shown(about)}"])
            elif level:
                left_out = words in LEFT_OUT if level <= 2 else left_out
                if left_out:
                    continue
                whole = any(words.startswith(start) for start in WHOLE)
                text = (
                    re.sub(r"<details>.*?</details>", "", below, flags=re.DOTALL).strip()
                    if whole
                    else first_words(below)
                )
                head = f"<h{level}>{shown(words)[3:-5]}</h{level}>"
                sheets = [head + (shown(part) if len(part) < MUCH else small(part)) for part in pages(text)]
                if level == 2 or not columns:
                    columns.append([])
                columns[-1] += sheets
            if not left_out and columns:
                columns[-1] += [shown(formula) for formula in BOXED.findall(below)]
    return title, columns


def write_slides(site: Path, slides: Path) -> list[str]:
    """Write a deck for each chapter of a built ``site``; their names."""
    shutil.rmtree(slides, ignore_errors=True)
    shutil.copytree(Path(__file__).with_name("reveal"), slides / "reveal")
    shutil.copytree(KATEX, slides / "katex", ignore=shutil.ignore_patterns("*.js"))
    made = []
    for path in sorted((site / "_sources").rglob("*.ipynb")):
        page = path.relative_to(site / "_sources").with_suffix("")
        if page.parts[0] in ("appendix", "index"):
            continue
        title, columns = deck(nbformat.read(path, as_version=4))
        sheets = [
            "<section>" + "".join(f"<section>{slide}</section>" for slide in column) + "</section>"
            for column in columns
        ]
        name = "-".join(part for part in page.parts if part != "index")
        (slides / f"{name}.html").write_text(
            PAGE.format(title=html.escape(re.sub(r"[*`$]", "", title)), slides="\n".join(sheets)), encoding="utf-8"
        )
        made.append((name, title))
    links = "".join(f'<li><a href="{name}.html">{html.escape(title)}</a></li>' for name, title in made)
    (slides / "index.html").write_text(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Slides</title></head><body><h1>Slides</h1><ul>{links}</ul></body></html>\n',
        encoding="utf-8",
    )
    return [name for name, _ in made]


if __name__ == "__main__":
    print(f"{len(write_slides(SITE, SLIDES))} decks in _build/slides; open index.html there.")
