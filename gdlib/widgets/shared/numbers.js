// Numbers: as the prose writes them, the nearest of some, and the ends of many.

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// The lowest of any number of values, or what is given where there is none. Math.min(...values) throws from some
// 100,000 on.
export function least(values, otherwise = Infinity) {
  let found = Infinity;
  for (const value of values) if (value < found) found = value;
  return found < Infinity ? found : otherwise;
}

export function most(values, otherwise = -Infinity) {
  let found = -Infinity;
  for (const value of values) if (value > found) found = value;
  return found > -Infinity ? found : otherwise;
}

export function mean(values) {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

// Which of the values is nearest: by ratio, unless another measure is given.
export function nearest(values, value, by = Math.log) {
  const wanted = by(value);
  const far = (index) => Math.abs(by(values[index]) - wanted);
  return values.reduce((best, _, index) => (far(index) < far(best) ? index : best), 0);
}

// Where in values the nearest by ratio is; -1 if it is further away than half of the widest gap between two of them.
export function nearestByRatio(values, value) {
  if (!values.length) return -1;
  const index = nearest(values, value);
  const gaps = values.slice(1).map((v, i) => Math.log(v / values[i]));
  return Math.abs(Math.log(values[index] / value)) <= most(gaps, Math.log(10)) / 2 + 1e-9 ? index : -1;
}

function superscript(n) {
  return String(n).replace(/[-0-9]/g, (c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]));
}

// So many significant digits, as the prose writes them; one less where powers of ten are needed.
export function short(value, digits = 3) {
  if (value === 0) return "0";
  if (Number.isNaN(value)) return "—";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "-∞";
  const [mantissa, exponent] = value
    .toExponential(Math.max(0, digits - 2))
    .split("e")
    .map(Number);
  if (exponent >= -3 && exponent <= 4) return String(Number(value.toPrecision(digits)));
  const factor = { 1: "", "-1": "-" }[mantissa] ?? `${mantissa} × `;
  return `${factor}10${superscript(exponent)}`;
}

// Two values in as many digits as it takes to tell them apart, if they are not equal.
export function apart(a, b, digits = 3) {
  if (a === b || digits >= 15 || short(a, digits) !== short(b, digits)) return [short(a, digits), short(b, digits)];
  return apart(a, b, digits + 1);
}

export const percent = (share) => `${Math.round(100 * share)} %`;
