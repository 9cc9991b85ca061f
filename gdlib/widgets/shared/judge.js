// Whether an answer is right, and which of the recognised mistakes it is.
import { apartness } from "./sketch.js";

// A number as it is written: 0.5, 0,5, 1e-3, 1/3, −2; NaN where it is none.
export function numberOf(text) {
  const plain = text
    .trim()
    .replace(/[−–]/g, "-")
    .replace(/^([^,.]*),([^,.]*)$/, "$1.$2");
  const [, over, under] = /^([^/]+)\/([^/]+)$/.exec(plain) ?? [null, plain, "1"];
  return over.trim() === "" || under.trim() === "" ? NaN : Number(over) / Number(under);
}

// Which of the recognised mistakes an answer is, or -1, and whether it is right. All are in the question's own measure:
// the place of a choice, a number, heights of a curve.
export function judge({ kind, answer, tolerance, mistakes }, given) {
  if (kind === "choices") return { right: given === answer, mistake: given === answer ? -1 : given };
  const far = kind === "number" ? (a) => Math.abs(given - a) : (a) => apartness(given, a);
  const room = (a) => (kind === "number" && answer ? tolerance * Math.max(1, Math.abs(a / answer)) : tolerance);
  const near = mistakes.map((m, k) => [far(m), k]).filter(([d, k]) => d <= room(mistakes[k]) * (1 + 1e-9));
  const nearest = near.sort(([a], [b]) => a - b)[0] ?? [Infinity, -1];
  const right = far(answer) <= room(answer) * (1 + 1e-9) && far(answer) <= nearest[0];
  return { right, mistake: right ? -1 : nearest[1] };
}

// Whether something that was stored can be an answer.
export function fits({ kind, answer, count }, given) {
  if (kind === "choices") return Number.isInteger(given) && given >= 0 && given < count;
  if (kind === "number") return Number.isFinite(given);
  return Array.isArray(given) && given.length === answer.length && given.every(Number.isFinite);
}
