// The cost calculator: what training a transformer costs, by the formulas of gdlib/diagnose/cost.py.

Object.assign(WORDS.zh, { remedy: "省内存的办法", none: "无", recompute: "激活重计算", "8-bit state": "8 位优化器状态", "low rank": "低秩微调" });

export function costOf({ parameters, tokens, precision, optimizer, remedy, devices, device, utilization, tokensPerDevice, stateBytes, lowRank }) {
  const width = precision === "fp32" ? 4 : 2, copy = precision === "fp32" ? 0 : 4;
  const shape = ((128 * parameters) / 12) ** (1 / 3);
  const flops = ({ recompute: 8, "low rank": 4 }[remedy] ?? 6) * parameters * tokens;
  const trained = parameters * (remedy === "low rank" ? lowRank : 1), state = copy + stateBytes[optimizer] / (remedy === "8-bit state" ? 4 : 1);
  const shared = { weights: width * parameters, gradients: width * trained, optimizer: state * trained };
  const layers = shape / 128, kept = remedy === "recompute" ? 2 * layers + 34 : 34 * layers;
  const activations = (precision === "fp32" ? 2 : 1) * kept * tokensPerDevice * shape;
  const inAll = shared.weights + shared.gradients + shared.optimizer;
  const days = flops / (devices * device.peak[precision] * utilization) / 86400;
  return {
    flops, days, activations, ...shared,
    dollars: days * 24 * devices * device.price,
    perDevice: inAll / devices + activations,
    needed: activations < device.memory ? Math.ceil(inAll / (device.memory - activations)) : Infinity,
  };
}

function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  const k = Math.max(0, Math.min(units.length - 1, Math.floor(Math.log10(value) / 3)));
  return `${short(value / 1000 ** k)} ${units[k]}`;
}

function duration(days) {
  if (days > 730) return `${short(days / 365)} ${say("years")}`;
  return days < 2 ? `${short(days * 24)} ${say("hours")}` : `${short(days)} ${say("days")}`;
}

function count(value) {
  const [k, unit] = [[12, "T"], [9, "B"], [6, "M"], [3, "k"], [0, ""]].find(([e]) => value >= 10 ** e) ?? [0, ""];
  return `${short(value / 10 ** k)}${unit}`;
}

function render({ model, el }) {
  const root = make("div", { class: "gd gd-cost" }), canvas = make("canvas", { role: "img" });
  const cards = make("div", { class: "gd-cards" }), readout = make("output", { class: "gd-readout", "aria-live": "polite" });
  const hardware = model.get("hardware_table"), assumptions = make("ul", { class: "gd-assumptions" });
  const set = setter(model);
  const choose = (name, trait, options) => select(name, options, model.get(trait), (value) => set({ [trait]: value }));
  const choices = {
    precision: choose("precision", "precision", [["mixed", "bf16 + fp32"], ["fp32", "fp32"]]),
    optimizer: choose("optimiser", "optimizer", [["adamw", "AdamW"], ["momentum", "SGD + momentum"], ["sgd", "SGD"]]),
    hardware: choose("hardware", "hardware", Object.keys(hardware).map((key) => [key, key])),
    remedy: choose("remedy", "remedy", ["none", "recompute", "8-bit state", "low rank"].map((key) => [key, key])),
  };
  root.append(
    make("div", { class: "gd-bar" }, ...Object.values(choices).map((c) => c.element)),
    make("div", { class: "gd-bar" }, button("Text's setting", () => set(model.get("setting"))),
      button("20 tokens a parameter", () => set({ tokens: Math.min(1e14, 20 * model.get("parameters")) }))),
    cards, canvas, readout, assumptions);
  el.append(root);

  const watch = redrawOnChange(root, model, ["parameters", "tokens", "devices", "precision", "optimizer", "hardware", "remedy"], () => {
    const colors = themeOf(root), device = hardware[model.get("hardware")], devices = model.get("devices");
    const given = Object.fromEntries(["parameters", "tokens", "precision", "optimizer", "remedy"].map((key) => [key, model.get(key)]));
    const cost = costOf({ ...given, devices, device, utilization: model.get("utilization"), tokensPerDevice: model.get("tokens_per_device"), stateBytes: model.get("state_bytes"), lowRank: model.get("low_rank") });
    const card = (name, value, note) => make("div", { class: "gd-card" }, say(name), make("b", {}, value), note);
    cards.replaceChildren(
      card("compute", `${short(cost.flops)} FLOP`, `${Math.round(cost.flops / given.parameters / given.tokens)} × ${count(given.parameters)} × ${count(given.tokens)}`),
      card("time", duration(cost.days), `${devices} × ${model.get("hardware")}`),
      card("money", `$${count(cost.dollars)}`, `$${device.price} / h`),
      card("memory a device", bytes(cost.perDevice), `${say("of")} ${bytes(device.memory)}`));

    const width = root.clientWidth, height = 96, context = prepare(canvas, width, height);
    const terms = [["weights", cost.weights / devices, colors.blue], ["gradients", cost.gradients / devices, colors.orange],
      ["optimiser state", cost.optimizer / devices, colors.green], ["activations", cost.activations, colors.violet]];
    const most = Math.max(cost.perDevice, device.memory) * 1.05, X = (v) => 1 + ((width - 2) * v) / most;
    let left = 0;
    for (const [, value, color] of terms) {
      context.fillStyle = color;
      context.fillRect(X(left), 22, Math.max(0, X(left + value) - X(left) - 1), 30);
      left += value;
    }
    line(context, [[X(device.memory), 16], [X(device.memory), 58]], cost.perDevice > device.memory ? colors.red : colors.text, 2);
    context.fillStyle = colors.text;
    context.textAlign = "right";
    context.fillText(`${model.get("hardware")}: ${bytes(device.memory)}`, X(device.memory) - 2, 12);
    context.textAlign = "left";
    let x = 0, y = 72;
    for (const [name, value, color] of terms) {
      const label = `${say(name)} ${bytes(value)}`, space = context.measureText(label).width + 28;
      if (x + space > width) { x = 0; y += 17; }
      context.fillStyle = color;
      context.fillRect(x, y - 8, 10, 10);
      context.fillStyle = colors.text;
      context.fillText(label, x + 14, y + 1);
      x += space;
    }

    const fits = cost.perDevice <= device.memory;
    const needed = Number.isFinite(cost.needed) ? cost.needed : null;
    readout.dataset.state = fits ? "good" : "bad";
    const verdict = isChinese()
      ? fits ? "放得下。" : needed ? `放不下：至少需要 ${needed} 台设备。` : "放不下：单是激活值就超过一台设备的内存。"
      : fits ? "It fits." : needed ? `Does not fit: it takes at least ${needed} devices.` : "Does not fit: the activations alone are more than one device holds.";
    readout.replaceChildren(make("strong", {}, verdict), ` ${count(given.tokens / given.parameters)} ${isChinese() ? "个词元 / 参数" : "tokens a parameter"}.`);
    canvas.setAttribute("aria-label", `${say("memory a device")}: ${terms.map(([name, value]) => `${say(name)} ${bytes(value)}`).join(", ")}. ${verdict}`);
    for (const [key, { list }] of Object.entries(choices)) list.value = model.get(key);
    const peak = short(device.peak[given.precision] / 1e12);
    assumptions.replaceChildren(...(isChinese()
      ? [`设备实际完成峰值 ${peak} TFLOP/s 的 ${100 * model.get("utilization")}%。`, "权重、梯度和优化器状态平均分到所有设备上。", `每台设备一次处理 ${model.get("tokens_per_device")} 个词元；层的形状如同 GPT-3。低秩微调只训练 ${100 * model.get("low_rank")}% 的参数。`, "不含通信、验证、失败的运行和人力。"]
      : [`A device does ${100 * model.get("utilization")} % of its peak of ${peak} TFLOP/s.`, "Weights, gradients and optimiser state are shared evenly by all devices.", `A device works on ${model.get("tokens_per_device")} tokens at a time; layers are shaped as in GPT-3. "Low rank" trains ${100 * model.get("low_rank")} % of the parameters.`, "Communication, validation, failed runs and people are not counted."]
    ).map((t) => make("li", {}, t)));
    Object.assign(root.dataset, { flops: cost.flops, days: cost.days, dollars: cost.dollars, memory: cost.perDevice });
  });
  return watch.end;
}

export default { render };
