// The descent explorer: gradient descent on a two-parameter loss, computed in the page.
import { axes } from "./shared/axes.js";
import { disc, knob, line, prepare, within, write } from "./shared/canvas.js";
import { bar, button, details, make, picture, row, select } from "./shared/elements.js";
import { apart, clamp, least, most, short } from "./shared/numbers.js";
import { grab, slideCanvas, tellPlace } from "./shared/slide.js";
import { mount } from "./shared/stage.js";
import { colorsOf } from "./shared/theme.js";
import { say } from "./shared/words.js";

const LR = { low: -4, high: 0.5, step: 0.05 }; // exponents of 10, those of the slider
const MOMENTUM = { high: 0.98, step: 0.02 };
const TOO_LARGE = 1e100; // as in gdlib/descent.py
const PLACES = 50; // of the starting point, from left to right, by keys
const FLOORS = [1e-4, 1e-8, 1e-16, 1e-32]; // where the curve's axis may begin: it stands still while a slider moves

const rosenbrock = {
  loss(x, y) {
    const a = 1 - x;
    const b = y - x * x;
    return a * a + 100 * (b * b);
  },
  gradient(x, y) {
    const a = 1 - x;
    const b = y - x * x;
    return [-2 * a - 400 * (x * b), 200 * b];
  },
};

// The losses of gdlib/problems.py, with every product and sum in the same order, so that paths agree to the last digit
// even where they are chaotic. least_squares comes as the quadratic form of its data: A, b and c.
export function problemOf(name, given) {
  if (name === "rosenbrock") return rosenbrock;
  if (name === "least_squares") {
    const [[p, q], [, r]] = given.A;
    const [s, t] = given.b;
    return {
      loss: (x, y) => p * x * x + 2 * q * x * y + r * y * y - 2 * (s * x + t * y) + given.c,
      gradient: (x, y) => [2 * (p * x + q * y - s), 2 * (q * x + r * y - t)],
    };
  }
  const [c, d] = given.curvatures;
  return { loss: (x, y) => 0.5 * (c * x * x + d * y * y), gradient: (x, y) => [c * x, d * y] };
}

// gdlib.descent.descend for two parameters.
export function descend(problem, start, lr, steps, momentum) {
  let [x, y] = start;
  let u = 0;
  let v = 0;
  const points = [[x, y]];
  const losses = [problem.loss(x, y)];
  for (let step = 0; step < steps && losses[step] <= TOO_LARGE; step++) {
    const [g, h] = problem.gradient(x, y);
    u = momentum * u + g;
    v = momentum * v + h;
    x = x - lr * u;
    y = y - lr * v;
    points.push([x, y]);
    losses.push(problem.loss(x, y));
  }
  return { points, losses, diverged: !(losses[losses.length - 1] <= losses[0]) };
}

// The slider positions whose path ends lowest. Those of the rate are on a raster through the one at the start.
export function bestSetting(problem, start, steps, first = 1) {
  let best = { loss: Infinity };
  const [low, high] = [LR.low, LR.high].map((end) => Math.round((end - Math.log10(first)) / LR.step));
  for (let e = low; e <= high; e++) {
    for (let m = 0; m <= Math.round(MOMENTUM.high / MOMENTUM.step); m++) {
      const lr = clamp(first * 10 ** (e * LR.step), 10 ** LR.low, 10 ** LR.high);
      const momentum = Number((m * MOMENTUM.step).toFixed(2));
      const loss = descend(problem, start, lr, steps, momentum).losses.at(-1);
      if (loss < best.loss) best = { loss, lr, momentum };
    }
  }
  return best;
}

// Level lines by marching squares: pairs of points on the edges of a grid's cells.
export function levelLines(height, columns, rows, level) {
  const segments = [];
  const cut = (a, b) => (level - a) / (b - a);
  for (let j = 0; j + 1 < rows; j++) {
    for (let i = 0; i + 1 < columns; i++) {
      const k = j * columns + i;
      const [a, b, c, d] = [height[k], height[k + 1], height[k + columns + 1], height[k + columns]];
      const crossings = [];
      if (a < level !== b < level) crossings.push([i + cut(a, b), j]);
      if (b < level !== c < level) crossings.push([i + 1, j + cut(b, c)]);
      if (d < level !== c < level) crossings.push([i + cut(d, c), j + 1]);
      if (a < level !== d < level) crossings.push([i, j + cut(a, d)]);
      for (let n = 0; n + 1 < crossings.length; n += 2) segments.push([crossings[n], crossings[n + 1]]);
    }
  }
  return segments;
}

// The vertical axis of the curve: from a floor that the path does not reach, to ten times the start.
export function curveAxis(above) {
  const positive = above.filter((v) => v > 0 && Number.isFinite(v));
  const lowest = least(positive, 1);
  const low = FLOORS.find((floor) => floor <= lowest) ?? FLOORS.at(-1);
  return { low, high: 10 ** (Math.ceil(Math.log10(most(above.slice(0, 1), 1))) + 1), log: true };
}

// The level lines of a problem as one path; they change with the problem and the size, not with what the sliders say.
function levelsOf(problem, { extent: [left, right, bottom, top], lowest }, { X, Y }) {
  const [columns, rows] = [110, 90];
  const x = (i) => left + ((right - left) * i) / (columns - 1);
  const y = (j) => bottom + ((top - bottom) * j) / (rows - 1);
  const values = new Float64Array(columns * rows);
  values.forEach((_, k) => {
    values[k] = problem.loss(x(k % columns), y(Math.floor(k / columns))) - lowest;
  });
  const highest = most(values);
  const shape = new Path2D();
  for (let k = 0; k < 15; k++) {
    for (const [[i, j], [m, n]] of levelLines(values, columns, rows, highest * 2 ** (k - 15))) {
      shape.moveTo(X(x(i)), Y(y(j)));
      shape.lineTo(X(x(m)), Y(y(n)));
    }
  }
  return shape;
}

function drawLandscape(w, colors, path, width, height) {
  const given = w.given();
  const [left, right, bottom, top] = given.extent;
  const box = { left: 42, right: width - 8, top: 20, bottom: height - 36 };
  const context = prepare(w.landscape, width, height);
  const horizontal = { low: left, high: right, label: given.axes[0] };
  const { X, Y } = axes(context, colors, box, horizontal, { low: bottom, high: top, label: given.axes[1] });
  const key = [w.get("problem"), width, height].join();
  if (w.levels?.key !== key) w.levels = { key, shape: levelsOf(w.problem(), given, { X, Y }) };
  w.box = box;
  const place = ([x, y]) => [clamp(X(x), -1e4, 1e4), clamp(Y(y), -1e4, 1e4)];
  const seen = path.points.map(place).filter(([x, y]) => !Number.isNaN(x + y));
  within(context, box, 0, () => {
    context.strokeStyle = colors.faint;
    context.lineWidth = 0.8;
    context.stroke(w.levels.shape);
    line(context, seen, colors.blue, 1.6);
    for (const at of seen.slice(1)) disc(context, at, 2.4, colors.blue);
    context.font = "18px system-ui";
    write(context, "★", place(given.minimum), colors.green, "center");
  });
  within(context, box, 9, () => knob(context, colors, seen[0]));
}

function drawCurve(w, colors, path, width, height) {
  const context = prepare(w.curve, width, height);
  const above = path.losses.map((loss) => loss - w.given().lowest);
  const axis = curveAxis(above);
  const area = { left: 54, right: width - 14, top: 20, bottom: height - 36 };
  const horizontal = { low: 0, high: w.get("steps"), label: say("step") };
  const { X, Y } = axes(context, colors, area, horizontal, { ...axis, label: say("loss above the minimum") });
  const points = above.map((v, i) => [X(i), Y(clamp(v, axis.low, axis.high * 10))]);
  within(context, area, 1, () => line(context, points, path.diverged ? colors.red : colors.blue, 1.8));
}

// What became of the path, and how the rate compares with the limit of stability.
function verdict(w, path) {
  const given = w.given();
  const momentum = w.get("momentum");
  const limit = given.limit * (1 + momentum);
  const [rate, bound] = apart(w.get("lr"), limit);
  const sign = w.get("lr") > limit ? ">" : w.get("lr") < limit ? "<" : "=";
  const where = w.get("problem") === "rosenbrock" ? say("at the minimum") : "";
  const compared = `${rate} ${sign} ${momentum ? "2(1 + β)/L" : "2/L"} = ${bound}${where}`;
  const steps = path.losses.length - 1;
  const left = short(path.losses[steps] - given.lowest);
  return [say(path.diverged ? "Diverges" : "Descends"), say("after steps", { compared, steps, left })];
}

function numbersOf({ points, losses }) {
  const told = (name, point, loss) => row(say(name), `w = (${point.join(", ")})`, `${say("loss")} = ${loss}`);
  return [told("start", points[0], losses[0]), told("end", points.at(-1), losses.at(-1))];
}

function tellStart(w, [x, y]) {
  const [left, right] = w.given().extent;
  const text = `${w.given().axes[0]} ${short(x)}, ${w.given().axes[1]} ${short(y)}`;
  tellPlace(w.landscape, Math.round((PLACES * (x - left)) / (right - left)), PLACES, text);
}

function draw(w) {
  const colors = colorsOf(w.root);
  const room = w.root.clientWidth;
  const width = room < 620 ? room : Math.floor((room - 8) / 2);
  const height = Math.round(clamp(width * 0.8, 250, 330));
  const [start, lr, steps, momentum] = ["start", "lr", "steps", "momentum"].map(w.get);
  const path = descend(w.problem(), start, lr, steps, momentum);
  drawLandscape(w, colors, path, width, height);
  drawCurve(w, colors, path, width, height);
  const [word, rest] = verdict(w, path);
  const said = w.tell(word, rest, !path.diverged);
  tellStart(w, start);
  w.curve.setAttribute("aria-label", `${say("loss above the minimum")} / ${say("step")}. ${said}`);
  w.choice.list.value = w.get("problem");
  w.numbers.replaceChildren(...numbersOf(path));
  w.root.dataset.loss = path.losses.at(-1);
  w.root.dataset.steps = path.losses.length - 1;
}

// The starting point is taken with the pointer or moved with the arrow keys.
function grabStart(w) {
  const moveTo = (x, y) => {
    const [left, right, bottom, top] = w.given().extent;
    w.set({ start: [clamp(x, left, right), clamp(y, bottom, top)] });
  };
  const toPoint = (px, py) => {
    const [left, right, bottom, top] = w.given().extent;
    const { box } = w;
    const x = left + ((px - box.left) / (box.right - box.left)) * (right - left);
    moveTo(x, bottom + ((box.bottom - py) / (box.bottom - box.top)) * (top - bottom));
  };
  const by = (dx, dy) => {
    const [left, right] = w.given().extent;
    const [x, y] = w.get("start");
    moveTo(x + (dx * (right - left)) / PLACES, y + (dy * (right - left)) / PLACES);
  };
  grab(w.landscape, w.signal, toPoint, by);
}

function render(at) {
  const stage = mount(at, "descent");
  const { get, set } = stage;
  const problems = get("problems");
  const given = () => problems[get("problem")];
  const problem = () => problemOf(get("problem"), given());
  const names = Object.entries(problems).map(([key, { name }]) => [key, name]);
  const choice = select("problem", names, get("problem"), (name) =>
    set({ problem: name, start: problems[name].start }),
  );
  const numbers = make("tbody");
  const w = {
    ...stage,
    given,
    problem,
    choice,
    numbers,
    landscape: slideCanvas("start", { free: true }),
    curve: picture(),
  };
  const findBest = () => {
    const { lr, momentum } = bestSetting(problem(), get("start"), get("steps"), get("setting").lr);
    set({ lr, momentum });
  };
  stage.root.append(
    bar([choice.element], [button("Reset", () => set(get("setting"))), button("Best setting", findBest)]),
    make("div", { class: "gd-panels" }, w.landscape, w.curve),
    stage.readout,
    details(numbers),
  );
  grabStart(w);
  w.redraw(["problem", "start", "lr", "momentum", "steps"], () => draw(w));
  return w.end;
}

export default { render };
