"""What is done to the finished pages: light or dark before the first paint, icons and sizes of pictures in the HTML, one stylesheet,
no script that the page does not need before it shows."""

import functools
import hashlib
import html as entities
import json
import re
import shutil
from pathlib import Path

import imagesize
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from styles import bundle, names_in_page, names_in_script

THEME = """<script>
    {
      const root = document.documentElement.dataset, mode = localStorage.getItem("mode") || "auto";
      root.mode = mode;
      root.theme = mode !== "auto" ? mode : matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    }
  </script>"""
SEARCH = ("searchtools.js", "language_data.js", "searchindex.js")
LATER = ("doctools.js", "sphinx_highlight.js", "sphinx-book-theme.js", "bootstrap.js", "pydata-sphinx-theme.js")
DEFER = r' defer(="defer")?'
ICON = re.compile(r'<(i|span) class="([^"]*\bfa(?:s|-solid)\b[^"]*)"([^>]*)></\1>')
SHEET = re.compile(r'<link[^>]* rel="stylesheet"[^>]*/>\n?')
SCRIPT = re.compile(r'<script(?P<before>[^>]*) src="(?P<src>[^"]+)"(?P<after>[^>]*)></script>\n?')


def once(pattern: str, replacement: str, html: str) -> str:
    """``html`` with the one place that the theme's templates have for ``pattern`` replaced; an error if they no longer have it."""
    changed, times = re.subn(pattern, lambda match: match.expand(replacement), html, count=1, flags=re.DOTALL)
    if not times:
        raise ExtensionError(f"the theme's pages no longer hold {pattern}: book/_tools/pages.py must follow")
    return changed


def theme_first(html: str) -> str:
    """Light or dark is settled by the first script, and light without scripts; the theme would leave both to its own, which is late."""
    html = once(r'(<html[^>]*) data-theme="auto"', r'\1 data-theme="light"', html)
    return once(r"<script data-cfasync.*?</script>", THEME.replace("\\", r"\\"), html)


@functools.cache
def icon(name: str, theme: Path) -> str:
    """An icon as SVG, from the theme's own scripts, which would bring two thousand of them."""
    source = (theme / "fontawesome.js").read_text(encoding="utf-8")
    drawn = re.search(rf'[{{,]"?{re.escape(name)}"?:\[(\d+),(\d+),\[[^\]]*\],"[0-9a-f]+","([^"]+)"\]', source)
    if not drawn:
        raise ExtensionError(f"the theme has no icon {name}")
    width, height, path = drawn.groups()
    return f'viewBox="0 0 {width} {height}" aria-hidden="true" focusable="false"><path fill="currentColor" d="{path}"/></svg>'


def icons_inline(html: str, theme: Path) -> str:
    def drawn(match: re.Match) -> str:
        classes = match[2].split()
        name = next(c for c in classes if c.startswith("fa-") and c not in ("fa-solid", "fa-lg"))
        return f'<svg class="svg-inline--fa {" ".join(classes)}"{match[3]} {icon(name[3:], theme)}'

    return ICON.sub(drawn, html)


def scripts_apart(html: str, page: Path) -> str:
    """No script keeps the page from showing. The theme's and the extensions' are left to ``later.js``, the search's to its page."""
    search = page.name == "search.html"

    def placed(match: re.Match) -> str:
        name = match["src"].split("?")[0].rsplit("/", 1)[-1]
        given = f'{match["before"]} src="{match["src"]}"{match["after"]}'
        if name == "fontawesome.js" or (name in SEARCH and not search):
            return ""
        if name == "documentation_options.js":  # a few lines, which scripts in the page and all others want
            return f"<script>{(page.parent / match['src'].split('?')[0]).read_text(encoding='utf-8')}</script>\n"
        if search:
            return match[0]
        kind = ' type="text/later"' if name in LATER else " defer"
        return f"<script{kind}{re.sub(DEFER, '', given)}></script>\n"

    html = SCRIPT.sub(placed, html)
    return re.sub(r'<link rel="preload" as="script"[^>]*>\n?', "", html)


def sized(html: str, page: Path) -> str:
    """Every picture says its size, so that nothing moves when it comes, and is fetched when it comes near."""

    def measured(match: re.Match) -> str:
        tag = match[0].rstrip("/> ")
        source = re.search(r'\ssrc="([^"]+)"', tag)
        if source and " width=" not in tag and not re.match(r"data:|[a-z]+:", source[1]):
            width, height = imagesize.get(str(page.parent / entities.unescape(source[1])))
            if width > 0:
                tag += f' width="{width}" height="{height}"'
        return tag + ("" if " loading=" in tag else ' loading="lazy"') + "/>"

    return re.sub(r"<img\b[^>]*>", measured, html)


def lean(html: str) -> str:
    """Without what changes nothing: marks of code in the colour that code has anyway (names, brackets, spaces), a third of a page
    with much code, and MathML's namespace, which HTML knows."""
    html = re.sub(r'<span class="[npw]">([^<]*)</span>', r"\1", html)
    return html.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")


def state_last(html: str) -> str:
    """The widgets' state, a quarter of a megabyte, comes after the text."""
    state = r'<script type="application/vnd\.jupyter\.widget-state\+json">.*?</script>\n?'
    found = re.findall(state, html, re.DOTALL)
    if not found:
        return html
    return once(r"(?=</body>)", "", re.sub(state, "", html, flags=re.DOTALL)).replace(
        "</body>", "".join(found) + "</body>"
    )


def code_once(html: str) -> str:
    """Code and styles that several widgets share stand once in the state; the others name the model that has them, which host.js follows."""

    def shared(match: re.Match) -> str:
        given, first = json.loads(match[2]), {}
        for name, model in given["state"].items():
            for key in ("_esm", "_css"):
                code = model["state"].get(key)
                if code and first.setdefault(code, name) != name:
                    model["state"][key] = {"as": first[code]}
        return match[1] + json.dumps(given, ensure_ascii=False).replace("<", "\\u003c") + match[3]

    pattern = r'(<script type="application/vnd\.jupyter\.widget-state\+json">)(.*?)(</script>)'
    return re.sub(pattern, shared, html, flags=re.DOTALL)


def finish(app: Sphinx, error: Exception | None) -> None:
    """Rewrite all pages, then give them their one stylesheet."""
    if error or app.builder.format != "html":
        return
    out = Path(app.outdir)
    static, texts = out / "_static", {}
    for page in sorted(out.rglob("*.html")):
        if static not in page.parents:
            html = page.read_text(encoding="utf-8")
            html = icons_inline(theme_first(html), static / "scripts")
            texts[page] = state_last(sized(code_once(scripts_apart(lean(html), page)), page))
    address = one_sheet(texts, static)
    for page, html in texts.items():
        up = "../" * (len(page.relative_to(out).parts) - 1)
        first, rest = SHEET.search(html), SHEET.sub("", html)
        link = f'<link rel="stylesheet" href="{up}_static/{address}"/>\n'
        page.write_text(rest[: first.start()] + link + rest[first.start() :], encoding="utf-8")
    shutil.rmtree(static / "vendor/fontawesome", ignore_errors=True)
    for unused in {*static.rglob("*.map"), static / "vendor/katex/katex.min.js", static / "scripts/fontawesome.js"}:
        unused.unlink(missing_ok=True)


def one_sheet(texts: dict[Path, str], static: Path) -> str:
    """Write what the pages use of all their stylesheets, and return its name, which changes with what is in it."""
    names, sheets = set(), {}
    for page, html in texts.items():
        names |= names_in_page(html)
        links = re.findall(r'href="([^"?]+)', "".join(SHEET.findall(html)))
        sheets.update(dict.fromkeys((page.parent / link).resolve() for link in links))
    for script in static.rglob("*.js"):
        if not {"vendor", "locales"} & set(script.relative_to(static).parts) and "fontawesome" not in script.name:
            names |= names_in_script(script.read_text(encoding="utf-8"))
    first = static / "vendor/katex/katex.min.css"  # so that book.css may change it
    sheets = [first, *(sheet for sheet in sheets if sheet != first)]
    text = bundle(sheets, static, names)
    name = f"site.{hashlib.sha256(text.encode()).hexdigest()[:12]}.css"
    (static / name).write_text(text, encoding="utf-8")
    for sheet in sheets:
        sheet.unlink()
    return name


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", finish, priority=800)  # after accessible.py, before site_files.py packs the pages
    return {"parallel_read_safe": True, "parallel_write_safe": True}
