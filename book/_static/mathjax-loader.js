// Loads MathJax: at once on a page without widgets; else when the first widget has drawn, for to read MathJax and to typeset a
// long page takes seconds, in which nothing could be moved.
(() => {
  const source = new URL("vendor/mathjax/tex-svg-full.js", document.currentScript.src).href;
  let begun = false;
  const load = () => {
    if (begun) return;
    begun = true;
    document.head.append(Object.assign(document.createElement("script"), { src: source }));
  };
  if (!document.querySelector('script[type="application/vnd.jupyter.widget-view+json"]')) { load(); return; }
  new PerformanceObserver((list, observer) => {
    if (!list.getEntriesByName("gdlib draw").length) return;
    observer.disconnect();
    setTimeout(load, 50);
  }).observe({ type: "measure", buffered: true });
  window.addEventListener("load", () => setTimeout(load, 4000));
})();
