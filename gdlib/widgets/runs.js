// The run explorer: a table of real training runs, looked up by learning rate and batch size.
import { axes } from "./shared/axes.js";
import { dashed, prepare, within } from "./shared/canvas.js";
import { drawLevel, drawSpread, lossAxis, nameCurves, nameRoom, outcome } from "./shared/curves.js";
import { bar, button, details, make, picture, row, select } from "./shared/elements.js";
import { clamp, least, mean, most, short } from "./shared/numbers.js";
import { mount } from "./shared/stage.js";
import { curvesOf, decode, spread } from "./shared/tables.js";
import { colorsOf } from "./shared/theme.js";
import { say } from "./shared/words.js";

const KEPT = 5; // curves at most

// The table's curves: losses[lr][batch size][seed][point], float32, little-endian.
export function tableOf(bytes, [, sizes, seeds, points]) {
  const values = decode(bytes, Float32Array);
  return (i, j) => curvesOf(values, i * sizes + j, seeds, points);
}

// What the horizontal axis counts after so many steps: more of each as the batch grows, but for the steps themselves.
export function positionsOn(axis, ends, batchSize, flopsPerSample, secondsPerStep) {
  const perStep = { steps: 1, samples: batchSize, flops: batchSize * flopsPerSample, seconds: secondsPerStep };
  return ends.map((step) => step * perStep[axis]);
}

// The axis of losses for all runs, which stands still while one chooses among them: it holds every mean over the seeds,
// and losses up to four times that before training, above which curves are cut.
export function frameOf(values, points, seeds = 1) {
  const first = values.filter((_, k) => k % points === 0 && Number.isFinite(values[k]));
  const start = first.length ? mean(first) : NaN;
  const cells = Array.from({ length: values.length / points / seeds }, (_, k) => curvesOf(values, k, seeds, points));
  const means = cells.flatMap((curves) => spread(curves).mean);
  return { start, ...lossAxis(means, start > 0 ? 4 * start : Infinity) };
}

function horizontal(w, axis) {
  const at = w.sizes.flatMap((_, j) => w.at(axis, w.ends, j));
  const low = axis === "steps" ? 0 : least(at);
  const label = axis === "steps" ? say("step") : say("logarithmic", { label: say(w.axisNames[axis]) });
  return { low, high: most(at), log: axis !== "steps", label };
}

// The curves to be drawn: those kept, then the one chosen.
function shownOf(w, axis) {
  const now = [w.get("lr_index"), w.get("batch_index")];
  const kept = w.kept.filter(([i, j]) => i !== now[0] || j !== now[1]);
  return [...kept, now].map(([i, j], n) => ({
    i,
    j,
    n,
    last: n === kept.length,
    at: w.at(axis, w.ends, j),
    ...spread(w.curvesAt(i, j)),
  }));
}

function drawTrained(w, context, colors, { X, Y }, axis, vertical) {
  for (const { size, losses } of w.trained) {
    const steps = losses.map((_, n) => n + 1);
    const at = w.at(axis, steps, w.sizes.indexOf(size));
    const points = losses.map((v, p) => [X(at[p]), Y(clamp(v, vertical.low, vertical.high))]);
    dashed(context, [4, 3], points, colors.green, 1.3);
  }
}

function drawRuns(w, colors, shown, axis) {
  const width = w.root.clientWidth;
  const height = width < 500 ? 300 : 340;
  const room = nameRoom(w.canvas, width, w.names);
  const context = prepare(w.canvas, width, height);
  const area = { left: 52, right: width - (room || 14), top: 20, bottom: height - 36 };
  const maps = axes(context, colors, area, horizontal(w, axis), { ...w.frame, label: say("loss") });
  const names = [];
  within(context, area, 6, () => {
    if (w.frame.start > w.frame.low) {
      const text = say("before training at", { loss: short(w.frame.start) });
      drawLevel(context, colors, area, maps.Y(w.frame.start), text);
    }
    for (const s of shown) {
      const color = s.last ? colors.blue : colors.cycle[1 + (s.n % KEPT)];
      const end = drawSpread(context, colors, maps, area, s, color, s.last ? 2.4 : 1.5);
      names.push({ ...end, text: w.name(s.i, s.j) + (s.diverged ? " ✕" : "") });
    }
    drawTrained(w, context, colors, maps, axis, w.frame);
  });
  nameCurves(context, colors, names, area.bottom, room, w.list);
}

// What was said of the run trained last.
function toldOfTrained({ trained }) {
  const last = trained.at(-1);
  if (!last) return "";
  if (!last.end) return say("Training…");
  return say("trained here", { run: `lr ${short(last.lr)}, B ${last.size}`, end: last.end });
}

function draw(w) {
  const colors = colorsOf(w.root);
  const axis = w.get("axis");
  const shown = shownOf(w, axis);
  drawRuns(w, colors, shown, axis);
  const chosen = shown.at(-1);
  const value = w.final(chosen.i, chosen.j);
  const result = outcome(value, chosen.diverged, w.seeds);
  const head = say("result of a run", { run: w.name(chosen.i, chosen.j), result });
  const best = say("best of the table", { run: w.name(...w.best), loss: short(w.final(...w.best)[0]) });
  w.canvas.setAttribute("aria-label", w.tell(head, `${best} ${toldOfTrained(w)}`, !chosen.diverged));
  w.choice.list.value = axis;
  w.numbers.replaceChildren(
    ...shown.map(({ i, j, at }) => {
      const final = w.final(i, j);
      return row(
        w.name(i, j),
        final ? short(final[0]) : say("diverges"),
        `${short(at.at(-1))} ${say(w.axisNames[axis])}`,
      );
    }),
  );
  Object.assign(w.root.dataset, {
    final: value ? value[0] : "diverged",
    lr: w.lrs[chosen.i],
    batch: w.sizes[chosen.j],
  });
}

// The button that trains: hidden until a kernel answers, for on the published page there is none.
function trainButton(w, again) {
  const train = button("Train this for real", () => {
    const run = { lr: w.lrs[w.get("lr_index")], size: w.sizes[w.get("batch_index")], losses: [] };
    train.disabled = true;
    w.trained.push(run);
    w.ask({ train: [run.lr, run.size] }, () => {
      run.end = say("no answer");
      train.disabled = false;
      again();
    });
    again();
  });
  train.hidden = true;
  w.on("msg:custom", (message) => {
    const last = w.trained.at(-1);
    if (message.hello) train.hidden = false;
    if (message.losses && last) for (const loss of message.losses) last.losses.push(loss);
    if (message.losses && last) last.end = "";
    if (message.done && last) last.end = message.done;
    if (message.done) train.disabled = false;
    again();
  });
  return train;
}

// The buttons that keep curves and drop them.
function keepButtons(w, again) {
  const keep = () => {
    const [i, j] = [w.get("lr_index"), w.get("batch_index")];
    if (!w.kept.some(([a, b]) => a === i && b === j)) w.kept.push([i, j]);
    if (w.kept.length > KEPT) w.kept.shift();
    again();
  };
  const clear = () => {
    w.kept.length = w.trained.length = 0;
    again();
  };
  return [button("Keep this curve", keep), button("Clear kept curves", clear)];
}

// What is read from the model once, and the maps from settings to curves, names and final losses.
function read(stage) {
  const { get } = stage;
  const [lrs, sizes, ends, finals, best] = ["lrs", "batch_sizes", "ends", "finals", "best"].map(get);
  const [flops, seconds] = [get("flops_per_sample"), get("seconds_per_step")];
  const seeds = get("seeds").length;
  const name = (i, j) => `lr ${short(lrs[i])}, B ${sizes[j]}`;
  const axisNames = { steps: "steps", samples: "samples seen" };
  if (flops) axisNames.flops = "FLOP";
  if (seconds.length) axisNames.seconds = "seconds";
  return {
    lrs,
    sizes,
    ends,
    best,
    seeds,
    name,
    axisNames,
    names: lrs.flatMap((_, i) => sizes.map((_, j) => `${name(i, j)} ✕`)),
    final: (i, j) => finals[i][j],
    at: (axis, steps, j) => positionsOn(axis, steps, sizes[j], flops, seconds[j]),
    curvesAt: tableOf(get("table"), [lrs.length, sizes.length, seeds, ends.length]),
    frame: frameOf(decode(get("table"), Float32Array), ends.length, seeds),
  };
}

function render(at) {
  const stage = mount(at, "runs");
  const { get, set } = stage;
  const w = { ...stage, ...read(stage), kept: [], trained: [], canvas: picture(), numbers: make("tbody") };
  w.list = make("p", { class: "gd-legend" });
  w.choice = select("horizontal axis", Object.entries(w.axisNames), get("axis"), (axis) => set({ axis }));
  const again = () => request();
  const go = ([lr_index, batch_index]) => set({ lr_index, batch_index });
  stage.root.append(
    bar([w.choice.element], keepButtons(w, again), [
      button("Reset", () => go(get("setting"))),
      button("Best setting", () => go(w.best)),
      trainButton(w, again),
    ]),
    w.canvas,
    w.list,
    stage.readout,
    details(w.numbers),
  );
  const request = w.redraw(["lr_index", "batch_index", "axis"], () => draw(w));
  w.ask({ hello: true });
  return w.end;
}

export default { render };
