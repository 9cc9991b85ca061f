"""What is said by an assistive device: axe-core on a page, and by hand what axe cannot see."""

import re
from pathlib import Path

from visiting import SITE, Watched

AXE = (Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
RUN = """async ([only, exclude]) => {
  const options = {resultTypes: ['violations'], preload: false, iframes: false, ...(only && {runOnly: only})};
  const {violations} = await axe.run({exclude}, options);
  return violations.filter(({impact}) => impact === 'serious' || impact === 'critical')
    .flatMap(({id, nodes}) => nodes.map((node) => `${id}: ${node.target}: ${node.html.slice(0, 160)}`));
}"""
FOR_THE_EYE = [[".katex-html"]]  # each formula's MathML stands beside it
CODE = [
    [".highlight pre"]
]  # thousands of words in the same dozen colours: looked at on one page, which has most of them


UNHEARD = """() => {
  const name = (e) => e.getAttribute('aria-label') ?? e.labels?.[0]?.textContent ?? e.alt ?? '';
  const bare = (selector, has) => [...document.querySelectorAll(selector)].filter((e) => !has(e)).map((e) => e.outerHTML.slice(0, 160));
  return [
    ...bare('.math', (e) => e.querySelector('math')),
    ...bare('article img', name),
    ...bare('input[type=range], .gd [role=slider]', (e) => name(e) && e.getAttribute('aria-valuetext')),
    ...bare('.gd canvas', name),
    ...bare('details > summary', (e) => e.textContent.trim() || name(e)),
  ];
}"""


def coloured(path: str) -> int:
    """How many kinds of coloured words the page's code has."""
    html = (SITE / path).read_text(encoding="utf-8")
    return len(set(re.findall(r'<span class="(\w{1,2})">', html)))


def serious(watched: Watched, exclude: list[list[str]], only: list[str] | None = None) -> list[str]:
    """What axe finds that is serious or critical on the page as it stands: by all its rules, or by some."""
    page = watched.page
    page.emulate_media(reduced_motion="reduce")  # colours are there at once
    watched.settle()
    if not page.evaluate("'axe' in window"):
        page.evaluate(f"{AXE};0")
    found = page.evaluate(RUN, [only, exclude])
    page.emulate_media(reduced_motion="no-preference")
    return found
