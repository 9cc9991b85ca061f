// Axes: round values on them, and the maps from values to pixels.
import { line, write } from "./canvas.js";
import { short } from "./numbers.js";

const near = (value) => Number(value.toPrecision(12));

function logRasters(low) {
  const first = Math.floor(Math.log10(low));
  const decades = Array.from({ length: 40 }, (_, k) => first + k);
  const digits = [
    [1, 2, 3, 4, 5, 6, 7, 8, 9],
    [1, 2, 5],
    [1, 3],
  ];
  return [
    ...digits.map((some) => decades.flatMap((e) => some.map((d) => d * 10 ** e))),
    ...[1, 2, 3, 4, 6, 8].map((every) => decades.filter((e) => e % every === 0).map((e) => 10 ** e)),
  ];
}

function linearRasters(low, high) {
  const first = Math.floor(Math.log10((high - low) / 100));
  const gaps = Array.from({ length: 8 }, (_, k) => first + k).flatMap((e) => [1, 2, 5].map((d) => d * 10 ** e));
  return gaps.map((gap) => {
    const start = Math.ceil(low / gap - 1e-9);
    const count = Math.min(1000, Math.floor(high / gap + 1e-9) - start + 1);
    return Array.from({ length: Math.max(0, count) }, (_, k) => (start + k) * gap);
  });
}

// Round values on an axis, at most one in so many pixels, or three: the finest raster that is not finer than that,
// never none.
export function marks({ low, high, log }, room, space = 32) {
  const limit = Math.max(3, Math.floor(room / space));
  const slack = (value) => 1e-9 * Math.abs(value);
  const seen = (values) => values.map(near).filter((v) => v >= low - slack(low) && v <= high + slack(high));
  const found = (log ? logRasters(low) : linearRasters(low, high)).map(seen).find((values) => values.length <= limit);
  if (found?.length) return found;
  const middle = log ? Math.sqrt(low * high) : (low + high) / 2;
  return [near(Number(middle.toPrecision(2)))];
}

export function scale({ low, high, log }, from, to) {
  const f = log ? Math.log : (v) => v;
  const first = f(low);
  const span = f(high) - first || 1;
  return (value) => from + ((f(value) - first) / span) * (to - from);
}

// Draws axes around a box and returns the maps. An axis has low, high, label, and maybe log, ticks and format.
export function axes(context, colors, box, x, y) {
  const X = scale(x, box.left, box.right);
  const Y = scale(y, box.bottom, box.top);
  const width = context.canvas.clientWidth || box.right;
  context.lineWidth = 1;
  context.strokeStyle = colors.grid;
  for (const tick of x.ticks ?? marks(x, box.right - box.left, 58)) {
    const text = (x.format ?? short)(tick);
    const half = context.measureText(text).width / 2;
    line(context, [
      [X(tick), box.top],
      [X(tick), box.bottom],
    ]);
    write(context, text, [Math.min(X(tick), width - half - 1), box.bottom + 5], colors.faint, "center", "top");
  }
  for (const tick of y.ticks ?? marks(y, box.bottom - box.top)) {
    line(context, [
      [box.left, Y(tick)],
      [box.right, Y(tick)],
    ]);
    write(context, (y.format ?? short)(tick), [box.left - 6, Y(tick)], colors.faint, "right");
  }
  write(context, x.label, [box.right, box.bottom + 34], colors.text, "right", "bottom");
  write(context, y.label, [box.left, box.top - 5], colors.text, "left", "bottom");
  return { X, Y };
}
