// What can wait: the theme's and the extensions' scripts (menus, copy buttons, the search field) stand on a page as text/later
// (book/_tools/pages.py). They run when the first widget has drawn, on a page without widgets as soon as it is there.
(() => {
  let begun = false;
  const load = () => {
    if (begun) return;
    begun = true;
    for (const { src } of document.querySelectorAll('script[type="text/later"]')) {
      document.head.append(Object.assign(document.createElement("script"), { src, async: false })); // in their order
    }
  };
  document.addEventListener("DOMContentLoaded", () => {
    if (!document.querySelector('script[type="application/vnd.jupyter.widget-view+json"]')) { load(); return; }
    new PerformanceObserver((list, observer) => {
      if (!list.getEntriesByName("gdlib draw").length) return;
      observer.disconnect();
      setTimeout(load, 50);
    }).observe({ type: "measure", buffered: true });
    window.addEventListener("load", () => setTimeout(load, 4000));
  });

  // A page at rest is laid out to its end and fetches the pictures further down, unless the reader saves data.
  window.addEventListener("load", () => setTimeout(() => {
    document.documentElement.classList.add("gd-laid-out");
    if (!navigator.connection?.saveData) for (const image of document.images) image.loading = "eager";
  }, 1000));

  // Paper shows what is folded away; afterwards it is as it was.
  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("article details:not([open], .hide)")];
    for (const element of folded) element.open = true;
  });
  window.addEventListener("afterprint", () => { for (const element of folded) element.open = false; });
})();
