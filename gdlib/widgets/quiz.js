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

// What there is to say of the answer, and whether it was right.
function verdict(w, s, c) {
  if (s.done === "solved") return [say("guess right", { diagnosis: c.diagnosis }), "", true];
  if (s.done) return [say("told", { diagnosis: c.diagnosis }), "", true];
  if (s.unchosen) return [say("choose first"), "", false];
  if (s.wrong) {
    const hint = c.path[Math.min(Math.ceil(s.shown / 2), c.path.length - 1)][0];
    return [say("guess wrong", { guess: s.wrong }), say("look again", { hint }), false];
  }
  return [say("case of", { n: w.get("case") + 1, count: w.cases.length }), say("what is wrong"), true];
}

// How many are solved, how many of them at the first answer and without a question, and in how many answers.
export function scoreOf(states) {
  const solved = states.filter((s) => s.done === "solved");
  return {
    solved: solved.length,
    clean: solved.filter((s) => s.guesses === 1 && s.shown === 0).length,
    count: states.length,
    guesses: states.reduce((sum, s) => sum + s.guesses, 0),
  };
}

// The order in which a reader meets the cases: one keeps its place, the others are shuffled.
export function shuffled(count, fixed, random = Math.random) {
  const rest = Array.from({ length: count }, (_, k) => k).filter((k) => k !== fixed);
  for (let k = rest.length - 1; k > 0; k--) {
    const other = Math.floor(random() * (k + 1));
    [rest[k], rest[other]] = [rest[other], rest[k]];
  }
  rest.splice(fixed, 0, fixed);
  return rest;
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

// The questions so far; the answer to the last may still be open. With the diagnosis all are answered.
function pathOf(c, shown) {
  return c.path
    .slice(0, Math.ceil(shown / 2))
    .map(([question, reply], k) =>
      make("li", {}, make("b", {}, question), ...(2 * k + 2 <= shown ? [` ${reply}`] : [])),
    );
}

function draw(w) {
  const colors = colorsOf(w.root);
  const [s, c] = [w.state(), w.here()];
  const open = Boolean(s.done);
  drawCase(w, colors, c, open && s.cured);
  const [head, rest, good] = verdict(w, s, c);
  const score = scoreOf(w.states);
  w.tell(head, `${rest} ${say("score", score)}`.trim(), good);
  w.task.textContent = c.task;
  w.path.replaceChildren(...pathOf(c, open ? 2 * c.path.length : s.shown));
  w.answer.replaceChildren(...(open ? answerOf(c) : []));
  w.menu.list.value = open ? c.diagnosis : s.choice;
  for (const control of [w.menu.list, w.check, w.next]) control.disabled = open;
  const asked = s.shown % 2 ? "Show its answer" : "Ask me a question";
  w.next.textContent = say(s.shown < 2 * c.path.length ? asked : "Tell me what is wrong");
  w.cure.hidden = !open || !c.healthy;
  w.cure.setAttribute("aria-pressed", String(s.cured));
  w.onward.hidden = !open || w.states.every((other) => other.done);
  w.canvas.setAttribute("aria-label", `${c.lines.map(({ name }) => say(name)).join(say(", "))} / ${say("step")}`);
  const healthy = open && s.cured && c.healthy ? numbersOf(c.healthy, true) : [];
  w.numbers.replaceChildren(...numbersOf(c.lines, false), ...healthy);
  Object.assign(w.root.dataset, { case: w.order[w.get("case")], open, solved: score.solved });
}

// The menu of diagnoses and the buttons. Each act changes the state of the case that is shown.
function controlsOf(w, again) {
  const change = (act) => {
    act(w.state(), w.here());
    remember(w.name, { order: w.order, states: w.states });
    again();
  };
  const diagnoses = [...new Set(w.cases.map(({ diagnosis }) => diagnosis))].sort();
  const choose = (value) => change((s) => Object.assign(s, { choice: value, wrong: "", unchosen: false }));
  const check = (s, c) => {
    if (!s.choice) return Object.assign(s, { unchosen: true });
    const right = s.choice === c.diagnosis;
    return Object.assign(s, { guesses: s.guesses + 1, wrong: right ? "" : s.choice, done: right ? "solved" : "" });
  };
  const ask = (s, c) => (s.shown < 2 * c.path.length ? Object.assign(s, { shown: s.shown + 1 }) : (s.done = "told"));
  const turn = (s) => Object.assign(s, { cured: !s.cured });
  const onward = () => {
    const [count, now] = [w.cases.length, w.get("case")];
    const places = Array.from({ length: count }, (_, k) => (now + 1 + k) % count);
    w.set({ case: places.find((place) => !w.states[w.order[place]].done) ?? now });
    again();
  };
  return {
    menu: select("What is wrong?", [["", "— choose —"], ...diagnoses.map((d) => [d, d])], "", choose),
    check: button("Check", () => change(check)),
    next: button("Ask me a question", () => change(ask)),
    cure: button("After the cure", () => change(turn), { "aria-pressed": "false" }),
    onward: button("Next case", onward),
  };
}

function render(at) {
  const stage = mount(at, "quiz");
  const cases = stage.get("cases");
  const blank = () => ({ choice: "", wrong: "", shown: 0, done: "", cured: false, guesses: 0 });
  const name = `quiz ${cases.map((c) => c.name).join(", ")}`;
  const fresh = () => ({ order: shuffled(cases.length, stage.get("setting")), states: cases.map(blank) });
  const kept = recall(name) ?? {};
  const whole = kept.order?.length === cases.length && kept.states?.length === cases.length;
  const w = { ...stage, name, cases, canvas: picture(), numbers: make("tbody"), ...(whole ? kept : fresh()) };
  w.here = () => cases[w.order[w.get("case")]];
  w.state = () => w.states[w.order[w.get("case")]];
  const again = () => request();
  const reset = () => {
    Object.assign(w, fresh());
    remember(name, null);
    w.set({ case: w.get("setting") });
    again();
  };
  Object.assign(w, controlsOf(w, again), { list: make("p", { class: "gd-legend" }) });
  Object.assign(w, { path: make("ol", { class: "gd-path" }), answer: make("div", { class: "gd-case" }) });
  w.task = make("p", { class: "gd-task" });
  stage.root.append(
    w.task,
    w.canvas,
    w.list,
    bar([w.menu.element, w.check], [w.next], [w.cure, w.onward, button("Reset", reset)]),
    stage.readout,
    w.path,
    w.answer,
    details(w.numbers),
  );
  const request = w.redraw(["case"], () => draw(w));
  return w.end;
}

export default { render };
