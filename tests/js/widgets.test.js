import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { sessionOf, thinned } from "../../gdlib/widgets/cockpit.js";
import { bytes, count, duration, named } from "../../gdlib/widgets/shared/costs.js";
import { curvesAt, endOf, rowOf } from "../../gdlib/widgets/curves.js";
import { bestSetting, curveAxis, descend, levelLines, problemOf } from "../../gdlib/widgets/descent.js";
import { brightest, edges, lowest, ridge, ruled, shade, shareOf } from "../../gdlib/widgets/phase.js";
import { inAll, planOf, shapeOf } from "../../gdlib/widgets/plan.js";
import { offsetOf, predicted } from "../../gdlib/widgets/predictions.js";
import { panelsOf, rangeOf, scoreOf, shuffled } from "../../gdlib/widgets/quiz.js";
import { lossAt, rangeAxis, zoneOf } from "../../gdlib/widgets/range_test.js";
import { frameOf, positionsOn, tableOf } from "../../gdlib/widgets/runs.js";
import { meaning, nearestRun, STRATEGIES } from "../../gdlib/widgets/schedule.js";
import * as along from "../../gdlib/widgets/shared/along.js";
import { isDark } from "../../gdlib/widgets/shared/theme.js";
import { bitsOf } from "../../gdlib/widgets/texts.js";

const HOME = new URL("../../gdlib/widgets/", import.meta.url);

test("every widget is a module that runs alone and can be rendered", async () => {
  const names = readdirSync(HOME).filter((name) => name.endsWith(".js"));
  assert.equal(names.length, 13);
  for (const name of names) assert.equal(typeof (await import(new URL(name, HOME))).default.render, "function");
});

test("descent: the best setting is the lowest of the sliders' positions", () => {
  const bowl = problemOf("quadratic", { curvatures: [1, 10] });
  const best = bestSetting(bowl, [1.6, 1], 20);
  assert.equal(descend(bowl, [1.6, 1], best.lr, 20, best.momentum).losses.at(-1), best.loss);
  for (let e = -80; e <= 10; e += 5) {
    const { losses } = descend(bowl, [1.6, 1], 10 ** (e / 20), 20, 0.2);
    assert.ok(losses.at(-1) >= best.loss);
  }
  const { lr } = bestSetting(bowl, [1.6, 1], 20, 0.05);
  const places = Math.log10(lr / 0.05) / 0.05;
  assert.ok(Math.abs(places - Math.round(places)) < 1e-9, "on the slider's raster, which goes through its start");
  assert.ok(descend(bowl, [1.6, 1], 0.21, 300, 0).diverged && !descend(bowl, [1.6, 1], 0.19, 300, 0).diverged);
});

test("descent: the axis stands still unless the path falls below it", () => {
  const { low, high } = curveAxis([6, 1, 0.1]);
  assert.deepEqual(curveAxis([6, 3, 2e-3]), { low, high, log: true });
  assert.equal(curveAxis([6, 1e-5]).low, 1e-8);
  assert.equal(curveAxis([6, 9.8e-28]).low, 1e-32);
  assert.equal(curveAxis([6, 0]).high, high);
  assert.equal(curveAxis([6, 1e90, Infinity]).high, high);
});

test("descent: level lines lie where the height is", () => {
  const height = Float64Array.from({ length: 100 }, (_, k) => (k % 10) + Math.floor(k / 10));
  const lines = levelLines(height, 10, 10, 7.5);
  assert.ok(lines.length > 5);
  for (const [x, y] of lines.flat()) assert.ok(Math.abs(x + y - 7.5) < 1e-12);
});

test("cost: units that a reader knows", () => {
  assert.deepEqual([219e6, 1.31e9, 5, 3e17].map(bytes), ["219 MB", "1.31 GB", "5 B", "300 PB"]);
  assert.deepEqual([8.5, 0.5, 1000].map(duration), ["8.5 days", "12 hours", "2.74 years"]);
  assert.deepEqual([7e9, 1.4e11, 26_200, 5, 2e12].map(count), ["7B", "140B", "26.2k", "5", "2T"]);
});

test("a device's memory: what takes none is not named", () => {
  const terms = named([
    ["weights", 4e8, "blue"],
    ["gradients", 0, "orange"],
  ]);
  assert.deepEqual(terms, [{ text: "weights 400 MB", value: 4e8, color: "blue" }]);
});

test("plan: the fastest that fits, a way that sends nothing alone, and the last where none fits", () => {
  const rules = { proportion: 64, vocabulary: 50257, context: 1024, room: 0.9, sequences: 64, speed: 25e9 };
  const device = { peak: { mixed: 312e12 }, memory: 80e9, price: 2 };
  const of = (parameters, devices) =>
    planOf({ ...rules, device, parameters, tokens: 20 * parameters, devices, utilization: 0.4 });
  const ways = [of(124e6, 1), of(124e6, 8), of(7e9, 64), of(1e12, 1)].map(({ way, fits }) => [way, fits]);
  assert.deepEqual(ways, [
    ["alone", true],
    ["ddp", true],
    ["fsdp", true],
    ["alone", false],
  ]);
  assert.equal(of(124e6, 1).network, 0);
  const plan = of(7e9, 64);
  assert.ok(inAll(plan.memory) <= 0.9 * 80e9 && plan.sequences * plan.pieces * 64 * 1024 >= plan.batch);
  const { layers, h } = shapeOf(124439808, rules);
  assert.ok(Math.abs(layers - 12) < 1e-9 && Math.abs(h - 768) < 1e-9);
});

test("runs: the axes hold all runs and stand still", () => {
  const losses = Float32Array.from([2, 1, 2.4, 0.5, 2.2, 1e9]);
  const frame = frameOf(losses, 2);
  assert.ok(Math.abs(frame.start - 2.2) < 1e-6);
  assert.ok(frame.log && frame.low < 0.5 && frame.high > 2.4 && frame.high < 12);
  assert.ok(
    frameOf(Float32Array.from([2, 1, 2, 0.01]), 2, 2).low > 0.4,
    "one seed's lowest loss takes no room from the rest",
  );
  const below = frameOf(Float32Array.from([1, -1, 1, -2]), 2);
  assert.ok(!below.log && below.low < -2 && below.high > 1);
  assert.deepEqual([...tableOf(losses, [3, 1, 1, 2])(1, 0)[0]].map(Math.fround), [Math.fround(2.4), 0.5]);
  assert.deepEqual(positionsOn("samples", [1, 2], 8, 5, 0.1), [8, 16]);
  assert.deepEqual(positionsOn("flops", [1, 2], 8, 5, 0.1), [40, 80]);
  assert.deepEqual(positionsOn("seconds", [1, 2], 8, 5, 0.5), [0.5, 1]);
  assert.deepEqual(positionsOn("steps", [1, 2], 8, 5, 0.5), [1, 2]);
});

test("range test: between the rates tried, by ratio", () => {
  const [lrs, smoothed] = [
    [1e-3, 1e-2, 0.1, 1, 10],
    [2, 1.95, 1.2, 0.5, 4],
  ];
  assert.ok(Math.abs(lossAt(10 ** -1.5, lrs, smoothed) - (1.95 + 1.2) / 2) < 1e-9);
  const zones = [5e-4, 0.03, 0.95, 5, 20].map((lr) => zoneOf(lr, lrs, smoothed));
  assert.deepEqual(zones, ["flat", "slope", "minimum", "away", "away"]);
  const risen = [0.002, 9].map((lr) => zoneOf(lr, lrs, [1, 1, 1, 1.2, 3]));
  assert.deepEqual(risen, ["flat", "away"]);
  const lower = smoothed.map((v) => v - 3);
  assert.deepEqual(
    [5e-4, 0.03, 0.95, 5].map((lr) => zoneOf(lr, lrs, lower)),
    ["flat", "slope", "minimum", "away"],
  );
  assert.ok(rangeAxis(smoothed, smoothed).log && !rangeAxis(lower, lower).log);
  const many = Array.from({ length: 200_000 }, (_, k) => 2 + Math.sin(k));
  assert.ok(
    zoneOf(
      1.5,
      Array.from({ length: 200_000 }, (_, k) => k + 1),
      many,
    ),
  );
});

test("phase: the best of each batch size, the rules, the cells and their colours", () => {
  const cells = [
    [[3, 3, 3], null, [1]],
    [[2, 1, 4], [5, 5, 5], [2]],
    [[2.5, 2, 3], [4, 4, 4], null],
  ];
  assert.deepEqual([ridge(cells), lowest(cells), lowest([[null, [1]]])], [[1, 2, -1], [1, 0], null]);
  assert.deepEqual(edges([1, 4, 16]), [0.5, 2, 8, 32]);
  assert.ok(edges([2]).every((v, i) => Math.abs(v / [Math.SQRT2, 2 * Math.SQRT2][i] - 1) < 1e-12));
  assert.deepEqual(
    [1, 0.5].map((power) => ruled([32, 0.1], 128, power)),
    [0.4, 0.2],
  );
  assert.deepEqual([0, 1, 7].map(shade), ["rgb(253 231 37)", "rgb(68 1 84)", "rgb(68 1 84)"]);
  assert.equal(brightest(cells, 3), 1.5);
  assert.equal(brightest(cells, 8), 2);
  assert.ok(Math.abs(shareOf(2, 1, 4) - 0.5) < 1e-12);
  const below = [
    [
      [-3, -3, -3],
      [1, 1, 1],
    ],
  ];
  assert.equal(brightest(below, 2), -3);
  assert.deepEqual(
    [-3, -0.5, 2].map((loss) => shareOf(loss, -3, 2)),
    [0, 0.5, 1],
  );
});

test("schedule: the nearest run counts only where it is near; a shape has a meaning", () => {
  const known = [
    ["cosine", 0.25, 0],
    ["cosine", 0.5, 0],
    ["cosine", 0.5, 0.1],
    ["constant", 0, 0],
  ];
  const asked = (strategy, lr, shape, warmup) => {
    const reach = { shape: 0.15, warmup: 0.05 };
    const { run, rate, near } = nearestRun({ strategy, lr, shape, warmup }, known, [0.01, 0.1, 0.3], reach);
    return [run, rate, near];
  };
  assert.deepEqual(asked("cosine", 0.1, 0.4, 0.02), [1, 1, true]);
  assert.deepEqual(asked("cosine", 0.17, 0.3, 0.04), [0, 1, true]); // 0.17 is nearer to 0.1 than to 0.3, by ratio
  assert.deepEqual(asked("cosine", 0.18, 0.5, 0.08), [2, 2, true]);
  assert.deepEqual(asked("cosine", 0.1, 0.66, 0.1), [2, 1, false]); // beyond the shapes that were run
  assert.deepEqual(asked("cosine", 0.1, 0.25, 0.1), [2, 1, false]); // this pair was not run
  assert.deepEqual(asked("cosine", 0.001, 0.25, 0), [0, -1, false]); // nor was such a rate
  assert.deepEqual(asked("constant", 0.1, 0.9, 0), [3, 1, true]); // the shape means nothing
  assert.deepEqual(asked("linear", 0.1, 0.5, 0), [-1, 1, false]);
  const half = Object.keys(STRATEGIES).map((strategy) => [strategy, meaning(strategy, 0.5)]);
  const falls = "falls to 1/100 of its peak";
  assert.deepEqual(Object.fromEntries(half), {
    constant: "the shape has no meaning here",
    step: "falls three times, to 1/100 of its peak",
    exponential: falls,
    time: falls,
    linear: falls,
    cosine: falls,
    restarts: "3 restarts",
    one_cycle: "rises for 50 % of the steps",
    wsd: "falls to 0 in the last 50 % of the steps",
  });
  assert.equal(meaning("restarts", 0), "1 restart");
  assert.equal(meaning("cosine", 0), "stays at its peak");
});

test("along a run: losses, snapshots and the axis of steps", () => {
  const curve = { at: [1, 4, 9], losses: [2, 1, 0.5], steps: [0, 3, 9] };
  assert.deepEqual(
    [0, 1, 2, 9, 20].map((step) => along.lossAt(curve, step)),
    [2, 2, 1, 0.5, 0.5],
  );
  assert.deepEqual(
    [0, 2, 3, 20].map((step) => along.snapshotAt(curve, step)),
    [0, 0, 1, 2],
  );
  assert.equal(along.lossAt({ at: [], losses: [] }, 3), Infinity);
  const { axis, warp } = along.stepAxis(300, true, 600);
  assert.deepEqual(axis.ticks.map(axis.format), ["0", "1", "3", "10", "30", "100", "300"]);
  assert.equal(warp(99), 2);
  const narrow = along.stepAxis(300, true, 200).axis;
  assert.deepEqual(narrow.ticks.map(narrow.format), ["0", "1", "10", "100"]);
  assert.deepEqual(along.stepAxis(300, false, 600).axis, { low: 0, high: 300 });
  const high = along.lossRange([curve, { losses: [2, 1e9] }]).high;
  assert.ok(high > 2 && high < 25);
  assert.ok(!along.lossRange([{ losses: [1, -1] }]).log);
});

test("a quiz keeps the score, and shuffles all cases but one", () => {
  const states = [
    { done: "solved", guesses: 1, shown: 0 },
    { done: "solved", guesses: 3, shown: 2 },
    { done: "told", guesses: 1, shown: 4 },
  ];
  assert.deepEqual(scoreOf(states), { solved: 2, clean: 1, count: 3, guesses: 5 });
  assert.deepEqual(
    shuffled(4, 0, () => 0),
    [0, 2, 3, 1],
  );
  assert.deepEqual(
    shuffled(4, 2, () => 0.99),
    [0, 1, 2, 3],
  );
  for (let k = 0; k < 20; k++) {
    const order = shuffled(12, 3);
    assert.equal(order[3], 3);
    assert.deepEqual(
      [...order].sort((a, b) => a - b),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    );
  }
});

test("predictions, texts, quiz, cockpit and theme", () => {
  assert.deepEqual(predicted([1, 65534, 3]), { best: 1, probability: 1 });
  assert.equal(predicted([65535, 65535]).best, -1);
  const three = [10, 10, 7].map((n) => ({ steps: Array(n) }));
  const places = [
    [0, 0],
    [0, 9],
    [1, 0],
    [2, 6],
  ].map(([run, snapshot]) => offsetOf(three, run, snapshot, 200));
  assert.deepEqual(places, [0, 1800, 2000, 5200]);
  assert.ok(Math.abs(bitsOf(Math.log(8)) - 3) < 1e-12);
  const names = ["learning rate", "train loss", "test accuracy", "test loss", "train accuracy"];
  const panels = panelsOf(names.map((name) => ({ name }))).map(({ kind, lines }) => [kind, lines.length]);
  assert.deepEqual(panels, [
    ["loss", 2],
    ["learning rate", 1],
    ["accuracy", 2],
  ]);
  const spans = [[2.3, 2.31], [1, 1e30], [0.5, 5], [], [-1, 2], [3], [2, 1e-9]].map(rangeOf);
  assert.deepEqual(
    spans.map(({ log }) => log),
    [false, true, true, false, false, false, true],
  );
  assert.ok(spans[0].high - spans[0].low > 1.2, "what hardly moves looks so");
  assert.equal(spans[1].high, 1e6);
  assert.ok(spans[6].high > 2, "what falls by nine decades is not cut");
  const columns = Float32Array.from([1, 2, 0.5, 0.25, 8, 16]);
  assert.deepEqual(sessionOf(columns), { losses: [1, 2], lrs: [0.5, 0.25], sizes: [8, 16] });
  assert.deepEqual(thinned([1, 3, 5, 7], 2), [
    [0.5, 2],
    [2.5, 6],
  ]);
  assert.deepEqual(thinned([1, 3], 9), [
    [0, 1],
    [1, 3],
  ]);
  assert.ok(isDark([20, 24, 30]) && !isDark([255, 255, 255]));
});

test("a setting's row of the table of curves, its points as shares of the axes, and where a curve is named", () => {
  assert.equal(
    rowOf(
      [
        ["a", 3],
        ["b", 4],
      ],
      [2, 1],
    ),
    9,
  );
  const [half, end, hidden] = [30000, 45000, 65535];
  const codes = Uint16Array.from([0, 0, 0, 0, 0, 0, 15000, half, end, half, hidden, 60000]);
  assert.deepEqual(curvesAt(codes, [3], 1), [
    [
      [0, 0.5],
      [1, 1.5],
    ],
  ]);
  assert.deepEqual(
    endOf([
      [0, 0.5],
      [1, 1.5],
    ]),
    [0, 0.5],
  );
  assert.equal(endOf([[0, -0.1]]), null);
});
