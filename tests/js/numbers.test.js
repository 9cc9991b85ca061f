import assert from "node:assert/strict";
import { test } from "node:test";
import {
  apart,
  clamp,
  least,
  mean,
  most,
  nearest,
  nearestByRatio,
  percent,
  short,
} from "../../gdlib/widgets/shared/numbers.js";

test("numbers are written as the prose writes them", () => {
  const written = {
    0: [0],
    "0.1": [0.1],
    "1.23": [1.2345],
    1230: [1234.5],
    "0.00123": [0.0012345],
    "0.000999": [9.99e-4],
    "9.9 × 10⁻⁴": [9.9e-4],
    "10⁻⁴": [1e-4],
    "10⁵": [99_999.9],
    10000: [9999.9],
    "5.9 × 10²¹": [5.88e21],
    "-10⁻⁵": [-1e-5],
    "-1.5": [-1.5],
    "2 × 10⁻⁷": [2e-7],
    "∞": [Infinity],
    "-∞": [-Infinity],
    "—": [NaN],
    "0.2": [0.1995, 2],
    "0.1995": [0.1995, 4],
    "4 × 10⁻⁹": [4.1e-9, 2],
  };
  for (const [text, value] of Object.entries(written)) assert.equal(short(...value), text);
});

test("what is written is within its digits of what is meant, over the whole range", () => {
  const digits = { "⁻": "-", ...Object.fromEntries([..."⁰¹²³⁴⁵⁶⁷⁸⁹"].map((c, i) => [c, i])) };
  const read = (text) => {
    const [, factor, power] = /^(?:(.*?)(?: × )?10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)|.*)$/.exec(text);
    if (!power) return Number(text);
    return Number(factor || 1) * 10 ** Number([...power].map((c) => digits[c]).join(""));
  };
  for (let k = -400; k <= 400; k++) {
    const value = 1.0731 * 10 ** (k / 20);
    assert.ok(Math.abs(read(short(value)) / value - 1) <= 0.05, `${value} is written ${short(value)}`);
  }
});

test("two values are written apart if they are not equal", () => {
  assert.deepEqual(apart(0.19953, 0.2), ["0.1995", "0.2"]);
  assert.deepEqual(apart(0.2, 0.2), ["0.2", "0.2"]);
  assert.deepEqual(apart(0.1, 0.2), ["0.1", "0.2"]);
  assert.deepEqual(apart(1.0000001, 1), ["1.0000001", "1"]);
});

test("the ends of a million values are found", () => {
  const values = Float64Array.from({ length: 1_000_000 }, (_, i) => Math.sin(i));
  assert.ok(Math.abs(most(values) - 1) < 1e-9 && Math.abs(least(values) + 1) < 1e-9);
  assert.deepEqual([least([], 3), most([], 3), least([]), most([])], [3, 3, Infinity, -Infinity]);
  assert.deepEqual([least([NaN, 2, 1]), most([NaN, 2, 1]), mean([1, 2, 6])], [1, 2, 3]);
});

test("the nearest is so by ratio, unless it is said otherwise", () => {
  assert.equal(nearest([0.1, 0.3], 0.17), 0);
  assert.equal(
    nearest([0.1, 0.3], 0.21, (v) => v),
    1,
  );
  assert.deepEqual(
    [0.17, 0.18, 0.001, 0.9].map((v) => nearestByRatio([0.01, 0.1, 0.3], v)),
    [1, 2, -1, 2],
  );
  assert.equal(nearestByRatio([], 1), -1);
  assert.deepEqual([clamp(5, 0, 3), clamp(-5, 0, 3), clamp(1, 0, 3), percent(0.256)], [3, 0, 1, "26 %"]);
});
