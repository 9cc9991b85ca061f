// The prediction explorer: what a model says of some samples, along its training.

Object.assign(WORDS.zh, {
  "class": "类别", "prediction": "预测", "right": "正确", "wrong": "错误", "unknown": "未知", "sample": "样本",
});
const UNKNOWN_CODE = 65535;

// The most probable class of a sample and its probability, from the codes of all classes; -1 where they are unknown.
export function predicted(codes) {
  let best = -1;
  codes.forEach((code, c) => { if (code !== UNKNOWN_CODE && (best < 0 || code > codes[best])) best = c; });
  return { best, probability: best < 0 ? NaN : codes[best] / (UNKNOWN_CODE - 1) };
}

// Where the codes of a run's snapshot begin: runs follow each other, then snapshots, then samples, then classes.
export function offsetOf(curves, run, snapshot, size) {
  return (curves.slice(0, run).reduce((sum, { steps }) => sum + steps.length, 0) + snapshot) * size;
}

function render({ model, el }) {
  const grid = make("canvas", { role: "img" }), legend = make("p", { class: "gd-legend" }), stage = make("div", {}, grid, legend);
  const [curves, shape, targets, names] = ["curves", "shape", "targets", "names"].map((name) => model.get(name));
  const outputs = model.get("outputs"), pictures = model.get("pictures"), size = shape.reduce((a, b) => a * b, 1), m = targets.length;
  const codes = new Uint16Array(outputs.buffer.slice(outputs.byteOffset, outputs.byteOffset + outputs.byteLength));
  const levels = new Uint8Array(pictures.buffer.slice(pictures.byteOffset, pictures.byteOffset + pictures.byteLength));
  let stamps = [], inked = "";

  // The pictures in the colour of the text: what is high is opaque.
  function inkOf(color) {
    if (inked === color || shape.length < 2) return;
    const [red, green, blue] = [1, 3, 5].map((k) => parseInt(color.slice(k, k + 2), 16));
    inked = color;
    stamps = targets.map((_, s) => {
      const stamp = make("canvas", { width: shape[1], height: shape[0] }), context = stamp.getContext("2d"), data = context.createImageData(shape[1], shape[0]);
      for (let p = 0; p < size; p++) data.data.set([red, green, blue, levels[s * size + p]], 4 * p);
      context.putImageData(data, 0, 0);
      return stamp;
    });
  }

  function drawSample(context, colors, s, side, x, y) {
    if (shape.length < 2) {
      line(context, Array.from({ length: size }, (_, p) => [x + 3 + (p / Math.max(1, size - 1)) * (side - 6), y + side - 4 - (levels[s * size + p] / 255) * (side - 8)]), colors.text, 1.6);
      return;
    }
    const scale = side / Math.max(...shape), [height, width] = shape.map((n) => n * scale);
    context.imageSmoothingEnabled = false;
    context.drawImage(stamps[s], x + (side - width) / 2, y + (side - height) / 2, width, height);
  }

  function drawGrid(colors, room, seen) {
    const narrow = room < 500, gap = 8, least = narrow ? 58 : 84, columns = Math.max(1, Math.min(m, Math.floor((room - 2 + gap) / (least + gap))));
    const cell = Math.min(Math.floor((room - 2 + gap) / columns) - gap, 110);
    const side = narrow ? 48 : 60, tall = side + 38, context = prepare(grid, room, Math.ceil(m / columns) * (tall + gap));
    inkOf(colors.text);
    context.textBaseline = "middle";
    seen.forEach(({ best, probability, right }, s) => {
      const x = 1 + (s % columns) * (cell + gap), y = 1 + Math.floor(s / columns) * (tall + gap), color = right ? colors.green : colors.red;
      context.strokeStyle = color;
      context.lineWidth = right ? 1 : 2;
      context.setLineDash(right ? [] : [5, 4]);
      context.strokeRect(x + 0.5, y + 0.5, cell - 1, tall - 1);
      context.setLineDash([]);
      drawSample(context, colors, s, side, x + (cell - side) / 2, y + 4);
      context.textAlign = "left";
      context.fillStyle = color;
      const text = `${right ? "✓" : "✗"} ${best < 0 ? "?" : names[best]}${right ? "" : ` (${names[targets[s]]})`}`;
      context.fillText(fitted(context, text, cell - 10), x + 6, y + side + 16);
      const percent = best < 0 ? "" : `${Math.round(100 * probability)} %`, both = context.measureText(text).width + context.measureText(percent).width;
      context.textAlign = "right";
      if (!narrow && both + 16 <= cell) context.fillText(percent, x + cell - 6, y + side + 16);
      context.fillStyle = colors.grid;
      context.fillRect(x + 6, y + side + 27, cell - 12, 5);
      context.fillStyle = color;
      context.fillRect(x + 6, y + side + 27, (cell - 12) * (probability || 0), 5);
    });
  }

  return explore({ model, el }, "predictions", stage, (colors, room, i, k, loss) => {
    const chinese = isChinese(), classes = names.length, first = offsetOf(curves, i, k, m * classes);
    const seen = targets.map((target, s) => {
      const found = predicted(codes.subarray(first + s * classes, first + (s + 1) * classes));
      return { ...found, right: found.best === target };
    });
    const right = seen.filter((sample) => sample.right).length;
    drawGrid(colors, room, seen);
    legend.textContent = chinese ? "✓ 正确；✗ 错误，括号中是真正的类别；色条是预测类别的概率。" : "✓ right; ✗ wrong, with the true class in brackets. The bar is the probability of the predicted class.";
    stage.parentElement.dataset.right = right;
    const said = chinese ? `${m} 个样本中 ${right} 个正确；损失 ${short(loss)}` : `${right} of ${m} right; loss ${short(loss)}`;
    grid.setAttribute("aria-label", said);
    return {
      said,
      rows: seen.map(({ best, probability, right }, s) => row(`${say("sample")} ${s + 1}`, `${say("class")} ${names[targets[s]]}`,
        `${say("prediction")} ${best < 0 ? say("unknown") : names[best]}`, best < 0 ? "—" : `${short(100 * probability)} %`, say(right ? "right" : "wrong"))),
    };
  });
}

export default { render };
