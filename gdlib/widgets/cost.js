// The cost calculator: what training a transformer costs, by the formulas of gdlib/choosing/cost.
import { bytes, card, count, drawMemory, duration, named } from "./shared/costs.js";
import { bar, button, legend, make, picture, select } from "./shared/elements.js";
import { short } from "./shared/numbers.js";
import { mount } from "./shared/stage.js";
import { colorsOf } from "./shared/theme.js";
import { say } from "./shared/words.js";

const TRAITS = ["parameters", "tokens", "devices", "precision", "optimizer", "hardware", "remedy"];
const FLOPS = { recompute: 8, "low rank": 4 }; // for a parameter and a token; 6 otherwise
const LAYER = { fp32: 64, mixed: 36 }; // bytes a layer keeps, for each token and unit of width
const VOCABULARY = 50257;

// Weights that a device holds beside its share: copies in 16 bits or, of many devices, what FSDP has gathered.
function workingWeights({ parameters, precision, remedy }, devices, layers, shape) {
  if (devices > 1) return (precision === "fp32" ? 4 : 2) * shape * (VOCABULARY + 12 * Math.min(layers, 2) * shape);
  return precision === "mixed" && remedy !== "low rank" ? 2 * parameters : 0;
}

export function costOf(given) {
  const { parameters, tokens, precision, optimizer, remedy, devices, device, utilization } = given;
  const width = precision === "fp32" ? 4 : 2;
  const shape = ((128 * parameters) / 12) ** (1 / 3);
  const layers = shape / 128;
  const flops = (FLOPS[remedy] ?? 6) * parameters * tokens;
  const lowRank = remedy === "low rank";
  const trained = parameters * (lowRank ? given.lowRank : 1);
  const weights = 4 * trained + (lowRank ? width * parameters : 0);
  const state = given.stateBytes[optimizer] / (remedy === "8-bit state" ? 4 : 1);
  const shared = { weights, gradients: 4 * trained, optimizer: state * trained };
  const kept = layers * (remedy === "recompute" ? 4 : LAYER[precision]) + 4 + width;
  const activations = given.tokensPerDevice * (kept * shape + 4 * VOCABULARY);
  const [copies, gathered] = [devices, 2].map((n) => workingWeights(given, n, layers, shape));
  const inAll = shared.weights + shared.gradients + shared.optimizer;
  const room = device.memory - activations - gathered;
  const days = flops / (devices * device.peak[precision] * utilization) / 86400;
  return {
    flops,
    days,
    activations,
    copies,
    ...shared,
    dollars: days * 24 * devices * device.price,
    perDevice: inAll / devices + copies + activations,
    needed: room > 0 ? Math.max(2, Math.ceil(inAll / room)) : Infinity,
  };
}

function costAt(w) {
  const settings = Object.fromEntries(TRAITS.map((name) => [name, w.get(name)]));
  return costOf({
    ...settings,
    device: w.device(),
    utilization: w.get("utilization"),
    tokensPerDevice: w.get("tokens_per_device"),
    stateBytes: w.get("state_bytes"),
    lowRank: w.get("low_rank"),
  });
}

function cardsOf(w, cost) {
  const [parameters, tokens, devices, hardware] = ["parameters", "tokens", "devices", "hardware"].map(w.get);
  const factor = Math.round(cost.flops / parameters / tokens);
  const device = w.device();
  return [
    card("compute", `${short(cost.flops)} FLOP`, `${factor} × ${count(parameters)} × ${count(tokens)}`),
    card("time", duration(cost.days), `${devices} × ${hardware}`),
    card("money", `$${count(cost.dollars)}`, `$${device.price} / h`),
    card("memory a device", bytes(cost.perDevice), say("of memory", { memory: bytes(device.memory) })),
  ];
}

// What the memory of a device holds: a name, bytes and a colour each.
function termsOf(cost, devices, colors) {
  return named([
    ["weights", cost.weights / devices, colors.blue],
    ["gradients", cost.gradients / devices, colors.orange],
    ["optimiser state", cost.optimizer / devices, colors.green],
    ["copied or gathered weights", cost.copies, colors.gold],
    ["activations", cost.activations, colors.violet],
  ]);
}

function verdict(cost, memory) {
  if (cost.perDevice <= memory) return [say("It fits."), true];
  const { needed } = cost;
  return [Number.isFinite(needed) ? say("too few devices", { needed }) : say("activations too large"), false];
}

function assumptionsOf(w) {
  return [
    say("assumed rate", {
      share: 100 * w.get("utilization"),
      peak: short(w.device().peak[w.get("precision")] / 1e12),
    }),
    say("assumed sharing"),
    say("assumed shape", { tokens: w.get("tokens_per_device") }),
    say("assumed rank", { share: 100 * w.get("low_rank") }),
    say("not counted"),
  ].map((text) => make("li", {}, text));
}

function draw(w) {
  const colors = colorsOf(w.root);
  const cost = costAt(w);
  const terms = termsOf(cost, w.get("devices"), colors);
  w.cards.replaceChildren(...cardsOf(w, cost));
  drawMemory(w, colors, terms, w.get("hardware"), w.device().memory);
  w.list.replaceChildren(...legend(terms));
  const [said, fits] = verdict(cost, w.device().memory);
  w.tell(said, say("tokens a parameter", { ratio: count(w.get("tokens") / w.get("parameters")) }), fits);
  w.canvas.setAttribute(
    "aria-label",
    `${say("memory a device")}: ${terms.map(({ text }) => text).join(", ")}. ${said}`,
  );
  for (const [name, { list }] of Object.entries(w.choices)) list.value = w.get(name);
  w.assumptions.replaceChildren(...assumptionsOf(w));
  const { flops, days, dollars, perDevice } = cost;
  Object.assign(w.root.dataset, { flops, days, dollars, memory: perDevice });
}

function render(at) {
  const stage = mount(at, "cost");
  const { get, set, root } = stage;
  const hardware = get("hardware_table");
  const same = (values) => values.map((value) => [value, value]);
  const choose = (key, name, options) => select(key, options, get(name), (value) => set({ [name]: value }));
  const choices = {
    precision: choose("precision", "precision", [
      ["mixed", "bf16 + fp32"],
      ["fp32", "fp32"],
    ]),
    optimizer: choose("optimiser", "optimizer", [
      ["adamw", "AdamW"],
      ["momentum", "SGD + momentum"],
      ["sgd", "SGD"],
    ]),
    hardware: choose("hardware", "hardware", same(Object.keys(hardware))),
    remedy: choose("remedy", "remedy", same(["none", "recompute", "8-bit state", "low rank"])),
  };
  const w = { ...stage, choices, device: () => hardware[get("hardware")], canvas: picture() };
  w.cards = make("div", { class: "gd-cards" });
  w.list = make("p", { class: "gd-legend" });
  w.assumptions = make("ul", { class: "gd-assumptions" });
  const balance = () => set({ tokens: Math.min(1e14, 20 * get("parameters")) });
  root.append(
    bar(Object.values(choices).map(({ element }) => element)),
    bar([button("Reset", () => set(get("setting"))), button("20 tokens a parameter", balance)]),
    w.cards,
    w.canvas,
    w.list,
    stage.readout,
    w.assumptions,
  );
  w.redraw(TRAITS, () => draw(w));
  return w.end;
}

export default { render };
