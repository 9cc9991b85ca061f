// The cockpit: loss, learning rate and batch size of a run that is steered while it goes on, or of a recorded session.

// The recorded session's columns: float32, little-endian, losses first, then rates, then batch sizes.
export function sessionOf(bytes) {
  const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)), n = values.length / 3;
  return { losses: [...values.subarray(0, n)], lrs: [...values.subarray(n, 2 * n)], sizes: [...values.subarray(2 * n)] };
}

// At most so many points of a curve: the mean of each window of steps, at the window's middle.
export function thinned(values, points) {
  const width = Math.max(1, Math.ceil(values.length / points)), found = [];
  for (let start = 0; start < values.length; start += width) {
    const part = values.slice(start, start + width);
    found.push([start + (part.length - 1) / 2, part.reduce((a, b) => a + b, 0) / part.length]);
  }
  return found;
}

function render({ model, el }) {
  const root = make("div", { class: "gd gd-cockpit" }), canvas = make("canvas", { role: "img" });
  const readout = make("output", { class: "gd-readout", "aria-live": "polite" }), numbers = make("tbody");
  const session = sessionOf(model.get("recording")), set = setter(model), setting = model.get("setting");
  let live = false, state = "ready", device = "", rate = 0, shown = session.losses.length, playing = 0;
  let run = { losses: [], lrs: [], sizes: [] };

  const wish = (what) => {
    if (live) return model.send({ do: what });
    cancelAnimationFrame(playing);
    if (what === "stop") shown = 0;
    if (what === "start") {
      if (shown >= session.losses.length) shown = 0;
      let before = performance.now();
      const play = (now) => {                            // the whole session in about ten seconds
        shown = Math.min(session.losses.length, shown + ((now - before) / 10000) * session.losses.length);
        before = now;
        if (shown < session.losses.length) playing = requestAnimationFrame(play);
        watch.request();
      };
      playing = requestAnimationFrame(play);
    }
    watch.request();
  };
  const start = button("Start", () => wish("start"));
  const bar = make("div", { class: "gd-bar" }, start, button("Pause", () => wish("pause")), button("Stop", () => wish("stop")),
    button("Text's setting", () => set({ lr: setting[0], batch_index: setting[1] })));
  root.append(bar, canvas, readout, details(numbers));
  el.append(root);

  model.on("msg:custom", (message) => {
    if (!message.state) return;
    live = true;
    cancelAnimationFrame(playing);
    ({ state, device } = message);
    rate = message.rate ?? (state === "running" ? rate : 0);
    if (message.losses) {
      if (message.at === 0) run = { losses: [], lrs: [], sizes: [] };
      for (const name of ["losses", "lrs", "sizes"]) run[name].push(...message[name]);
    }
    watch.request();
  });

  function panel(context, colors, area, x, values, mark, color, label, low, high, last) {
    const { X, Y } = axes(context, colors, area, { ...x, label: last ? say("step") : "", ticks: last ? undefined : [] },
      { low, high, log: true, label });
    context.save();
    context.beginPath();
    context.rect(area.left, area.top - 2, area.right - area.left + 1, area.bottom - area.top + 4);
    context.clip();
    if (mark != null) {
      context.setLineDash([5, 4]);
      line(context, [[area.left, Y(mark)], [area.right, Y(mark)]], colors.faint, 1.4);
      context.setLineDash([]);
    }
    line(context, values.map(([step, value]) => [X(step), Y(Math.min(Math.max(value, low), high))]), color, 1.8);
    context.restore();
  }

  function draw() {
    const colors = themeOf(root), width = root.clientWidth, height = 400, context = prepare(canvas, width, height);
    const from = live ? run : session, until = live ? run.losses.length : Math.floor(shown);
    const x = { low: 0, high: Math.max(10, live ? until : session.losses.length) };
    const losses = from.losses.slice(0, until).filter((v) => v > 0 && Number.isFinite(v));
    const low = Math.min(...losses, 1), high = Math.max(...losses, low * 2);
    const lr = model.get("lr"), size = model.get("batch_sizes")[model.get("batch_index")];
    const rates = [...from.lrs.slice(0, until), lr], sizes = [...from.sizes.slice(0, until), size];
    const areas = [[20, 210], [236, 290], [316, 364]].map(([top, bottom]) => ({ left: 58, right: width - 12, top, bottom }));
    const points = Math.max(50, Math.floor(width / 2));
    panel(context, colors, areas[0], x, thinned(from.losses.slice(0, until), points), null, colors.blue, say("loss"), low * 0.9, high * 1.1, false);
    panel(context, colors, areas[1], x, thinned(from.lrs.slice(0, until), points), lr, colors.orange, say("learning rate"), Math.min(...rates) / 3, Math.max(...rates) * 3, false);
    panel(context, colors, areas[2], x, thinned(from.sizes.slice(0, until), points), size, colors.violet, say("batch size"), Math.min(...sizes) / 3, Math.max(...sizes) * 3, true);

    const chinese = isChinese(), last = until ? from.losses[until - 1] : NaN, tail = from.losses.slice(Math.max(0, until - 20), until);
    const mean = tail.length ? tail.reduce((a, b) => a + b, 0) / tail.length : NaN;
    const where = chinese ? `第 ${until} 步，最近 20 步的平均损失 ${short(mean)}` : `step ${until}, mean loss of the last 20 steps ${short(mean)}`;
    const words = { ready: ["Ready", "就绪"], running: ["Running", "运行中"], paused: ["Paused", "已暂停"], stopped: ["Stopped", "已停止"], done: ["Done", "已完成"] };
    const now = live ? (words[state] ?? [state, state])[chinese ? 1 : 0] : chinese ? "录制的训练" : "A recorded session";
    const rest = live
      ? ` (${device}${rate ? `, ${short(rate)} ${chinese ? "步/秒" : "steps a second"}` : ""}): ${where}. `
      : ` (${model.get("about")}): ${where}. ` + (chinese
        ? `本页没有内核，所以按钮只是重放；虚线是滑块的设置 ${short(lr)} 和 ${size}，有内核时它在下一步就起作用。`
        : `No kernel is behind this page, so the buttons replay it; the dashes are your sliders, ${short(lr)} and ${size}, which a kernel would obey at the next step.`);
    readout.dataset.state = live && !words[state] ? "bad" : "good";
    readout.replaceChildren(make("strong", {}, now), rest);
    canvas.setAttribute("aria-label", readout.textContent);
    numbers.replaceChildren(
      row(say("loss"), short(last)), row(say("learning rate"), until ? short(from.lrs[until - 1]) : "—", `→ ${short(lr)}`),
      row(say("batch size"), until ? String(from.sizes[until - 1]) : "—", `→ ${size}`));
    Object.assign(root.dataset, { steps: until, live, state });
  }

  const watch = redrawOnChange(root, model, ["lr", "batch_index"], draw);
  model.send({ hello: true });
  return () => { cancelAnimationFrame(playing); watch.end(); };
}

export default { render };
