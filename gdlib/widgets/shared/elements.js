// What the widgets are made of besides canvases.
import { say } from "./words.js";

// An element with attributes, listeners where a value is a function, and children.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export function button(key, onClick, attributes = {}) {
  return make("button", { type: "button", class: "gd-button", click: onClick, ...attributes }, say(key));
}

// A menu and its label. Options are [value, text].
export function select(key, options, value, onChange) {
  const list = make("select", { change: (event) => onChange(event.target.value) });
  for (const [name, text] of options) list.append(make("option", { value: name, selected: name === value }, say(text)));
  return { element: make("label", { class: "gd-select" }, `${say(key)} `, list), list };
}

// The controls above a drawing, in groups that stay together where there is no room for all in a row.
export const bar = (...groups) =>
  make("div", { class: "gd-bar" }, ...groups.map((controls) => make("div", { class: "gd-group" }, ...controls)));

export const picture = () => make("canvas", { role: "img" });

export function details(numbers) {
  const name = say("the numbers");
  const scroll = { class: "gd-scroll", tabindex: "0", role: "region", "aria-label": name };
  return make(
    "details",
    { class: "gd-numbers" },
    make("summary", {}, name),
    make("div", scroll, make("table", {}, numbers)),
  );
}

// A row of the numbers: what it is about, then a cell for each value.
export function row(name, ...values) {
  return make("tr", {}, make("th", { scope: "row" }, name), ...values.map((value) => make("td", {}, String(value))));
}

// The names of the curves, for where there is no room beside their ends.
export function legend(names) {
  return names.map(({ text, color }) =>
    make("span", {}, make("i", { class: "gd-swatch", style: `background: ${color}` }), text),
  );
}
