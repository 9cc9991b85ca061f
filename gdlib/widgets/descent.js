// The descent explorer: gradient descent on a two-parameter loss, computed in the page.

const LR = { low: -4, high: 0.5, step: 0.05 };       // exponents of 10, those of the slider
const MOMENTUM = { high: 0.98, step: 0.02 };
const TOO_LARGE = 1e100;                              // as in gdlib/descent.py

// The losses of gdlib/problems.py, with every product and sum in the same order, so that paths agree to the last digit
// even where they are chaotic. least_squares comes as the quadratic form of its data: A, b and c.
export function problemOf(name, given) {
  if (name === "rosenbrock") {
    return {
      loss: (x, y) => { const a = 1 - x, b = y - x * x; return a * a + 100 * (b * b); },
      gradient: (x, y) => { const a = 1 - x, b = y - x * x; return [-2 * a - 400 * (x * b), 200 * b]; },
    };
  }
  if (name === "least_squares") {
    const [[p, q], [, r]] = given.A, [s, t] = given.b;
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
  let [x, y] = start, u = 0, v = 0;
  const points = [[x, y]], losses = [problem.loss(x, y)];
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

// The slider positions whose path ends lowest.
export function bestSetting(problem, start, steps) {
  let best = { loss: Infinity };
  for (let e = 0; e <= Math.round((LR.high - LR.low) / LR.step); e++) {
    for (let m = 0; m <= Math.round(MOMENTUM.high / MOMENTUM.step); m++) {
      const lr = 10 ** (LR.low + e * LR.step), momentum = Number((m * MOMENTUM.step).toFixed(2));
      const { losses } = descend(problem, start, lr, steps, momentum);
      const loss = losses[losses.length - 1];
      if (loss < best.loss) best = { loss, lr, momentum };
    }
  }
  return best;
}

// Level lines by marching squares: pairs of points on the edges of a grid's cells.
function levelLines(height, columns, rows, level) {
  const segments = [];
  const cut = (a, b) => (level - a) / (b - a);
  for (let j = 0; j + 1 < rows; j++) {
    for (let i = 0; i + 1 < columns; i++) {
      const k = j * columns + i;
      const a = height[k], b = height[k + 1], c = height[k + columns + 1], d = height[k + columns];
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

function render({ model, el }) {
  const root = make("div", { class: "gd gd-descent" });
  const landscape = make("canvas", { tabindex: "0", role: "img", class: "gd-free" }), curve = make("canvas", { role: "img" });
  const readout = make("output", { class: "gd-readout", "aria-live": "polite" });
  const numbers = make("tbody");
  const set = setter(model);
  const problems = model.get("problems"), text = model.get("setting");
  const choice = select("problem", Object.entries(problems).map(([key, p]) => [key, p.name]), model.get("problem"),
    (name) => set({ problem: name, start: problems[name].start }));
  root.append(
    make("div", { class: "gd-bar" }, choice.element, button("Text's setting", () => set(text)),
      button("Best setting", () => { const { lr, momentum } = bestSetting(here(), model.get("start"), model.get("steps")); set({ lr, momentum }); })),
    make("div", { class: "gd-panels" }, landscape, curve), readout,
    details(numbers));
  el.append(root);

  const here = () => problemOf(model.get("problem"), problems[model.get("problem")]);
  const clamp = (v, low, high) => Math.min(high, Math.max(low, v));
  let box, background = {};

  const moveTo = ([x, y]) => {
    const [left, right, bottom, top] = problems[model.get("problem")].extent;
    set({ start: [clamp(x, left, right), clamp(y, bottom, top)] });
  };
  grab(landscape, (x, y) => {
    const [left, right, bottom, top] = problems[model.get("problem")].extent;
    moveTo([left + ((x - box.left) / (box.right - box.left)) * (right - left),
      bottom + ((box.bottom - y) / (box.bottom - box.top)) * (top - bottom)]);
  }, (dx, dy) => {
    const [left, right] = problems[model.get("problem")].extent, [x, y] = model.get("start");
    moveTo([x + (dx * (right - left)) / 50, y + (dy * (right - left)) / 50]);
  });

  function drawLandscape(colors, path, width, height) {
    const name = model.get("problem"), given = problems[name], problem = here();
    const [left, right, bottom, top] = given.extent;
    box = { left: 42, right: width - 8, top: 20, bottom: height - 36 };
    const context = prepare(landscape, width, height);
    const { X, Y } = axes(context, colors, box, { low: left, high: right, label: given.axes[0] }, { low: bottom, high: top, label: given.axes[1] });

    const key = [name, width, height, colors.dark, window.devicePixelRatio].join();
    if (background.key !== key) {                     // level lines change with the problem and the size, not with the path
      const columns = 110, rows = 90, values = new Float64Array(columns * rows);
      for (let j = 0; j < rows; j++) for (let i = 0; i < columns; i++)
        values[j * columns + i] = problem.loss(left + ((right - left) * i) / (columns - 1), bottom + ((top - bottom) * j) / (rows - 1)) - given.lowest;
      const highest = Math.max(...values), shape = new Path2D();
      for (let k = 0; k < 15; k++) {
        for (const ends of levelLines(values, columns, rows, highest * 2 ** (k - 15))) {
          ends.forEach(([i, j], n) => {
            const at = [X(left + ((right - left) * i) / (columns - 1)), Y(bottom + ((top - bottom) * j) / (rows - 1))];
            n ? shape.lineTo(...at) : shape.moveTo(...at);
          });
        }
      }
      background = { key, shape };
    }
    context.save();
    context.beginPath();
    context.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
    context.clip();
    context.strokeStyle = colors.faint;
    context.lineWidth = 0.8;
    context.stroke(background.shape);
    const seen = path.points.map(([x, y]) => [clamp(X(x), -1e4, 1e4), clamp(Y(y), -1e4, 1e4)]).filter(([x, y]) => x === x && y === y);
    line(context, seen, colors.blue, 1.6);
    context.fillStyle = colors.blue;
    for (const [x, y] of seen.slice(1)) { context.beginPath(); context.arc(x, y, 2.4, 0, 7); context.fill(); }
    context.fillStyle = colors.green;
    context.font = "18px system-ui";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText("★", X(given.minimum[0]), Y(given.minimum[1]));
    context.restore();
    context.beginPath();
    context.arc(...seen[0], 8, 0, 7);
    context.fillStyle = colors.orange;
    context.fill();
    context.strokeStyle = colors.surface;
    context.lineWidth = 2;
    context.stroke();
  }

  function drawCurve(colors, path, width, height) {
    const context = prepare(curve, width, height), lowest = problems[model.get("problem")].lowest;
    const above = path.losses.map((loss) => loss - lowest), positive = above.filter((v) => v > 0 && Number.isFinite(v));
    const low = Math.max(1e-16, Math.min(...positive, 1)), high = Math.max(...positive, low * 10);
    const area = { left: 54, right: width - 10, top: 20, bottom: height - 36 };
    const { X, Y } = axes(context, colors, area, { low: 0, high: model.get("steps"), label: say("step") },
      { low: 10 ** Math.floor(Math.log10(low)), high: 10 ** Math.ceil(Math.log10(high) + 1e-9), log: true, label: say("loss above the minimum") });
    line(context, above.map((v, i) => [X(i), Y(clamp(v, low, high))]), path.diverged ? colors.red : colors.blue, 1.8);
  }

  function verdict(path) {
    const given = problems[model.get("problem")], lr = model.get("lr"), momentum = model.get("momentum");
    const limit = given.limit * (1 + momentum), taken = path.losses.length - 1;
    const rule = momentum ? `2(1 + β)/L = ${short(limit)}` : `2/L = ${short(limit)}`;
    const compared = `${short(lr)} ${lr > limit ? ">" : lr < limit ? "<" : "="} ${rule}`;
    const where = model.get("problem") === "rosenbrock" ? (isChinese() ? "（最小值处的 L）" : " (L at the minimum)") : "";
    const end = path.losses[taken] - given.lowest;
    return isChinese()
      ? [path.diverged ? "发散" : "下降", `：${compared}${where}。${taken} 步之后，损失高出最小值 ${short(end)}。`]
      : [path.diverged ? "Diverges" : "Descends", `: ${compared}${where}. After ${taken} steps the loss is ${short(end)} above the minimum.`];
  }

  const watch = redrawOnChange(root, model, ["problem", "start", "lr", "momentum", "steps"], () => {
    const colors = themeOf(root), room = root.clientWidth;
    const width = room < 620 ? room : Math.floor((room - 8) / 2), height = Math.round(Math.min(330, Math.max(250, width * 0.8)));
    const path = descend(here(), model.get("start"), model.get("lr"), model.get("steps"), model.get("momentum"));
    drawLandscape(colors, path, width, height);
    drawCurve(colors, path, width, height);
    const [word, rest] = verdict(path), last = path.points[path.points.length - 1];
    readout.dataset.state = path.diverged ? "bad" : "good";
    readout.replaceChildren(make("strong", {}, word), rest);
    landscape.setAttribute("aria-label", word + rest);
    curve.setAttribute("aria-label", `${say("loss above the minimum")} / ${say("step")}. ${word}${rest}`);
    choice.list.value = model.get("problem");
    numbers.replaceChildren(...[[say("start"), path.points[0], path.losses[0]], [say("end"), last, path.losses[path.losses.length - 1]]].map(
      ([name, point, loss]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, `w = (${point.join(", ")})`), make("td", {}, ` ${say("loss")} = ${loss}`))));
    root.dataset.loss = path.losses[path.losses.length - 1];
    root.dataset.steps = path.losses.length - 1;
  });
  return watch.end;
}

export default { render };
