// The colours of widgets.css, for what is drawn on a canvas.

const PALETTE = ["text", "faint", "grid", "surface", "blue", "orange", "green", "violet", "red", "gold", "pink"];

// Whether so much red, green and blue is dark, for the eye.
export const isDark = ([red, green, blue]) => 0.299 * red + 0.587 * green + 0.114 * blue < 128;

// Whether an element stands on something dark: on a page, in JupyterLab, on Colab, which each say it in their own way.
function standsOnDark(element) {
  if (matchMedia("(forced-colors: active)").matches) return matchMedia("(prefers-color-scheme: dark)").matches;
  for (let node = element; node; node = node.parentElement) {
    const channels = getComputedStyle(node)
      .backgroundColor.match(/[\d.]+/g)
      ?.map(Number) ?? [0, 0, 0, 0];
    if (channels.length < 4 || channels[3] > 0) return isDark(channels);
  }
  return false;
}

export function colorsOf(root) {
  const dark = standsOnDark(root);
  root.dataset.theme = dark ? "dark" : "light";
  const style = getComputedStyle(root);
  const colors = Object.fromEntries(PALETTE.map((name) => [name, style.getPropertyValue(`--gd-${name}`).trim()]));
  const { blue, orange, green, violet, gold, pink } = colors;
  return { ...colors, dark, cycle: [blue, orange, green, violet, gold, pink] };
}
