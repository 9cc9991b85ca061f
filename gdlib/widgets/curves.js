// What the widgets that show real runs share: reading their tables, the spread over seeds, and drawing it.

// Losses from their logarithms in 16 bits; the highest code is a loss that is not finite.
export function unpack(bytes, [low, span]) {
  const codes = new Uint16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  return Float32Array.from(codes, (code) => (code === 65535 ? Infinity : Math.exp(low + (code * span) / 65534)));
}

// The curves of one setting, a seed each, where settings, seeds and points follow each other in a row of values.
export function curvesOf(values, setting, seeds, points, first = 0) {
  return Array.from({ length: seeds }, (_, s) => {
    const at = first + (setting * seeds + s) * points;
    return values.subarray(at, at + points);
  });
}

// Mean, lowest and highest over the seeds at each point, up to the first point at which any seed has diverged.
export function spread(curves) {
  const points = curves[0].length;
  let until = 0;
  while (until < points && curves.every((curve) => Number.isFinite(curve[until]))) until++;
  const over = (f) => Array.from({ length: until }, (_, p) => f(curves.map((curve) => curve[p])));
  return {
    until,
    mean: over((v) => v.reduce((a, b) => a + b, 0) / v.length),
    low: over((v) => Math.min(...v)),
    high: over((v) => Math.max(...v)),
    diverged: curves.filter((curve) => !Number.isFinite(curve[points - 1])).length,
  };
}

// Where in values the nearest by ratio is; -1 if it is further away than the ends' own neighbours would be.
export function nearestByRatio(values, value) {
  const far = values.map((v) => Math.abs(Math.log(v / value))), index = far.indexOf(Math.min(...far));
  const reach = values.length > 1 ? Math.max(...values.slice(1).map((v, i) => Math.log(v / values[i]))) : Math.log(10);
  return far[index] <= reach / 2 + 1e-9 ? index : -1;
}

// The vertical axis for so many spreads, and whatever else is to be seen.
function lossAxis(spreads, others = []) {
  const seen = [...spreads.flatMap((s) => [...s.low, ...s.high]), ...others].filter((v) => v > 0 && Number.isFinite(v));
  const low = seen.length ? Math.min(...seen) : 0.1, high = Math.max(...seen, low * 2);
  return { low: low * 0.9, high: high * 1.1, log: true, label: say("loss") };
}

// Draws one spread at its positions, with a cross where a seed diverged. Returns where its name belongs.
function drawSpread(context, colors, { X, Y }, area, { at, ...s }, color, width) {
  context.fillStyle = color;
  context.globalAlpha = 0.18;
  context.beginPath();
  s.low.forEach((v, p) => context.lineTo(X(at[p]), Y(v)));
  for (let p = s.until - 1; p >= 0; p--) context.lineTo(X(at[p]), Y(s.high[p]));
  context.fill();
  context.globalAlpha = 1;
  line(context, s.mean.map((v, p) => [X(at[p]), Y(v)]), color, width);
  const last = Math.max(0, s.until - 1), [x, y] = s.until ? [X(at[last]), Y(s.mean[last])] : [area.left + 12, area.top + 12];
  if (s.diverged) cross(context, x, y, 6, colors.red);
  return { x: x + 8, y, color };
}

function cross(context, x, y, size, color) {
  line(context, [[x - size, y - size], [x + size, y + size]], color, 2.5);
  line(context, [[x - size, y + size], [x + size, y - size]], color, 2.5);
}

// Writes each name beside its curve's end, none over another, inside where there is no room at the right.
function drawNames(context, colors, names, width, bottom) {
  context.textBaseline = "middle";
  context.textAlign = "left";
  const placed = names.map(({ text, x, y, color }) => {
    const space = context.measureText(text).width, fits = x + space < width;
    return { text, color, x: fits ? x : width - space - 2, y: fits ? y : y - 12 };
  }).sort((a, b) => a.y - b.y);
  placed.forEach((name, n) => { if (n) name.y = Math.max(name.y, placed[n - 1].y + 14); });
  placed.reduceRight((limit, name) => (name.y = Math.min(name.y, limit)) - 14, bottom);
  for (const { text, x, y, color } of placed) writeOver(context, colors, text, x, y, color);
}

// What became of a run, in words: final is its mean, lowest and highest.
function outcome(final, diverged, seeds) {
  if (diverged) return isChinese() ? `${diverged} / ${seeds} 个种子发散` : `${diverged} of ${seeds} seeds diverge`;
  const range = `${short(final[0])} (${short(final[1])}–${short(final[2])})`;
  return isChinese() ? `最终损失 ${range}，${seeds} 个种子` : `final loss ${range} over ${seeds} ${seeds === 1 ? "seed" : "seeds"}`;
}
