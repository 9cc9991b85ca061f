// Fetched by host.js for state that it does not know: shows it with html-manager. It says where the vendored files lie, for pages at any
// depth, and gives anywidget the time that a slow phone needs: by itself it gives up on a widget after two seconds.
(() => {
  const vendor = new URL("vendor/", document.currentScript.src).href;
  const script = (src) => new Promise((onload, onerror) => {
    document.head.append(Object.assign(document.createElement("script"), { src: vendor + src, onload, onerror }));
  });
  const load = (name) => new Promise((resolve, reject) => window.require([name], resolve, reject));
  let ready;

  async function prepare() {
    await script("requirejs/require.js");
    window.require.config({
      waitSeconds: 60,
      paths: {
        anywidget: `${vendor}anywidget/index`,
        // These come inside embed-amd.js; it looks for its fonts beside the address given here.
        "@jupyter-widgets": `${vendor}html-manager`,
        "@jupyter-widgets/html-manager/dist": `${vendor}html-manager`,
      },
    });
    // In place of embed-amd.js's own renderWidgets, which shows all widgets of the page at once.
    window.define("@jupyter-widgets/html-manager/dist/libembed-amd", [], () => ({ renderWidgets() {} }));
    window.require(["@jupyter-widgets/html-manager/dist/libembed-amd"]);
    await script("html-manager/embed-amd.js");
    return load("@jupyter-widgets/html-manager");
  }

  // Shows models of the state in their places, pairs of an element and a model's id; gives back all models.
  window.showWithHtmlManager = async (state, places) => {
    const { HTMLManager } = await (ready ??= prepare()), manager = new HTMLManager({ loader: load });
    const models = await manager.set_state(state);
    for (const [place, id] of places) {
      // One that fails must not keep the others from being shown.
      await manager.create_view(models.find((model) => model.model_id === id)).then((view) => manager.display_view(view, place)).catch(console.error);
    }
    return models;
  };

  const timeout = AbortSignal.timeout.bind(AbortSignal);
  AbortSignal.timeout = (ms) => timeout(Math.max(ms, 60000));
})();
