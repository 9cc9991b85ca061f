// What the widgets that show real runs share: axes for losses, the spread over seeds, names of curves, and outcomes in
// words.
import { cross, line, widest, write, writeOver } from "./canvas.js";
import { legend } from "./elements.js";
import { least, most, short } from "./numbers.js";
import { say } from "./words.js";

// The vertical axis of losses: logarithmic unless some are below zero. What lies above the limit is cut.
export function lossAxis(losses, limit = Infinity) {
  const seen = losses.filter(Number.isFinite);
  const label = say("loss");
  const high = Math.min(most(seen, 0.1), limit);
  const low = least(seen, 0.1);
  if (low < 0) return { low: low - 0.05 * (high - low), high: high + 0.05 * (high - low) || 1, log: false, label };
  const above = least(
    seen.filter((v) => v > 0),
    0.1,
  );
  return { low: above * 0.9, high: Math.max(high, above * 2) * 1.1, log: true, label };
}

export const lossesOf = (spreads) => spreads.flatMap((s) => [...s.low, ...s.high]);

// Draws one spread at its positions, with a cross where a seed diverged. Returns where its name belongs.
export function drawSpread(context, colors, { X, Y }, area, { at, ...s }, color, width) {
  context.fillStyle = color;
  context.globalAlpha = 0.18;
  context.beginPath();
  for (const [p, v] of s.low.entries()) context.lineTo(X(at[p]), Y(v));
  for (let p = s.until - 1; p >= 0; p--) context.lineTo(X(at[p]), Y(s.high[p]));
  context.fill();
  context.globalAlpha = 1;
  line(
    context,
    s.mean.map((v, p) => [X(at[p]), Y(v)]),
    color,
    width,
  );
  const last = Math.max(0, s.until - 1);
  const [x, y] = s.until ? [X(at[last]), Math.max(Y(s.mean[last]), area.top + 7)] : [area.left + 12, area.top + 12];
  if (s.diverged) cross(context, [x, y], 6, colors.red);
  return { x: x + 8, y, color };
}

const measured = new WeakMap();

// How much room names need beside the ends of their curves; 0 where there is none, and a legend takes them. They are
// measured once.
export function nameRoom(canvas, width, texts) {
  if (!measured.has(texts)) measured.set(texts, Math.ceil(widest(canvas, texts)) + 18);
  const room = measured.get(texts);
  return width >= 500 && room <= 0.36 * width ? room : 0;
}

// Writes each name beside its curve's end, none over another or, without room for that, in the legend.
export function nameCurves(context, colors, names, bottom, room, list) {
  list.replaceChildren(...(room ? [] : legend(names)));
  if (!room) return;
  const placed = names.map((name) => ({ ...name })).sort((a, b) => a.y - b.y);
  placed.forEach((name, n) => {
    if (n) name.y = Math.max(name.y, placed[n - 1].y + 14);
  });
  let limit = bottom;
  for (const name of placed.toReversed()) {
    name.y = Math.min(name.y, limit);
    limit = name.y - 14;
  }
  for (const { text, x, y, color } of placed) writeOver(context, colors, text, [x, y], color);
}

// A level with its name above it, at the right.
export function drawLevel(context, colors, area, y, text) {
  context.setLineDash([2, 4]);
  line(
    context,
    [
      [area.left, y],
      [area.right, y],
    ],
    colors.faint,
    1.4,
  );
  context.setLineDash([]);
  write(context, text, [area.right - 4, y - 8], colors.faint, "right");
}

// What became of a run, in words: final is its mean, lowest and highest.
export function outcome(final, diverged, seeds) {
  if (diverged) return say("seeds diverge", { diverged, seeds });
  const [loss, low, high] = final.map((v) => short(v));
  return say("final loss", { loss, low, high, seeds });
}
