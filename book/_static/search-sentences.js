// What a hit of the search shows: whole sentences around the words, and the heading that they stand under, as a link. Sphinx's own
// searchtools.js cuts 240 characters out of the page's text, its contents list and its code included.
(() => {
  const PARTS = "p, li, dd, td, figcaption, h1, h2, h3, h4"; // each is looked at by itself
  const NOT_TEXT = ".headerlink, .katex-html, annotation, script, style, nav, pre, .cell_output, .toctree-wrapper, #jb-print-docs-body, .gd-letters";
  const LONGEST = 320;

  const starts = (word) => new RegExp(`(?<![a-z0-9])${word}`, "iu"); // Sphinx has taken all but letters and digits out of it
  const count = (text, words) => words.filter((word) => word.test(text)).length; // "oom" is not in "room"

  function sentences(text, words) { // the sentence with most of the words, and those after it as far as there is room
    const all = text.replace(/\s+/g, " ").trim().split(/(?<=[.!?。])\s+(?=[\p{Lu}\p{N}"“(])/u);
    const best = Math.max(...all.map((one) => count(one, words)));
    const from = all.findIndex((one) => count(one, words) === best);
    let shown = all[from];
    for (const next of all.slice(from + 1)) {
      if (shown.length + next.length > LONGEST) break;
      shown += ` ${next}`;
    }
    return shown.length > LONGEST ? `${shown.slice(0, shown.lastIndexOf(" ", LONGEST))} …` : shown;
  }

  function place(article, words, anchor) { // the block that says most, and the heading above it
    const named = anchor ? article.querySelector(`#${CSS.escape(anchor.slice(1))}`) : null;
    if (named?.matches("dt")) { // a term of the glossary, perhaps with others of the same meaning
      let block = named;
      while (block.nextElementSibling && !block.matches("dd")) block = block.nextElementSibling;
      return { block, title: named.textContent.trim(), id: named.id };
    }
    const within = named?.closest("section") ?? article;
    const blocks = [...within.querySelectorAll(PARTS)].filter((block) => !block.querySelector("p, li, dd") && block.textContent.trim());
    const scores = blocks.map((block) => 2 * count(block.textContent, words) - /^H\d$/.test(block.tagName));
    let at = scores.indexOf(Math.max(...scores));
    const section = blocks[at]?.closest("section[id]");
    while (/^H\d$/.test(blocks[at]?.tagName) && blocks[at + 1]) at += 1; // of a heading, what follows it
    const block = blocks[at];
    return { block, title: section?.querySelector("h1, h2, h3, h4")?.textContent.trim(), id: section?.id };
  }

  const objects = Search.performObjectSearch; // which looks for the letters anywhere: "oom" in "headroom"
  Search.performObjectSearch = (object, terms) => objects(object, terms).filter(([, name]) => starts(object).test(name));

  Search.makeSearchSummary = (html, keywords, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    const article = page.querySelector("article.bd-article");
    if (!article) return document.createElement("p");
    article.querySelectorAll(NOT_TEXT).forEach((element) => element.remove());
    const words = [...keywords].map(starts);
    const { block, title, id } = place(article, words, anchor);
    const summary = Object.assign(document.createElement("p"), { className: "context" });
    const where = [...(block?.querySelectorAll(".gd-where a") ?? [])]; // of the glossary: where to go on
    block?.querySelector(".gd-where")?.remove();
    summary.textContent = block ? sentences(block.textContent, words) : "";
    queueMicrotask(() => { // when it stands beside the link to the page
      const page = summary.parentElement?.querySelector("a");
      if (!page || !id) return;
      const address = page.href.split("#")[0];
      page.href = `${address}#${id}`;
      if (title && title !== page.textContent) page.append(`: ${title}`);
      for (const link of where) {
        const href = new URL(link.getAttribute("href"), address);
        summary.append(document.createElement("br"), Object.assign(document.createElement("a"), { href, textContent: link.textContent }));
      }
    });
    return summary;
  };
})();
