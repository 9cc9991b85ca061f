"""Finding one's way: the glossary, the search, the references."""

import re

import pytest
from visiting import ROOT, SITE

GLOSSARY = (ROOT / "book" / "appendix" / "glossary.md").read_text(encoding="utf-8")
ENTRIES = [entry.splitlines() for entry in re.split(r"\n\s*\n", GLOSSARY.split(":::")[1].split("\n", 1)[1].strip())]
TERMS = {term for entry in ENTRIES for term in entry if not term.startswith(" ")}


def test_the_glossary_is_in_order_and_every_term_has_its_chinese_word():
    first = [entry[0].lower() for entry in ENTRIES]
    assert first == sorted(first)
    for entry in ENTRIES:
        assert re.match(r"  \(.*[\u4e00-\u9fff].*?\) |  \(Transformer\) ", entry[-1]), entry


def test_the_glossary_has_the_terms_that_one_looks_for():
    wanted = "cross-entropy softmax ReLU perceptron Adam AdamW SGD Muon MLP LoRA DDP FSDP ZeRO NaN OOM bf16 fp16 seed"
    assert set(wanted.split()) <= TERMS


def test_the_glossary_leads_on():
    html = (SITE / "appendix" / "glossary.html").read_text(encoding="utf-8")
    assert len(re.findall(r'<nav class="gd-letters".*?</nav>', html, re.S)[0].split("<a ")) > 20
    for term in ("cross-entropy", "batch-size", "ReLU", "Adam"):
        (entry,) = re.findall(rf'<dt id="term-{term}">.*?</dd>', html, re.S)
        assert re.search(r'gd-where.*href="\.\./\d-[^"]*#[^"]*"', entry, re.S), f"{term} leads nowhere"


def test_every_reference_has_an_address():
    entries = re.findall(r"^@\w+\{(\w+),(.*)$", (ROOT / "book" / "references.bib").read_text(encoding="utf-8"), re.M)
    assert len(entries) > 100
    for name, fields in entries:
        assert re.search(r"\b(doi|eprint|url) = \{\S+\}", fields), f"{name} has neither DOI nor address"


FOUND = [  # what a reader types; the hit that must be among the first, where it leads, and a part of the sentence shown
    ("OOM", "By symptom: Out of memory", "appendix/symptoms.html#out-of-memory", "Count the four shares first"),
    ("NaN", "By symptom: NaN or infinity", "appendix/symptoms.html#nan-or-infinity", "Look first at the rate"),
    ("loss spike", "By symptom: A loss spike", "appendix/symptoms.html#a-loss-spike", "comes back, or does not."),
    ("学习率", "Glossary: learning rate", "appendix/glossary.html#term-learning-rate", "the step taken against it."),
    (
        "critical batch size",
        "Glossary: critical batch size",
        "appendix/glossary.html#term-critical-batch-size",
        "twice",
    ),
]


@pytest.mark.parametrize(("words", "title", "target", "sentence"), FOUND, ids=[row[0] for row in FOUND])
def test_the_search_shows_sentences_and_their_heading(visit, words, title, target, sentence):
    page = visit(f"search.html?q={words}").page
    hit = page.locator("ul.search > li").filter(has=page.get_by_role("link", name=title, exact=True)).first
    hit.locator("p.context").wait_for()
    assert target in hit.locator("a").first.get_attribute("href")
    assert sentence in hit.locator("p.context").inner_text()
    hits = page.locator("ul.search > li").all()[:8]
    assert hit.inner_text() in [other.inner_text() for other in hits]
    for other in hits:
        shown = other.locator("p.context").inner_text()
        assert "import " not in shown and "Toggle" not in shown, "code, or a list of contents"


def test_a_chinese_word_leads_to_the_chapters(visit):
    page = visit("search.html?q=批量大小").page
    hit = page.locator("ul.search > li").filter(has_text="Glossary: batch size").first
    hit.locator("p.context a").first.wait_for()
    hit.locator("p.context a").first.click()
    page.wait_for_url("**/*-*/**#*")
    assert "batch" in page.locator("h1, h2, h3").all_inner_texts().__str__().lower()
