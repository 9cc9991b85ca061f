// The range-test explorer: loss against learning rate, a choice that can be dragged, and the real run nearest to it.

Object.assign(WORDS.zh, {
  "suggestion": "建议", "no real run is near": "附近没有真实的训练", "your choice": "你的选择",
});
const ZONES = {
  flat: ["before the slope: too low, the loss hardly moves", "在斜坡之前：太小，损失几乎不动", "before the slope", "斜坡之前"],
  slope: ["on the slope, where the loss falls", "在斜坡上，损失正在下降", "on the slope", "斜坡上"],
  minimum: ["near the minimum, where the loss no longer falls", "接近最低点，损失不再下降", "near the minimum", "最低点附近"],
  away: ["where the loss has run away: too high", "损失已经失控：太大", "run away", "失控"],
};

// The smoothed loss at a rate, between the rates tried; at their ends, that of the end.
export function lossAt(lr, lrs, smoothed) {
  const k = lrs.findIndex((v) => v >= lr);
  if (k <= 0) return k ? smoothed[smoothed.length - 1] : smoothed[0];
  const share = Math.log(lr / lrs[k - 1]) / Math.log(lrs[k] / lrs[k - 1]);
  return smoothed[k - 1] + share * (smoothed[k] - smoothed[k - 1]);
}

// Where a rate lies: before the first tenth of the fall is made, on the slope, within a tenth of the lowest loss, or, beyond
// that lowest loss, where a fifth of the fall has been lost again.
export function zoneOf(lr, lrs, smoothed) {
  const lowest = smoothed.indexOf(Math.min(...smoothed)), bottom = smoothed[lowest];
  const top = Math.max(...smoothed.slice(0, lowest + 1)), lost = (lossAt(lr, lrs, smoothed) - bottom) / (top - bottom);
  if (!(top > bottom)) return lossAt(lr, lrs, smoothed) > bottom * 1.1 ? "away" : "flat";
  if (lr > lrs[lowest]) return lost > 0.2 ? "away" : "minimum";
  return lost > 0.9 ? "flat" : lost > 0.1 ? "slope" : "minimum";
}

function render({ model, el }) {
  const root = make("div", { class: "gd gd-range" }), test = make("canvas", { tabindex: "0", role: "img" }), curve = make("canvas", { role: "img" });
  const readout = make("output", { class: "gd-readout", "aria-live": "polite" }), numbers = make("tbody"), set = setter(model);
  const bytes = model.get("seen"), all = Array.from(new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)));
  const n = all.length / 3, [rates, raw, smoothed] = [all.slice(0, n), all.slice(n, 2 * n), all.slice(2 * n)];
  const [suggestion, raster, lrs, ends, finals, seeds, best] = ["suggestion", "raster", "lrs", "ends", "finals", "seeds", "best"].map((name) => model.get(name));
  const losses = lrs.length ? unpack(model.get("table"), model.get("scale")) : null;
  const here = () => raster[model.get("lr_index")], limits = [raster[0], raster[raster.length - 1]];
  const choose = (index) => set({ lr_index: Math.min(raster.length - 1, Math.max(0, index)) });
  const nearest = (lr) => raster.reduce((near, v, k) => (Math.abs(Math.log(v / lr)) < Math.abs(Math.log(raster[near] / lr)) ? k : near), 0);
  root.append(
    make("div", { class: "gd-bar" }, button("Text's setting", () => set(model.get("setting"))),
      button("Best setting", () => choose(nearest(best)), { disabled: best == null })),
    make("div", { class: "gd-panels" }, test, ...(losses ? [curve] : [])), readout, details(numbers));
  el.append(root);

  let box;
  grab(test, (x) => choose(nearest(limits[0] * (limits[1] / limits[0]) ** ((x - box.left) / (box.right - box.left)))),
    (dx, dy) => choose(model.get("lr_index") + dx + dy));

  function drawTest(colors, width, height) {
    const context = prepare(test, width, height), lr = here(), start = smoothed[0];
    const high = Math.max(...smoothed.filter(Number.isFinite)) * 1.15, low = Math.min(...smoothed, ...raw.filter((v) => v > 0)) * 0.9;
    box = { left: 52, right: width - 14, top: 38, bottom: height - 36 };
    const { X, Y } = axes(context, colors, box, { low: limits[0], high: limits[1], log: true, label: say("learning rate") },
      { low: Math.max(low, start * 1e-4), high, log: true, label: say("loss") });
    context.save();
    context.beginPath();
    context.rect(box.left - 8, box.top, box.right - box.left + 16, box.bottom - box.top);
    context.clip();
    context.fillStyle = colors.faint;
    context.globalAlpha = 0.75;
    raw.forEach((v, k) => { context.beginPath(); context.arc(X(rates[k]), Y(v), 2, 0, 7); context.fill(); });
    context.globalAlpha = 1;
    line(context, smoothed.map((v, k) => [X(rates[k]), Y(v)]), colors.blue, 2.4);
    context.restore();
    const y = Y(lossAt(lr, rates, smoothed)), x = X(lr);
    context.textBaseline = "middle";
    if (suggestion) {
      context.setLineDash([5, 4]);
      line(context, [[X(suggestion), box.top], [X(suggestion), box.bottom]], colors.green, 1.6);
      context.setLineDash([]);
      context.textAlign = X(suggestion) > (box.left + box.right) / 2 ? "right" : "left";
      const text = `${say("suggestion")} ${short(suggestion, 2)}`;
      writeOver(context, colors, text, X(suggestion) + (context.textAlign === "left" ? 6 : -6), box.bottom - 12, colors.green);
    }
    line(context, [[x, box.top], [x, box.bottom]], colors.orange, 2);
    context.beginPath();
    context.arc(x, Math.min(Math.max(y, box.top), box.bottom), 8, 0, 7);
    context.fillStyle = colors.orange;
    context.fill();
    context.strokeStyle = colors.surface;
    context.lineWidth = 2;
    context.stroke();
    const label = `${say("your choice")} ${short(lr)}`, half = context.measureText(label).width / 2;
    context.textAlign = "center";
    context.fillStyle = colors.orange;
    context.fillText(label, Math.min(Math.max(x, box.left + half + 36), box.right - half), box.top - 10);
  }

  function drawCurve(colors, index, width, height) {
    const context = prepare(curve, width, height), top = lrs.indexOf(best);
    const shown = [[top, colors.green], [index, colors.orange]].filter(([k], i) => k >= 0 && (i || k !== index))
      .map(([k, color]) => ({ k, color, at: ends, ...spread(curvesOf(losses, k, seeds, ends.length)) }));
    const area = { left: 52, right: width - (width < 380 ? 14 : 96), top: 38, bottom: height - 36 };
    const maps = axes(context, colors, area, { low: 0, high: ends[ends.length - 1], label: say("step") }, lossAxis(shown));
    drawNames(context, colors, shown.map((s) => ({
      ...drawSpread(context, colors, maps, area, s, s.color, s.k === index ? 2.4 : 1.5),
      text: `${s.k === top ? `${say("best")}: ` : ""}lr ${short(lrs[s.k])}${s.diverged ? " ✕" : ""}`,
    })), width, area.bottom);
    if (index < 0) {
      context.textAlign = "center";
      context.fillStyle = colors.text;
      context.fillText(say("no real run is near"), (area.left + area.right) / 2, area.top + 14);
    }
    return shown.find((s) => s.k === index)?.diverged ?? 0;
  }

  // What the nearest real run, and the best, came to.
  function real(index, diverged) {
    if (!losses) return "";
    const chinese = isChinese(), size = model.get("batch_size"), known = lrs.indexOf(best);
    const here = index < 0
      ? chinese ? "附近没有真实的训练" : "No real run is near"
      : `${chinese ? "最近的真实训练：" : "The nearest real run, "}lr ${short(lrs[index])}, B ${size}: ${outcome(finals[index], diverged, seeds)}`;
    if (known < 0) return chinese ? ` ${here}。` : ` ${here}.`;
    const loss = short(finals[known][0]);
    return chinese ? ` ${here}。最好：lr ${short(best)}，损失 ${loss}。` : ` ${here}. Best of the runs: lr ${short(best)}, loss ${loss}.`;
  }

  const watch = redrawOnChange(root, model, ["lr_index"], () => {
    const colors = themeOf(root), room = root.clientWidth, lr = here(), two = losses && room >= 620, chinese = isChinese();
    const width = two ? Math.floor((room - 8) / 2) : room, height = room < 620 ? 290 : 330;
    drawTest(colors, width, height);
    const index = losses ? nearestByRatio(lrs, lr) : -1, diverged = losses ? drawCurve(colors, index, width, two ? height : 260) : 0;
    const zone = zoneOf(lr, rates, smoothed), factor = suggestion ? lr / suggestion : 1, close = Math.abs(Math.log(factor)) < 0.05;
    const size = short(factor > 1 ? factor : 1 / factor, 2);
    const compared = !suggestion ? (chinese ? "没有建议" : "there is no suggestion")
      : close ? (chinese ? "就是建议的值" : "the suggestion itself")
        : chinese ? `是建议值 ${short(suggestion, 2)} 的 ${factor > 1 ? `${size} 倍` : `1/${size}`}` : `${factor > 1 ? `${size} times` : `1/${size} of`} the suggestion of ${short(suggestion, 2)}`;
    const head = chinese ? `${short(lr)}：${compared}；${ZONES[zone][1]}。` : `${short(lr)}: ${compared}; ${ZONES[zone][0]}.`;
    readout.dataset.state = zone === "away" || diverged ? "bad" : "good";
    readout.replaceChildren(make("strong", {}, head), real(index, diverged));
    test.setAttribute("aria-label", readout.textContent);
    curve.setAttribute("aria-label", `${say("loss")} / ${say("step")}.${real(index, diverged)}`);
    numbers.replaceChildren(
      row(say("your choice"), `lr = ${lr}`, `${say("loss")} ${short(lossAt(lr, rates, smoothed), 4)}`, ZONES[zone][chinese ? 3 : 2]),
      row(say("suggestion"), suggestion ? `lr = ${suggestion}` : "—", suggestion ? `${say("loss")} ${short(lossAt(suggestion, rates, smoothed), 4)}` : ""),
      ...lrs.map((v, k) => row(`lr ${short(v)}`, finals[k] ? `${say("loss")} ${short(finals[k][0])}` : say("diverges"))));
    Object.assign(root.dataset, { lr, zone, run: index < 0 ? "" : lrs[index] });
  });
  return watch.end;
}

export default { render };
