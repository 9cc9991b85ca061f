// Canvases and ipywidgets' sliders as sliders: for the hand, for the keyboard and for a screen reader.
import { make } from "./elements.js";
import { isEnglish, say } from "./words.js";

const WAYS = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, 1],
  ArrowDown: [0, -1],
  PageUp: [0, 10],
  PageDown: [0, -10],
  Home: [-Infinity, 0],
  End: [Infinity, 0],
};

// A canvas that is a slider; one over two values says so, for a screen reader knows only sliders over one.
export function slideCanvas(key, { free = false } = {}) {
  const canvas = make("canvas", { tabindex: "0", role: "slider", "aria-label": say(key), "aria-valuemin": "0" });
  if (free) canvas.setAttribute("aria-roledescription", say("two values"));
  if (free) canvas.classList.add("gd-free");
  return canvas;
}

// Where the slider stands, of so many places, and what that means.
export function tellPlace(canvas, place, last, text) {
  canvas.setAttribute("aria-valuemax", last);
  canvas.setAttribute("aria-valuenow", place);
  canvas.setAttribute("aria-valuetext", text);
}

// Calls to(x, y) where the pointer presses on the canvas and where that press is dragged, and by(dx, dy) for keys, up
// being positive. A press that began elsewhere is none of its business.
export function grab(canvas, signal, to, by) {
  const listen = (type, act) => canvas.addEventListener(type, act, { signal });
  let held = null;
  const follow = (event) => to(event.offsetX, event.offsetY);
  const release = () => {
    held = null;
  };
  listen("pointerdown", (event) => {
    if (event.button !== 0) return;
    held = event.pointerId;
    canvas.setPointerCapture(held);
    follow(event);
  });
  listen("pointermove", (event) => {
    if (event.pointerId === held) follow(event);
  });
  for (const type of ["pointerup", "pointercancel", "lostpointercapture"]) listen(type, release);
  listen("keydown", (event) => {
    const way = WAYS[event.key];
    if (!way || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation(); // a notebook would go to the next cell
    by(...way);
  });
}

// ipywidgets' sliders above a drawing: in the page's language and, for a screen reader, with their name and what they
// show (by themselves they have no name, and say exponents and indices). A notebook leaves them the arrow keys.
export function nameSliders(root) {
  const box = root.closest(".widget-vbox");
  if (!box) return;
  box.dataset.lmSuppressShortcuts = "true";
  for (const label of box.querySelectorAll(".widget-label")) {
    const name = isEnglish() ? label.textContent : say(label.textContent);
    if (label.textContent !== name) label.textContent = name;
    const slider = label.parentElement;
    for (const handle of slider.querySelectorAll(".noUi-handle, .ui-slider-handle")) {
      handle.setAttribute("aria-label", name);
      handle.setAttribute("aria-valuetext", slider.querySelector(".widget-readout")?.textContent ?? "");
    }
  }
}
