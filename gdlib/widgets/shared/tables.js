// Tables of real runs, as gdlib/widgets/_table.py packs them.
import { least, mean, most } from "./numbers.js";

// The values of a binary trait, which may begin anywhere in its buffer.
export function decode(bytes, Values) {
  return new Values(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

export const DIVERGED = 65535;

// Losses from 16 bits each: of their logarithms or, where some are below zero, of themselves.
export function unpack(bytes, [low, span, linear]) {
  const value = linear ? (share) => low + share * span : (share) => Math.exp(low + share * span);
  return Float32Array.from(decode(bytes, Uint16Array), (c) => (c === DIVERGED ? Infinity : value(c / (DIVERGED - 1))));
}

// The curves of one setting, a seed each, where settings, seeds and points follow each other in a row of values.
export function curvesOf(values, setting, seeds, points, first = 0) {
  return Array.from({ length: seeds }, (_, s) => {
    const at = first + (setting * seeds + s) * points;
    return values.subarray(at, at + points);
  });
}

// Mean, lowest and highest over the seeds at each point, up to the first point at which any seed has diverged.
export function spread(curves) {
  const points = curves[0].length;
  let until = 0;
  while (until < points && curves.every((curve) => Number.isFinite(curve[until]))) until++;
  const over = (f) => Array.from({ length: until }, (_, p) => f(curves.map((curve) => curve[p])));
  return {
    until,
    mean: over(mean),
    low: over(least),
    high: over(most),
    diverged: curves.filter((curve) => !Number.isFinite(curve[points - 1])).length,
  };
}
