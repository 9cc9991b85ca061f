// What the explorers of snapshots share: the loss curve of a run as a slider over what was seen along it.

Object.assign(WORDS.zh, { "run": "训练", "diverged": "发散" });

// The loss that is shown for a step: of the window it is in, or the last one known.
export function lossAt({ at, losses }, step) {
  const k = at.findIndex((end) => end >= step);
  return losses.length ? losses[k < 0 ? losses.length - 1 : k] : Infinity;
}

// Which snapshot of a run is shown for a step: the last one up to there, else the first.
export function snapshotAt({ steps }, step) {
  return Math.max(0, steps.findLastIndex((taken) => taken <= step));
}

// The horizontal axis: steps, or 1 + steps as powers of ten, which spreads the beginning.
export function stepAxis(last, log, room) {
  if (!log) return { warp: (step) => step, axis: { low: 0, high: last } };
  const decades = Array.from({ length: Math.ceil(Math.log10(last + 1)) + 1 }, (_, e) => 10 ** e);
  const fine = [0, ...decades.flatMap((v) => [v, 3 * v])].filter((v) => v <= last);
  const seen = fine.length * 36 > room ? [0, ...decades.filter((v) => v <= last)] : fine;
  const warp = (step) => Math.log10(1 + step);
  return { warp, axis: { low: 0, high: warp(last), ticks: seen.map(warp), format: (v) => String(Math.round(10 ** v - 1)) } };
}

// The vertical axis: of all runs, but at most ten times the loss at the start, above which curves are cut.
export function lossRange(curves) {
  const seen = curves.flatMap(({ losses }) => losses).filter((v) => v > 0), first = curves.map(({ losses }) => losses[0]).filter((v) => v > 0);
  const low = seen.length ? Math.min(...seen) : 0.1, high = Math.max(low * 2, Math.min(Math.max(...seen, low), 10 * Math.max(...first, low)));
  return { low: low * 0.9, high: high * 1.1, log: true };
}

const stepsDone = (step) => (isChinese() ? `${step} 步之后` : step === 1 ? "after 1 step" : `after ${step} steps`);

// Builds an explorer around stage, the element under the curve. show(colors, room, i, k, loss) fills it for the k-th snapshot
// of the i-th run, and returns what is to be said of it and the rows of the numbers.
function explore({ model, el }, kind, stage, show) {
  const root = make("div", { class: `gd gd-along gd-${kind}` }), canvas = make("canvas", { tabindex: "0", role: "img" });
  const readout = make("output", { class: "gd-readout", "aria-live": "polite" }), numbers = make("tbody"), set = setter(model);
  const [curves, steps, log, setting, best] = ["curves", "steps", "log", "setting", "best"].map((name) => model.get(name));
  const last = Math.max(...curves.flatMap((c) => [...c.at, ...c.steps]));
  const menu = select("run", curves.map(({ name }) => [name, name]), model.get("run"), (run) => set({ run }));
  root.append(
    make("div", { class: "gd-bar" }, ...(curves.length > 1 ? [menu.element] : []),
      button("Text's setting", () => set(setting)), button("Best setting", () => set(best))),
    canvas, readout, stage, details(numbers));
  el.append(root);

  let place = (step) => step;                            // from a step to a pixel
  const choose = (index) => set({ step_index: Math.min(steps.length - 1, Math.max(0, index)) });
  grab(canvas,
    (x) => choose(steps.reduce((near, step, k) => (Math.abs(place(step) - x) < Math.abs(place(steps[near]) - x) ? k : near), 0)),
    (dx, dy) => choose(model.get("step_index") + dx + dy));

  function drawCurves(colors, width, i, step) {
    const height = width < 500 ? 230 : 250, context = prepare(canvas, width, height);
    const box = { left: 52, right: width - (width < 500 ? 14 : 110), top: 38, bottom: height - 36 };
    const { warp, axis } = stepAxis(last, log, box.right - box.left);
    const vertical = lossRange(curves);
    const { X, Y } = axes(context, colors, box, { ...axis, label: say("step") }, { ...vertical, label: say("loss"), ticks: marks(vertical, box.bottom - box.top) });
    place = (s) => X(warp(s));
    const y = (value) => Math.min(Math.max(Number.isFinite(value) ? Y(value) : box.top, box.top), box.bottom);
    const names = [...curves.keys()].sort((a, b) => (a === i) - (b === i)).map((c) => {
      const { at, losses, diverged, name } = curves[c], end = at.length - 1, here = c === i;
      context.globalAlpha = here ? 1 : 0.55;
      line(context, at.map((s, k) => [place(s), y(losses[k])]), here ? colors.blue : colors.faint, here ? 2.4 : 1.2);
      const [ex, ey] = end < 0 ? [box.left + 10, box.top + 10] : [place(at[end]), y(losses[end])];
      if (diverged != null) cross(context, ex, ey, here ? 6 : 4, colors.red);
      context.globalAlpha = 1;
      return { x: ex + 8, y: ey, color: here ? colors.blue : colors.faint, text: name + (diverged == null ? "" : " ✕") };
    });
    context.fillStyle = colors.blue;
    for (const s of curves[i].steps) { context.beginPath(); context.arc(place(s), y(lossAt(curves[i], s)), 3, 0, 7); context.fill(); }
    const named = width < 500 ? names.slice(-1) : names.map((n) => ({ ...n, text: fitted(context, n.text, 100) }));
    drawNames(context, colors, named, width, box.bottom);
    const x = place(step), at = y(lossAt(curves[i], step)), label = stepsDone(step);
    line(context, [[x, box.top], [x, box.bottom]], colors.orange, 2);
    context.beginPath();
    context.arc(x, at, 8, 0, 7);
    context.fillStyle = colors.orange;
    context.fill();
    context.strokeStyle = colors.surface;
    context.lineWidth = 2;
    context.stroke();
    const half = context.measureText(label).width / 2;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillStyle = colors.orange;
    context.fillText(label, Math.min(Math.max(x, box.left + half + 36), box.right - half), box.top - 12);
  }

  const watch = redrawOnChange(root, model, ["run", "step_index"], () => {
    const colors = themeOf(root), room = root.clientWidth, chinese = isChinese();
    const i = curves.findIndex(({ name }) => name === model.get("run")), step = steps[model.get("step_index")], curve = curves[i];
    const k = snapshotAt(curve, step), taken = curve.steps[k], gone = curve.diverged != null && step >= curve.diverged;
    const loss = gone ? NaN : lossAt(curve, step);
    drawCurves(colors, room, i, step);
    const { said, rows } = show(colors, room, i, k, loss);
    const older = taken === step ? "" : chinese ? ` 此处显示的是 ${stepsDone(taken)}的快照。` : ` What is shown was taken ${stepsDone(taken)}.`;
    const fate = curve.diverged == null ? "" : chinese ? ` 这次训练在第 ${curve.diverged} 步发散。` : ` This run diverged at step ${curve.diverged}.`;
    const top = chinese ? ` 最好：${best.run}，${stepsDone(steps[best.step_index])}。` : ` Best: ${best.run}, ${stepsDone(steps[best.step_index])}.`;
    readout.dataset.state = gone ? "bad" : "good";
    readout.replaceChildren(make("strong", {}, `${curve.name}${chinese ? "，" : ", "}${stepsDone(step)}${chinese ? "：" : ": "}${said}${chinese ? "。" : "."}`), `${fate}${older}${top}`);
    canvas.setAttribute("aria-label", readout.textContent);
    menu.list.value = curve.name;
    numbers.replaceChildren(...rows);
    Object.assign(root.dataset, { run: curve.name, step, taken, loss: gone ? "diverged" : loss });
  });
  return watch.end;
}
