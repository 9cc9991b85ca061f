// Marks for low panels and wide ranges: as many as there is room for, and never none.

// Round values on an axis, at most one for every 32 pixels, or three: the finest raster that is not finer than that.
export function marks({ low, high, log }, room) {
  const limit = Math.max(3, Math.floor(room / 32)), near = (v) => Number(v.toPrecision(12));
  const from = Math.floor(log ? Math.log10(low) : Math.log10((high - low) / 100)), decades = Array.from({ length: 40 }, (_, k) => from + k);
  const within = (values) => values.map(near).filter((v) => v >= low - 1e-9 * Math.abs(low) && v <= high + 1e-9 * Math.abs(high));
  const rasters = log
    ? [...[[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 5], [1, 3]].map((digits) => decades.flatMap((e) => digits.map((d) => d * 10 ** e))),
      ...[1, 2, 3, 4, 6, 8].map((every) => decades.filter((e) => e % every === 0).map((e) => 10 ** e))]
    : decades.flatMap((e) => [1, 2, 5].map((d) => d * 10 ** e)).map((gap) => {
      const first = Math.ceil(low / gap), count = Math.min(1000, Math.floor(high / gap) - first + 1);
      return Array.from({ length: Math.max(0, count) }, (_, k) => (first + k) * gap);
    });
  const found = rasters.map(within).find((values) => values.length <= limit) ?? [];
  return found.length ? found : [near(Number(Math.sqrt(log ? low * high : ((low + high) / 2) ** 2).toPrecision(2)))];
}

// A text that is cut where it would be wider than so many pixels.
function fitted(context, text, room) {
  if (context.measureText(text).width <= room) return text;
  let end = text.length;
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > room) end--;
  return `${text.slice(0, end)}…`;
}
