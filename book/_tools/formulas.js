// Runs inside the build, after KaTeX: a formula as HTML and MathML, or what is wrong with it. Nothing is guessed, nothing foreign let in.
function typeset(tex, displayMode) {
  const trust = ({ command }) => { throw new Error(`a formula may not use ${command}`); };
  const options = { displayMode, strict: "error", throwOnError: true, trust };
  try {
    const pieces = displayMode ? pieceWidths(katex.__renderToHTMLTree(tex, options)) : [];
    return JSON.stringify({ html: katex.renderToString(tex, options), pieces });
  } catch (error) {
    return JSON.stringify({ error: error.message });
  }
}

// Widths, in em, of a formula's pieces, between which a line may break: for styles that let it fit a narrow screen.
function pieceWidths(tree) {
  const found = [];
  const walk = (node) => {
    if (node.classes?.includes("katex-base")) found.push(widthOf(node, 1));
    else for (const child of node.children ?? []) walk(child);
  };
  walk(tree);
  return found.map((width) => Math.round(100 * width) / 100);
}

const SIZES = [0, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.2, 1.44, 1.728, 2.074, 2.488];
const PADDED = { boxpad: 0.6, nulldelimiter: 0.12 };
const letters = {}; // KaTeX joins letters of a text and forgets how wide they are together
const ems = (text) => (/em$/.test(text ?? "") ? parseFloat(text) : 0);

function widthOf(node, scale) {
  const classes = node.classes ?? [], style = node.style ?? {};
  const sized = [classes.find((c) => /^reset-size\d+$/.test(c)), classes.find((c) => /^size\d+$/.test(c) && classes.some((d) => d.startsWith("reset-size")))];
  if (sized[0] && sized[1]) scale *= SIZES[sized[1].slice(4)] / SIZES[sized[0].slice(10)];
  const around = ems(style.marginLeft) + ems(style.marginRight) + ems(style.paddingLeft) + ems(style.paddingRight);
  const padded = classes.reduce((sum, c) => sum + (PADDED[c] ?? 0), 0);
  if ("text" in node && !node.children) {
    const width = [...node.text].length > 1 ? [...node.text].reduce((sum, letter) => sum + letterWidth(letter), 0) : node.width;
    return scale * (width + Math.max(node.italic ?? 0, 0) + around);
  }
  const inner = (node.children ?? []).map((child) => widthOf(child, scale));
  const stacked = classes.some((c) => /vlist$|vlist-t/.test(c));
  const content = stacked ? Math.max(0, ...inner) : inner.reduce((a, b) => a + b, 0);
  return Math.max(content, scale * Math.max(ems(style.width), ems(style.minWidth))) + scale * (around + padded);
}

function letterWidth(letter) {
  if (letter === "\u00a0" || letter === " ") return 0.25;
  return (letters[letter] ??= (() => {
    const find = (node) => (node.text === letter ? node.width : (node.children ?? []).map(find).find((width) => width !== undefined));
    try { return find(katex.__renderToHTMLTree(`\\text{${letter}}`, {})) ?? 0.5; } catch { return 0.5; }
  })());
}
