import assert from "node:assert/strict";
import { test } from "node:test";
import { marks, scale } from "../../gdlib/widgets/shared/axes.js";
import { lossAxis } from "../../gdlib/widgets/shared/curves.js";

const RANGES = [
  [1e-9, 1e9, true],
  [0.4, 900, true],
  [1.1, 1.4, true],
  [1.9, 3.1, false],
  [-5, 5, false],
  [0, 1e-7, false],
  [-1e-3, 7, false],
  [1e-32, 100, true],
].map(([low, high, log]) => ({ low, high, log }));

test("an axis has as many marks as there is room for, in order, on it, and never none", () => {
  for (const range of RANGES) {
    for (const room of [40, 74, 190, 250, 800]) {
      const found = marks(range, room);
      assert.ok(found.length >= 1 && found.length <= Math.max(3, room / 32), `${JSON.stringify(range)}, ${room} px`);
      assert.ok(found.every((v) => v >= range.low && v <= range.high));
      assert.deepEqual(
        found,
        found.toSorted((a, b) => a - b),
      );
    }
  }
  assert.deepEqual(marks({ low: -1.6, high: 1.6, log: false }, 240), [-1.5, -1, -0.5, 0, 0.5, 1, 1.5]);
  assert.deepEqual(marks({ low: 0, high: 200, log: false }, 300, 58), [0, 50, 100, 150, 200]);
});

test("an axis maps its ends to the ends of the box, and the middle by ratio where it is logarithmic", () => {
  assert.deepEqual([0, 5, 10].map(scale({ low: 0, high: 10 }, 100, 0)), [100, 50, 0]);
  const Y = scale({ low: 0.01, high: 1, log: true }, 0, 100);
  assert.ok(Math.abs(Y(0.1) - 50) < 1e-9);
});

test("losses have a logarithmic axis that holds them, and a linear one where some are below zero", () => {
  const plain = lossAxis([0.5, 2, Infinity, NaN]);
  assert.ok(plain.log && plain.low < 0.5 && plain.high > 2 && plain.high < 3);
  const below = lossAxis([-1, -2, 3]);
  assert.ok(!below.log && below.low < -2 && below.high > 3);
  const all = lossAxis([-3, -2]);
  assert.ok(!all.log && all.low < -3 && all.high > -2);
  assert.ok(lossAxis([0.5, 2, 1e9], 4).high < 5);
  assert.ok(lossAxis([]).log && lossAxis([0, 1]).low > 0);
});
