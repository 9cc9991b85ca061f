// The cockpit: loss, learning rate and batch size of a run that is steered while it goes on, or of a recorded session.
import { axes } from "./shared/axes.js";
import { dashed, line, prepare, within } from "./shared/canvas.js";
import { lossAxis } from "./shared/curves.js";
import { bar, button, details, make, picture, row } from "./shared/elements.js";
import { clamp, least, mean, most, short } from "./shared/numbers.js";
import { isCalm, mount } from "./shared/stage.js";
import { decode } from "./shared/tables.js";
import { colorsOf } from "./shared/theme.js";
import { say } from "./shared/words.js";

const REPLAY = 10000; // milliseconds that the whole session takes
const COLUMNS = ["losses", "lrs", "sizes"];
const STATES = ["ready", "running", "paused", "stopped", "done"];

// The recorded session's columns: float32, little-endian, losses first, then rates, then batch sizes.
export function sessionOf(bytes) {
  const values = decode(bytes, Float32Array);
  const n = values.length / 3;
  const column = (k) => [...values.subarray(k * n, (k + 1) * n)];
  return { losses: column(0), lrs: column(1), sizes: column(2) };
}

// At most so many points of a curve: the mean of each window of steps, at the window's middle.
export function thinned(values, points) {
  const width = Math.max(1, Math.ceil(values.length / points));
  const found = [];
  for (let start = 0; start < values.length; start += width) {
    const part = values.slice(start, start + width);
    found.push([start + (part.length - 1) / 2, mean(part)]);
  }
  return found;
}

// One of the three panels: a curve, dashes where the slider stands, and a range that holds both.
function drawPanel(context, colors, area, x, { values, mark, color, axis, last }) {
  const horizontal = { ...x, label: last ? say("step") : "", ...(last ? {} : { ticks: [] }) };
  const { X, Y } = axes(context, colors, area, horizontal, axis);
  within(context, area, 2, () => {
    if (mark != null) {
      const ends = [
        [area.left, Y(mark)],
        [area.right, Y(mark)],
      ];
      dashed(context, [5, 4], ends, colors.faint, 1.4);
    }
    line(
      context,
      values.map(([step, value]) => [X(step), Y(clamp(value, axis.low, axis.high))]),
      color,
      1.8,
    );
  });
}

// An axis that holds values and the slider's: whole decades, which stand still while the slider moves within them.
function around(values, mark, label) {
  const low = Math.min(least(values), mark) / 1.5;
  const high = Math.max(most(values), mark) * 1.5;
  return {
    low: 10 ** Math.floor(Math.log10(low)),
    high: 10 ** Math.ceil(Math.log10(high)),
    log: true,
    label: say(label),
  };
}

// All that is known of a run has its place on the axes; what is drawn of it, in a replay, are the steps until now.
function drawPanels(w, colors, from, until) {
  const width = w.root.clientWidth;
  const context = prepare(w.canvas, width, 400);
  const x = { low: 0, high: Math.max(10, from.losses.length) };
  const [lr, size] = w.sliders();
  const [losses, rates, sizes] = COLUMNS.map((name) => thinned(from[name], Math.max(50, Math.floor(width / 2))));
  const area = (top, bottom) => ({ left: 58, right: width - 14, top, bottom });
  const panel = (box, values, more) => {
    const done = values.filter(([step]) => step < until);
    drawPanel(context, colors, box, x, { values: done, ...more });
  };
  const rate = { mark: lr, color: colors.orange, axis: around(from.lrs, lr, "learning rate") };
  const batch = { mark: size, color: colors.violet, axis: around(from.sizes, size, "batch size"), last: true };
  panel(area(20, 210), losses, { color: colors.blue, axis: lossAxis(losses.map(([, value]) => value)) });
  panel(area(236, 290), rates, rate);
  panel(area(316, 364), sizes, batch);
}

// What is going on, and where: live with a kernel, else as a replay.
function told(w, from, until) {
  const loss = until ? short(mean(from.losses.slice(Math.max(0, until - 20), until))) : "—";
  const where = say("at a step", { step: until, loss });
  if (w.live) {
    const rate = w.rate ? say("steps a second", { rate: short(w.rate) }) : "";
    const state = STATES.includes(w.state) ? say(`run ${w.state}`) : w.state;
    return [state, `(${w.device}${rate})${say(": ")}${where}${w.silent ? ` ${say("no answer")}` : ""}`];
  }
  const [lr, size] = w.sliders();
  const about = w.get("about") ? `(${w.get("about")})` : "";
  const key = w.playing ? "Replaying a session" : "A recorded session";
  return [say(key), `${about}${say(": ")}${where} ${say("no kernel")} ${say("dashes", { lr: short(lr), size })}`];
}

function draw(w) {
  const colors = colorsOf(w.root);
  const from = w.live ? w.run : w.session;
  const until = w.live ? w.run.losses.length : Math.floor(w.shown);
  drawPanels(w, colors, from, until);
  const [head, rest] = told(w, from, until);
  const said = w.tell(head, rest, !w.live || (STATES.includes(w.state) && !w.silent));
  const [lr, size] = w.sliders();
  w.canvas.setAttribute("aria-label", w.live && w.state === "running" ? say("run running") : said);
  w.numbers.replaceChildren(
    row(say("loss"), until ? short(from.losses[until - 1]) : "—"),
    row(say("learning rate"), until ? short(from.lrs[until - 1]) : "—", `→ ${short(lr)}`),
    row(say("batch size"), until ? String(from.sizes[until - 1]) : "—", `→ ${size}`),
  );
  Object.assign(w.root.dataset, {
    steps: until,
    live: w.live,
    state: w.live ? w.state : w.playing ? "replaying" : "recorded",
  });
}

// The buttons without a kernel: they replay the session, at once for those who want no motion.
function replay(w, what, again) {
  const total = w.session.losses.length;
  const halt = () => {
    cancelAnimationFrame(w.playing);
    w.playing = 0;
  };
  halt();
  if (what === "stop") w.shown = 0;
  if (what === "start" && isCalm()) w.shown = total;
  else if (what === "start") {
    if (w.shown >= total) w.shown = 0;
    let before = performance.now();
    const play = (now) => {
      w.shown = Math.min(total, w.shown + ((now - before) / REPLAY) * total);
      before = now;
      w.playing = w.shown < total ? requestAnimationFrame(play) : 0;
      again();
    };
    w.playing = requestAnimationFrame(play);
    w.signal.addEventListener("abort", halt);
  }
  again();
}

// What a kernel tells: state and device, and the steps since the last time.
function hear(w, { state, device, rate, at, ...columns }) {
  if (!state) return;
  cancelAnimationFrame(w.playing);
  Object.assign(w, { live: true, silent: false, state, device, rate: rate ?? (state === "running" ? w.rate : 0) });
  if (!columns.losses) return;
  if (at === 0) w.run = { losses: [], lrs: [], sizes: [] };
  for (const name of COLUMNS) for (const value of columns[name]) w.run[name].push(value);
}

function render(at) {
  const stage = mount(at, "cockpit");
  const { get, set } = stage;
  const session = sessionOf(get("recording"));
  const w = { ...stage, session, live: false, silent: false, state: "ready", device: "", rate: 0, playing: 0 };
  Object.assign(w, { shown: session.losses.length, canvas: picture(), numbers: make("tbody") });
  w.run = { losses: [], lrs: [], sizes: [] };
  w.sliders = () => [get("lr"), get("batch_sizes")[get("batch_index")]];
  const again = () => request();
  const unheard = () => {
    w.silent = true;
    again();
  };
  const wish = (what) => (w.live ? w.ask({ do: what }, unheard) : replay(w, what, again));
  const [lr, batch_index] = get("setting");
  stage.root.append(
    bar([
      button("Start", () => wish("start")),
      button("Pause", () => wish("pause")),
      button("Stop", () => wish("stop")),
      button("Reset", () => set({ lr, batch_index })),
    ]),
    w.canvas,
    stage.readout,
    details(w.numbers),
  );
  w.on("msg:custom", (message) => {
    hear(w, message);
    again();
  });
  const request = w.redraw(["lr", "batch_index"], () => draw(w));
  w.ask({ hello: true });
  return w.end;
}

export default { render };
