import assert from "node:assert/strict";
import { test } from "node:test";
import { grab } from "../../gdlib/widgets/shared/slide.js";

// A canvas as far as grab() uses it.
class Canvas extends EventTarget {
  setPointerCapture(id) {
    this.captured = id;
  }
  send(type, properties) {
    const event = Object.assign(new Event(type, { cancelable: true }), { button: 0, ...properties });
    this.dispatchEvent(event);
    return event;
  }
}

function grabbed() {
  const canvas = new Canvas();
  const life = new AbortController();
  const seen = [];
  grab(
    canvas,
    life.signal,
    (x, y) => seen.push([x, y]),
    (dx, dy) => seen.push({ dx, dy }),
  );
  return { canvas, life, seen };
}
const at = (offsetX, offsetY, pointerId = 1) => ({ offsetX, offsetY, pointerId });

test("a press is followed until it ends", () => {
  const { canvas, seen } = grabbed();
  canvas.send("pointerdown", at(1, 2));
  canvas.send("pointermove", at(3, 4));
  canvas.send("pointerup", at(3, 4));
  canvas.send("pointermove", at(5, 6));
  assert.deepEqual(seen, [
    [1, 2],
    [3, 4],
  ]);
  assert.equal(canvas.captured, 1);
});

test("a drag that began elsewhere, a second finger and the other buttons are left alone", () => {
  const { canvas, seen } = grabbed();
  canvas.send("pointermove", { ...at(1, 2), buttons: 1 });
  canvas.send("pointerdown", { ...at(1, 2), button: 2 });
  canvas.send("pointermove", { ...at(3, 4), buttons: 2 });
  assert.deepEqual(seen, []);
  canvas.send("pointerdown", at(1, 2, 7));
  canvas.send("pointermove", at(9, 9, 8));
  assert.deepEqual(seen, [[1, 2]]);
});

test("arrow keys move, other keys and shortcuts are the page's", () => {
  const { canvas, seen } = grabbed();
  assert.ok(canvas.send("keydown", { key: "ArrowUp" }).defaultPrevented);
  assert.ok(canvas.send("keydown", { key: "End" }).defaultPrevented);
  assert.ok(!canvas.send("keydown", { key: "Tab" }).defaultPrevented);
  assert.ok(!canvas.send("keydown", { key: "ArrowLeft", altKey: true }).defaultPrevented);
  assert.deepEqual(seen, [
    { dx: 0, dy: 1 },
    { dx: Infinity, dy: 0 },
  ]);
});

test("nothing is heard after the end", () => {
  const { canvas, life, seen } = grabbed();
  life.abort();
  canvas.send("pointerdown", at(1, 2));
  canvas.send("keydown", { key: "ArrowUp" });
  assert.deepEqual(seen, []);
});
