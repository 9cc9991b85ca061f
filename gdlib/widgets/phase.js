// The phase diagram: a map of final losses, learning rate by batch size, and the curve behind the chosen cell.

Object.assign(WORDS.zh, {
  "optimizer": "优化器", "compare after": "比较时机", "equal steps": "相同步数", "equal samples": "相同样本数",
  "linear rule": "线性规则", "square-root rule": "平方根规则", "best rates": "最佳学习率", "critical": "临界批量",
  "best here": "此批量最好", "compared here": "在此比较", "unknown": "未知", "before training": "训练前",
});
const VIRIDIS = [[253, 231, 37], [173, 220, 48], [94, 201, 98], [40, 174, 128], [33, 145, 140], [44, 114, 142], [59, 82, 139], [71, 45, 123], [68, 1, 84]];

const isKnown = (cell) => cell?.length === 3;         // mean, lowest, highest; else how many seeds diverged, or nothing

// For each batch size, where the rate with the lowest mean loss is; -1 where there is none.
export function ridge(cells) {
  return cells[0].map((_, j) => cells.reduce((best, group, i) => (isKnown(group[j]) && (best < 0 || group[j][0] < cells[best][j][0]) ? i : best), -1));
}

// The rate that a rule gives a batch size: a power of 1 is the linear rule, 1/2 the square-root rule.
export function ruled([size, lr], batchSize, power) {
  return lr * (batchSize / size) ** power;
}

// The cell with the lowest mean loss.
export function lowest(cells) {
  const tops = ridge(cells).map((i, j) => [i, j]).filter(([i]) => i >= 0);
  return tops.length ? tops.reduce((a, b) => (cells[b[0]][b[1]][0] < cells[a[0]][a[1]][0] ? b : a)) : null;
}

// Where the cells around such values begin and end: halfway between neighbours, by ratio.
export function edges(values) {
  const ratio = (i) => Math.sqrt(values[i + 1] / values[i]), last = values.length - 1;
  if (!last) return [values[0] / Math.SQRT2, values[0] * Math.SQRT2];
  return [values[0] / ratio(0), ...values.slice(1).map((v, i) => v / ratio(i)), values[last] * ratio(last - 1)];
}

// From 0 (the lowest loss, bright) to 1 (the loss before training, or above it; dark).
export function shade(share) {
  const at = Math.min(1, Math.max(0, share)) * (VIRIDIS.length - 1), i = Math.min(VIRIDIS.length - 2, Math.floor(at));
  return `rgb(${VIRIDIS[i].map((c, k) => Math.round(c + (at - i) * (VIRIDIS[i + 1][k] - c))).join(" ")})`;
}

function render({ model, el }) {
  const root = make("div", { class: "gd gd-phase" }), map = make("canvas", { tabindex: "0", role: "img" }), curve = make("canvas", { role: "img" });
  const readout = make("output", { class: "gd-readout", "aria-live": "polite" }), numbers = make("tbody");
  const [grids, lrs, sizes, samples, text] = ["grids", "lrs", "batch_sizes", "samples", "setting"].map((name) => model.get(name));
  const losses = unpack(model.get("table"), model.get("scale")), set = setter(model), all = Object.values(grids);
  const grid = () => grids[model.get("optimizer")], cells = () => grid()[model.get("compare")];
  const here = () => [grid().lrs.indexOf(lrs[model.get("lr_index")]), grid().sizes.indexOf(sizes[model.get("batch_index")])];
  const place = (i, j, g = grid()) => ({ lr_index: lrs.indexOf(g.lrs[i]), batch_index: sizes.indexOf(g.sizes[j]) });
  const near = (values, value) => values.reduce((best, v, i) => (Math.abs(Math.log(v / value)) < Math.abs(Math.log(values[best] / value)) ? i : best), 0);
  const nearCell = (lr, size, g = grid()) => place(near(g.lrs, lr), near(g.sizes, size), g);


  const menu = select("optimizer", Object.keys(grids).map((name) => [name, name]), model.get("optimizer"), (name) => {
    const g = grids[name], known = g.lrs.includes(lrs[model.get("lr_index")]) && g.sizes.includes(sizes[model.get("batch_index")]);
    set({ optimizer: name, ...(known ? {} : nearCell(g.base[1], sizes[model.get("batch_index")], g)) });
  });
  const compare = select("compare after", [["steps", "equal steps"], ["samples", "equal samples"]], model.get("compare"), (value) => set({ compare: value }));
  root.append(
    make("div", { class: "gd-bar" }, menu.element, compare.element, button("Text's setting", () => set(text)),
      button("Best setting", () => { const best = lowest(cells()); if (best) set(place(...best)); })),
    make("div", { class: "gd-panels" }, map, curve), readout, details(numbers));
  el.append(root);

  let box, spans;
  const valueAt = ([low, high], share) => low * (high / low) ** share;
  grab(map,
    (x, y) => set(nearCell(valueAt(spans.lr, (box.bottom - y) / (box.bottom - box.top)), valueAt(spans.size, (x - box.left) / (box.right - box.left)))),
    (dx, dy) => {
      const g = grid(), move = (values, value, by) => Math.min(values.length - 1, Math.max(0, near(values, value) + by));
      set(place(move(g.lrs, lrs[model.get("lr_index")], dy), move(g.sizes, sizes[model.get("batch_index")], dx)));
    });

  const thin = (values, room, space) => values.filter((_, i) => i % Math.ceil((space * values.length) / room) === 0);

  function drawMap(colors, width, height) {
    const context = prepare(map, width, height), g = grid(), table = cells(), x = edges(g.sizes), y = edges(g.lrs);
    const least = Math.min(...table.flat().filter((cell) => isKnown(cell) && cell[0] > 0).map((cell) => cell[0]), g.start / 2);
    const span = (name) => { const e = all.flatMap((other) => edges(other[name])); return [Math.min(...e), Math.max(...e)]; };
    spans = { lr: span("lrs"), size: span("sizes") };
    box = { left: 56, right: width - 10, top: 34, bottom: height - 84 };
    const { X, Y } = axes(context, colors, box,
      { low: spans.size[0], high: spans.size[1], log: true, label: say("batch size"), format: String, ticks: thin(g.sizes, box.right - box.left, 34) },
      { low: spans.lr[0], high: spans.lr[1], log: true, label: say("learning rate"), ticks: thin(g.lrs, box.bottom - box.top, 15) });
    table.forEach((group, i) => group.forEach((cell, j) => {
      const [left, right, bottom, top] = [X(x[j]), X(x[j + 1]), Y(y[i]), Y(y[i + 1])];
      context.fillStyle = isKnown(cell) ? shade(Math.log(Math.max(cell[0], least) / least) / Math.log(g.start / least)) : colors.surface;
      context.fillRect(left, top, right - left - 1, bottom - top - 1);
      if (isKnown(cell)) return;
      if (cell) cross(context, (left + right) / 2, (bottom + top) / 2, Math.min(6, (right - left) / 4, (bottom - top) / 4), colors.red);
      else dot(context, colors, (left + right) / 2, (bottom + top) / 2);
    }));
    for (const lr of lrs) for (const size of sizes) {
      if (lr < y[0] || lr > y[y.length - 1] || size < x[0] || size > x[x.length - 1]) dot(context, colors, X(size), Y(lr));
    }

    const over = (points, color, dash = []) => {
      context.setLineDash(dash);
      line(context, points, colors.surface, 5);
      line(context, points, color, 2.4);
      context.setLineDash([]);
    };
    context.save();
    context.beginPath();
    context.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
    context.clip();
    const [i, j] = here(), tops = ridge(table).map((best, k) => [best, k]).filter(([best]) => best >= 0).map(([best, k]) => [X(g.sizes[k]), Y(g.lrs[best])]);
    const end = spans.size[1], limit = g.critical && Math.min(Math.max(g.critical, spans.size[0]), end);
    const rules = [["linear rule", 1, colors.orange], ["square-root rule", 0.5, colors.dark ? "#ee85be" : "#b8357f"]];
    for (const [, power, color] of rules) {
      const at = (size) => [X(size), Y(ruled(g.base, size, power))];
      over([at(spans.size[0]), at(limit ?? end)], color);
      if (limit) over([at(limit), at(end)], color, [7, 6]);
    }
    context.fillStyle = colors.surface;
    context.beginPath();
    context.arc(X(g.base[0]), Y(g.base[1]), 5, 0, 7);
    context.fill();
    context.stroke();
    over(tops, colors.text);
    context.fillStyle = colors.text;
    for (const [px, py] of tops) { context.beginPath(); context.arc(px, py, 4, 0, 7); context.fill(); }
    if (limit) over([[X(limit), box.top], [X(limit), box.bottom]], colors.violet, [7, 4]);
    if (i >= 0 && j >= 0) {
      for (const [color, wide] of [[colors.surface, 5], [colors.blue, 3]]) {
        context.strokeStyle = color;
        context.lineWidth = wide;
        context.strokeRect(X(x[j]), Y(y[i + 1]), X(x[j + 1]) - X(x[j]) - 1, Y(y[i]) - Y(y[i + 1]) - 1);
      }
    }
    context.restore();
    context.textBaseline = "middle";
    context.textAlign = "right";
    if (limit) {
      const label = `${say("critical")} ${short(g.critical)}`, space = context.measureText(label).width;
      context.fillStyle = colors.violet;
      context.fillText(label, Math.min(Math.max(X(limit) + space / 2, box.left + 90 + space), box.right), box.top - 11);
    }
    drawScale(context, colors, [least, g.start], height - 31);
    context.textAlign = "left";
    [["best rates", 0, colors.text], ...rules].reduce((at, [name, , color]) => {
      line(context, [[at, height - 11], [at + 18, height - 11]], color, 3);
      context.fillStyle = colors.text;
      context.fillText(say(name), at + 23, height - 11);
      return at + 35 + context.measureText(say(name)).width;
    }, 4);
  }

  function dot(context, colors, x, y) {
    context.fillStyle = colors.faint;
    context.fillRect(x - 2, y - 2, 4, 4);
  }

  function drawScale(context, colors, [least, start], y) {
    const write = (label, at, color = colors.text) => { context.fillStyle = color; context.fillText(label, at, y); return at + context.measureText(label).width + 6; };
    context.textAlign = "left";
    let at = write(`${say("loss")} ${short(least, 2)}`, 4);
    for (let k = 0; k < 80; k++) { context.fillStyle = shade(k / 79); context.fillRect(at + k, y - 6, 1.5, 12); }
    at = write(`${short(start, 2)}`, at + 88);
    cross(context, at + 12, y, 5, colors.red);
    at = write(say("diverges"), at + 22);
    dot(context, colors, at + 10, y);
    write(say("unknown"), at + 18);
  }

  function drawCurve(colors, width, height, stacked) {
    const context = prepare(curve, width, height), g = grid(), [i, j] = here(), bySamples = model.get("compare") === "samples";
    const best = j >= 0 ? ridge(cells())[j] : -1, per = bySamples ? g.sizes[j] : 1, at = g.ends.map((step) => step * per);
    const shown = [[best, say("best here"), colors.green], [i, `lr ${short(g.lrs[i] ?? 0)}, B ${g.sizes[j]}`, colors.blue]]
      .filter(([k], n) => k >= 0 && j >= 0 && (n || k !== i))
      .map(([k, name, color]) => ({ name, color, at, ...spread(curvesOf(losses, k * g.sizes.length + j, g.seeds, g.ends.length, g.first)) }));
    const area = { left: 52, right: width - (width < 380 ? 14 : 96), top: 34, bottom: height - (stacked ? 36 : 84) };
    const maps = axes(context, colors, area, { low: bySamples ? at[0] || 1 : 0, high: at[at.length - 1] || 10, log: bySamples, label: say(bySamples ? "samples seen" : "step") }, lossAxis(shown));
    if (bySamples && j >= 0 && samples >= at[0] && samples <= at[at.length - 1]) {
      context.setLineDash([3, 4]);
      line(context, [[maps.X(samples), area.top], [maps.X(samples), area.bottom]], colors.faint, 1.4);
      context.setLineDash([]);
      const late = maps.X(samples) > (area.left + area.right) / 2;
      context.textAlign = late ? "right" : "left";
      writeOver(context, colors, say("compared here"), maps.X(samples) + (late ? -6 : 6), area.bottom - 10, colors.faint);
    }
    const names = shown.map((s, n) => ({ ...drawSpread(context, colors, maps, area, s, s.color, n === shown.length - 1 ? 2.4 : 1.5), text: s.name }));
    drawNames(context, colors, names, width, area.bottom);
  }

  function verdict() {
    const g = grid(), [i, j] = here(), chinese = isChinese(), table = cells(), cell = table[i]?.[j];
    const lr = lrs[model.get("lr_index")], size = sizes[model.get("batch_index")], name = `${model.get("optimizer")}, lr ${short(lr)}, B ${size}`;
    const when = model.get("compare") === "samples" ? (chinese ? `（${samples} 个样本之后）` : ` after ${samples} samples`) : "";
    const missing = i >= 0 && j >= 0 ? (chinese ? "这次训练无法作此比较：太短，或一步就超过这么多样本" : "unknown: this run is too short for the comparison, or one step takes more samples") : chinese ? "没有训练过" : "not run";
    const head = `${name}: ${cell ? outcome(cell, isKnown(cell) ? 0 : cell[0], g.seeds) + when : missing}${chinese ? "。" : "."}`;
    const best = j >= 0 ? ridge(table)[j] : -1, edge = best === 0 || best === g.lrs.length - 1;
    const rates = [short(ruled(g.base, size, 1)), short(ruled(g.base, size, 0.5))], beyond = g.critical && size > g.critical;
    const found = best < 0 ? "" : chinese
      ? `此批量的最佳学习率是 ${short(g.lrs[best])}${edge ? "（在表的边缘）" : ""}；`
      : `At this batch size the best rate is ${short(g.lrs[best])}${edge ? " (at the edge of the table)" : ""}; `;
    const said = chinese
      ? `线性规则给出 ${rates[0]}，平方根规则给出 ${rates[1]}${beyond ? `，但已超过临界批量 ${short(g.critical)}，两者都不再成立` : ""}。`
      : `${found ? "the" : "The"} linear rule says ${rates[0]}, the square-root rule ${rates[1]}${beyond ? `, but beyond the critical batch size of ${short(g.critical)} neither holds` : ""}.`;
    return [head, ` ${found}${said}`, Boolean(cell) && !isKnown(cell)];
  }

  const watch = redrawOnChange(root, model, ["optimizer", "lr_index", "batch_index", "compare"], () => {
    const colors = themeOf(root), room = root.clientWidth, width = room < 620 ? room : Math.floor((room - 8) / 2), height = room < 620 ? 350 : 390;
    drawMap(colors, width, height);
    drawCurve(colors, width, room < 620 ? 260 : height, room < 620);
    const [head, rest, bad] = verdict(), g = grid(), table = cells(), best = ridge(table);
    readout.dataset.state = bad ? "bad" : "good";
    readout.replaceChildren(make("strong", {}, head), rest);
    map.setAttribute("aria-label", head + rest);
    curve.setAttribute("aria-label", `${say("loss")}. ${head}`);
    menu.list.value = model.get("optimizer");
    compare.list.value = model.get("compare");
    numbers.replaceChildren(...g.sizes.map((size, j) => row(`B ${size}`,
      best[j] < 0 ? say("unknown") : `${say("best")} ${short(g.lrs[best[j]])}`, best[j] < 0 ? "" : `${say("loss")} ${short(table[best[j]][j][0])}`,
      `${say("linear rule")} ${short(ruled(g.base, size, 1))}`, `${say("square-root rule")} ${short(ruled(g.base, size, 0.5))}`)));
    Object.assign(root.dataset, { optimizer: model.get("optimizer"), lr: lrs[model.get("lr_index")], batch: sizes[model.get("batch_index")] });
  });
  return watch.end;
}

export default { render };
