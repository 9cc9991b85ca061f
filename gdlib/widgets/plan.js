// Plan your own run: from three numbers to all the rest, by the rules of gdlib/choosing/cost/planning.py.
import { bytes, card, count, drawMemory, duration, named } from "./shared/costs.js";
import { bar, button, legend, make, picture, select } from "./shared/elements.js";
import { percent, short } from "./shared/numbers.js";
import { mount } from "./shared/stage.js";
import { colorsOf } from "./shared/theme.js";
import { say } from "./shared/words.js";

const TRAITS = ["parameters", "tokens", "devices", "hardware", "utilization", "link"];
const LAYER = 36; // bytes that a layer keeps in mixed precision, for each token and unit of width
const WORK = 14; // bytes that its backward pass needs beside them
const TRIED = [
  ["ddp", false],
  ["fsdp", false],
  ["fsdp", true],
];

// gpt2_shape: layers, width and what of it is counted, for so many parameters.
export function shapeOf(parameters, { proportion, vocabulary, context }) {
  const outside = vocabulary + context + 2;
  let h = ((proportion * parameters) / 12) ** (1 / 3);
  for (let k = 0; k < 60; k++) {
    const value = h * (outside + (h * (13 + 12 * h)) / proportion) - parameters;
    h -= value / (outside + (h * (26 + 36 * h)) / proportion);
  }
  const layers = h / proportion;
  const inside = 12 * layers * h * h;
  const all = inside + vocabulary * h + h * (context + 13 * layers + 2);
  return { layers, h, inside, head: vocabulary * h, all, vocabulary, context };
}

// The fullest moments of a step: copies, gradients that stay, gradients that pass, and for a token activations, logits.
function whole({ layers, h, inside, head, all, vocabulary: V }, again) {
  const kept = again ? 4 * h : LAYER * h;
  const one = 12 * h * h;
  const end = layers * kept + 6 * h;
  const copies = 2 * (inside + head);
  const moments = [
    [again ? 2 * head : copies, 0, 0, end, 12 * V],
    [
      (again ? 2 * head : copies) + (again ? 2 * one : 0),
      4 * head,
      0,
      layers * kept + ((again ? LAYER : 0) + WORK) * h,
      0,
    ],
    [2 * one, 4 * (all - one), 0, (LAYER + WORK) * h, 0],
    [0, 4 * all, 0, 0, 0],
  ];
  return again ? [...moments, [copies, 0, 0, end, 8 * V]] : moments;
}

function sharded({ layers, h, all, vocabulary: V }, again, each) {
  const layer = (LAYER - 4) * h; // what goes from layer to layer is in 16 bits
  const kept = again ? 2 * h : layer;
  const one = 12 * h * h;
  const outside = all - layers * one;
  const moments = [[2 * outside, 0, 0, layers * kept + 4 * h, 12 * V]];
  for (const left of [layers, layers - 1, 2, 1].filter((n) => n >= 1 && n <= layers)) {
    const gathered = 2 * (outside + Math.min(left, 2) * one);
    const passing = 2 * outside + (left < layers ? 4 * one : 0);
    const done = each * (layers - left) * one;
    moments.push([gathered, done, passing, left * kept + (again ? layer : 0) + WORK * h, 0]);
    moments.push([gathered, done, passing + 2 * one, (left - 1) * kept + WORK * h, 0]);
  }
  return [...moments, [0, each * all, 6 * outside + 4 * one, 0, 0]];
}

// step_memory, in mixed precision with AdamW.
export function memoryOf(shape, tokens, { devices, way, again, accumulate }) {
  const among = devices > 1 && way === "fsdp" ? devices : 1;
  const early = accumulate || (devices > 1 && way === "ddp") ? (4 * shape.all) / among : 0;
  const moments = among > 1 ? sharded(shape, again, 4 / among) : whole(shape, again);
  const found = moments.map(([copies, stay, passing, activations, logits]) => ({
    weights: (4 * shape.all) / among,
    optimizer: (8 * shape.all) / among,
    gradients: Math.max(early, stay) + passing,
    copies,
    activations: tokens * activations,
    logits: tokens * (2 * shape.vocabulary + logits),
  }));
  return found.reduce((most, held) => (inAll(held) > inAll(most) ? held : most));
}

export const inAll = (held) => Object.values(held).reduce((sum, value) => sum + value, 0);

// network_share: seconds of sending for each second of computing.
function networkOf(shape, { devices, way, batch, pieces, rate, link }) {
  if (devices === 1) return 0;
  const outside = shape.h * (shape.vocabulary + shape.context + 2);
  const sent = way === "ddp" ? 8 * shape.all : pieces * (2 * (2 * shape.all - outside) + 4 * shape.all);
  const matrices = shape.inside + shape.head;
  return ((((devices - 1) / devices) * sent) / link) * ((devices * rate) / (6 * matrices * batch));
}

function planBy(way, again, shape, given) {
  const { tokens, devices, device, utilization, room } = given;
  const law = 0.58 * tokens ** 0.571;
  const share = Math.max(1, Math.floor(law / shape.context / devices + 0.5));
  let [pieces, sequences, memory, fits] = [1, 1, null, false];
  for (let most = Math.min(share, given.sequences); most > 0 && !fits; most--) {
    pieces = Math.ceil(share / most);
    sequences = Math.ceil(share / pieces);
    memory = memoryOf(shape, sequences * shape.context, { devices, way, again, accumulate: pieces > 1 });
    fits = inAll(memory) <= room * device.memory;
  }
  const batch = share * devices * shape.context;
  const rate = utilization * device.peak.mixed;
  const network = networkOf(shape, { devices, way, batch, pieces, rate, link: given.speed });
  const flops = (again ? 8 : 6) * (shape.inside + shape.head) * tokens;
  const days = (flops / (devices * rate) / 86400) * Math.max(1, network);
  const remedy = again ? "recompute" : "none";
  return {
    flops,
    fits,
    memory,
    sequences,
    pieces,
    law,
    batch,
    remedy,
    network,
    days,
    way: devices === 1 ? "alone" : way,
    steps: Math.ceil(tokens / batch),
    lr: 1.79 * shape.inside ** -0.713 * tokens ** 0.307,
    dollars: days * 24 * devices * device.price,
  };
}

// The fastest way of those that fit, or the last.
export function planOf(given) {
  const shape = shapeOf(given.parameters, given);
  const found = TRIED.map(([way, again]) => planBy(way, again, shape, given));
  const fitting = found.filter(({ fits }) => fits);
  const best = fitting.reduce((least, one) => (least && least.days <= one.days ? least : one), null);
  return { shape, ...(best ?? found.at(-1)) };
}

function planAt(w) {
  const settings = Object.fromEntries(TRAITS.map((name) => [name, w.get(name)]));
  return planOf({ ...settings, ...w.get("rules"), device: w.device(), speed: w.get("links")[settings.link] });
}

const thousands = (n) => n.toLocaleString("en");

function cardsOf(w, plan) {
  const [parameters, tokens, devices] = ["parameters", "tokens", "devices"].map(w.get);
  const { price, peak } = w.device();
  const { layers, h, inside, head } = plan.shape;
  const factor = plan.remedy === "recompute" ? 8 : 6;
  const compute = `${factor} N D: ${factor} × ${count(inside + head)} × ${count(tokens)}`;
  const rate = `${devices} × ${short(peak.mixed / 1e12)} TFLOP/s × ${percent(w.get("utilization"))}`;
  const shape = { layers: short(layers), h: Math.round(h), sequences: plan.sequences };
  const { sequences, pieces, network } = plan;
  const slow = network > 1;
  return [
    card("plan data", bytes(2 * tokens), say("plan data rule", { ratio: short(tokens / parameters) })),
    card("compute", `${short(plan.flops)} FLOP`, compute),
    card("memory a device", bytes(inAll(plan.memory)), say("plan memory rule", shape)),
    card("plan way", say(`plan by ${plan.way}`), wayOf(w, plan)),
    card("batch size", say("plan tokens", { n: thousands(plan.batch) }), say("plan batch rule", { sequences, pieces })),
    card("learning rate", short(plan.lr), say("plan rate rule", { N: count(inside) })),
    card("time", duration(plan.days), slow ? say("plan time sent", { rate, n: short(network) }) : `C / (${rate})`),
    card("money", `$${count(plan.dollars)}`, say("plan money rule", { devices, price })),
  ];
}

function wayOf(w, plan) {
  const said = [say(`plan why ${plan.way}`)];
  if (plan.remedy === "recompute") said.push(say("plan recomputes"));
  if (plan.way !== "alone") said.push(say("plan sent", { share: short(plan.network, 2), link: w.get("link") }));
  return said.join(" ");
}

function termsOf(held, colors) {
  return named([
    ["weights", held.weights, colors.blue],
    ["gradients", held.gradients, colors.orange],
    ["optimiser state", held.optimizer, colors.green],
    ["copied or gathered weights", held.copies, colors.gold],
    ["activations", held.activations, colors.violet],
    ["plan logits", held.logits, colors.pink],
  ]);
}

function verdictOf(w, plan) {
  const times = plan.batch / plan.law;
  if (!plan.fits) return [say("plan does not fit"), false];
  if (plan.network > 1) return [say("plan network", { share: short(plan.network, 2) }), false];
  if (times > 1.5) return [say("plan too many", { devices: w.get("devices"), times: short(times, 2) }), false];
  return [say("It fits."), true];
}

function draw(w) {
  const colors = colorsOf(w.root);
  const plan = planAt(w);
  const terms = termsOf(plan.memory, colors);
  w.cards.replaceChildren(...cardsOf(w, plan));
  drawMemory(w, colors, terms, w.get("hardware"), w.device().memory);
  w.list.replaceChildren(...legend(terms));
  const [said, good] = verdictOf(w, plan);
  w.tell(said, say("plan steps", { steps: thousands(plan.steps) }), good);
  w.canvas.setAttribute(
    "aria-label",
    `${say("memory a device")}: ${terms.map(({ text }) => text).join(", ")}. ${said}`,
  );
  for (const [name, { list }] of Object.entries(w.choices)) list.value = String(w.get(name));
  w.assumptions.replaceChildren(...assumptionsOf(w).map((text) => make("li", {}, text)));
  const { flops, days, dollars, batch, lr } = plan;
  Object.assign(w.root.dataset, { flops, days, dollars, batch, lr, memory: inAll(plan.memory) });
}

function assumptionsOf(w) {
  const { room, proportion, context, sequences } = w.get("rules");
  const speed = short(w.get("links")[w.get("link")] / 1e9);
  return [
    say("plan assumed link", { link: w.get("link"), speed }),
    say("plan assumed shape", { proportion, context }),
    say("plan assumed memory", { share: 100 * room, sequences }),
    say("plan assumed law"),
    say("plan not counted"),
  ];
}

function render(at) {
  const stage = mount(at, "plan");
  const { get, set, root } = stage;
  const hardware = get("hardware_table");
  const same = (values) => values.map((value) => [value, value]);
  const choices = {
    hardware: select("hardware", same(Object.keys(hardware)), get("hardware"), (value) => set({ hardware: value })),
    utilization: select(
      "plan share of the peak",
      get("utilizations").map((value) => [String(value), percent(value)]),
      String(get("utilization")),
      (value) => set({ utilization: Number(value) }),
    ),
    link: select("plan link", same(Object.keys(get("links"))), get("link"), (value) => set({ link: value })),
  };
  const w = { ...stage, choices, device: () => hardware[get("hardware")], canvas: picture() };
  w.cards = make("div", { class: "gd-cards" });
  w.list = make("p", { class: "gd-legend" });
  w.assumptions = make("ul", { class: "gd-assumptions" });
  const balance = () => set({ tokens: Math.min(get("most_tokens"), 20 * get("parameters")) });
  const fold = make("details", { class: "gd-numbers" }, make("summary", {}, say("plan fold")));
  fold.append(bar([choices.utilization.element, choices.link.element]), w.assumptions);
  root.append(
    bar(
      [choices.hardware.element],
      [button("Reset", () => set(get("setting"))), button("20 tokens a parameter", balance)],
    ),
    w.cards,
    w.canvas,
    w.list,
    stage.readout,
    fold,
  );
  w.redraw(TRAITS, () => draw(w));
  return w.end;
}

export default { render };
