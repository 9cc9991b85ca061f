// The run quiz: the curves of a run that went wrong, a menu of diagnoses, and questions that lead to the right one.

Object.assign(WORDS.zh, {
  "case": "病例", "What is wrong?": "问题出在哪里？", "— choose —": "— 请选择 —", "Show the next question": "显示下一个问题",
  "After the cure": "治好之后", "train loss": "训练损失", "test loss": "测试损失", "gradient norm": "梯度范数", "accuracy": "准确率",
  "train accuracy": "训练准确率", "test accuracy": "测试准确率", "cured": "治好后", "lowest": "最低", "highest": "最高", "first": "最初",
  "last": "最后", "not finite from step": "从这一步起不是有限数：",
});
const LINE_COLORS = {
  "loss": "blue", "train loss": "blue", "test loss": "orange", "gradient norm": "violet", "learning rate": "orange", "batch size": "blue",
  "accuracy": "blue", "train accuracy": "blue", "test accuracy": "orange",
};

// Which lines stand in one panel: all losses, all accuracies, and each other name alone.
export function panelsOf(lines) {
  const panels = new Map();
  for (const item of lines) {
    const kind = /loss/i.test(item.name) ? "loss" : /accuracy/i.test(item.name) ? "accuracy" : item.name;
    panels.set(kind, [...(panels.get(kind) ?? []), item]);
  }
  return [...panels].map(([kind, found]) => ({ kind, lines: found })).sort((a, b) => (b.kind === "loss") - (a.kind === "loss"));
}

// The vertical axis of a panel: logarithmic for what is positive and spans a factor of three, and of what explodes six decades or ten times the start;
// else wide enough that what hardly moves looks as if it hardly moves.
export function rangeOf(values) {
  const known = values.length ? values : [1], low = Math.min(...known), high = Math.max(...known);
  if (low > 0 && high / low > 3) return { low: low * 0.85, high: Math.min(high * 1.15, Math.max(low * 1e6, known[0] * 10)), log: true };
  const room = Math.max(0.06 * (high - low), 0.3 * Math.abs(high) - (high - low) / 2) || 1;
  return { low: low >= 0 ? Math.max(0, low - room) : low - room, high: high + room, log: false };
}

function render({ model, el }) {
  const root = make("div", { class: "gd gd-quiz" }), canvas = make("canvas", { role: "img" }), cases = model.get("cases"), set = setter(model);
  const readout = make("output", { class: "gd-readout", "aria-live": "polite" }), path = make("ol", { class: "gd-path" });
  const answer = make("div", { class: "gd-case" }), numbers = make("tbody");
  const blank = () => ({ guess: "", shown: 0, solved: false, cured: false, guesses: 0 });
  let states = cases.map(blank);
  const here = () => cases[model.get("case")], state = () => states[model.get("case")];
  const change = (act) => { act(state(), here()); watch.request(); };
  const diagnoses = [...new Set(cases.map(({ diagnosis }) => diagnosis))].sort();

  const menu = select("What is wrong?", [["", "— choose —"], ...diagnoses.map((d) => [d, d])], "", (guess) => change((s, c) => {
    s.guess = guess;
    s.guesses += guess !== "";
    s.solved ||= guess === c.diagnosis && s.shown < c.path.length;
  }));
  const next = button("Show the next question", () => change((s, c) => { s.shown = Math.min(s.shown + 1, c.path.length); }));
  const cure = button("After the cure", () => change((s) => { s.cured = !s.cured; }), { "aria-pressed": "false" });
  root.append(
    make("div", { class: "gd-bar" }, menu.element),
    make("div", { class: "gd-bar" }, next, cure,
      button("Text's setting", () => { states = cases.map(blank); set({ case: model.get("setting") }); watch.request(); })),
    canvas, readout, path, answer, details(numbers));
  el.append(root);

  const colorOf = (colors, name, n) => colors[LINE_COLORS[name]] ?? colors.cycle[(n + 2) % colors.cycle.length];

  function drawPanel(context, colors, area, { kind, lines }, healthy, axis, width) {
    const single = lines.length === 1 && lines[0].name !== "loss", label = say(single ? lines[0].name : kind);
    const values = [...lines, ...healthy].flatMap((item) => item.values), constant = new Set(values).size === 1;
    const range = kind === "accuracy" ? { low: 0, high: 1.02, log: false } : rangeOf(values);
    const { X, Y } = axes(context, colors, area, axis, { ...range, label, ticks: constant ? [values[0]] : marks(range, area.bottom - area.top) });
    context.save();
    context.beginPath();
    context.rect(area.left - 7, area.top - 1, area.right - area.left + 14, area.bottom - area.top + 2);
    context.clip();
    const names = [];
    const draw = ({ name, steps, values, stops }, n, after) => {
      const color = colorOf(colors, name, n), end = values.length - 1;
      const points = values.map((v, k) => [X(steps[k]), Math.max(Y(v), area.top - 20)]);
      if (after) context.setLineDash([6, 4]);
      line(context, points, color, after ? 1.6 : 2);
      context.setLineDash([]);
      if (end === 0) { context.fillStyle = color; context.beginPath(); context.arc(...points[0], 3, 0, 7); context.fill(); }
      const [x, y] = end < 0 ? [area.left + 10, area.top + 10] : [points[end][0], Math.min(Math.max(points[end][1], area.top + 7), area.bottom - 7)];
      if (stops != null) cross(context, x, y, 6, colors.red);
      const text = lines.length > 1 ? say(name) + (after ? `${isChinese() ? "，" : ", "}${say("cured")}` : "") : after ? say("cured") : "";
      if (text) names.push({ text, x: (stops == null ? area.right : x) + 8, y, color });
    };
    healthy.forEach((item, n) => draw(item, n, true));
    lines.forEach((item, n) => draw(item, n, false));
    context.restore();
    drawNames(context, colors, names, width, area.bottom);
  }

  function drawCase(colors, width, { lines, healthy }, cured) {
    const panels = panelsOf(lines), rest = panels.length - 1, top = rest ? 190 : 250, low = 74, between = 26;
    const context = prepare(canvas, width, 22 + top + rest * (low + between) + 38);
    const over = cured && healthy ? healthy : [], last = Math.max(1, ...[...lines, ...over].flatMap(({ steps, stops }) => [...steps, stops ?? 0]));
    let y = 22;
    panels.forEach((panel, p) => {
      const area = { left: 70, right: width - (width < 500 ? 14 : 128), top: y, bottom: y + (p ? low : top) };
      const axis = { low: 0, high: last, label: p === rest ? say("step") : "", ...(p === rest ? {} : { format: () => "" }) };
      drawPanel(context, colors, area, panel, panelsOf(over).find(({ kind }) => kind === panel.kind)?.lines ?? [], axis, width);
      y = area.bottom + between;
    });
  }

  // What there is to say of the guess, and whether it was right.
  function verdict(s, c, open) {
    const chinese = isChinese(), n = model.get("case") + 1;
    if (s.guess === c.diagnosis) return [chinese ? `✓ 正确：${c.diagnosis}。` : `✓ Right: ${c.diagnosis}.`, "", true];
    if (s.guess) {
      const hint = c.path[Math.min(s.shown, c.path.length - 1)][0];
      const again = open ? "" : chinese ? ` 再看一看：${hint}` : ` Look again: ${hint}`;
      return [chinese ? `✗ 不是“${s.guess}”。` : `✗ Not “${s.guess}”.`, again, false];
    }
    return [chinese ? `第 ${n} 个病例，共 ${cases.length} 个。` : `Case ${n} of ${cases.length}.`, open ? "" : chinese ? " 这次训练出了什么问题？" : " What is wrong with this run?", true];
  }

  const watch = redrawOnChange(root, model, ["case"], () => {
    const colors = themeOf(root), s = state(), c = here(), chinese = isChinese(), open = s.solved || s.guess === c.diagnosis || s.shown === c.path.length;
    drawCase(colors, root.clientWidth, c, s.cured);
    const [head, rest, good] = verdict(s, c, open), solved = states.filter((other) => other.solved).length, guesses = states.reduce((sum, other) => sum + other.guesses, 0);
    const score = chinese ? ` 已解决 ${solved} / ${cases.length}，猜了 ${guesses} 次。` : ` Solved ${solved} of ${cases.length} in ${guesses} ${guesses === 1 ? "guess" : "guesses"}.`;
    readout.dataset.state = good ? "good" : "bad";
    readout.replaceChildren(make("strong", {}, head), rest + score);
    path.replaceChildren(...c.path.slice(0, s.shown).map(([question, reply]) => make("li", {}, make("b", {}, question), ` ${reply}`)));
    answer.replaceChildren(...(open ? [
      make("div", {}, make("strong", {}, `${c.name}${chinese ? "：" : ": "}`), c.diagnosis),
      make("div", {}, make("strong", {}, chinese ? "治法：" : "Cure: "), c.cure)] : []));
    menu.list.value = s.guess;
    next.disabled = s.shown === c.path.length;
    cure.disabled = !c.healthy;
    cure.setAttribute("aria-pressed", String(s.cured));
    canvas.setAttribute("aria-label", `${c.lines.map(({ name }) => say(name)).join(", ")} / ${say("step")}`);
    const table = (lines, after) => lines.map(({ name, values, stops }) => row(`${say(name)}${after ? ` (${say("cured")})` : ""}`,
      `${say("first")} ${short(values[0] ?? NaN)}`, `${say("last")} ${short(values[values.length - 1] ?? NaN)}`,
      `${say("lowest")} ${short(Math.min(...values))}`, `${say("highest")} ${short(Math.max(...values))}`, stops == null ? "" : `${say("not finite from step")} ${stops}`));
    numbers.replaceChildren(...table(c.lines, false), ...(s.cured && c.healthy ? table(c.healthy, true) : []));
    Object.assign(root.dataset, { case: model.get("case"), open, solved });
  });
  return watch.end;
}

export default { render };
