// A curve drawn by hand: at each of some columns a height between 0 and 1, or null where nothing was drawn yet.
import { clamp } from "./numbers.js";
import { grab } from "./slide.js";

// Straight lines over what was not drawn, level before the first and after the last; null where nothing was.
export function filled(heights) {
  const known = heights.flatMap((h, c) => (h == null ? [] : [c]));
  if (!known.length) return null;
  return heights.map((h, c) => {
    if (h != null) return h;
    const after = known.find((k) => k > c) ?? known.at(-1);
    const before = known.findLast((k) => k < c) ?? known[0];
    const share = after > before ? (c - before) / (after - before) : 0;
    return heights[before] + share * (heights[after] - heights[before]);
  });
}

// The heights after a stroke from one [column, height] to another; a stroke that begins has no from.
export function stroked(heights, from, [column, height]) {
  const [first, start] = from ?? [column, height];
  const way = Math.sign(column - first);
  const after = [...heights];
  for (let c = first; c !== column; c += way) {
    after[c] = start + ((height - start) * (c - first)) / (column - first);
  }
  after[column] = height;
  return after;
}

// How far two curves are apart on average, as a share of the axis.
export const apartness = (a, b) => a.reduce((sum, h, c) => sum + Math.abs(h - b[c]), 0) / a.length;

// Lets the hand and the keyboard draw on a canvas: area() is its box, heights() what there is, put(heights, column)
// takes what there is then.
export function drawByHand(canvas, signal, { area, heights, put }) {
  let from = null;
  let column = 0;
  const last = () => heights().length - 1;
  const begin = () => {
    from = null;
  };
  canvas.addEventListener("pointerdown", begin, { signal }); // before grab hears it
  const to = (x, y) => {
    const { left, right, top, bottom } = area();
    column = clamp(Math.round(((x - left) / (right - left)) * last()), 0, last());
    const height = clamp((bottom - y) / (bottom - top), 0, 1);
    put(stroked(heights(), from, [column, height]), column);
    from = [column, height];
  };
  const by = (dx, dy) => {
    column = clamp(column + dx, 0, last());
    const height = filled(heights())?.[column] ?? 0.5;
    const after = dy ? stroked(heights(), null, [column, clamp(height + dy / 50, 0, 1)]) : heights();
    put(after, column);
  };
  grab(canvas, signal, to, by);
}
