// What the explorers of snapshots share: the loss curve of a run as a slider over what was seen along it.
import { axes, marks } from "./axes.js";
import { cross, disc, knob, line, prepare, within, writeAbove } from "./canvas.js";
import { lossAxis, nameCurves, nameRoom } from "./curves.js";
import { bar, button, details, make, select } from "./elements.js";
import { clamp, most, nearest } from "./numbers.js";
import { grab, slideCanvas, tellPlace } from "./slide.js";
import { mount } from "./stage.js";
import { colorsOf } from "./theme.js";
import { say } from "./words.js";

// The loss that is shown for a step: of the window it is in, or the last one known.
export function lossAt({ at, losses }, step) {
  const k = at.findIndex((end) => end >= step);
  return losses.length ? losses[k < 0 ? losses.length - 1 : k] : Infinity;
}

// Which snapshot of a run is shown for a step: the last one up to there, else the first.
export function snapshotAt({ steps }, step) {
  return Math.max(
    0,
    steps.findLastIndex((taken) => taken <= step),
  );
}

// The horizontal axis: steps, or 1 + steps as powers of ten, which spreads the beginning.
export function stepAxis(last, log, room) {
  if (!log) return { warp: (step) => step, axis: { low: 0, high: last } };
  const decades = Array.from({ length: Math.ceil(Math.log10(last + 1)) + 1 }, (_, e) => 10 ** e);
  const fine = [0, ...decades.flatMap((v) => [v, 3 * v])].filter((v) => v <= last);
  const seen = fine.length * 36 > room ? [0, ...decades.filter((v) => v <= last)] : fine;
  const warp = (step) => Math.log10(1 + step);
  const format = (v) => String(Math.round(10 ** v - 1));
  return { warp, axis: { low: 0, high: warp(last), ticks: seen.map(warp), format } };
}

// The vertical axis: of all runs, but at most ten times the loss at the start, above which curves are cut.
export function lossRange(curves) {
  const first = most(curves.map(({ losses }) => losses[0]).filter(Number.isFinite), 0.1);
  const seen = curves.flatMap(({ losses }) => losses);
  return lossAxis(seen, first > 0 ? 10 * first : Infinity);
}

const stepsDone = (step) => say("steps done", { step });
const isGone = ({ diverged }, step) => diverged != null && step >= diverged;

// The controls above and below a curve, and the stage with what show() fills: the element under the curve.
function build(at, kind, under) {
  const stage = mount(at, kind);
  const { get, set, signal } = stage;
  const canvas = slideCanvas("step");
  const list = make("p", { class: "gd-legend" });
  const numbers = make("tbody");
  const [curves, steps, log, best] = ["curves", "steps", "log", "best"].map(get);
  const names = curves.map(({ name }) => [name, name]);
  const menu = select("run", names, get("run"), (run) => set({ run }));
  stage.root.classList.add("gd-along");
  stage.root.append(
    bar(curves.length > 1 ? [menu.element] : [], [
      button("Reset", () => set(get("setting"))),
      button("Best setting", () => set(best)),
    ]),
    canvas,
    list,
    stage.readout,
    under,
    details(numbers),
  );
  const last = most(curves.flatMap((c) => [...c.at, ...c.steps]));
  const w = { ...stage, canvas, list, numbers, menu, curves, steps, log, best, last, names: curves.map(nameOf) };
  w.place = (step) => step;
  const choose = (index) => set({ step_index: clamp(index, 0, steps.length - 1) });
  grab(
    canvas,
    signal,
    (x) => choose(nearest(steps.map(w.place), x, (v) => v)),
    (dx, dy) => choose(get("step_index") + dx + dy),
  );
  return w;
}

function layOut(w, colors, width) {
  const room = nameRoom(w.canvas, width, w.names);
  const height = width < 500 ? 230 : 250;
  const context = prepare(w.canvas, width, height);
  const box = { left: 52, right: width - (room || 14), top: 38, bottom: height - 36 };
  const { warp, axis } = stepAxis(w.last, w.log, box.right - box.left);
  const vertical = lossRange(w.curves);
  const y = { ...vertical, ticks: marks(vertical, box.bottom - box.top) };
  const { X, Y } = axes(context, colors, box, { ...axis, label: say("step") }, y);
  w.place = (step) => X(warp(step));
  const at = (step, loss) => [w.place(step), Number.isFinite(loss) ? clamp(Y(loss), box.top, box.bottom) : box.top];
  return { context, colors, box, room, at };
}

const nameOf = ({ name, diverged }) => name + (diverged == null ? "" : " ✕");

// A run's curve; returns where its name belongs.
function drawRun({ context, colors, box, at: place }, curve, here) {
  const color = here ? colors.blue : colors.faint;
  const { at, losses, diverged } = curve;
  const points = at.map((step, k) => place(step, losses[k]));
  const end = points.at(-1) ?? [box.left + 10, box.top + 10];
  context.globalAlpha = here ? 1 : 0.55;
  line(context, points, color, here ? 2.4 : 1.2);
  if (diverged != null) cross(context, end, here ? 6 : 4, colors.red);
  context.globalAlpha = 1;
  return { x: box.right + 12, y: end[1], color, text: nameOf(curve) };
}

function drawCurves(w, colors, width, i, step) {
  const plot = layOut(w, colors, width);
  const { context, box, at, room } = plot;
  const order = [...w.curves.keys()].sort((a, b) => (a === i) - (b === i));
  const names = order.map((c) => drawRun(plot, w.curves[c], c === i));
  for (const s of w.curves[i].steps) disc(context, at(s, lossAt(w.curves[i], s)), 3, colors.blue);
  nameCurves(context, colors, names, box.bottom, room, w.list);
  const [x, y] = at(step, lossAt(w.curves[i], step));
  within(context, box, 9, () => {
    line(
      context,
      [
        [x, box.top],
        [x, box.bottom],
      ],
      colors.orange,
      2,
    );
    knob(context, colors, [x, y]);
  });
  writeAbove(context, stepsDone(step), x, box, colors.orange);
}

// What there is to say besides what show() says: of the run's fate, of an older snapshot, and of the best.
function remarks({ best, steps }, { diverged }, step, taken) {
  return [
    diverged == null ? "" : say("run diverged", { step: diverged }),
    taken === step ? "" : say("older snapshot", { taken: stepsDone(taken) }),
    say("best snapshot", { run: best.run, step: stepsDone(steps[best.step_index]) }),
  ].filter(Boolean);
}

// Builds an explorer around under, the element below the curve. show(w, colors, room, i, k, loss) fills it for the k-th
// snapshot of the i-th run, and returns what is to be said of it and the rows of the numbers.
export function explore(at, kind, under, show) {
  const w = build(at, kind, under);
  w.redraw(["run", "step_index"], () => {
    const colors = colorsOf(w.root);
    const room = w.root.clientWidth;
    const i = w.curves.findIndex(({ name }) => name === w.get("run"));
    const step = w.steps[w.get("step_index")];
    const curve = w.curves[i];
    const k = snapshotAt(curve, step);
    const taken = curve.steps[k];
    const gone = isGone(curve, step);
    const loss = gone ? NaN : lossAt(curve, step);
    drawCurves(w, colors, room, i, step);
    const { said, rows } = show(w, colors, room, i, k, loss);
    const head = say("run at a step", { run: curve.name, step: stepsDone(step), said });
    w.tell(head, remarks(w, curve, step, taken).join(" "), !gone);
    tellPlace(w.canvas, w.get("step_index"), w.steps.length - 1, stepsDone(step));
    w.menu.list.value = curve.name;
    w.numbers.replaceChildren(...rows);
    Object.assign(w.root.dataset, { run: curve.name, step, taken, loss: gone ? "diverged" : loss });
  });
  return w.end;
}
