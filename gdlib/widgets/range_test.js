// The range-test explorer: loss against learning rate, a choice that can be dragged, and the real run nearest to it.
import { axes } from "./shared/axes.js";
import { dashed, disc, knob, line, prepare, within, write, writeAbove, writeOver } from "./shared/canvas.js";
import { drawSpread, lossAxis, lossesOf, nameCurves, nameRoom, outcome } from "./shared/curves.js";
import { bar, button, details, make, picture, row } from "./shared/elements.js";
import { clamp, least, most, nearest, nearestByRatio, short } from "./shared/numbers.js";
import { grab, slideCanvas, tellPlace } from "./shared/slide.js";
import { mount } from "./shared/stage.js";
import { curvesOf, decode, spread, unpack } from "./shared/tables.js";
import { colorsOf } from "./shared/theme.js";
import { say } from "./shared/words.js";

// The smoothed loss at a rate, between the rates tried; at their ends, that of the end.
export function lossAt(lr, lrs, smoothed) {
  const k = lrs.findIndex((v) => v >= lr);
  if (k <= 0) return k ? smoothed.at(-1) : smoothed[0];
  const share = Math.log(lr / lrs[k - 1]) / Math.log(lrs[k] / lrs[k - 1]);
  return smoothed[k - 1] + share * (smoothed[k] - smoothed[k - 1]);
}

// Where a rate lies: before the first tenth of the fall is made, on the slope, within a tenth of the lowest loss, or,
// beyond that lowest loss, where a fifth of the fall has been lost again.
export function zoneOf(lr, lrs, smoothed) {
  const bottom = least(smoothed);
  const lowest = smoothed.indexOf(bottom);
  const top = most(smoothed.slice(0, lowest + 1));
  const here = lossAt(lr, lrs, smoothed);
  if (!(top > bottom)) return here > bottom + 0.1 * Math.abs(bottom) ? "away" : "flat";
  const lost = (here - bottom) / (top - bottom);
  if (lr > lrs[lowest]) return lost > 0.2 ? "away" : "minimum";
  return lost > 0.9 ? "flat" : lost > 0.1 ? "slope" : "minimum";
}

// The losses seen and smoothed, and where an axis begins and ends that shows them.
export function rangeAxis(raw, smoothed) {
  const high = most(smoothed.filter(Number.isFinite));
  const axis = lossAxis([...smoothed, ...raw.filter((v) => v > 0 || smoothed[0] <= 0)], high);
  return axis.log ? { ...axis, low: Math.max(axis.low, smoothed[0] * 1e-4) } : axis;
}

function drawSuggestion(w, context, colors, x) {
  const { box } = w;
  const late = x > (box.left + box.right) / 2;
  const ends = [
    [x, box.top],
    [x, box.bottom],
  ];
  dashed(context, [5, 4], ends, colors.green, 1.6);
  const text = `${say("suggestion")} ${short(w.suggestion, 2)}`;
  writeOver(context, colors, text, [x + (late ? -6 : 6), box.bottom - 12], colors.green, late ? "right" : "left");
}

function drawTest(w, colors, width, height) {
  const context = prepare(w.test, width, height);
  const { rates, raw, smoothed, suggestion } = w;
  const lr = w.lr();
  const box = { left: 52, right: width - 14, top: 38, bottom: height - 36 };
  const horizontal = { low: w.raster[0], high: w.raster.at(-1), log: true, label: say("learning rate") };
  const { X, Y } = axes(context, colors, box, horizontal, { ...rangeAxis(raw, smoothed), label: say("loss") });
  w.box = box;
  within(context, box, 8, () => {
    context.globalAlpha = 0.75;
    for (const [k, v] of raw.entries()) disc(context, [X(rates[k]), Y(v)], 2, colors.faint);
    context.globalAlpha = 1;
    line(
      context,
      smoothed.map((v, k) => [X(rates[k]), Y(v)]),
      colors.blue,
      2.4,
    );
  });
  if (suggestion) drawSuggestion(w, context, colors, X(suggestion));
  const [x, y] = [X(lr), Y(lossAt(lr, rates, smoothed))];
  line(
    context,
    [
      [x, box.top],
      [x, box.bottom],
    ],
    colors.orange,
    2,
  );
  knob(context, colors, [x, clamp(y, box.top, box.bottom)]);
  writeAbove(context, `${say("your choice")} ${short(lr)}`, x, box, colors.orange);
}

// The real run nearest to the choice, and the best; returns how many seeds of the nearest diverged.
function drawReal(w, colors, index, width, height) {
  const { lrs, ends, best } = w;
  const top = lrs.indexOf(best);
  const pairs = [
    [top, colors.green],
    [index, colors.orange],
  ].filter(([k], n) => k >= 0 && (n || k !== index));
  const shown = pairs.map(([k, color]) => ({ k, color, at: ends, ...w.spreads[k] }));
  const room = nameRoom(w.curve, width + 120, w.names);
  const context = prepare(w.curve, width, height);
  const area = { left: 52, right: width - (room || 14), top: 38, bottom: height - 36 };
  const maps = axes(context, colors, area, { low: 0, high: ends.at(-1), label: say("step") }, w.frame);
  const names = [];
  within(context, area, 6, () => {
    for (const s of shown) {
      const end = drawSpread(context, colors, maps, area, s, s.color, s.k === index ? 2.4 : 1.5);
      names.push({ ...end, text: w.nameOf(s.k, s.k === top) + (s.diverged ? " ✕" : "") });
    }
  });
  nameCurves(context, colors, names, area.bottom, room, w.list);
  if (index >= 0) return w.spreads[index].diverged;
  write(context, say("no real run is near"), [(area.left + area.right) / 2, area.top + 14], colors.text, "center");
  return 0;
}

// How the choice compares with the suggestion, in words.
function compared(lr, suggestion) {
  if (!suggestion) return say("there is no suggestion");
  const factor = lr / suggestion;
  if (Math.abs(Math.log(factor)) < 0.05) return say("the suggestion itself");
  const key = factor > 1 ? "times the suggestion" : "part of the suggestion";
  return say(key, { size: short(factor > 1 ? factor : 1 / factor, 2), suggestion: short(suggestion, 2) });
}

// What the nearest real run, and the best, came to.
function toldOfReal(w, index, diverged) {
  if (!w.table) return "";
  const { lrs, finals, seeds, best } = w;
  const known = lrs.indexOf(best);
  const run = index >= 0 && `lr ${short(lrs[index])}, B ${w.get("batch_size")}`;
  const here = run
    ? say("nearest run", { run, result: outcome(finals[index], diverged, seeds) })
    : say("No real run is near.");
  return known < 0 ? here : `${here} ${say("best of the runs", { lr: short(best), loss: short(finals[known][0]) })}`;
}

function numbersOf(w, zone) {
  const { rates, smoothed, suggestion, lrs, finals } = w;
  const loss = (lr) => `${say("loss")} ${short(lossAt(lr, rates, smoothed), 4)}`;
  return [
    row(say("your choice"), `lr = ${w.lr()}`, loss(w.lr()), say(`zone ${zone}`)),
    row(say("suggestion"), suggestion ? `lr = ${suggestion}` : "—", suggestion ? loss(suggestion) : ""),
    ...lrs.map((v, k) => row(`lr ${short(v)}`, finals[k] ? `${say("loss")} ${short(finals[k][0])}` : say("diverges"))),
  ];
}

function draw(w) {
  const colors = colorsOf(w.root);
  const room = w.root.clientWidth;
  const beside = w.table && room >= 620;
  const width = beside ? Math.floor((room - 8) / 2) : room;
  const height = room < 620 ? 290 : 330;
  const lr = w.lr();
  drawTest(w, colors, width, height);
  const index = w.table ? nearestByRatio(w.lrs, lr) : -1;
  const diverged = w.table ? drawReal(w, colors, index, width, beside ? height : 260) : 0;
  const zone = zoneOf(lr, w.rates, w.smoothed);
  const head = say("choice", { lr: short(lr), compared: compared(lr, w.suggestion), zone: say(`in zone ${zone}`) });
  const real = toldOfReal(w, index, diverged);
  w.tell(head, real, zone !== "away" && !diverged);
  tellPlace(w.test, w.get("lr_index"), w.raster.length - 1, `${short(lr)}, ${say(`zone ${zone}`)}`);
  w.curve.setAttribute("aria-label", `${say("loss")} / ${say("step")}. ${real}`);
  w.numbers.replaceChildren(...numbersOf(w, zone));
  Object.assign(w.root.dataset, { lr, zone, run: index < 0 ? "" : w.lrs[index] });
}

// What is read from the model once: what the test saw, and the real runs with the axis that shows them all.
function read({ get }) {
  const all = [...decode(get("seen"), Float64Array)];
  const n = all.length / 3;
  const names = ["suggestion", "raster", "lrs", "ends", "finals", "seeds", "best"];
  const given = Object.fromEntries(names.map((name) => [name, get(name)]));
  const { raster, lrs, ends, seeds } = given;
  const table = lrs.length ? unpack(get("table"), get("scale")) : null;
  const spreads = lrs.map((_, k) => spread(curvesOf(table, k, seeds, ends.length)));
  const start = most(spreads.map((s) => s.mean[0] ?? -Infinity));
  const nameOf = (k, top) => `${top ? `${say("best")}: ` : ""}lr ${short(lrs[k])}`;
  return {
    ...given,
    table,
    spreads,
    nameOf,
    lr: () => raster[get("lr_index")],
    names: lrs.map((_, k) => `${nameOf(k, true)} ✕`),
    frame: lossAxis(lossesOf(spreads), start > 0 ? 4 * start : Infinity),
    rates: all.slice(0, n),
    raw: all.slice(n, 2 * n),
    smoothed: all.slice(2 * n),
  };
}

function render(at) {
  const stage = mount(at, "range");
  const { get, set } = stage;
  const w = { ...stage, ...read(stage), test: slideCanvas("learning rate"), curve: picture(), numbers: make("tbody") };
  const { raster, best } = w;
  const choose = (index) => set({ lr_index: clamp(index, 0, raster.length - 1) });
  w.list = make("p", { class: "gd-legend" });
  stage.root.append(
    bar([
      button("Reset", () => set(get("setting"))),
      button("Best setting", () => choose(nearest(raster, best)), { disabled: best == null }),
    ]),
    make("div", { class: "gd-panels" }, w.test, ...(w.table ? [w.curve] : [])),
    w.list,
    stage.readout,
    details(w.numbers),
  );
  const rateAt = (x) => raster[0] * (raster.at(-1) / raster[0]) ** ((x - w.box.left) / (w.box.right - w.box.left));
  const by = (dx, dy) => choose(get("lr_index") + dx + dy);
  grab(w.test, stage.signal, (x) => choose(nearest(raster, rateAt(x))), by);
  w.redraw(["lr_index"], () => draw(w));
  return w.end;
}

export default { render };
