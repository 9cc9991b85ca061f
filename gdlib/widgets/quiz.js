// The run quiz: the curves of a run that went wrong, a menu of diagnoses, and questions that lead to the right one.
import { axes, marks } from "./shared/axes.js";
import { cross, disc, line, prepare, within } from "./shared/canvas.js";
import { nameCurves, nameRoom } from "./shared/curves.js";
import { bar, button, details, make, picture, row, select } from "./shared/elements.js";
import { clamp, least, most, short } from "./shared/numbers.js";
import { recall, remember } from "./shared/remember.js";
import { mount } from "./shared/stage.js";
import { colorsOf } from "./shared/theme.js";
import { say } from "./shared/words.js";

const COLORS = {
  loss: "blue",
  "train loss": "blue",
  "test loss": "orange",
  "gradient norm": "violet",
  "learning rate": "orange",
  "batch size": "blue",
  accuracy: "blue",
  "train accuracy": "blue",
  "test accuracy": "orange",
};
const [FIRST, OTHERS, BETWEEN] = [190, 74, 26]; // heights of the panels, and of what is between them

// Which lines stand in one panel: all losses, all accuracies, and each other name alone.
export function panelsOf(lines) {
  const panels = new Map();
  for (const item of lines) {
    const kind = /loss/i.test(item.name) ? "loss" : /accuracy/i.test(item.name) ? "accuracy" : item.name;
    panels.set(kind, [...(panels.get(kind) ?? []), item]);
  }
  return [...panels]
    .map(([kind, found]) => ({ kind, lines: found }))
    .sort((a, b) => (b.kind === "loss") - (a.kind === "loss"));
}

// The vertical axis of a panel: logarithmic for what is positive and spans a factor of three, and of what explodes six
// decades or ten times the start; else wide enough that what hardly moves looks as if it hardly moves.
export function rangeOf(values) {
  const known = values.length ? values : [1];
  const low = least(known);
  const high = most(known);
  if (low > 0 && high / low > 3) {
    return { low: low * 0.85, high: Math.min(high * 1.15, Math.max(low * 1e6, known[0] * 10)), log: true };
  }
  const room = Math.max(0.06 * (high - low), 0.3 * Math.abs(high) - (high - low) / 2) || 1;
  return { low: low >= 0 ? Math.max(0, low - room) : low - room, high: high + room, log: false };
}

// The axes of a panel, for the sick run and the healthy one together.
function panelAxes(context, colors, area, { kind, lines }, healthy, axis) {
  const values = [...lines, ...healthy].flatMap((item) => item.values);
  const range = kind === "accuracy" ? { low: 0, high: 1.02, log: false } : rangeOf(values);
  const single = lines.length === 1 && lines[0].name !== "loss";
  const ticks = new Set(values).size === 1 ? [values[0]] : marks(range, area.bottom - area.top);
  return axes(context, colors, area, axis, { ...range, label: say(single ? lines[0].name : kind), ticks });
}

// One line of a panel; returns where its name belongs.
function drawLine({ context, colors, area, X, Y }, { name, steps, values, stops }, n, after) {
  const color = colors[COLORS[name]] ?? colors.cycle[(n + 2) % colors.cycle.length];
  const points = values.map((v, k) => [X(steps[k]), Math.max(Y(v), area.top - 20)]);
  if (after) context.setLineDash([6, 4]);
  line(context, points, color, after ? 1.6 : 2);
  context.setLineDash([]);
  if (points.length === 1) disc(context, points[0], 3, color);
  const [ex, ey] = points.at(-1) ?? [area.left + 10, area.top + 10];
  const y = clamp(ey, area.top + 7, area.bottom - 7);
  if (stops != null) cross(context, [ex, y], 6, colors.red);
  return { x: (stops == null ? area.right : ex) + 10, y, color };
}

// What a line is called: by its name where there are several, and after the cure.
function nameOf({ name }, several, after) {
  if (several) return after ? `${say(name)}${say(", ")}${say("cured")}` : say(name);
  return after ? say("cured") : "";
}

function drawPanel(w, context, colors, area, panel, healthy, axis) {
  const plot = { context, colors, area, ...panelAxes(context, colors, area, panel, healthy, axis) };
  const names = [];
  const draw = (after) => (item, n) => {
    const text = nameOf(item, panel.lines.length > 1, after);
    const end = drawLine(plot, item, n, after);
    if (text) names.push({ ...end, text });
  };
  within(context, area, 7, () => {
    healthy.forEach(draw(true));
    panel.lines.forEach(draw(false));
  });
  nameCurves(context, colors, names, area.bottom, w.room, w.room ? w.list : make("p"));
  return w.room ? [] : names;
}

function drawCase(w, colors, { lines, healthy }, cured) {
  const width = w.root.clientWidth;
  const panels = panelsOf(lines);
  const rest = panels.length - 1;
  const top = rest ? FIRST : 250;
  const texts = lines.map((item) => nameOf(item, true, true));
  w.room = nameRoom(w.canvas, width, texts);
  const context = prepare(w.canvas, width, 22 + top + rest * (OTHERS + BETWEEN) + 38);
  const over = panelsOf((cured && healthy) || []);
  const last = most(
    [...lines, ...over.flatMap((p) => p.lines)].flatMap((s) => [...s.steps, s.stops ?? 0]),
    1,
  );
  const unnamed = [];
  let y = 22;
  panels.forEach((panel, p) => {
    const area = { left: 70, right: width - (w.room || 14), top: y, bottom: y + (p ? OTHERS : top) };
    const axis = { low: 0, high: Math.max(1, last), label: p === rest ? say("step") : "" };
    if (p < rest) axis.format = () => "";
    const after = over.find(({ kind }) => kind === panel.kind)?.lines ?? [];
    unnamed.push(...drawPanel(w, context, colors, area, panel, after, axis));
    y = area.bottom + BETWEEN;
  });
  if (!w.room) nameCurves(context, colors, unnamed, 0, 0, w.list);
}

// What there is to say of the guess, and whether it was right.
function verdict(w, s, c, open) {
  if (s.guess === c.diagnosis) return [say("guess right", { diagnosis: c.diagnosis }), "", true];
  if (s.guess) {
    const hint = c.path[Math.min(s.shown, c.path.length - 1)][0];
    return [say("guess wrong", { guess: s.guess }), open ? "" : say("look again", { hint }), false];
  }
  const head = say("case of", { n: w.get("case") + 1, count: w.cases.length });
  return [head, open ? "" : say("what is wrong"), true];
}

function numbersOf(lines, after) {
  return lines.map(({ name, values, stops }) =>
    row(
      `${say(name)}${after ? ` (${say("cured")})` : ""}`,
      `${say("first")} ${short(values[0] ?? NaN)}`,
      `${say("last")} ${short(values.at(-1) ?? NaN)}`,
      `${say("lowest")} ${short(least(values))}`,
      `${say("highest")} ${short(most(values))}`,
      stops == null ? "" : say("not finite from", { step: stops }),
    ),
  );
}

function answerOf({ name, diagnosis, cure }) {
  return [
    make("div", {}, make("strong", {}, name + say(": ")), diagnosis),
    make("div", {}, make("strong", {}, say("cure") + say(": ")), cure),
  ];
}

function draw(w) {
  const colors = colorsOf(w.root);
  const [s, c] = [w.state(), w.here()];
  const open = s.solved || s.guess === c.diagnosis || s.shown === c.path.length;
  drawCase(w, colors, c, s.cured);
  const [head, rest, good] = verdict(w, s, c, open);
  const solved = w.states.filter((other) => other.solved).length;
  const guesses = w.states.reduce((sum, other) => sum + other.guesses, 0);
  w.tell(head, `${rest} ${say("score", { solved, count: w.cases.length, guesses })}`.trim(), good);
  w.path.replaceChildren(
    ...c.path.slice(0, s.shown).map(([question, reply]) => make("li", {}, make("b", {}, question), ` ${reply}`)),
  );
  w.answer.replaceChildren(...(open ? answerOf(c) : []));
  w.menu.list.value = s.guess;
  w.next.disabled = s.shown === c.path.length;
  w.cure.disabled = !c.healthy;
  w.cure.setAttribute("aria-pressed", String(s.cured));
  w.canvas.setAttribute("aria-label", `${c.lines.map(({ name }) => say(name)).join(say(", "))} / ${say("step")}`);
  const healthy = s.cured && c.healthy ? numbersOf(c.healthy, true) : [];
  w.numbers.replaceChildren(...numbersOf(c.lines, false), ...healthy);
  Object.assign(w.root.dataset, { case: w.get("case"), open, solved });
}

// The menu of diagnoses and the buttons: what was guessed and shown stays in the page.
function controlsOf(w, again) {
  const change = (act) => {
    act(w.state(), w.here());
    remember(w.name, w.states);
    again();
  };
  const diagnoses = [...new Set(w.cases.map(({ diagnosis }) => diagnosis))].sort();
  const guess = (value) =>
    change((s, c) => {
      s.guess = value;
      s.guesses += value !== "";
      s.solved ||= value === c.diagnosis && s.shown < c.path.length;
    });
  const ask = (s, c) => {
    s.shown = Math.min(s.shown + 1, c.path.length);
  };
  const turn = (s) => {
    s.cured = !s.cured;
  };
  return {
    menu: select("What is wrong?", [["", "— choose —"], ...diagnoses.map((d) => [d, d])], "", guess),
    next: button("Show the next question", () => change(ask)),
    cure: button("After the cure", () => change(turn), { "aria-pressed": "false" }),
  };
}

function render(at) {
  const stage = mount(at, "quiz");
  const cases = stage.get("cases");
  const blank = () => ({ guess: "", shown: 0, solved: false, cured: false, guesses: 0 });
  const name = `quiz ${cases.map((c) => c.name).join(", ")}`;
  const states = cases.map((_, k) => ({ ...blank(), ...recall(name)?.[k] }));
  const w = { ...stage, name, cases, states, canvas: picture(), numbers: make("tbody") };
  w.here = () => cases[w.get("case")];
  w.state = () => w.states[w.get("case")];
  const again = () => request();
  const reset = () => {
    w.states = cases.map(blank);
    remember(name, null);
    w.set({ case: w.get("setting") });
    again();
  };
  Object.assign(w, controlsOf(w, again), { list: make("p", { class: "gd-legend" }) });
  Object.assign(w, { path: make("ol", { class: "gd-path" }), answer: make("div", { class: "gd-case" }) });
  stage.root.append(
    bar([w.menu.element], [w.next], [w.cure, button("Reset", reset)]),
    w.canvas,
    w.list,
    stage.readout,
    w.path,
    w.answer,
    details(w.numbers),
  );
  const request = w.redraw(["case"], () => draw(w));
  return w.end;
}

export default { render };
