// What can wait. The theme's scripts (icons, menus, search) and MathJax, which typesets a long page for seconds in which nothing could
// be moved, stand on a page as text/later (book/_tools/book_site.py, mathjax_options in _config.yml). They run when the first widget
// has drawn, on a page without widgets as soon as it is there. Light or dark cannot wait: the page would flash.
(() => {
  const root = document.documentElement.dataset;
  root.theme ||= matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";

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
})();
