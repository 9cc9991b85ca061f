// The run explorer: a table of real training runs, looked up by learning rate and batch size.

// The table's curves: losses[lr][batch size][seed][point], float32, little-endian.
export function tableOf(bytes, shape) {
  const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  const [, sizes, seeds, points] = shape;
  return (i, j) => Array.from({ length: seeds }, (_, s) => values.subarray(((i * sizes + j) * seeds + s) * points, ((i * sizes + j) * seeds + s + 1) * points));
}

// Mean, lowest and highest over the seeds at each point, up to the first point at which any seed has diverged.
export function spread(curves) {
  const points = curves[0].length;
  let until = 0;
  while (until < points && curves.every((curve) => Number.isFinite(curve[until]))) until++;
  const over = (f) => Array.from({ length: until }, (_, p) => f(curves.map((curve) => curve[p])));
  return {
    until,
    mean: over((v) => v.reduce((a, b) => a + b, 0) / v.length),
    low: over((v) => Math.min(...v)),
    high: over((v) => Math.max(...v)),
    diverged: curves.filter((curve) => !Number.isFinite(curve[points - 1])).length,
  };
}

// What the horizontal axis counts after so many steps: more of each as the batch grows, but for the steps themselves.
export function positionsOn(axis, ends, batchSize, flopsPerSample, secondsPerStep) {
  const perStep = { steps: 1, samples: batchSize, flops: batchSize * flopsPerSample, seconds: secondsPerStep }[axis];
  return ends.map((step) => step * perStep);
}

function render({ model, el }) {
  const root = make("div", { class: "gd gd-runs" }), canvas = make("canvas", { role: "img" });
  const readout = make("output", { class: "gd-readout", "aria-live": "polite" }), numbers = make("tbody");
  const lrs = model.get("lrs"), sizes = model.get("batch_sizes"), ends = model.get("ends");
  const curvesOf = tableOf(model.get("table"), [lrs.length, sizes.length, model.get("seeds").length, ends.length]);
  const seconds = model.get("seconds_per_step"), flops = model.get("flops_per_sample");
  const kept = [], trained = [];
  const set = (changes) => { for (const [k, v] of Object.entries(changes)) model.set(k, v); model.save_changes(); };

  const axisNames = { steps: "steps", samples: "samples seen", ...(flops ? { flops: "FLOPs" } : {}), ...(seconds.length ? { seconds: "seconds" } : {}) };
  const choice = select("horizontal axis", Object.entries(axisNames), model.get("axis"), (axis) => set({ axis }));
  const keep = button("Keep this curve", () => {
    const [i, j] = [model.get("lr_index"), model.get("batch_index")];
    if (!kept.some(([a, b]) => a === i && b === j)) kept.push([i, j]);
    if (kept.length > 5) kept.shift();
    watch.request();
  });
  const clear = button("Clear kept curves", () => { kept.length = trained.length = 0; watch.request(); });
  const text = model.get("setting"), best = model.get("best");
  const train = button("Train this for real", () => {
    train.disabled = true;
    trained.push({ lr: lrs[model.get("lr_index")], size: sizes[model.get("batch_index")], losses: [] });
    model.send({ train: [trained[trained.length - 1].lr, trained[trained.length - 1].size] });
    watch.request();
  });
  train.hidden = true;                                // until a kernel answers: on the published page there is none
  model.on("msg:custom", (message) => {
    if (message.hello) train.hidden = false;
    if (message.losses && trained.length) trained[trained.length - 1].losses.push(...message.losses);
    if (message.done) { train.disabled = false; if (trained.length) trained[trained.length - 1].end = message.done; }
    watch.request();
  });
  root.append(
    make("div", { class: "gd-bar" }, choice.element, keep, clear,
      button("Text's setting", () => set({ lr_index: text[0], batch_index: text[1] })),
      button("Best setting", () => set({ lr_index: best[0], batch_index: best[1] })), train),
    canvas, readout,
    make("details", { class: "gd-numbers" }, make("summary", {}, say("The numbers")), make("table", {}, numbers)));
  el.append(root);

  const name = (i, j) => `lr ${short(lrs[i])}, B ${sizes[j]}`;
  const final = (i, j) => { const f = model.get("finals"); return f[i][j]; };

  function draw() {
    const colors = themeOf(root), width = root.clientWidth, height = width < 500 ? 300 : 340;
    const context = prepare(canvas, width, height), axis = model.get("axis");
    const now = [model.get("lr_index"), model.get("batch_index")];
    const shown = [...kept.filter(([i, j]) => i !== now[0] || j !== now[1]), now].map(([i, j]) => ({
      i, j, ...spread(curvesOf(i, j)), at: positionsOn(axis, ends, sizes[j], flops, seconds[j]),
    }));
    const live = trained.filter((t) => t.losses.length).map((t) => {
      const steps = t.losses.map((_, n) => n + 1), j = sizes.indexOf(t.size);
      return { ...t, at: positionsOn(axis, steps, t.size, flops, seconds[j]) };
    });
    const heights = [...shown.flatMap((s) => [...s.low, ...s.high]), ...live.flatMap((t) => t.losses)].filter((v) => v > 0 && Number.isFinite(v));
    const low = Math.min(...heights, 1), high = Math.max(...heights, low * 2);
    const right = Math.max(...shown.map((s) => s.at[s.at.length - 1]), ...live.map((t) => t.at[t.at.length - 1]));
    const left = axis === "steps" ? 0 : Math.min(...shown.map((s) => s.at[0]));
    const area = { left: 52, right: width - (width < 500 ? 14 : 104), top: 20, bottom: height - 36 };
    const { X, Y } = axes(context, colors, area, { low: left, high: right, log: axis !== "steps", label: say(axisNames[axis]) },
      { low: low * 0.9, high: high * 1.1, log: true, label: say("loss") });

    const labels = [];
    shown.forEach((s, n) => {
      const color = n === shown.length - 1 ? colors.blue : colors.cycle[1 + (n % 5)];
      context.fillStyle = color;
      context.globalAlpha = 0.18;
      context.beginPath();
      s.low.forEach((v, p) => context.lineTo(X(s.at[p]), Y(v)));
      for (let p = s.until - 1; p >= 0; p--) context.lineTo(X(s.at[p]), Y(s.high[p]));
      context.fill();
      context.globalAlpha = 1;
      line(context, s.mean.map((v, p) => [X(s.at[p]), Y(v)]), color, n === shown.length - 1 ? 2.4 : 1.5);
      const last = Math.max(0, s.until - 1), place = s.until ? [X(s.at[last]), Y(s.mean[last])] : [area.left + 12, area.top + 12];
      if (s.diverged) {
        const [x, y] = place;
        line(context, [[x - 6, y - 6], [x + 6, y + 6]], colors.red, 2.5);
        line(context, [[x - 6, y + 6], [x + 6, y - 6]], colors.red, 2.5);
      }
      labels.push({ text: name(s.i, s.j) + (s.diverged ? " ✕" : ""), x: place[0] + 8, y: place[1], color });
    });
    for (const t of live) {
      context.setLineDash([4, 3]);
      line(context, t.losses.map((v, p) => [X(t.at[p]), Y(Math.min(Math.max(v, low), high))]), colors.green, 1.3);
      context.setLineDash([]);
    }
    context.textBaseline = "middle";
    labels.sort((a, b) => a.y - b.y).forEach((label, n) => {
      if (n) label.y = Math.max(label.y, labels[n - 1].y + 14);
      const space = context.measureText(label.text).width, fits = label.x + space < width;
      context.textAlign = "left";
      context.fillStyle = label.color;
      context.fillText(label.text, fits ? label.x : width - space - 2, fits ? label.y : label.y - 12);
    });

    const s = shown[shown.length - 1], seeds = model.get("seeds").length, value = final(...now);
    const range = value ? `${short(value[0])} (${short(value[1])}–${short(value[2])})` : "";
    const bestValue = final(...best);
    const worst = isChinese()
      ? `${s.diverged} / ${seeds} 个种子发散`
      : `${s.diverged} of ${seeds} seeds diverge`;
    const result = s.diverged ? worst : isChinese() ? `最终损失 ${range}，${seeds} 个种子` : `final loss ${range} over ${seeds} seeds`;
    const compared = isChinese() ? `。表中最好：${name(...best)}，损失 ${short(bestValue[0])}。` : `. Best of the table: ${name(...best)}, loss ${short(bestValue[0])}.`;
    readout.dataset.state = s.diverged ? "bad" : "good";
    readout.replaceChildren(make("strong", {}, `${name(...now)}: ${result}`), compared, trained.length ? lastTrained() : "");
    canvas.setAttribute("aria-label", readout.textContent);
    choice.list.value = axis;
    numbers.replaceChildren(...shown.map((r) => make("tr", {}, make("th", { scope: "row" }, name(r.i, r.j)),
      make("td", {}, final(r.i, r.j) ? short(final(r.i, r.j)[0]) : say("diverges")), make("td", {}, `${short(r.at[r.at.length - 1])} ${say(axisNames[axis])}`))));
    root.dataset.final = value ? value[0] : "diverged";
    root.dataset.lr = lrs[now[0]];
    root.dataset.batch = sizes[now[1]];
  }

  function lastTrained() {
    const t = trained[trained.length - 1], here = `lr ${short(t.lr)}, B ${t.size}`;
    return t.end ? ` ${isChinese() ? "刚才的训练" : "Trained here"} (${here}): ${t.end}` : ` ${say("Training…")}`;
  }

  const watch = redrawOnChange(root, model, ["lr_index", "batch_index", "axis"], draw);
  model.send({ hello: true });
  return watch.end;
}

export default { render };
