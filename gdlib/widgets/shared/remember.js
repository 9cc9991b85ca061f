// What a reader answered stays in the browser, by page and name. Where nothing may be stored (a private window, a frame
// of another host) it lasts as long as the page does.
const placeOf = (name) => `gdlib ${location.pathname} ${name}`;

export function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(placeOf(name)));
  } catch {
    return null;
  }
}

export function remember(name, value) {
  try {
    if (value == null) localStorage.removeItem(placeOf(name));
    else localStorage.setItem(placeOf(name), JSON.stringify(value));
  } catch {
    // The answer stands on the page all the same.
  }
}
