// Runs between require.js and html-manager on pages that hold widgets: says where the vendored files lie, for pages at any
// depth, stands in for MathJax 2, which html-manager asks for by name while the page has MathJax 3, and gives anywidget the time
// that a slow phone needs: by itself it gives up on a widget after two seconds.
(() => {
  const vendor = new URL("vendor/", document.currentScript.src).href;
  window.require.config({
    waitSeconds: 60,
    paths: {
      anywidget: `${vendor}anywidget/index`,
      // These come inside embed-amd.js; it looks for its fonts beside the address given here.
      "@jupyter-widgets": `${vendor}html-manager`,
      "@jupyter-widgets/html-manager/dist": `${vendor}html-manager`,
    },
  });

  // While the rest of the page loads; html-manager asks for it only then.
  document.addEventListener("DOMContentLoaded", () => window.require(["anywidget"]));

  const timeout = AbortSignal.timeout.bind(AbortSignal);
  AbortSignal.timeout = (ms) => timeout(Math.max(ms, 60000));

  const Hub = { Queue: ([, , element]) => { if (element?.textContent.includes("$")) window.MathJax.typesetPromise?.([element]); } };
  let mathjax = window.MathJax;
  if (mathjax) mathjax.Hub = Hub;
  Object.defineProperty(window, "MathJax", {
    configurable: true,
    get: () => mathjax,
    set: (value) => { mathjax = Object.assign(value, { Hub }); },
  });
})();
