// What the calculator and the planner share: units, cards, and the memory of a device as a bar.
import { line, prepare, write } from "./canvas.js";
import { make } from "./elements.js";
import { clamp, short } from "./numbers.js";
import { say } from "./words.js";

export function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  const k = clamp(Math.floor(Math.log10(value) / 3), 0, units.length - 1);
  return `${short(value / 1000 ** k)} ${units[k]}`;
}

export function duration(days) {
  if (days > 730) return say("years", { n: short(days / 365) });
  return days < 2 ? say("hours", { n: short(days * 24) }) : say("days", { n: short(days) });
}

export function count(value) {
  const units = [
    [12, "T"],
    [9, "B"],
    [6, "M"],
    [3, "k"],
  ];
  const [power, unit] = units.find(([e]) => value >= 10 ** e) ?? [0, ""];
  return `${short(value / 10 ** power)}${unit}`;
}

// A figure under its name, with a note.
export const card = (key, value, note) => make("div", { class: "gd-card" }, say(key), make("b", {}, value), note);

// Parts of the memory, [word, bytes, colour], as the bar and its legend name them.
export function named(parts) {
  return parts
    .filter(([, value]) => value > 0)
    .map(([key, value, color]) => ({ text: `${say(key)} ${bytes(value)}`, value, color }));
}

// The terms side by side, against the memory of a device of this name.
export function drawMemory({ root, canvas }, colors, terms, name, memory) {
  const width = root.clientWidth;
  const context = prepare(canvas, width, 60);
  const inAll = terms.reduce((sum, { value }) => sum + value, 0);
  const most = Math.max(inAll, memory) * 1.05;
  const X = (v) => 1 + ((width - 2) * v) / most;
  let left = 0;
  for (const { value, color } of terms) {
    context.fillStyle = color;
    context.fillRect(X(left), 22, Math.max(0, X(left + value) - X(left) - 1), 30);
    left += value;
  }
  const limit = X(memory);
  line(
    context,
    [
      [limit, 16],
      [limit, 58],
    ],
    inAll > memory ? colors.red : colors.text,
    2,
  );
  const text = `${name}: ${bytes(memory)}`;
  const beside = context.measureText(text).width > limit;
  write(context, text, [limit + (beside ? 4 : -2), 8], colors.text, beside ? "left" : "right");
}
