// The schedule workshop: a schedule computed in the page, over the losses of the nearest run in a table.
import { axes } from "./shared/axes.js";
import { dashed, line, prepare, within, writeOver } from "./shared/canvas.js";
import { drawSpread, lossAxis, nameCurves, nameRoom, outcome } from "./shared/curves.js";
import { bar, button, details, make, picture, row, select } from "./shared/elements.js";
import { most, nearestByRatio, percent, short } from "./shared/numbers.js";
import { mount } from "./shared/stage.js";
import { curvesOf, spread, unpack } from "./shared/tables.js";
import { colorsOf } from "./shared/theme.js";
import { say } from "./shared/words.js";

const KEPT = 5; // curves at most
const VALUES = ["lr", "shape", "warmup"];
const NAMES = {
  constant: "constant",
  step: "step decay",
  exponential: "exponential",
  time: "time-based",
  linear: "linear",
  cosine: "cosine",
  restarts: "cosine, restarts",
  one_cycle: "one-cycle",
  wsd: "warmup-stable-decay",
};

const end = (shape) => 10 ** (-4 * shape);
const whole = (value) => Math.floor(value + 0.5);
const halfCosine = (share) => 0.5 * (1 + Math.cos(Math.PI * share));

// STRATEGIES of schedule.py: from a peak, steps and a shape to a function of the step, as gdlib/schedules.py has them.
export const STRATEGIES = {
  constant: (lr) => () => lr,
  step: (lr, steps, shape) => (step) => lr * (end(shape) ** (1 / 3)) ** Math.floor(step / Math.ceil(steps / 4)),
  exponential: (lr, steps, shape) => (step) => lr * end(shape) ** (step / steps),
  time: (lr, steps, shape) => (step) => lr / (1 + ((1 / end(shape) - 1) / steps) * step),
  linear: (lr, steps, shape) => (step) =>
    lr * end(shape) + (lr - lr * end(shape)) * (1 - Math.min(step, steps) / steps),
  cosine: (lr, steps, shape) => (step) =>
    lr * end(shape) + (lr - lr * end(shape)) * halfCosine(Math.min(step, steps) / steps),
  restarts: (lr, steps, shape) => {
    const period = Math.ceil(steps / (2 + whole(4 * shape)));
    return (step) => lr * halfCosine((step % period) / period);
  },
  one_cycle: (lr, steps, shape) => {
    const start = lr * (1 / 25);
    const final = start * 1e-4;
    const top = (0.1 + 0.8 * shape) * steps - 1;
    const last = steps - 1;
    return (step) => {
      const at = Math.min(step, last);
      if (at <= top) return lr + (start - lr) * halfCosine(top ? at / top : 1);
      return final + (lr - final) * halfCosine((at - top) / (last - top));
    };
  },
  wsd: (lr, steps, shape) => {
    const fall = whole(shape * steps);
    return (step) => (step < steps - fall || !fall ? lr : (lr * Math.max(0, steps - step)) / fall);
  },
};

// schedule_of of schedule.py, at the steps 0 to steps - 1.
export function scheduleOf({ strategy, lr, shape, warmup }, steps) {
  const rate = STRATEGIES[strategy](lr, steps, shape);
  const warm = whole(warmup * steps);
  return Array.from({ length: steps }, (_, step) => rate(step) * (warm ? Math.min(1, step / warm) : 1));
}

// Which run of the table is nearest to a setting, where in lrs, and whether it is near enough to be shown for it.
export function nearestRun({ strategy, lr, shape, warmup }, known, lrs, reach) {
  let run = -1;
  let least = Infinity;
  let near = false;
  known.forEach(([name, s, w], index) => {
    const far = [name === "constant" ? 0 : Math.abs(s - shape) / reach.shape, Math.abs(w - warmup) / reach.warmup];
    const distance = Math.hypot(...far);
    if (name === strategy && distance < least) [run, least, near] = [index, distance, Math.max(...far) <= 1 + 1e-9];
  });
  const rate = nearestByRatio(lrs, lr);
  return { run, rate, near: near && rate >= 0 };
}

const part = (shape) => (shape ? `1/${short(1 / end(shape))}` : "1");

// What the shape means for a strategy, in words.
export function meaning(strategy, shape) {
  if (strategy === "constant") return say("shape without meaning");
  if (strategy === "restarts") return say("so many restarts", { n: 1 + whole(4 * shape) });
  if (strategy === "one_cycle") return say("rises for", { share: percent(0.1 + 0.8 * shape) });
  if (!shape) return say("stays at its peak");
  if (strategy === "wsd") return say("falls to 0 in the last", { share: percent(shape) });
  return say(strategy === "step" ? "falls three times to" : "falls to", { part: part(shape) });
}

// The same in a few signs, for a name beside a curve.
function brief({ strategy, lr, shape, warmup }) {
  const forms = {
    constant: "",
    restarts: ` ×${1 + whole(4 * shape)}`,
    one_cycle: ` ↑${percent(0.1 + 0.8 * shape)}`,
    wsd: ` ↓${percent(shape)}`,
  };
  const name = { wsd: "WSD", restarts: "restarts" }[strategy] ?? NAMES[strategy];
  const form = forms[strategy] ?? ` →${part(shape)}`;
  return `${say(name)} ${short(lr, 2)}${form}${warmup ? ` ↗${percent(warmup)}` : ""}`;
}

function full({ strategy, lr, shape, warmup }) {
  const parts = [say(NAMES[strategy]), say("peak", { lr: short(lr) })];
  if (strategy !== "constant") parts.push(meaning(strategy, shape));
  if (warmup) parts.push(say("warm-up", { share: percent(warmup) }));
  return parts.join(say(", "));
}

// Whether two settings are the same schedule: a constant one has no shape.
function same(a, b) {
  return Object.keys(a).every((name) => a[name] === b[name] || (name === "shape" && a.strategy === "constant"));
}

// The settings that are drawn, those kept and then the present one, each with its rates and the nearest run's losses.
function shownOf(w, colors) {
  const now = w.now();
  return [...w.kept.filter((k) => !same(k, now)), now].map((setting, n, all) => {
    const found = nearestRun(setting, w.known, w.lrs, w.reach);
    const last = n === all.length - 1;
    const curves = found.near && w.curvesAt(found.run, found.rate);
    return {
      setting,
      found,
      seen: curves ? { ...spread(curves), at: w.ends } : null,
      rates: scheduleOf(setting, w.steps),
      color: last ? colors.blue : colors.cycle[1 + (n % KEPT)],
      width: last ? 2.4 : 1.5,
    };
  });
}

function drawRates(w, context, colors, area, shown, run, room) {
  const here = shown.at(-1);
  const rate = { low: 0, high: w.top, label: say("learning rate") };
  const { X, Y } = axes(context, colors, area, { low: 0, high: w.steps, label: "" }, rate);
  const path = (values) => values.map((v, step) => [X(step), Y(v)]);
  within(context, area, 2, () => {
    if (here.found.near && !same(run, here.setting)) {
      dashed(context, [4, 4], path(scheduleOf(run, w.steps)), colors.faint, 1.3);
    }
    for (const s of shown) line(context, path(s.rates), s.color, s.width);
  });
  const nameOf = ({ setting, rates, color }) => ({
    text: brief(setting),
    x: area.right + 8,
    y: Y(rates.at(-1)),
    color,
  });
  nameCurves(context, colors, shown.map(nameOf), area.bottom + 4, room, w.list);
}

function drawLosses(w, context, colors, area, shown, room) {
  const drawn = shown.filter((s) => s.seen);
  if (drawn.length) {
    const maps = axes(context, colors, area, { low: 0, high: w.steps, label: say("step") }, w.frame);
    const names = [];
    within(context, area, 6, () => {
      for (const { seen, found, color, width } of drawn) {
        const end = drawSpread(context, colors, maps, area, seen, color, width);
        names.push({ ...end, text: brief(w.asRun(found.run, found.rate)) + (seen.diverged ? " ✕" : "") });
      }
    });
    if (room) nameCurves(context, colors, names, area.bottom, room, w.list);
  }
  if (shown.at(-1).seen) return;
  const middle = [(area.left + area.right) / 2, (area.top + area.bottom) / 2];
  writeOver(context, colors, say("no real run is near"), middle, colors.text, "center");
}

// Which run is shown for a setting, and how it compares with the best of the table.
function told(w, { setting, found }, run, result) {
  const { best, finals } = w;
  const tail = best.length
    ? say("best of the table", { run: full(w.asRun(...best)), loss: short(finals[best[0]][best[1]][0]) })
    : "";
  const here = () => {
    if (!run) return say("strategy not trained");
    if (!found.near) return say("nearest is far", { run: full(run) });
    if (same(run, setting)) return say("the real run", { result });
    return say("nearest run, dashed", { run: full(run), result });
  };
  return `${here()} ${tail}`;
}

function numberOf(w, { setting, rates, seen, found }) {
  const last = w.steps - 1;
  const loss = seen && (seen.diverged ? say("diverges") : short(w.finals[found.run][found.rate][0]));
  return row(
    brief(setting),
    ...[0, w.steps >> 1, last].map((step) => `${say("step")} ${step}: ${short(rates[step])}`),
    seen ? `${say("loss")} ${loss}` : say("no real run is near"),
  );
}

function draw(w) {
  const colors = colorsOf(w.root);
  const width = w.root.clientWidth;
  const narrow = width < 500;
  const height = narrow ? 430 : 450;
  const room = nameRoom(w.canvas, width, w.names);
  const context = prepare(w.canvas, width, height);
  const shown = shownOf(w, colors);
  const here = shown.at(-1);
  const { found } = here;
  const run = found.run >= 0 && found.rate >= 0 ? w.asRun(found.run, found.rate) : null;
  const above = { left: 52, right: width - (room || 14), top: 20, bottom: narrow ? 150 : 160 };
  drawRates(w, context, colors, above, shown, run, room);
  drawLosses(w, context, colors, { ...above, top: above.bottom + 48, bottom: height - 36 }, shown, room);
  const final = run && w.finals[found.run][found.rate];
  const result = here.seen && outcome(final, here.seen.diverged, w.seeds);
  const said = w.tell(say("sentence", { text: full(here.setting) }), told(w, here, run, result), !here.seen?.diverged);
  w.canvas.setAttribute("aria-label", said);
  w.choice.list.value = w.get("strategy");
  w.numbers.replaceChildren(...shown.map((s) => numberOf(w, s)));
  Object.assign(w.root.dataset, {
    near: found.near,
    run: run ? Object.values(run).join() : "",
    final: here.seen && final ? final[0] : "",
    last: here.rates.at(-1),
  });
}

// What is read from the model once: the runs of the table, and axes that show all of them.
function read({ get }) {
  const names = ["known", "lrs", "ends", "steps", "seeds", "finals", "best", "reach", "rasters"];
  const given = Object.fromEntries(names.map((name) => [name, get(name)]));
  const { known, lrs, ends, seeds, rasters } = given;
  const losses = unpack(get("table"), get("scale"));
  const first = losses.filter((_, k) => k % ends.length === 0);
  const value = (name) => rasters[name][get(`${name}_index`)];
  const asRun = (run, rate) => ({
    strategy: known[run][0],
    lr: lrs[rate],
    shape: known[run][1],
    warmup: known[run][2],
  });
  return {
    ...given,
    asRun,
    top: most(rasters.lr) * 1.02,
    names: known.flatMap((_, run) => lrs.map((_lr, rate) => `${brief(asRun(run, rate))} ✕`)),
    now: () => ({ strategy: get("strategy"), ...Object.fromEntries(VALUES.map((name) => [name, value(name)])) }),
    curvesAt: (run, rate) => curvesOf(losses, run * lrs.length + rate, seeds, ends.length),
    frame: lossAxis([...losses], 2 * most(first.filter(Number.isFinite), Infinity)),
  };
}

// The buttons that keep curves and drop them, and the one that goes to the best run of the table.
function buttonsOf(w, again) {
  const keep = () => {
    const now = w.now();
    if (!w.kept.some((k) => same(k, now))) w.kept.push(now);
    if (w.kept.length > KEPT) w.kept.shift();
    again();
  };
  const clear = () => {
    w.kept.length = 0;
    again();
  };
  const goToBest = () => {
    const { strategy, ...run } = w.asRun(...w.best);
    const indices = VALUES.map((name) => [`${name}_index`, w.rasters[name].indexOf(run[name])]);
    w.set({ strategy, ...Object.fromEntries(indices) });
  };
  return [
    [button("Keep this curve", keep), button("Clear kept curves", clear)],
    [button("Reset", () => w.set(w.get("setting"))), button("Best setting", goToBest, { disabled: !w.best.length })],
  ];
}

function render(at) {
  const stage = mount(at, "schedule");
  const { get, set } = stage;
  const w = { ...stage, ...read(stage), kept: [], canvas: picture(), numbers: make("tbody") };
  w.list = make("p", { class: "gd-legend" });
  w.choice = select("strategy", Object.entries(NAMES), get("strategy"), (strategy) => set({ strategy }));
  stage.root.append(
    bar([w.choice.element], ...buttonsOf(w, () => request())),
    w.canvas,
    w.list,
    stage.readout,
    details(w.numbers),
  );
  const request = w.redraw(["strategy", ...VALUES.map((name) => `${name}_index`)], () => draw(w));
  return w.end;
}

export default { render };
