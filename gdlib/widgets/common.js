// What the widgets share: the page's theme and language, a canvas that stays sharp, axes, and words.
// Each widget's module is this file followed by its own; both are plain ES modules that need no build step.

const WORDS = {
  zh: {
    "loss": "损失", "step": "步", "steps": "步数", "samples seen": "已用样本数", "FLOPs": "浮点运算数", "seconds": "秒",
    "Text's setting": "回到正文的设置", "Best setting": "跳到最好的设置", "Keep this curve": "保留这条曲线",
    "Clear kept curves": "清除保留的曲线", "Train this for real": "真正训练一次", "Training…": "训练中……",
    "horizontal axis": "横轴", "problem": "问题", "quadratic bowl": "二次函数", "least squares": "最小二乘",
    "Rosenbrock valley": "罗森布罗克山谷", "loss above the minimum": "高出最小值的损失", "diverges": "发散",
    "converges": "收敛", "precision": "精度", "optimiser": "优化器", "hardware": "硬件", "The numbers": "数字",
    "start": "起点", "end": "终点", "weights": "权重", "gradients": "梯度", "optimiser state": "优化器状态",
    "activations": "激活值", "compute": "计算量", "time": "时间", "money": "费用", "memory a device": "每台设备的内存",
    "Start": "开始", "Pause": "暂停", "Stop": "停止",
    "learning rate": "学习率", "momentum": "动量", "batch size": "批量大小", "parameters": "参数量", "tokens": "词元数", "devices": "设备数",
    "best": "最好", "text": "正文", "days": "天", "years": "年", "hours": "小时", "of": "/", "20 tokens a parameter": "每个参数 20 个词元",
  },
};

function isChinese() {
  return (document.documentElement.lang || "").toLowerCase().startsWith("zh");
}

function say(english) {
  return (isChinese() && WORDS.zh[english]) || english;
}

// The colours of gdlib.plots, on whatever background the widget stands on.
function themeOf(element) {
  let dark = false;
  for (let node = element; node; node = node.parentElement) {
    const channels = getComputedStyle(node).backgroundColor.match(/[\d.]+/g)?.map(Number) ?? [0, 0, 0, 0];
    if (channels.length < 4 || channels[3] > 0) {
      dark = 0.299 * channels[0] + 0.587 * channels[1] + 0.114 * channels[2] < 128;
      break;
    }
  }
  return dark
    ? { dark, text: "#d0d4da", faint: "#8b929c", grid: "#3a414b", surface: "#1b2027", blue: "#4fb3e8", orange: "#ff9040", green: "#45c79e", violet: "#bd97e0", red: "#ff6b6b", cycle: ["#4fb3e8", "#ff9040", "#45c79e", "#bd97e0", "#dcc040", "#ee85be"] }
    : { dark, text: "#2b3036", faint: "#656c76", grid: "#dfe3e8", surface: "#ffffff", blue: "#0f74a8", orange: "#bf5000", green: "#12805f", violet: "#7a4fae", red: "#c62828", cycle: ["#0f74a8", "#bf5000", "#12805f", "#7a4fae", "#8d7500", "#b8357f"] };
}

// An element with attributes, properties given as functions become listeners, and children.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function button(text, onClick, attributes = {}) {
  return make("button", { type: "button", class: "gd-button", click: onClick, ...attributes }, say(text));
}

function select(name, options, value, onChange) {
  const list = make("select", { "aria-label": say(name), change: (event) => onChange(event.target.value) });
  for (const [key, text] of options) list.append(make("option", { value: key, selected: key === value }, say(text)));
  return { element: make("label", { class: "gd-select" }, say(name) + " ", list), list };
}

function details(numbers) {
  return make("details", { class: "gd-numbers" }, make("summary", {}, say("The numbers")), make("table", {}, numbers));
}

// A row of the numbers: what it is about, then a cell for each value.
function row(name, ...values) {
  return make("tr", {}, make("th", { scope: "row" }, name), ...values.map((value) => make("td", {}, String(value))));
}

function setter(model) {
  return (changes) => {
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    model.save_changes();
  };
}

// Calls to(x, y) where the pointer presses or drags on the canvas, and by(dx, dy) for the arrow keys, up being positive.
function grab(canvas, to, by) {
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); to(event.offsetX, event.offsetY); });
  canvas.addEventListener("pointermove", (event) => { if (event.buttons) to(event.offsetX, event.offsetY); });
  canvas.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!way) return;
    event.preventDefault();
    by(...way);
  });
}

// The sliders above a drawing are ipywidgets' own and come with English names.
function nameSliders(root) {
  if (!isChinese()) return;
  for (const label of root.closest(".widget-vbox")?.querySelectorAll(".widget-label") ?? []) label.textContent = say(label.textContent);
}

// Calls draw() before the next frame after anything it depends on has changed: the model, the size, the theme or the language.
// Returns a function that ends it all.
function redrawOnChange(root, model, names, draw) {
  let frame = 0;
  const paint = () => {
    frame = 0;
    if (!root.isConnected || root.clientWidth === 0) return;
    const began = performance.now();
    nameSliders(root);
    draw();
    performance.measure("gdlib draw", { start: began, end: performance.now() });
  };
  const request = () => { frame ||= requestAnimationFrame(paint); };
  const events = names.map((name) => `change:${name}`);
  events.forEach((event) => model.on(event, request));
  const size = new ResizeObserver(request);
  size.observe(root);
  const theme = new MutationObserver(request);
  for (const node of [document.documentElement, document.body]) theme.observe(node, { attributes: true });
  request();
  return { request, end: () => {
    events.forEach((event) => model.off(event, request));
    size.disconnect();
    theme.disconnect();
    cancelAnimationFrame(frame);
  } };
}

// A 2D context that measures in CSS pixels and is sharp on every screen.
function prepare(canvas, width, height) {
  const scale = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = "12px system-ui, sans-serif";
  context.lineJoin = "round";
  return context;
}

function superscript(n) {
  return String(n).replace(/[-0-9]/g, (c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]));
}

// Two or three significant digits, as the prose writes them.
function short(value, digits = 3) {
  if (value === 0) return "0";
  if (!Number.isFinite(value)) return value !== value ? "—" : "∞";
  const exponent = Math.floor(Math.log10(Math.abs(value)));
  if (exponent < -3 || exponent > 4) {
    const mantissa = Number((value / 10 ** exponent).toPrecision(digits - 1));
    return (mantissa === 1 ? "" : `${mantissa} × `) + `10${superscript(exponent)}`;
  }
  return String(Number(value.toPrecision(digits)));
}

function ticks(low, high, log, room) {
  if (!log) {
    const raw = (high - low) / Math.max(2, room / 70);
    const power = 10 ** Math.floor(Math.log10(raw));
    const gap = power * [1, 2, 5, 10].find((m) => m * power >= raw);
    return Array.from({ length: Math.floor((high - low) / gap + 1e-9) + 1 }, (_, i) => Math.ceil(low / gap) * gap + i * gap)
      .filter((v) => v <= high * (1 + 1e-9));
  }
  const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
  const every = Math.max(1, Math.ceil(((last - first) * 45) / room));
  const within = last - first <= 2 ? [1, 2, 5] : [1];
  const found = [];
  for (let e = first; e <= last; e += every) for (const m of within) found.push(m * 10 ** e);
  const seen = found.filter((v) => v >= low * 0.999 && v <= high * 1.001);
  return seen.length > 1 ? seen : ticks(low, high, false, room);
}

// Draws axes in a box and returns the maps from values to pixels. An axis has low, high, label, and maybe log, ticks and format.
function axes(context, colors, box, x, y) {
  const map = (axis, from, to) => {
    const f = axis.log ? Math.log : (v) => v;
    const low = f(axis.low), span = f(axis.high) - low || 1;
    return (value) => from + ((f(value) - low) / span) * (to - from);
  };
  const X = map(x, box.left, box.right), Y = map(y, box.bottom, box.top);
  context.lineWidth = 1;
  context.strokeStyle = colors.grid;
  context.fillStyle = colors.faint;
  context.textAlign = "center";
  context.textBaseline = "top";
  for (const tick of x.ticks ?? ticks(x.low, x.high, x.log, box.right - box.left)) {
    line(context, [[X(tick), box.top], [X(tick), box.bottom]]);
    context.fillText((x.format ?? short)(tick), X(tick), box.bottom + 5);
  }
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const tick of y.ticks ?? ticks(y.low, y.high, y.log, box.bottom - box.top)) {
    line(context, [[box.left, Y(tick)], [box.right, Y(tick)]]);
    context.fillText((y.format ?? short)(tick), box.left - 6, Y(tick));
  }
  context.fillStyle = colors.text;
  context.textAlign = "right";
  context.textBaseline = "bottom";
  context.fillText(x.label, box.right, box.bottom + 34);
  context.textAlign = "left";
  context.fillText(y.label, box.left, box.top - 5);
  return { X, Y };
}

// Text that can be read on any picture.
function writeOver(context, colors, text, x, y, color = colors.text) {
  context.lineWidth = 3.5;
  context.strokeStyle = colors.surface;
  context.strokeText(text, x, y);
  context.fillStyle = color;
  context.fillText(text, x, y);
}

function line(context, points, color, width) {
  if (color) context.strokeStyle = color;
  if (width) context.lineWidth = width;
  context.beginPath();
  points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
}
