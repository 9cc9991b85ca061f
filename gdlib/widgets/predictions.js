// The prediction explorer: what a model says of some samples, along its training.
import { explore } from "./shared/along.js";
import { fitted, line, prepare, write } from "./shared/canvas.js";
import { make, picture, row } from "./shared/elements.js";
import { percent, short } from "./shared/numbers.js";
import { decode } from "./shared/tables.js";
import { say } from "./shared/words.js";

const UNKNOWN = 65535;

// The most probable class of a sample and its probability, from the codes of all classes; -1 where they are unknown.
export function predicted(codes) {
  let best = -1;
  codes.forEach((code, c) => {
    if (code !== UNKNOWN && (best < 0 || code > codes[best])) best = c;
  });
  return { best, probability: best < 0 ? NaN : codes[best] / (UNKNOWN - 1) };
}

// Where the codes of a run's snapshot begin: runs follow each other, then snapshots, then samples, then classes.
export function offsetOf(curves, run, snapshot, size) {
  return (curves.slice(0, run).reduce((sum, { steps }) => sum + steps.length, 0) + snapshot) * size;
}

// The samples of shape (height, width) as pictures of one colour: what is high is opaque.
function stampsOf(levels, count, [height, width], color) {
  return Array.from({ length: count }, (_, s) => {
    const stamp = make("canvas", { width, height });
    const context = stamp.getContext("2d");
    const data = context.createImageData(width, height);
    for (let p = 0; p < width * height; p++) data.data[4 * p + 3] = levels[s * width * height + p];
    context.putImageData(data, 0, 0);
    context.globalCompositeOperation = "source-in";
    context.fillStyle = color;
    context.fillRect(0, 0, width, height);
    return stamp;
  });
}

// A function that draws the s-th sample in a square.
function painter(levels, count, shape) {
  const size = shape.reduce((a, b) => a * b, 1);
  let stamps = [];
  let inked = null;
  const drawCurve = (context, color, s, side, x, y) => {
    const height = (p) => y + side - 4 - (levels[s * size + p] / 255) * (side - 8);
    const along = (p) => x + 3 + (p / Math.max(1, size - 1)) * (side - 6);
    line(
      context,
      Array.from({ length: size }, (_, p) => [along(p), height(p)]),
      color,
      1.6,
    );
  };
  return (context, color, s, side, x, y) => {
    if (shape.length < 2) return drawCurve(context, color, s, side, x, y);
    if (inked !== color) stamps = stampsOf(levels, count, shape, color);
    inked = color;
    const [height, width] = shape.map((n) => (n * side) / Math.max(...shape));
    context.imageSmoothingEnabled = false;
    context.drawImage(stamps[s], x + (side - width) / 2, y + (side - height) / 2, width, height);
  };
}

// The measures of a grid of cells in so much room.
function gridOf(count, room) {
  const narrow = room < 500;
  const gap = 8;
  const least = narrow ? 58 : 84;
  const columns = Math.max(1, Math.min(count, Math.floor((room - 2 + gap) / (least + gap))));
  const cell = Math.min(Math.floor((room - 2 + gap) / columns) - gap, 110);
  const side = narrow ? 48 : 60;
  return { narrow, gap, columns, cell, side, tall: side + 38, height: Math.ceil(count / columns) * (side + 38 + gap) };
}

function drawSample(context, colors, { narrow, cell, side, tall }, [x, y], sample) {
  const { right, probability, text } = sample;
  const color = right ? colors.green : colors.red;
  context.strokeStyle = color;
  context.lineWidth = right ? 1 : 2;
  context.setLineDash(right ? [] : [5, 4]);
  context.strokeRect(x + 0.5, y + 0.5, cell - 1, tall - 1);
  context.setLineDash([]);
  const level = y + side + 16;
  write(context, fitted(context, text, cell - 10), [x + 6, level], color);
  const share = Number.isNaN(probability) ? "" : percent(probability);
  const both = context.measureText(text).width + context.measureText(share).width;
  if (!narrow && both + 16 <= cell) write(context, share, [x + cell - 6, level], color, "right");
  context.fillStyle = colors.grid;
  context.fillRect(x + 6, level + 11, cell - 12, 5);
  context.fillStyle = color;
  context.fillRect(x + 6, level + 11, (cell - 12) * (probability || 0), 5);
}

function drawGrid(canvas, colors, room, seen, paint) {
  const grid = gridOf(seen.length, room);
  const context = prepare(canvas, room, grid.height);
  seen.forEach((sample, s) => {
    const x = 1 + (s % grid.columns) * (grid.cell + grid.gap);
    const y = 1 + Math.floor(s / grid.columns) * (grid.tall + grid.gap);
    drawSample(context, colors, grid, [x, y], sample);
    paint(context, colors.text, s, grid.side, x + (grid.cell - grid.side) / 2, y + 4);
  });
}

// What is said of each sample, from the codes of all of them.
function readSamples(codes, targets, names) {
  return targets.map((target, s) => {
    const found = predicted(codes.subarray(s * names.length, (s + 1) * names.length));
    const right = found.best === target;
    const name = found.best < 0 ? "?" : names[found.best];
    return { ...found, right, target, text: right ? `✓ ${name}` : `✗ ${name} (${names[target]})` };
  });
}

function numbersOf(seen, names) {
  return seen.map(({ best, probability, right, target }, s) =>
    row(
      `${say("sample")} ${s + 1}`,
      `${say("class")} ${names[target]}`,
      `${say("prediction")} ${best < 0 ? say("unknown") : names[best]}`,
      best < 0 ? "—" : `${short(100 * probability)} %`,
      say(right ? "right" : "wrong"),
    ),
  );
}

function render({ model, el }) {
  const grid = picture();
  const legend = make("p", { class: "gd-legend" }, say("right and wrong"));
  const [curves, shape, targets, names] = ["curves", "shape", "targets", "names"].map((name) => model.get(name));
  const codes = decode(model.get("outputs"), Uint16Array);
  const paint = painter(decode(model.get("pictures"), Uint8Array), targets.length, shape);
  return explore({ model, el }, "predictions", make("div", {}, grid, legend), (w, colors, room, i, k, loss) => {
    const size = targets.length * names.length;
    const first = offsetOf(curves, i, k, size);
    const seen = readSamples(codes.subarray(first, first + size), targets, names);
    const right = seen.filter((sample) => sample.right).length;
    drawGrid(grid, colors, room, seen, paint);
    w.root.dataset.right = right;
    const said = say("samples right", { right, count: targets.length, loss: short(loss) });
    grid.setAttribute("aria-label", said);
    return { said, rows: numbersOf(seen, names) };
  });
}

export default { render };
