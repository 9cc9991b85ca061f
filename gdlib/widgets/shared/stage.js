// Where a widget lives in the page: its element, what it says, when it is drawn, and the end of it all.
import { make } from "./elements.js";
import { nameSliders } from "./slide.js";

const QUIET = 700; // milliseconds without a change after which a screen reader is told: not while something is dragged
const PATIENCE = 4000; // milliseconds in which a kernel that is there and free has answered

// Tells a screen reader the last of some texts, once nothing has changed for a while; the first is no news.
function announcer(status, signal) {
  let known = null;
  let timer = 0;
  signal.addEventListener("abort", () => clearTimeout(timer));
  return (text) => {
    known ??= text;
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (text !== known) status.textContent = text;
      known = text;
    }, QUIET);
  };
}

// Calls draw() before the next frame after anything it depends on has changed: the model, the size, the theme, the
// language.
function redrawOnChange(root, on, names, draw, signal) {
  let frame = 0;
  const paint = () => {
    frame = 0;
    if (!root.isConnected || root.clientWidth === 0) return;
    const began = performance.now();
    nameSliders(root);
    draw();
    performance.measure("gdlib draw", { start: began, end: performance.now() });
  };
  const request = () => {
    frame ||= requestAnimationFrame(paint);
  };
  for (const name of names) on(`change:${name}`, request);
  const size = new ResizeObserver(request);
  size.observe(root);
  const page = new MutationObserver(request);
  for (const node of [document.documentElement, document.body]) page.observe(node, { attributes: true });
  for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
    matchMedia(query).addEventListener("change", request, { signal });
  }
  signal.addEventListener("abort", () => {
    size.disconnect();
    page.disconnect();
    cancelAnimationFrame(frame);
  });
  request();
  return request;
}

// Sends what a kernel should answer, and calls silent() where none does: on a page, or after a restart.
function asker(model, on, signal) {
  let waiting = 0;
  on("msg:custom", () => clearTimeout(waiting));
  signal.addEventListener("abort", () => clearTimeout(waiting));
  return (message, silent = () => {}) => {
    clearTimeout(waiting);
    waiting = setTimeout(silent, PATIENCE);
    model.send(message);
  };
}

// A widget of this kind in el. Whatever it sets up ends with end().
export function mount({ model, el }, kind) {
  const life = new AbortController();
  const { signal } = life;
  const root = make("div", { class: `gd gd-${kind}`, "data-lm-suppress-shortcuts": "true" });
  const readout = make("div", { class: "gd-readout" });
  const status = make("div", { class: "gd-status", role: "status" });
  const announce = announcer(status, signal);
  const on = (event, act) => {
    model.on(event, act);
    signal.addEventListener("abort", () => model.off(event, act));
  };
  el.append(root, status);
  signal.addEventListener("abort", () => {
    root.remove();
    status.remove();
  });
  return {
    root,
    readout,
    signal,
    on,
    get: (name) => model.get(name),
    set(changes) {
      for (const [name, value] of Object.entries(changes)) model.set(name, value);
      model.save_changes();
    },
    tell(head, rest, good = true) {
      readout.dataset.state = good ? "good" : "bad";
      readout.replaceChildren(make("strong", {}, head), ` ${rest}`);
      announce(readout.textContent);
      return readout.textContent;
    },
    ask: asker(model, on, signal),
    redraw: (names, draw) => redrawOnChange(root, on, names, draw, signal),
    end: () => life.abort(),
  };
}

export const isCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
