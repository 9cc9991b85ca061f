import assert from "node:assert/strict";
import { test } from "node:test";
import { curvesOf, decode, spread, unpack } from "../../gdlib/widgets/shared/tables.js";

test("a binary trait may begin anywhere in its buffer", () => {
  const values = Float32Array.from([0.5, -2, 7]);
  for (const offset of [0, 1, 3, 4]) {
    const bytes = new Uint8Array(offset + 12);
    bytes.set(new Uint8Array(values.buffer), offset);
    assert.deepEqual([...decode(new DataView(bytes.buffer, offset, 12), Float32Array)], [0.5, -2, 7]);
    assert.deepEqual([...decode(bytes.subarray(offset), Float32Array)], [0.5, -2, 7]);
  }
});

test("losses are read from their logarithms, or from themselves", () => {
  const codes = new Uint8Array(Uint16Array.from([0, 65534, 65535]).buffer);
  const found = [...unpack(codes, [Math.log(0.5), Math.log(4)])];
  assert.ok(Math.abs(found[0] - 0.5) < 1e-6 && Math.abs(found[1] - 2) < 1e-6);
  assert.equal(found[2], Infinity);
  assert.deepEqual([...unpack(codes, [-2, 5, 1])], [-2, 3, Infinity]);
});

test("a spread ends where a seed diverges, and counts how many have", () => {
  const values = Float32Array.from([4, 2, 1, 6, 4, Infinity, 9, 9, 9]);
  const curves = curvesOf(values, 0, 2, 3);
  assert.deepEqual(
    curves.map((c) => [...c]),
    [
      [4, 2, 1],
      [6, 4, Infinity],
    ],
  );
  assert.deepEqual(spread(curves), { until: 2, mean: [5, 3], low: [4, 2], high: [6, 4], diverged: 1 });
  assert.deepEqual([...curvesOf(values, 2, 1, 3)[0]], [9, 9, 9]);
  assert.deepEqual([...curvesOf(values, 0, 1, 2, 6)[0]], [9, 9]);
});
