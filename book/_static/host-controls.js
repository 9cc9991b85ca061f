// The plain controls that host.js leaves to this file: a menu, buttons, a checkbox, text in and out, and a clock.
(() => {
"use strict";
const { kinds, make, field, same } = window.widgetHost;

kinds.DropdownModel = (view) => {
  const { model } = view, list = make("select", { onchange: () => view.set("index", list.selectedIndex) });
  let labels;
  field(view, "widget-dropdown", list);
  view.sync(() => {
    if (!same(labels, model.get("_options_labels"))) {
      labels = model.get("_options_labels");
      list.replaceChildren(...labels.map((label) => make("option", { textContent: label })));
    }
    list.selectedIndex = model.get("index") ?? -1;
  });
};

kinds.ToggleButtonsModel = (view) => {
  const { model } = view, group = make("div", { role: "group" });
  field(view, "widget-toggle-buttons", group);
  view.sync(() => {
    const labels = model.get("_options_labels");
    group.ariaLabel = model.get("description");
    while (group.childElementCount > labels.length) group.lastChild.remove();
    labels.forEach((label, i) => {
      const button = group.children[i] ?? group.appendChild(make("button", { type: "button", onclick: () => view.set("index", i) }));
      button.textContent = label;
      button.title = model.get("tooltips")?.[i] ?? "";
      button.disabled = model.get("disabled");
      button.ariaPressed = model.get("index") === i;
    });
  });
};

kinds.CheckboxModel = (view) => {
  const { model } = view, input = make("input", { type: "checkbox", onchange: () => view.set("value", input.checked) });
  const label = field(view, "widget-checkbox", input), indent = make("span", { className: "widget-label" });
  label.className = "";
  view.el.prepend(indent);
  view.el.append(label);
  view.sync(() => {
    input.checked = model.get("value");
    indent.hidden = model.get("indent") === false;
  });
};

kinds.TextModel = (view) => {
  const { model } = view, keep = () => view.set("value", input.value);
  const input = make("input", { type: "text", onchange: keep });
  input.oninput = () => { if (model.get("continuous_update")) keep(); };
  field(view, "widget-text", input);
  view.sync(() => {
    if (input.value !== model.get("value")) input.value = model.get("value");
    input.placeholder = model.get("placeholder") ?? "";
  });
};

kinds.LabelModel = (view) => {
  view.el.classList.add("widget-label");
  view.sync(() => { view.el.textContent = view.model.get("value"); });
};

kinds.HTMLModel = (view) => {
  const content = make("div", { className: "widget-html-content", role: "group" });
  field(view, "widget-html", content);
  view.listen("change:value", write);
  write();
  function write() { content.innerHTML = view.model.get("value"); }
};

kinds.PlayModel = (view) => {
  const { el, model } = view, get = (key) => model.get(key);
  const button = (name, text, act) => make("button", { type: "button", title: name, ariaLabel: name, onclick: act, textContent: text });
  const pause = () => {
    clearTimeout(model.timer);
    model.timer = undefined;
    model.set("playing", false);
  };
  const later = () => { model.timer = setTimeout(step, get("interval")); };
  const play = button("play", "", () => model.set("playing", !get("playing")));
  const stop = button("stop", "■", () => { pause(); model.set("value", get("min")); });
  const again = button("repeat", "↻", () => model.set("repeat", !get("repeat")));
  function step() {
    const next = get("value") + get("step");
    if (!get("playing")) return;
    if (next > get("max") && !get("repeat")) { pause(); return; }
    model.set("value", next > get("max") ? get("min") : next);
    later();
  }
  function turn() {
    if (!get("playing")) pause();
    else if (model.timer === undefined && get("value") !== get("max")) step();
    else if (model.timer === undefined) {
      model.set("value", get("min"));
      later();
    }
  }
  el.classList.add("widget-inline-hbox", "widget-play");
  el.append(play, stop, again);
  view.listen("change:playing", turn);
  view.ends.push(pause);
  view.sync(() => {
    for (const each of [play, stop, again]) each.disabled = get("disabled");
    play.textContent = get("playing") ? "❚❚" : "▶";
    play.ariaPressed = get("playing");
    again.ariaPressed = get("repeat");
    again.hidden = !get("show_repeat");
  });
};

kinds.OutputModel = (view) => {
  const words = ({ text, traceback, data }) => [text ?? traceback?.join("\n") ?? data["text/plain"]].flat().join("");
  view.el.classList.add("widget-output");
  view.sync(() => {
    const pieces = view.model.get("outputs").map(words).map((text) => text.replace(/\x1b\[[\d;]*m/g, ""));
    view.el.replaceChildren(...pieces.map((text) => make("pre", { textContent: text })));
  });
};
})();
