// The phase diagram: a map of final losses, learning rate by batch size, and the curve behind the chosen cell.
import { axes } from "./shared/axes.js";
import { cross, dashed, disc, line, prepare, within, write, writeOver } from "./shared/canvas.js";
import { drawSpread, lossAxis, lossesOf, nameCurves, nameRoom, outcome } from "./shared/curves.js";
import { bar, button, details, make, picture, row, select } from "./shared/elements.js";
import { clamp, least, most, nearest, short } from "./shared/numbers.js";
import { grab, slideCanvas, tellPlace } from "./shared/slide.js";
import { mount } from "./shared/stage.js";
import { curvesOf, spread, unpack } from "./shared/tables.js";
import { colorsOf } from "./shared/theme.js";
import { say } from "./shared/words.js";

const VIRIDIS = [
  [253, 231, 37],
  [173, 220, 48],
  [94, 201, 98],
  [40, 174, 128],
  [33, 145, 140],
  [44, 114, 142],
  [59, 82, 139],
  [71, 45, 123],
  [68, 1, 84],
];
const LEGEND = 84; // pixels below the map

const isKnown = (cell) => cell?.length === 3; // mean, lowest, highest; else how many seeds diverged, or nothing

// For each batch size, where the rate with the lowest mean loss is; -1 where there is none.
export function ridge(cells) {
  const better = (group, j, cell) => isKnown(group[j]) && (!cell || group[j][0] < cell[0]);
  return cells[0].map((_, j) => cells.reduce((best, group, i) => (better(group, j, cells[best]?.[j]) ? i : best), -1));
}

// The rate that a rule gives a batch size: a power of 1 is the linear rule, 1/2 the square-root rule.
export function ruled([size, lr], batchSize, power) {
  return lr * (batchSize / size) ** power;
}

// The cell with the lowest mean loss.
export function lowest(cells) {
  const tops = ridge(cells)
    .map((i, j) => [i, j])
    .filter(([i]) => i >= 0);
  return tops.length ? tops.reduce((a, b) => (cells[b[0]][b[1]][0] < cells[a[0]][a[1]][0] ? b : a)) : null;
}

// Where the cells around such values begin and end: halfway between neighbours, by ratio.
export function edges(values) {
  const ratio = (i) => Math.sqrt(values[i + 1] / values[i]);
  const last = values.length - 1;
  if (!last) return [values[0] / Math.SQRT2, values[0] * Math.SQRT2];
  return [values[0] / ratio(0), ...values.slice(1).map((v, i) => v / ratio(i)), values[last] * ratio(last - 1)];
}

// From 0 (the lowest loss, bright) to 1 (the loss before training, or above it; dark).
export function shade(share) {
  const at = clamp(share, 0, 1) * (VIRIDIS.length - 1);
  const i = Math.min(VIRIDIS.length - 2, Math.floor(at));
  return `rgb(${VIRIDIS[i].map((c, k) => Math.round(c + (at - i) * (VIRIDIS[i + 1][k] - c))).join(" ")})`;
}

// How far a loss is from the lowest to that before training: by ratio, where all are above zero.
export function shareOf(loss, low, start) {
  return low > 0 ? Math.log(loss / low) / Math.log(start / low) : (loss - low) / (start - low);
}

// Where the colours begin: at the lowest loss, but no closer to the start than half of it.
export function brightest(cells, start) {
  const seen = least(
    cells
      .flat()
      .filter(isKnown)
      .map(([loss]) => loss),
    start,
  );
  return Math.min(seen, start - Math.abs(start) / 2 || -1);
}

const rulesOf = (colors) => [
  ["linear rule", 1, colors.orange],
  ["square-root rule", 0.5, colors.pink],
];

function drawCells(w, context, colors, { X, Y }, low) {
  const { start } = w.grid();
  const [x, y] = [edges(w.grid().sizes), edges(w.grid().lrs)];
  for (const [i, group] of w.cells().entries()) {
    for (const [j, cell] of group.entries()) {
      const [left, right, bottom, top] = [X(x[j]), X(x[j + 1]), Y(y[i]), Y(y[i + 1])];
      const middle = [(left + right) / 2, (bottom + top) / 2];
      context.fillStyle = isKnown(cell) ? shade(shareOf(cell[0], low, start)) : colors.surface;
      context.fillRect(left, top, right - left - 1, bottom - top - 1);
      if (isKnown(cell)) continue;
      if (cell) cross(context, middle, Math.min(6, (right - left) / 4, (bottom - top) / 4), colors.red);
      else dot(context, colors, middle);
    }
  }
  for (const lr of w.lrs) {
    for (const size of w.sizes) {
      if (lr < y[0] || lr > y.at(-1) || size < x[0] || size > x.at(-1)) dot(context, colors, [X(size), Y(lr)]);
    }
  }
}

function dot(context, colors, [x, y]) {
  context.fillStyle = colors.faint;
  context.fillRect(x - 2, y - 2, 4, 4);
}

// A line with a rim, which can be seen on any colour.
function over(context, colors, points, color, dashes = []) {
  dashed(context, dashes, points, colors.surface, 5);
  dashed(context, dashes, points, color, 2.4);
}

// The critical batch size where it is on the map, else the end that is nearer.
const limitOf = (w) => w.grid().critical && clamp(w.grid().critical, ...w.spans.size);

function drawRules(w, context, colors, { X, Y }) {
  const { base } = w.grid();
  const [start, end] = w.spans.size;
  const limit = limitOf(w);
  for (const [, power, color] of rulesOf(colors)) {
    const at = (size) => [X(size), Y(ruled(base, size, power))];
    over(context, colors, [at(start), at(limit ?? end)], color);
    if (limit) over(context, colors, [at(limit), at(end)], color, [7, 6]);
  }
  disc(context, [X(base[0]), Y(base[1])], 5, colors.surface);
  context.stroke();
}

function drawRidge(w, context, colors, { X, Y }) {
  const { lrs, sizes } = w.grid();
  const tops = ridge(w.cells()).flatMap((best, j) => (best < 0 ? [] : [[X(sizes[j]), Y(lrs[best])]]));
  over(context, colors, tops, colors.text);
  for (const at of tops) disc(context, at, 4, colors.text);
}

function drawChosen(w, context, colors, { X, Y }) {
  const [i, j] = w.here();
  if (i < 0 || j < 0) return;
  const [x, y] = [edges(w.grid().sizes), edges(w.grid().lrs)];
  for (const [color, wide] of [
    [colors.surface, 5],
    [colors.blue, 3],
  ]) {
    context.strokeStyle = color;
    context.lineWidth = wide;
    context.strokeRect(X(x[j]), Y(y[i + 1]), X(x[j + 1]) - X(x[j]) - 1, Y(y[i]) - Y(y[i + 1]) - 1);
  }
}

function drawScale(context, colors, [low, start], y) {
  const put = (text, at) => {
    write(context, text, [at, y], colors.text);
    return at + context.measureText(text).width + 6;
  };
  let at = put(`${say("loss")} ${short(low, 2)}`, 4);
  for (let k = 0; k < 80; k++) {
    context.fillStyle = shade(k / 79);
    context.fillRect(at + k, y - 6, 1.5, 12);
  }
  at = put(short(start, 2), at + 88);
  cross(context, [at + 12, y], 5, colors.red);
  at = put(say("diverges"), at + 22);
  dot(context, colors, [at + 10, y]);
  put(say("unknown"), at + 18);
}

function drawLines(context, colors, y) {
  let at = 4;
  for (const [key, , color] of [["best rates", 0, colors.text], ...rulesOf(colors)]) {
    line(
      context,
      [
        [at, y],
        [at + 18, y],
      ],
      color,
      3,
    );
    write(context, say(key), [at + 23, y], colors.text);
    at += 35 + context.measureText(say(key)).width;
  }
}

function drawCritical(w, context, colors, { X }) {
  const limit = limitOf(w);
  if (!limit) return;
  const { box } = w;
  const text = `${say("critical")} ${short(w.grid().critical)}`;
  const room = context.measureText(text).width;
  const x = clamp(X(limit) + room / 2, box.left + 90 + room, box.right);
  write(context, text, [x, box.top - 11], colors.violet, "right");
}

const thin = (values, room, space) => values.filter((_, i) => i % Math.ceil((space * values.length) / room) === 0);

function drawMap(w, colors, width, height) {
  const context = prepare(w.map, width, height);
  const { sizes, lrs, start } = w.grid();
  const box = { left: 56, right: width - 10, top: 34, bottom: height - LEGEND };
  const axis = ([low, high], label, ticks) => ({ low, high, log: true, label: say(label), ticks });
  const x = axis(w.spans.size, "batch size", thin(sizes, box.right - box.left, 34));
  const y = axis(w.spans.lr, "learning rate", thin(lrs, box.bottom - box.top, 15));
  const maps = axes(context, colors, box, { ...x, format: String }, y);
  const low = brightest(w.cells(), start);
  w.box = box;
  drawCells(w, context, colors, maps, low);
  within(context, box, 0, () => {
    drawRules(w, context, colors, maps);
    drawRidge(w, context, colors, maps);
    const limit = limitOf(w);
    if (limit) {
      const ends = [
        [maps.X(limit), box.top],
        [maps.X(limit), box.bottom],
      ];
      over(context, colors, ends, colors.violet, [7, 4]);
    }
    drawChosen(w, context, colors, maps);
  });
  drawCritical(w, context, colors, maps);
  drawScale(context, colors, [low, start], height - 31);
  drawLines(context, colors, height - 11);
}

function drawCompared(w, context, colors, area, { X }, at) {
  if (!(w.samples >= at[0] && w.samples <= at.at(-1))) return;
  const x = X(w.samples);
  const late = x > (area.left + area.right) / 2;
  const ends = [
    [x, area.top],
    [x, area.bottom],
  ];
  dashed(context, [3, 4], ends, colors.faint, 1.4);
  const place = [x + (late ? -6 : 6), area.bottom - 10];
  writeOver(context, colors, say("compared here"), place, colors.faint, late ? "right" : "left");
}

// The curves of the chosen cell and of the best one of its batch size.
function curvesShown(w, colors, at) {
  const { lrs, sizes } = w.grid();
  const [i, j] = w.here();
  const best = j < 0 ? -1 : ridge(w.cells())[j];
  return [
    [best, say("best here"), colors.green],
    [i, `lr ${short(lrs[i] ?? 0)}, B ${sizes[j]}`, colors.blue],
  ]
    .filter(([k], n) => k >= 0 && j >= 0 && (n || k !== i))
    .map(([k, text, color]) => ({ text, color, at, ...w.spreadAt(k, j) }));
}

function drawCurve(w, colors, width, height, stacked) {
  const { ends, sizes } = w.grid();
  const bySamples = w.get("compare") === "samples";
  const at = ends.map((step) => step * (bySamples ? (sizes[w.here()[1]] ?? 1) : 1));
  const shown = curvesShown(w, colors, at);
  const room = nameRoom(w.curve, stacked ? width : width + 120, w.names);
  const context = prepare(w.curve, width, height);
  const area = { left: 52, right: width - (room || 14), top: 34, bottom: height - (stacked ? 36 : LEGEND) };
  const label = bySamples ? say("logarithmic", { label: say("samples seen") }) : say("step");
  const maps = axes(
    context,
    colors,
    area,
    { low: bySamples ? at[0] : 0, high: at.at(-1), log: bySamples, label },
    w.frame(),
  );
  if (bySamples) drawCompared(w, context, colors, area, maps, at);
  const names = [];
  within(context, area, 6, () => {
    shown.forEach((s, n) => {
      const wide = n === shown.length - 1 ? 2.4 : 1.5;
      names.push({ ...drawSpread(context, colors, maps, area, s, s.color, wide), text: s.text });
    });
  });
  nameCurves(context, colors, names, area.bottom, room, w.list);
}

// What became of the chosen cell, and what the table and the rules say of its batch size.
function verdict(w) {
  const { lrs, base, critical, seeds } = w.grid();
  const [i, j] = w.here();
  const cell = w.cells()[i]?.[j];
  const [lr, size] = [w.lrs[w.get("lr_index")], w.sizes[w.get("batch_index")]];
  const when = w.get("compare") === "samples" ? say("after samples", { samples: w.samples }) : "";
  const missing = i >= 0 && j >= 0 ? say("run too short") : say("not run");
  const result = cell ? outcome(cell, isKnown(cell) ? 0 : cell[0], seeds) + when : missing;
  const run = `${w.get("optimizer")}, lr ${short(lr)}, B ${size}`;
  const best = j < 0 ? -1 : ridge(w.cells())[j];
  const edge = best === 0 || best === lrs.length - 1 ? say("at the edge") : "";
  const found = best < 0 ? "" : say("best rate here", { lr: short(lrs[best]), edge });
  const [linear, root] = [1, 0.5].map((power) => short(ruled(base, size, power)));
  const beyond = critical && size > critical ? say("beyond critical", { critical: short(critical) }) : "";
  return [
    say("result of a run", { run, result }),
    `${found} ${say("rules say", { linear, root, beyond })}`,
    !cell || isKnown(cell),
  ];
}

function numbersOf(w) {
  const { lrs, sizes, base } = w.grid();
  const table = w.cells();
  const best = ridge(table);
  return sizes.map((size, j) =>
    row(
      `B ${size}`,
      best[j] < 0 ? say("unknown") : `${say("best")} ${short(lrs[best[j]])}`,
      best[j] < 0 ? "" : `${say("loss")} ${short(table[best[j]][j][0])}`,
      `${say("linear rule")} ${short(ruled(base, size, 1))}`,
      `${say("square-root rule")} ${short(ruled(base, size, 0.5))}`,
    ),
  );
}

function draw(w) {
  const colors = colorsOf(w.root);
  const room = w.root.clientWidth;
  const stacked = room < 620;
  const width = stacked ? room : Math.floor((room - 8) / 2);
  const height = stacked ? 350 : 390;
  drawMap(w, colors, width, height);
  drawCurve(w, colors, width, stacked ? 260 : height, stacked);
  const [head, rest, good] = verdict(w);
  w.tell(head, rest, good);
  const [lr, size] = [w.lrs[w.get("lr_index")], w.sizes[w.get("batch_index")]];
  tellPlace(w.map, w.get("lr_index"), w.lrs.length - 1, `lr ${short(lr)}, B ${size}`);
  w.curve.setAttribute("aria-label", `${say("loss")}. ${head}`);
  w.menu.list.value = w.get("optimizer");
  w.compare.list.value = w.get("compare");
  w.numbers.replaceChildren(...numbersOf(w));
  Object.assign(w.root.dataset, { optimizer: w.get("optimizer"), lr, batch: size });
}

// What is read from the model once, and the maps from settings to cells and curves.
function read({ get }) {
  const [grids, lrs, sizes, samples] = ["grids", "lrs", "batch_sizes", "samples"].map(get);
  const losses = unpack(get("table"), get("scale"));
  const grid = () => grids[get("optimizer")];
  const span = (name) => {
    const all = Object.values(grids).flatMap((g) => edges(g[name]));
    return [least(all), most(all)];
  };
  const curves = (i, j, { sizes: s, seeds, ends, first }) =>
    curvesOf(losses, i * s.length + j, seeds, ends.length, first);
  const frames = Object.entries(grids).map(([name, g]) => {
    const all = g.lrs.flatMap((_, i) => g.sizes.map((_size, j) => spread(curves(i, j, g))));
    return [name, lossAxis(lossesOf(all), g.start > 0 ? 3 * g.start : Infinity)];
  });
  return {
    grids,
    lrs,
    sizes,
    samples,
    grid,
    names: [say("best here"), ...lrs.flatMap((lr) => sizes.map((size) => `lr ${short(lr)}, B ${size}`))],
    cells: () => grid()[get("compare")],
    here: () => [grid().lrs.indexOf(lrs[get("lr_index")]), grid().sizes.indexOf(sizes[get("batch_index")])],
    spans: { lr: span("lrs"), size: span("sizes") },
    spreadAt: (i, j) => spread(curves(i, j, grid())),
    frame: () => Object.fromEntries(frames)[get("optimizer")],
    place: (i, j, g = grid()) => ({ lr_index: lrs.indexOf(g.lrs[i]), batch_index: sizes.indexOf(g.sizes[j]) }),
  };
}

// A cell is taken with the pointer or reached with the arrow keys.
function grabCells(w) {
  const valueAt = ([low, high], share) => low * (high / low) ** share;
  const to = (x, y) => {
    const { box, spans } = w;
    const lr = valueAt(spans.lr, (box.bottom - y) / (box.bottom - box.top));
    const size = valueAt(spans.size, (x - box.left) / (box.right - box.left));
    w.set(w.place(nearest(w.grid().lrs, lr), nearest(w.grid().sizes, size)));
  };
  const moved = (values, value, by) => clamp(nearest(values, value) + by, 0, values.length - 1);
  const by = (dx, dy) => {
    const { lrs, sizes } = w.grid();
    w.set(w.place(moved(lrs, w.lrs[w.get("lr_index")], dy), moved(sizes, w.sizes[w.get("batch_index")], dx)));
  };
  grab(w.map, w.signal, to, by);
}

// The menus. An optimiser without the chosen cell takes its base rate and the batch size nearest to the present one.
function menusOf(w) {
  const { get, set, grids } = w;
  const turnTo = (optimizer) => {
    const g = grids[optimizer];
    const [lr, size] = [w.lrs[get("lr_index")], w.sizes[get("batch_index")]];
    const known = g.lrs.includes(lr) && g.sizes.includes(size);
    set({ optimizer, ...(known ? {} : w.place(nearest(g.lrs, g.base[1]), nearest(g.sizes, size), g)) });
  };
  const names = Object.keys(grids).map((name) => [name, name]);
  const ways = [
    ["steps", "equal steps"],
    ["samples", "equal samples"],
  ];
  return {
    menu: select("optimizer", names, get("optimizer"), turnTo),
    compare: select("compare after", ways, get("compare"), (compare) => set({ compare })),
  };
}

function render(at) {
  const stage = mount(at, "phase");
  const { get, set } = stage;
  const w = { ...stage, ...read(stage), map: slideCanvas("rate and batch size", { free: true }), curve: picture() };
  Object.assign(w, menusOf(w), { list: make("p", { class: "gd-legend" }), numbers: make("tbody") });
  const goToBest = () => {
    const best = lowest(w.cells());
    if (best) set(w.place(...best));
  };
  stage.root.append(
    bar(
      [w.menu.element, w.compare.element],
      [button("Reset", () => set(get("setting"))), button("Best setting", goToBest)],
    ),
    make("div", { class: "gd-panels" }, w.map, w.curve),
    w.list,
    stage.readout,
    details(w.numbers),
  );
  grabCells(w);
  w.redraw(["optimizer", "lr_index", "batch_index", "compare"], () => draw(w));
  return w.end;
}

export default { render };
