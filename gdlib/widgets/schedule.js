// The schedule workshop: a schedule computed in the page, over the losses of the nearest run in a table.

Object.assign(WORDS.zh, {
  "strategy": "策略", "constant": "恒定", "step decay": "阶梯衰减", "exponential": "指数衰减", "time-based": "按时间衰减",
  "linear": "线性衰减", "cosine": "余弦退火", "cosine, restarts": "余弦重启", "restarts": "重启", "one-cycle": "单周期", "warmup-stable-decay": "预热–稳定–衰减",
  "no real run is near": "附近没有真实的训练", "peak rate": "峰值学习率", "shape": "形状", "warm-up share": "预热占比",
});
const NAMES = {
  constant: "constant", step: "step decay", exponential: "exponential", time: "time-based", linear: "linear", cosine: "cosine",
  restarts: "cosine, restarts", one_cycle: "one-cycle", wsd: "warmup-stable-decay",
};

const end = (shape) => 10 ** (-4 * shape);
const whole = (value) => Math.floor(value + 0.5);
const halfCosine = (share) => 0.5 * (1 + Math.cos(Math.PI * share));

// STRATEGIES of schedule.py: from a peak, steps and a shape to a function of the step, as gdlib/schedules.py has them.
export const STRATEGIES = {
  constant: (lr) => () => lr,
  step: (lr, steps, shape) => (step) => lr * (end(shape) ** (1 / 3)) ** Math.floor(step / Math.ceil(steps / 4)),
  exponential: (lr, steps, shape) => (step) => lr * end(shape) ** (step / steps),
  time: (lr, steps, shape) => (step) => lr / (1 + ((1 / end(shape) - 1) / steps) * step),
  linear: (lr, steps, shape) => (step) => lr * end(shape) + (lr - lr * end(shape)) * (1 - Math.min(step, steps) / steps),
  cosine: (lr, steps, shape) => (step) => lr * end(shape) + (lr - lr * end(shape)) * halfCosine(Math.min(step, steps) / steps),
  restarts: (lr, steps, shape) => {
    const period = Math.ceil(steps / (2 + whole(4 * shape)));
    return (step) => lr * halfCosine((step % period) / period);
  },
  one_cycle: (lr, steps, shape) => {
    const start = lr * (1 / 25), final = start * 1e-4, top = (0.1 + 0.8 * shape) * steps - 1, last = steps - 1;
    return (step) => (Math.min(step, last) <= top
      ? lr + (start - lr) * halfCosine(top ? Math.min(step, last) / top : 1)
      : final + (lr - final) * halfCosine((Math.min(step, last) - top) / (last - top)));
  },
  wsd: (lr, steps, shape) => {
    const fall = whole(shape * steps);
    return (step) => (step < steps - fall || !fall ? lr : (lr * Math.max(0, steps - step)) / fall);
  },
};

// schedule_of of schedule.py, at the steps 0 to steps - 1.
export function scheduleOf({ strategy, lr, shape, warmup }, steps) {
  const rate = STRATEGIES[strategy](lr, steps, shape), warm = whole(warmup * steps);
  return Array.from({ length: steps }, (_, step) => rate(step) * (warm ? Math.min(1, step / warm) : 1));
}

// Which run of the table is nearest to a setting, where in lrs, and whether it is near enough to be shown for it.
export function nearestRun({ strategy, lr, shape, warmup }, known, lrs, reach) {
  let run = -1, least = Infinity, near = false;
  known.forEach(([name, s, w], index) => {
    const far = [name === "constant" ? 0 : Math.abs(s - shape) / reach.shape, Math.abs(w - warmup) / reach.warmup];
    const distance = Math.hypot(...far);
    if (name === strategy && distance < least) [run, least, near] = [index, distance, Math.max(...far) <= 1 + 1e-9];
  });
  const rate = nearestByRatio(lrs, lr);
  return { run, rate, near: near && rate >= 0 };
}

const percent = (share) => `${Math.round(100 * share)} %`;
const part = (shape) => (shape ? `1/${short(1 / end(shape))}` : "1");

// What the shape means for a strategy, in words.
export function meaning(strategy, shape) {
  const chinese = isChinese();
  if (strategy === "constant") return chinese ? "形状对它没有意义" : "the shape has no meaning here";
  if (!shape && !["restarts", "one_cycle"].includes(strategy)) return chinese ? "始终保持峰值" : "stays at its peak";
  if (strategy === "restarts") { const n = 1 + whole(4 * shape); return chinese ? `重启 ${n} 次` : `${n} ${n === 1 ? "restart" : "restarts"}`; }
  if (strategy === "one_cycle") return chinese ? `前 ${percent(0.1 + 0.8 * shape)} 的步数内上升` : `rises for ${percent(0.1 + 0.8 * shape)} of the steps`;
  if (strategy === "wsd") return chinese ? `最后 ${percent(shape)} 的步数内降到 0` : `falls to 0 in the last ${percent(shape)} of the steps`;
  const falls = strategy === "step" ? (chinese ? "分三次" : "three times, ") : "";
  return chinese ? `${falls}降到峰值的 ${part(shape)}` : `falls ${falls}to ${part(shape)} of its peak`;
}

// The same in a few signs, for a name beside a curve.
function brief({ strategy, lr, shape, warmup }) {
  const form = { constant: "", restarts: ` ×${1 + whole(4 * shape)}`, one_cycle: ` ↑${percent(0.1 + 0.8 * shape)}`, wsd: ` ↓${percent(shape)}` }[strategy] ?? ` →${part(shape)}`;
  const name = { wsd: "WSD", restarts: "restarts" }[strategy] ?? NAMES[strategy];
  return `${say(name)} ${short(lr, 2)}${form}${warmup ? ` ↗${percent(warmup)}` : ""}`;
}

function full(s) {
  const warm = isChinese() ? `，预热 ${percent(s.warmup)}` : `, warm-up ${percent(s.warmup)}`;
  const form = s.strategy === "constant" ? "" : `${isChinese() ? "，" : ", "}${meaning(s.strategy, s.shape)}`;
  return `${say(NAMES[s.strategy])}${isChinese() ? "，峰值 " : ", peak "}${short(s.lr)}${form}${s.warmup ? warm : ""}`;
}

function render({ model, el }) {
  const root = make("div", { class: "gd gd-schedule" }), canvas = make("canvas", { role: "img" });
  const readout = make("output", { class: "gd-readout", "aria-live": "polite" }), numbers = make("tbody");
  const [known, lrs, ends, steps, seeds, finals, best] = ["known", "lrs", "ends", "steps", "seeds", "finals", "best"].map((name) => model.get(name));
  const losses = unpack(model.get("table"), model.get("scale")), set = setter(model), kept = [];
  const rasters = model.get("rasters"), values = ["lr", "shape", "warmup"];
  const now = () => ({ strategy: model.get("strategy"), ...Object.fromEntries(values.map((name) => [name, rasters[name][model.get(`${name}_index`)]])) });
  const asRun = (run, rate) => ({ strategy: known[run][0], lr: lrs[rate], shape: known[run][1], warmup: known[run][2] });
  const same = (a, b) => Object.keys(a).every((name) => a[name] === b[name] || (name === "shape" && a.strategy === "constant"));

  const choice = select("strategy", Object.entries(NAMES), model.get("strategy"), (strategy) => set({ strategy }));
  root.append(
    make("div", { class: "gd-bar" }, choice.element,
      button("Keep this curve", () => {
        if (!kept.some((k) => same(k, now()))) kept.push(now());
        if (kept.length > 5) kept.shift();
        watch.request();
      }),
      button("Clear kept curves", () => { kept.length = 0; watch.request(); }),
      button("Text's setting", () => set(model.get("setting"))),
      button("Best setting", () => { const run = asRun(...best); set({ strategy: run.strategy, ...Object.fromEntries(values.map((name) => [`${name}_index`, rasters[name].indexOf(run[name])])) }); }, { disabled: !best.length })),
    canvas, readout, details(numbers));
  el.append(root);

  function draw() {
    const colors = themeOf(root), width = root.clientWidth, narrow = width < 500, height = narrow ? 430 : 450;
    const context = prepare(canvas, width, height), right = width - (narrow ? 14 : 176);
    const shown = [...kept.filter((k) => !same(k, now())), now()].map((s, n, all) => {
      const found = nearestRun(s, known, lrs, model.get("reach")), last = n === all.length - 1;
      const seen = found.near ? { ...spread(curvesOf(losses, found.run * lrs.length + found.rate, seeds, ends.length)), at: ends } : null;
      return { setting: s, found, seen, rates: scheduleOf(s, steps), color: last ? colors.blue : colors.cycle[1 + (n % 5)], width: last ? 2.4 : 1.5 };
    });
    const here = shown[shown.length - 1], { found } = here, run = found.run >= 0 && found.rate >= 0 ? asRun(found.run, found.rate) : null;

    const most = Math.max(...shown.map((s) => s.setting.lr)), power = 10 ** Math.floor(Math.log10(most));
    const top = power * [1, 2, 5, 10].find((m) => m * power >= most * (1 - 1e-9));
    const above = { left: 52, right, top: 20, bottom: 20 + (narrow ? 130 : 140) }, below = { ...above, top: above.bottom + 48, bottom: height - 36 };
    const rates = axes(context, colors, above, { low: 0, high: steps, label: "" }, { low: 0, high: top, label: say("learning rate") });
    const path = (values) => values.map((v, step) => [rates.X(step), rates.Y(v)]);
    if (found.near && !same(run, here.setting)) {
      context.setLineDash([4, 4]);
      line(context, path(scheduleOf(run, steps)), colors.faint, 1.3);
      context.setLineDash([]);
    }
    for (const s of shown) line(context, path(s.rates), s.color, s.width);
    if (!narrow) drawNames(context, colors, shown.map((s) => ({ text: brief(s.setting), x: right + 8, y: rates.Y(s.rates[steps - 1]), color: s.color })), width, above.bottom + 4);

    const drawn = shown.filter((s) => s.seen);
    if (drawn.length) {
      const maps = axes(context, colors, below, { low: 0, high: steps, label: say("step") }, lossAxis(drawn.map((s) => s.seen)));
      drawNames(context, colors, drawn.map((s) => ({
        ...drawSpread(context, colors, maps, below, s.seen, s.color, s.width),
        text: brief(asRun(s.found.run, s.found.rate)) + (s.seen.diverged ? " ✕" : ""),
      })), width, below.bottom);
    }
    if (!here.seen) {
      context.textAlign = "center";
      writeOver(context, colors, say("no real run is near"), (below.left + below.right) / 2, (below.top + below.bottom) / 2);
    }

    const final = run && finals[found.run][found.rate], result = here.seen && outcome(final, here.seen.diverged, seeds);
    readout.dataset.state = here.seen?.diverged ? "bad" : "good";
    readout.replaceChildren(make("strong", {}, full(here.setting) + (isChinese() ? "。" : ".")), ` ${told(here, run, result)}`);
    canvas.setAttribute("aria-label", readout.textContent);
    choice.list.value = model.get("strategy");
    numbers.replaceChildren(...shown.map((s) => row(brief(s.setting),
      ...[0, steps >> 1, steps - 1].map((step) => `${say("step")} ${step}: ${short(s.rates[step])}`),
      s.seen ? `${say("loss")} ${s.seen.diverged ? say("diverges") : short(finals[s.found.run][s.found.rate][0])}` : say("no real run is near"))));
    Object.assign(root.dataset, { near: found.near, run: run ? Object.values(run).join() : "", final: here.seen && final ? final[0] : "", last: here.rates[steps - 1] });
  }

  // Which run is shown for a setting, and how it compares with the best of the table.
  function told({ setting, found }, run, result) {
    const chinese = isChinese(), top = best.length ? full(asRun(...best)) : null;
    const tail = !top ? "" : chinese ? ` 表中最好：${top}，损失 ${short(finals[best[0]][best[1]][0])}。` : ` Best of the table: ${top}: loss ${short(finals[best[0]][best[1]][0])}.`;
    if (!run) return (chinese ? "没有用这种策略训练过。" : "No run was trained with this strategy.") + tail;
    if (!found.near) return (chinese ? `附近没有真实的训练；最近的是 ${full(run)}。` : `No real run is near; the nearest is ${full(run)}.`) + tail;
    if (same(run, setting)) return (chinese ? `真实的训练：${result}。` : `The real run: ${result}.`) + tail;
    return (chinese ? `最近的真实训练（虚线）：${full(run)}：${result}。` : `The nearest real run (dashed): ${full(run)}: ${result}.`) + tail;
  }

  const watch = redrawOnChange(root, model, ["strategy", ...values.map((name) => `${name}_index`)], draw);
  return watch.end;
}

export default { render };
