// Runs between require.js and html-manager on pages that hold widgets. It says where the vendored files lie, for pages at any depth,
// stands in for MathJax 2, which html-manager asks for by name while the page has MathJax 3, and gives anywidget the time that a slow
// phone needs: by itself it gives up on a widget after two seconds.
(() => {
  const { require, define } = window;
  const vendor = new URL("vendor/", document.currentScript.src).href;
  require.config({
    waitSeconds: 60,
    paths: {
      anywidget: `${vendor}anywidget/index`,
      // These come inside embed-amd.js; it looks for its fonts beside the address given here.
      "@jupyter-widgets": `${vendor}html-manager`,
      "@jupyter-widgets/html-manager/dist": `${vendor}html-manager`,
    },
  });

  // In place of embed-amd.js's own renderWidgets, which waits for the page's load, checks all states against a schema, for which it
  // first writes a program, and makes all widgets at once: the first one would wait for that.
  define("@jupyter-widgets/html-manager/dist/libembed-amd", [], () => ({ renderWidgets() {} }));
  require(["@jupyter-widgets/html-manager/dist/libembed-amd"]);

  const load = (name) => new Promise((resolve, reject) => require([name], resolve, reject));
  const tags = (kind) => document.querySelectorAll(`script[type="application/vnd.jupyter.widget-${kind}+json"]`);

  document.addEventListener("DOMContentLoaded", async () => {
    load("anywidget");
    const { HTMLManager } = await load("@jupyter-widgets/html-manager");
    for (const { textContent } of tags("state")) {
      const manager = new HTMLManager({ loader: load });
      const models = await manager.set_state(JSON.parse(textContent));
      for (const tag of tags("view")) {
        const wanted = JSON.parse(tag.textContent).model_id;
        const model = models.find(({ model_id }) => model_id === wanted);
        if (!model) continue;
        const place = document.createElement("div");
        place.className = "widget-subarea";
        tag.before(place);
        // One that fails must not keep the others from being shown.
        await manager.create_view(model).then((view) => manager.display_view(view, place)).catch(console.error);
      }
    }
  });

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
