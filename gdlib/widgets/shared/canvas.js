// Drawing on a canvas in CSS pixels, sharp on every screen.

const FONT = "12px system-ui, sans-serif";

export function prepare(canvas, width, height) {
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
  context.font = FONT;
  context.lineJoin = "round";
  return context;
}

// How wide the widest of some texts is.
export function widest(canvas, texts) {
  const context = canvas.getContext("2d");
  context.font = FONT;
  return Math.max(0, ...texts.map((text) => context.measureText(text).width));
}

export function line(context, points, color, width) {
  if (color) context.strokeStyle = color;
  if (width) context.lineWidth = width;
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  context.stroke();
}

export function dashed(context, dashes, points, color, width) {
  context.setLineDash(dashes);
  line(context, points, color, width);
  context.setLineDash([]);
}

export function disc(context, [x, y], radius, color) {
  context.beginPath();
  context.arc(x, y, radius, 0, 7);
  context.fillStyle = color;
  context.fill();
}

// What the hand takes: a disc that stands out from all that is drawn.
export function knob(context, colors, at) {
  disc(context, at, 8, colors.orange);
  context.strokeStyle = colors.surface;
  context.lineWidth = 2;
  context.stroke();
}

export function cross(context, [x, y], size, color) {
  for (const way of [-1, 1]) {
    line(
      context,
      [
        [x - size, y - way * size],
        [x + size, y + way * size],
      ],
      color,
      2.5,
    );
  }
}

// Draws within a box, or so many pixels around it.
export function within(context, { left, right, top, bottom }, margin, draw) {
  context.save();
  context.beginPath();
  context.rect(left - margin, top - margin, right - left + 2 * margin, bottom - top + 2 * margin);
  context.clip();
  draw();
  context.restore();
}

// A text that ends at x, begins there or is centred on it: align is "left", "right" or "center".
export function write(context, text, [x, y], color, align = "left", baseline = "middle") {
  context.textAlign = align;
  context.textBaseline = baseline;
  context.fillStyle = color;
  context.fillText(text, x, y);
}

// Text that can be read on any picture.
export function writeOver(context, colors, text, at, color = colors.text, align = "left") {
  context.lineWidth = 3.5;
  context.strokeStyle = colors.surface;
  context.textAlign = align;
  context.textBaseline = "middle";
  context.strokeText(text, ...at);
  write(context, text, at, color, align);
}

// A text above an upright line at x, moved inwards where it would leave the box.
export function writeAbove(context, text, x, { left, right, top }, color) {
  const half = context.measureText(text).width / 2;
  write(context, text, [Math.min(Math.max(x, left + half + 40), right - half), top - 11], color, "center");
}

// A text that is cut where it would be wider than so many pixels.
export function fitted(context, text, room) {
  if (context.measureText(text).width <= room) return text;
  let end = text.length;
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > room) end--;
  return `${text.slice(0, end)}…`;
}
