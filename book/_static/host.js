// Shows the widgets stored in a page: book/appendix/host.md. No module: a page opened from a disk may load none.
(() => {
const here = document.currentScript.src, models = new Map();
const CONTROLS = /^(Dropdown|ToggleButtons|Checkbox|Text|Label|HTML|Play|Output)Model$/;

const make = (tag, given) => Object.assign(document.createElement(tag), given);
const modelOf = (ref) => models.get(ref?.replace("IPY_MODEL_", ""));
const clamp = (value, low, high) => Math.max(Math.min(value, high), low);
const isObject = (value) => value && typeof value === "object" && !ArrayBuffer.isView(value);
const same = (a, b) => a === b || (isObject(a) && isObject(b) && Object.keys({ ...a, ...b }).every((key) => same(a[key], b[key])));

// Values, and events in the order of Backbone's, which widgets are written for.
class Model {
	heard = [];
	constructor(name, state) { Object.assign(this, { name, state }); }
	get(key) { return this.state[key]; }
	set(key, value, options = {}) {
		const changes = isObject(key) ? key : { [key]: value }, outer = !this.changing;
		const changed = Object.keys(changes).filter((k) => !same(this.state[k], changes[k]));
		this.changing = true;
		Object.assign(this.state, changes);
		if (changed.length) this.pending = options;
		for (const k of changed) this.trigger(`change:${k}`, this.state[k], options);
		for (let last; outer && (last = this.pending);) {
			this.pending = null;
			this.trigger("change", last);
		}
		if (outer) this.changing = false;
	}
	on(names, act, owner) { for (const name of names.split(" ")) this.heard.push({ name, act, owner }); }
	off(name, act, owner) {
		this.heard = this.heard.filter((h) => h.owner !== owner || (act && h.act !== act) || (name && h.name !== name));
	}
	trigger(event, ...given) {
		for (const { name, act } of [...this.heard]) {
			try { if (name === event) act(this, ...given); } catch (error) { reportError(error); }
		}
	}
}

// A model shown: its element, what ends with it.
class View {
	ends = [];
	el = make("div", { className: "jupyter-widgets" });
	constructor(model) { Object.assign(this, { model, get: (key) => model.get(key) }); }
	listen(names, act, model = this.model) {
		model.on(names, act, this);
		this.ends.push(() => model.off(null, null, this));
	}
	sync(act) { this.listen("change", act); act(); }
	set(key, value) { this.model.set(key, value, { by: this }); }
	end() {
		for (const act of this.ends.splice(0)) act();
		this.el.remove();
	}
	wear(source, property) {
		const put = () => { for (const key in source.state) if (key[0] !== "_") this.el.style.setProperty(property(key), source.get(key) ?? ""); };
		if (source) this.listen("change", put, source), put();
	}
}

// d3-format, as far as readouts use it.
function formatter(spec) {
	const [, digits = 6, kind] = /^(?:\.(\d+))?([dfgs])$/.exec(spec) ?? [], p = clamp(digits, kind === "f" ? 0 : 1, 20);
	const si = (x) => {
		const [digits, e] = x.toExponential(p - 1).split("e"), power = clamp(Math.floor(e / 3), -8, 8), places = e - 3 * power + 1;
		return digits.replace(".", "").padEnd(places, "0").replace(RegExp(`^(.{${places}})(?=.)`), "$1.") + "yzafpnµm kMGTPEZY"[8 + power].trim();
	};
	const as = { d: (x) => `${Math.round(x)}`, f: (x) => x.toFixed(p), g: (x) => x.toPrecision(p), s: si }[kind];
	return as && ((value) => as(Math.abs(value)).replace(/^(?=.*[1-9])/, value < 0 ? "−" : ""));
}

// A control with its label.
let count = 0;
function field(view, kind, control) {
	const { el, get } = view, label = make("label", { className: "widget-label", htmlFor: control.id = `widget-${++count}` });
	const describe = () => { label.hidden = !(label.textContent = get("description") ?? ""); };
	el.classList.add("widget-inline-hbox", kind);
	el.append(label, control);
	view.listen("change:description", describe);
	describe();
	view.sync(() => {
		control.disabled = get("disabled");
		control.ariaLabel = label.hidden ? get("tooltip") || get("placeholder") || control.type : null;
		label.title = get("tooltip") ?? "";
		if (get("tabbable") === false) control.tabIndex = -1;
	});
	return label;
}

// The values of a slider: a raster from min in steps, at positions 0, 1, 2, …, and max, as noUiSlider's.
function raster(get, { labels, whole, log }) {
	const min = labels ? 0 : get("min"), max = labels ? get("_options_labels").length - 1 : get("max"), step = labels ? 1 : get("step");
	const unit = step ?? (max - min) / 10, last = Math.ceil((max - min) / unit - 1e-9) || 0, base = log && get("base");
	return {
		last, step: step == null ? "any" : 1,
		at: (position) => { const x = Math.min(min + position * unit, max); return whole ? Math.round(x) : log ? base ** x : x; },
		of: (value) => { const x = log ? Math.log(value) / Math.log(base) : value; return x < max ? (x - min) / unit || 0 : last; },
	};
}
const KEYS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -5, PageUp: 5, Home: -1e9, End: 1e9 };

const slider = (kind) => (view) => {
	const { el, model, get } = view, { labels, whole, log } = kind, key = labels ? "index" : "value";
	const input = make("input", { type: "range", min: 0 }), readout = make("span", { className: "widget-readout" });
	const text = (value) => (labels ? get("_options_labels")[value] : formatter(get("readout_format"))(value));
	const tell = (value) => { readout.textContent = input.ariaValueText = text(value); };
	const commit = (value) => { if (!(Math.abs(value - get(key)) <= 1e-12 * Math.abs(value))) view.set(key, value); };
	const moved = (done) => {
		const value = raster(get, kind).at(+input.value);
		tell(value);
		if (done || get("continuous_update")) commit(value);
	};
	// Set by others. A value beside the raster moves onto it, as in html-manager.
	const settle = () => {
		const { step, last, of } = raster(get, kind);
		Object.assign(input, { max: last, step, value: of(get(key)) });
		moved();
		if (!log && !labels) commit(clamp(get(key), get("min"), get("max")));
		tell(get(key));
	};
	input.oninput = () => moved();
	input.onchange = () => moved(true);
	input.onkeydown = (event) => {
		const by = KEYS[event.key];
		if (!by || event.altKey || event.metaKey) return;
		event.preventDefault();
		input.value = clamp(+input.value + by, 0, +input.max);
		moved(true);
	};
	field(view, "widget-slider", input);
	el.append(readout);
	const names = labels ? "change:index change:_options_labels" : "change:min change:max change:step change:value";
	view.listen(names, (_, __, { by }) => { if (by !== view) settle(); });
	settle();
	view.sync(() => {
		readout.hidden = get("readout") === false;
		el.classList.toggle("widget-vslider", get("orientation") === "vertical");
		tell(get(key));
	});
};

const box = (kind) => (view) => {
	const { el } = view;
	let inside = [];
	const empty = () => inside.forEach((child) => child.end());
	const fill = () => {
		empty();
		inside = view.get("children").map(modelOf).map(show);
		el.append(...inside.map((child) => child.el));
	};
	el.classList.add("widget-box", kind);
	view.listen("change:children", fill);
	view.ends.push(empty);
	fill();
	return Promise.all(inside.map(({ ready }) => ready));
};

// A model as a widget's code sees it: no kernel to save or send to.
const faceOf = (model, owner) => ({
	get: (key) => model.get(key), set: (...given) => model.set(...given), save_changes() {}, send() {},
	on: (names, act) => model.on(names, act, owner), off: (names, act) => model.off(names, act, owner),
	widget_manager: { get_model: async (id) => faceOf(models.get(id), owner) },
});
const experimental = { invoke: () => Promise.reject(Error("no kernel")) };

async function load(model) {
	const { _esm: code, _css: css, _anywidget_id: id } = model.state;
	if (css && !document.getElementById(id)) document.head.append(make("style", { id, textContent: css }));
	const { render, default: made } = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
	const widget = render ? { render } : made.call ? await made() : made;
	await widget.initialize?.({ model: faceOf(model, widget), signal: new AbortController().signal, experimental });
	return widget;
}

async function draw(view) {
	const { model, el } = view, ended = new AbortController(), { signal } = ended;
	view.ends.push(() => { ended.abort(); model.off(null, null, view); });
	const { render } = await (model.loaded ??= load(model));
	const end = signal.aborted || await render?.({ model: faceOf(model, view), el, signal, experimental });
	if (end?.call) signal.aborted ? end() : view.ends.push(end);
}

const kinds = {
	IntSliderModel: slider({ whole: true }), FloatSliderModel: slider({}), FloatLogSliderModel: slider({ log: true }),
	SelectionSliderModel: slider({ labels: true }), AnyModel: draw,
	BoxModel: box("widget-box"), HBoxModel: box("widget-hbox"), VBoxModel: box("widget-vbox"), GridBoxModel: box("widget-gridbox"),
};

// One that fails says so, and keeps no other from being shown.
function show(model) {
	const view = new View(model);
	view.ready = (async () => kinds[model.name](view))().catch((error) => {
		console.error(error);
		view.el.append(make("p", { role: "alert", textContent: `This widget could not be shown: ${error.message ?? error}` }));
	});
	view.el.classList.add(...view.get("_dom_classes") ?? []);
	view.wear(modelOf(view.get("layout")), (key) => key.replaceAll("_", "-"));
	view.wear(modelOf(view.get("style")), (key) => `--${key}`); // host.css has them
	return view;
}

function link(model) {
	const [[from, key], [to, other]] = [model.get("source"), model.get("target")].map(([ref, name]) => [modelOf(ref), name]);
	let busy = !from || !to;
	const carry = (act) => () => {
		if (busy) return;
		busy = true;
		act();
		busy = false;
	};
	const there = carry(() => to.set(other, from.get(key)));
	from?.on(`change:${key}`, there);
	there();
	if (model.name === "LinkModel") to?.on(`change:${other}`, carry(() => from.set(key, to.get(other))));
}

function known({ model_name: name, model_module: module, model_module_version: version, state }) {
	if (module === "anywidget") return ![state._esm, state._css, ...Object.values(state).flat()].some((v) => /^(https?|anywidget):/.test(v));
	if (name === "OutputModel") return state.outputs.every(({ data }) => !data || `${Object.keys(data)}` === "text/plain");
	return version[0] === "2" && (name in kinds || CONTROLS.test(name) || /(Layout|Link|Style)Model$/.test(name))
		&& !state.box_style && !state.description_allow_html && (!state.readout_format || formatter(state.readout_format));
}

function revive(state) {
	for (const [id, { model_name: name, state: values, buffers = [] }] of Object.entries(state)) {
		for (const { path, data } of buffers) {
			const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt());
			path.slice(0, -1).reduce((at, key) => at[key], values)[path.at(-1)] = new DataView(bytes.buffer);
		}
		models.set(id, new Model(name, values));
	}
	for (const id in state) if (/LinkModel$/.test(state[id].model_name)) link(models.get(id));
}

const script = (name) => new Promise((onload, onerror) => document.head.append(make("script", { src: new URL(name, here), onload, onerror })));
const tags = (kind) => [...document.querySelectorAll(`script[type="application/vnd.jupyter.widget-${kind}+json"]`)];

async function start() {
	for (const { textContent } of tags("state")) {
		const given = JSON.parse(textContent), { state } = given, all = Object.values(state), places = [];
		for (const { state: own } of all) for (const key of ["_esm", "_css"]) if (own[key]?.as) own[key] = state[own[key].as].state[key];
		for (const tag of tags("view")) {
			const { model_id: id } = JSON.parse(tag.textContent), place = make("div", { className: "widget-subarea" });
			if (id in state) tag.before(place), places.push([place, id]);
		}
		if (all.every(known)) {
			if (all.some(({ model_name: name }) => CONTROLS.test(name))) await script("host-controls.js");
			revive(state);
			for (const [place, id] of places) {
				const view = show(models.get(id));
				place.append(view.el);
				await view.ready;
				requestAnimationFrame(() => { place.dataset.drawn = ""; });
			}
		} else if (places.length) {
			await script("widgets-loader.js");
			await showWithHtmlManager(given, places);
		}
	}
}
window.widgetHost = { models, kinds, make, field, same };
window.widgetHost.ready = start();
})();
