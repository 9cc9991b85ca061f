// A question: choices, a number or a curve to sketch, with a reason for every answer. One that opens a figure is a
// prediction: its first answer counts, and stands in the figure.
import { axes, scale } from "./shared/axes.js";
import { dashed, line, prepare, within, writeOver } from "./shared/canvas.js";
import { nameCurves, nameRoom } from "./shared/curves.js";
import { bar, button, make } from "./shared/elements.js";
import { fits, judge, numberOf } from "./shared/judge.js";
import { short } from "./shared/numbers.js";
import { recall, remember } from "./shared/remember.js";
import { drawByHand, filled } from "./shared/sketch.js";
import { slideCanvas, tellPlace } from "./shared/slide.js";
import { mount } from "./shared/stage.js";
import { colorsOf } from "./shared/theme.js";
import { say } from "./shared/words.js";

const HEIGHT = 230;

// What a question asks for, in the measure in which it is judged.
function askedOf(w) {
  const [kind, answer, tolerance, mistakes, words] = ["kind", "answer", "tolerance", "mistakes", "words"].map(w.get);
  const asked = { kind, answer, tolerance, mistakes, words, count: words.choices?.length, axes: w.get("axes") };
  if (kind !== "sketch") return { ...asked, judged: (given) => judge(asked, given) };
  asked.height = scale(asked.axes.y, 0, 1);
  const heights = (values) => values.map(asked.height);
  const measured = { ...asked, answer: heights(answer), mistakes: mistakes.map(heights) };
  const { low, high, log } = asked.axes.y;
  asked.value = (h) => (log ? low * (high / low) ** h : low + h * (high - low));
  return { ...asked, judged: (given) => judge(measured, heights(given)) };
}

const withUnit = (value, unit) => `${short(value, 4)}${unit ? ` ${unit}` : ""}`;

// The right answer and its reason, in words.
function solutionOf({ kind, answer, words }) {
  if (kind === "choices") return [say("the choice is", { answer: words.choices[answer][0] }), words.choices[answer][1]];
  if (kind === "number") return [say("the answer is", { answer: withUnit(answer, words.unit) }), words.reason];
  return ["", words.reason];
}

// What there is to say: the head, the rest, and whether it is good news.
function verdict(w, { given, right, mistake, open }) {
  const { kind, words } = w.asked;
  const [solution, reason] = solutionOf(w.asked);
  const all = (...texts) => texts.filter(Boolean).join(" ");
  if (w.note) return ["", w.note, true];
  if (given == null) return open ? ["", all(solution, reason), true] : ["", "", true];
  if (right) return [say("answer right"), all(kind === "number" ? solution : "", reason), true];
  const why = mistake < 0 ? words.hint : kind === "choices" ? words.choices[mistake][1] : words.mistakes[mistake];
  return [refusal(w.asked, given), all(why, ...(open ? [solution, reason] : [])), false];
}

function refusal({ kind, words }, given) {
  if (kind === "choices") return say("answer wrong", { given: words.choices[given][0] });
  return kind === "number" ? say("number wrong", { given: withUnit(given, words.unit) }) : say("not quite");
}

// The curves and, for a sketch, the reader's own; returns where their names belong.
function drawCurves(w, context, colors, { X, Y }, { given, open }) {
  const { kind, words } = w.asked;
  const [curves, columns] = [open ? w.get("curves") : [], w.get("columns")];
  const others = colors.cycle.filter((color) => color !== colors.pink);
  const drawn = curves.map(({ x, y }, k) => {
    const chosen = kind === "choices" && given != null && words.curves[k] === words.choices[given][0];
    const text = `${say(words.curves[k])}${chosen ? " ←" : ""}`;
    return { text, points: x.map((v, n) => [X(v), Y(y[n])]), color: others[k % 5], width: chosen ? 3.6 : 2 };
  });
  const own = kind === "sketch" && filled(w.heights());
  const points = own && own.map((h, n) => [X(columns[n]), Y(w.asked.value(h))]);
  if (own) drawn.push({ text: say("your answer"), points, color: colors.pink, width: 2.5 });
  within(context, w.area, 4, () => {
    for (const curve of drawn) line(context, curve.points, curve.color, curve.width);
  });
  return drawn.map((curve) => ({ ...curve, x: w.area.right + 8, y: curve.points.at(-1)[1] }));
}

function drawFigure(w, colors, state) {
  const { kind, answer, words, axes: ends } = w.asked;
  const width = w.root.clientWidth;
  w.texts ??= [...words.curves.map((name) => `${say(name)} ←`), say("your answer")];
  const room = nameRoom(w.canvas, width, w.texts);
  const context = prepare(w.canvas, width, HEIGHT);
  w.area = { left: 58, right: width - (room || 14), top: 22, bottom: HEIGHT - 38 };
  const to = axes(context, colors, w.area, { ...ends.x, label: words.x }, { ...ends.y, label: words.y });
  const names = drawCurves(w, context, colors, to, state);
  if (kind === "number" && state.open) markNumbers(w, context, colors, to, { given: state.given, answer });
  nameCurves(context, colors, names, w.area.bottom, room, w.list);
}

// The reader's number and the right one as lines across the figure.
function markNumbers(w, context, colors, { X, Y }, { given, answer }) {
  const { left, right, top, bottom } = w.area;
  const upright = w.get("along") === "x";
  const mark = (value, color, text, level, dashes) => {
    if (value == null) return;
    const at = upright ? X(value) : Y(value);
    if (!(at >= (upright ? left : top) - 1 && at <= (upright ? right : bottom) + 1)) return;
    const ends = upright
      ? [
          [at, top],
          [at, bottom],
        ]
      : [
          [left, at],
          [right, at],
        ];
    dashed(context, dashes, ends, color, 2);
    const near = upright && at > (left + right) / 2;
    const place = upright ? [at + (near ? -6 : 6), top + level] : [left + 8, at - 9];
    writeOver(context, colors, text, place, color, near ? "right" : "left");
  };
  mark(answer, colors.text, short(answer, 4), 26, [2, 3]);
  mark(given, colors.pink, `${say("your answer")}${say(": ")}${short(given ?? 0, 4)}`, 10, [7, 4]);
}

// Where the question stands: what was answered, and whether it is open.
function standing(w) {
  const given = w.get("given");
  const judged = given == null ? { right: false, mistake: -1 } : w.asked.judged(given);
  const open = w.get("shown") || judged.right || (given != null && w.get("predicts"));
  return { given, open, ...judged };
}

function draw(w) {
  const state = standing(w);
  const { kind } = w.asked;
  w.input.show(state);
  const visible = kind === "sketch" || (state.open && w.get("curves").length > 0);
  if (visible !== w.canvas.isConnected) w.figure.replaceChildren(...(visible ? [w.canvas, w.list] : []));
  if (visible) drawFigure(w, colorsOf(w.root), state);
  else colorsOf(w.root);
  w.tell(...verdict(w, state));
  const checks = w.get("predicts") ? say("This is my prediction") : say("Check");
  w.check.textContent = state.open ? say("Answer again") : checks;
  w.skip.hidden = state.open;
  w.root.toggleAttribute("data-open", state.open);
  w.root.dataset.answer = state.given == null ? "" : state.right ? "right" : "wrong";
}

// Radio buttons, and what they say.
function choicesOf(w, touched) {
  const name = `gd-${Math.random().toString(36).slice(2)}`;
  const radios = w.asked.words.choices.map((_, k) => make("input", { type: "radio", name, value: k, change: touched }));
  const rows = w.asked.words.choices.map(([text], k) => make("label", {}, radios[k], make("span", {}, text)));
  return {
    element: make("fieldset", {}, make("legend", {}, w.asked.words.prompt), ...rows),
    read: () => radios.findIndex((radio) => radio.checked),
    missing: say("choose first"),
    show({ given, open }) {
      if (!w.touched) for (const [k, radio] of radios.entries()) radio.checked = k === given;
      for (const [k, row] of rows.entries()) {
        radios[k].disabled = open;
        row.dataset.mark = !open ? "" : k === w.asked.answer ? "right" : k === given ? "wrong" : "";
      }
    },
  };
}

function numberField(w, touched, check) {
  const press = (event) => {
    if (event.key === "Enter") check();
  };
  const field = make("input", {
    type: "text",
    inputmode: "decimal",
    autocomplete: "off",
    size: "8",
    input: touched,
    keydown: press,
  });
  const { prompt, unit } = w.asked.words;
  return {
    element: make("label", { class: "gd-number" }, make("span", {}, prompt), make("span", {}, field, ` ${unit}`)),
    read: () => numberOf(field.value),
    missing: say("write a number"),
    show({ given, open }) {
      if (!w.touched) field.value = given == null ? "" : short(given, 6).length < 9 ? String(given) : given;
      field.readOnly = open;
    },
  };
}

function sketchPad(w, touched) {
  const { words } = w.asked;
  let drawn = null;
  const blank = () => w.get("columns").map(() => null);
  w.heights = () => (w.touched && drawn) || w.get("given")?.map(w.asked.height) || blank();
  const put = (heights, column) => {
    if (standing(w).open) return;
    drawn = heights;
    const height = filled(heights)?.[column];
    const level = height == null ? "—" : short(w.asked.value(height));
    const at = `${words.x} ${short(w.get("columns")[column])}${say(": ")}${words.y} ${level}`;
    tellPlace(w.canvas, column, heights.length - 1, at);
    touched();
  };
  tellPlace(w.canvas, 0, w.get("columns").length - 1, say("draw first"));
  drawByHand(w.canvas, w.signal, { area: () => w.area, heights: w.heights, put });
  return {
    element: make("p", { class: "gd-prompt" }, words.prompt),
    read: () => filled(w.heights())?.map(w.asked.value),
    missing: say("draw first"),
    show() {
      if (!w.touched) drawn = null;
    },
  };
}

// All answers with their reasons, for paper.
function allAnswers({ kind, answer, mistakes, words }) {
  const wrong = (k) => (kind === "number" ? `✗ ${withUnit(mistakes[k], words.unit)}` : "✗");
  const pairs =
    kind === "choices"
      ? words.choices.map(([text, reason], k) => [`${k === answer ? "✓" : "✗"} ${text}`, reason])
      : [
          [kind === "number" ? `✓ ${withUnit(answer, words.unit)}` : "✓", words.reason],
          ...words.mistakes.map((why, k) => [wrong(k), why]),
        ];
  const rows = pairs.flatMap(([text, reason]) => [make("dt", {}, text), make("dd", {}, reason)]);
  return make("dl", { class: "gd-all" }, ...rows);
}

function render(at) {
  const w = mount(at, "question");
  w.asked = askedOf(w);
  const { kind, words } = w.asked;
  const name = words.prompt;
  w.canvas =
    kind === "sketch"
      ? slideCanvas("your answer", { free: true })
      : make("canvas", { role: "img", "aria-label": say("your answer") });
  [w.figure, w.list] = [make("div"), make("p", { class: "gd-legend" })];
  const touched = () => {
    [w.touched, w.note] = [true, ""];
    request();
  };
  const put = (given, shown) => {
    [w.touched, w.note] = [false, ""];
    w.set({ given, shown });
    remember(name, given == null && !shown ? null : [given, shown]);
    request();
  };
  const check = () => {
    if (standing(w).open) return put(null, false);
    const given = w.input.read();
    if (fits(w.asked, given)) return put(given, false);
    w.note = w.input.missing;
    return request();
  };
  const show = () => {
    put(w.get("given"), true);
    w.check.focus();
  };
  w.input = { choices: choicesOf, number: numberField, sketch: sketchPad }[kind](w, touched, check);
  w.check = button("Check", check);
  w.skip = button(w.get("predicts") ? "Show me anyway" : "Show the answer", show);
  const kept = recall(name);
  const [given, shown] = Array.isArray(kept) ? kept : [null, false];
  if (w.get("given") == null && (shown || given != null) && (given == null || fits(w.asked, given))) {
    w.set({ given, shown: Boolean(shown) });
  }
  w.root.append(w.input.element, w.figure, bar([w.check], [w.skip]), w.readout, allAnswers(w.asked));
  const request = w.redraw(["given", "shown"], () => draw(w));
  return w.end;
}

export default { render };
