import assert from "node:assert/strict";
import { test } from "node:test";
import { fits, judge, numberOf } from "../../gdlib/widgets/shared/judge.js";
import { recall, remember } from "../../gdlib/widgets/shared/remember.js";
import { apartness, filled, stroked } from "../../gdlib/widgets/shared/sketch.js";

test("a number is read as people write it", () => {
  const written = ["0.5", " 0,5 ", "1e-3", "1/3", "−2", "2.5e+4", "1,5/3"];
  assert.deepEqual(written.map(numberOf), [0.5, 0.5, 1e-3, 1 / 3, -2, 25_000, 0.5]);
  for (const text of ["", " ", "two", "1/", "/2", "1.2.3", "1,000,000", "1/2/3"]) {
    assert.ok(Number.isNaN(numberOf(text)), text);
  }
  assert.equal(numberOf("1/0"), Infinity); // which fits no question
  assert.ok(!fits({ kind: "number" }, Infinity));
});

test("a number is right within its tolerance, and a mistake within the same share of it", () => {
  const asked = { kind: "number", answer: 0.5, tolerance: 0.01, mistakes: [0.25, 50, 51] };
  const found = [0.5, 0.51, 0.49, 0.5101, 0.255, 49.2, 50.6, 7].map((v) => judge(asked, v));
  assert.deepEqual(
    found.map(({ right }) => right),
    [true, true, true, false, false, false, false, false],
  );
  assert.deepEqual(
    found.map(({ mistake }) => mistake),
    [-1, -1, -1, -1, 0, 1, 2, -1],
  );
  assert.ok(judge({ ...asked, answer: 0 }, 0.01).right);
  assert.ok(judge({ ...asked, answer: -3, tolerance: 0 }, -3).right);
});

test("a choice that is wrong is its own mistake", () => {
  const asked = { kind: "choices", answer: 1, count: 3 };
  assert.deepEqual(judge(asked, 1), { right: true, mistake: -1 });
  assert.deepEqual(judge(asked, 2), { right: false, mistake: 2 });
  assert.deepEqual(
    [0, 2, 3, -1, 0.5, "1", null, [0]].map((v) => fits(asked, v)),
    [true, true, false, false, false, false, false, false],
  );
});

test("a curve is right where it is near and nearer than a mistake", () => {
  const asked = { kind: "sketch", answer: [1, 0.5, 0.25], tolerance: 0.1, mistakes: [[1, 0.6, 0.3]] };
  assert.ok(judge(asked, [0.95, 0.5, 0.2]).right);
  assert.deepEqual(judge(asked, [1, 0.62, 0.3]), { right: false, mistake: 0 });
  assert.deepEqual(judge(asked, [0, 0, 0]), { right: false, mistake: -1 });
  assert.equal(apartness([0, 1], [0.5, 0.5]), 0.5);
  assert.ok(fits(asked, [1, 2, 3]) && !fits(asked, [1, 2]) && !fits(asked, [1, 2, null]) && !fits(asked, 1));
});

test("a stroke draws every column that it passes, and gaps are filled", () => {
  const blank = [null, null, null, null, null];
  assert.equal(filled(blank), null);
  assert.deepEqual(stroked(blank, null, [2, 0.5]), [null, null, 0.5, null, null]);
  assert.deepEqual(stroked(blank, [1, 0], [3, 1]), [null, 0, 0.5, 1, null]);
  assert.deepEqual(stroked(blank, [3, 1], [1, 0]), [null, 0, 0.5, 1, null]);
  assert.deepEqual(filled([null, 1, null, 0, null]), [1, 1, 0.5, 0, 0]);
  assert.deepEqual(filled([0, 1]), [0, 1]);
});

test("an answer is kept by page and name, and nothing breaks where nothing may be stored", () => {
  const kept = new Map();
  globalThis.location = { pathname: "/a.html" };
  globalThis.localStorage = {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => kept.set(key, value),
    removeItem: (key) => kept.delete(key),
  };
  remember("Why?", [1, false]);
  assert.deepEqual(recall("Why?"), [1, false]);
  assert.equal(recall("When?"), null);
  location.pathname = "/b.html";
  assert.equal(recall("Why?"), null);
  location.pathname = "/a.html";
  kept.set("gdlib /a.html When?", "{broken");
  assert.equal(recall("When?"), null);
  remember("Why?", null);
  assert.equal(recall("Why?"), null);
  const refuse = () => {
    throw new Error("SecurityError");
  };
  Object.defineProperty(globalThis, "localStorage", { get: refuse });
  remember("Why?", [1, false]);
  assert.equal(recall("Why?"), null);
});
