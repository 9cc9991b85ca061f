// The curve explorer: curves that follow some sliders, looked up in a table that Python made.
import { axes } from "./shared/axes.js";
import { dashed, disc, line, prepare, within } from "./shared/canvas.js";
import { nameCurves, nameRoom } from "./shared/curves.js";
import { bar, button, make, picture } from "./shared/elements.js";
import { clamp } from "./shared/numbers.js";
import { mount } from "./shared/stage.js";
import { decode } from "./shared/tables.js";
import { colorsOf } from "./shared/theme.js";
import { say } from "./shared/words.js";

const HIDDEN = 65535; // a point that is not drawn
const SPAN = 60000; // codes from half an axis before its beginning to half an axis after its end
const INDICES = ["index_0", "index_1", "index_2"];

// Which row of the table a setting is: the last slider moves fastest.
export function rowOf(knobs, places) {
  return knobs.reduce((row, [, count], k) => row * count + places[k], 0);
}

// The curves of a row: of each a list of points as shares of the axes, NaN where one is not drawn.
export function curvesAt(codes, points, row) {
  const share = (code) => (code === HIDDEN ? NaN : (2 * code) / SPAN - 0.5);
  let at = 2 * row * points.reduce((sum, count) => sum + count, 0);
  return points.map((count) => {
    const curve = Array.from({ length: count }, (_, p) => [share(codes[at + p]), share(codes[at + count + p])]);
    at += 2 * count;
    return curve.filter(([x, y]) => !Number.isNaN(x + y));
  });
}

// The last point of a curve that lies within the axes.
export function endOf(curve) {
  const inside = (v) => v >= 0 && v <= 1;
  return curve.findLast(([x, y]) => inside(x) && inside(y)) ?? null;
}

function drawCurve(context, points, [name, style], color) {
  if (style === "dots") for (const at of points) disc(context, at, 3.5, color);
  else if (style === "dashed") dashed(context, [6, 5], points, color, 2);
  else line(context, points, color, name === "faint" ? 1 : 2);
}

const axisOf = ({ label, ...axis }) => ({ ...axis, label: axis.log ? say("logarithmic", { label }) : label });

function draw(w) {
  const colors = colorsOf(w.root);
  const width = w.root.clientWidth;
  const height = Math.round(clamp(width * 0.5, 250, 330));
  const context = prepare(w.canvas, width, height);
  const room = nameRoom(w.canvas, width, w.shown);
  const area = { left: 54, right: width - Math.max(14, room), top: 22, bottom: height - 36 };
  axes(context, colors, area, axisOf(w.get("x")), axisOf(w.get("y")));
  const place = ([x, y]) => [area.left + x * (area.right - area.left), area.bottom - y * (area.bottom - area.top)];
  const row = rowOf(w.knobs, INDICES.map(w.get));
  const curves = curvesAt(w.codes, w.get("points"), row);
  const looks = w.get("looks");
  within(context, area, 4, () => {
    for (const [c, curve] of curves.entries()) drawCurve(context, curve.map(place), looks[c], colors[looks[c][0]]);
  });
  const names = w.get("names").flatMap((text, c) => {
    const end = endOf(curves[c]);
    if (text.startsWith("_") || (!end && room)) return [];
    const [, y] = end ? place(end) : [0, 0];
    return [{ text, x: area.right + 6, y, color: colors[looks[c][0]] }];
  });
  nameCurves(context, colors, names, area.bottom, room, w.list);
  const said = w.tell(w.settingOf(), w.get("said")[row]);
  w.canvas.setAttribute("aria-label", `${w.get("y").label} / ${w.get("x").label}. ${said}`);
  w.root.dataset.row = row;
}

function render(at) {
  const stage = mount(at, "curves");
  const { get, set, root } = stage;
  const knobs = get("knobs");
  const w = { ...stage, knobs, canvas: picture(), list: make("p", { class: "gd-legend" }) };
  w.codes = decode(get("table"), Uint16Array);
  w.shown = get("names").filter((name) => !name.startsWith("_"));
  w.settingOf = () =>
    knobs.map(([name, , labels], k) => `${name} ${labels[get(INDICES[k])]}`).join(say(", ")) + say(": ").trimEnd();
  const reset = () => set(Object.fromEntries(get("setting").map((place, k) => [INDICES[k], place])));
  root.append(bar([button("Reset", reset)]), w.canvas, w.list, stage.readout);
  w.redraw(INDICES, () => draw(w));
  return w.end;
}

export default { render };
