// The run explorer: a table of real training runs, looked up by learning rate and batch size.

// The table's curves: losses[lr][batch size][seed][point], float32, little-endian.
export function tableOf(bytes, [, sizes, seeds, points]) {
  const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  return (i, j) => curvesOf(values, i * sizes + j, seeds, points);
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
  const curvesAt = tableOf(model.get("table"), [lrs.length, sizes.length, model.get("seeds").length, ends.length]);
  const seconds = model.get("seconds_per_step"), flops = model.get("flops_per_sample");
  const kept = [], trained = [];
  const set = setter(model);

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
    details(numbers));
  el.append(root);

  const name = (i, j) => `lr ${short(lrs[i])}, B ${sizes[j]}`;
  const final = (i, j) => { const f = model.get("finals"); return f[i][j]; };

  function draw() {
    const colors = themeOf(root), width = root.clientWidth, height = width < 500 ? 300 : 340;
    const context = prepare(canvas, width, height), axis = model.get("axis");
    const now = [model.get("lr_index"), model.get("batch_index")];
    const shown = [...kept.filter(([i, j]) => i !== now[0] || j !== now[1]), now].map(([i, j]) => ({
      i, j, ...spread(curvesAt(i, j)), at: positionsOn(axis, ends, sizes[j], flops, seconds[j]),
    }));
    const live = trained.filter((t) => t.losses.length).map((t) => {
      const steps = t.losses.map((_, n) => n + 1), j = sizes.indexOf(t.size);
      return { ...t, at: positionsOn(axis, steps, t.size, flops, seconds[j]) };
    });
    const right = Math.max(...shown.map((s) => s.at[s.at.length - 1]), ...live.map((t) => t.at[t.at.length - 1]));
    const left = axis === "steps" ? 0 : Math.min(...shown.map((s) => s.at[0]));
    const area = { left: 52, right: width - (width < 500 ? 14 : 104), top: 20, bottom: height - 36 };
    const vertical = lossAxis(shown, live.flatMap((t) => t.losses));
    const { X, Y } = axes(context, colors, area, { low: left, high: right, log: axis !== "steps", label: say(axisNames[axis]) },
      vertical);

    const names = shown.map((s, n) => ({
      ...drawSpread(context, colors, { X, Y }, area, s, n === shown.length - 1 ? colors.blue : colors.cycle[1 + (n % 5)], n === shown.length - 1 ? 2.4 : 1.5),
      text: name(s.i, s.j) + (s.diverged ? " ✕" : ""),
    }));
    for (const t of live) {
      context.setLineDash([4, 3]);
      line(context, t.losses.map((v, p) => [X(t.at[p]), Y(Math.min(Math.max(v, vertical.low), vertical.high))]), colors.green, 1.3);
      context.setLineDash([]);
    }
    drawNames(context, colors, names, width, area.bottom);

    const s = shown[shown.length - 1], seeds = model.get("seeds").length, value = final(...now);
    const bestValue = final(...best);
    const compared = isChinese() ? `。表中最好：${name(...best)}，损失 ${short(bestValue[0])}。` : `. Best of the table: ${name(...best)}, loss ${short(bestValue[0])}.`;
    readout.dataset.state = s.diverged ? "bad" : "good";
    readout.replaceChildren(make("strong", {}, `${name(...now)}: ${outcome(value, s.diverged, seeds)}`), compared, trained.length ? lastTrained() : "");
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
