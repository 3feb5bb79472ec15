// The page: one state, kept in the address; one model, computed here at once and checked by the library.

import { formulaOf, modelOf, outputChannel } from "./core.js";
import { Controls, make } from "./controls.js";
import { DEFAULTS, VIEWS, addressOf, kindsOf, layerOf, readAddress, sizeOf, spell } from "./state.js";
import { say, sayPage, speak, spoken } from "./words.js";
import { ask } from "./ask.js";
import { during } from "./busy.js";
import { showFacts } from "./facts.js";
import { isUnfinished } from "./grid.js";
import * as viewTrace from "./view_trace.js";

// The first view is there at once, the others when they are wanted.
const LOADERS = {
  matrix: () => import("./view_matrix.js"),
  transposed: () => import("./view_transposed.js"),
  channels: () => import("./view_channels.js"),
  stack: () => import("./view_stack.js"),
  photo: () => import("./view_photo.js"),
};
const SETTLED_MS = 120;
const REMEMBER_MS = 250;
const element = (id) => document.getElementById(id);

class App {
  constructor() {
    this.state = readAddress(location.hash);
    this.model = null;
    this.views = { trace: viewTrace };
    this.controls = new Controls(element("controls"), (changes, how) => this.set(changes, how));
    this.moved = "";
    this.isDragged = false;
    this.side = Infinity;
    this.layerText = "";
  }

  start() {
    this.dress();
    this.tabs();
    addEventListener("popstate", () => {
      this.isDragged = false;
      this.state = readAddress(location.hash);
      this.dress();
      this.refresh("");
    });
    let width = innerWidth;
    addEventListener("resize", () => {
      if (innerWidth === width) return;
      width = innerWidth;
      this.drawView();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.dress());
    element("language").onclick = () => {
      this.set({ lang: spoken() === "zh" ? "en" : "zh" }, { committed: true });
      this.dress();
      this.refresh("");
    };
    element("theme").onclick = () => {
      this.set({ theme: { "": "light", light: "dark", dark: "" }[this.state.theme] }, { committed: true });
      this.dress();
    };
    element("copy-link").onclick = () => {
      history.replaceState(null, "", addressOf(this.state));
      this.copy(location.href);
    };
    element("copy-code").onclick = async () => {
      const answer = await this.question("/api/code", { layer: layerOf(this.state), input_size: sizeOf(this.state) });
      if (answer?.code) this.copy(answer.code);
      else if (answer?.error) this.announce(answer.error);
    };
    element("layer-form").onsubmit = (event) => {
      event.preventDefault();
      this.useText(element("layer-text").value);
    };
    this.refresh("");
  }

  /** Language and theme. */
  dress() {
    speak(this.state.lang);
    document.title = say("title");
    if (this.state.theme) document.documentElement.dataset.theme = this.state.theme;
    else delete document.documentElement.dataset.theme;
    sayPage();
    element("theme").textContent = `${say("theme")}: ${say(`theme_${this.state.theme || "auto"}`)}`;
    this.controls.build(this.state);
  }

  tabs() {
    const list = element("tabs");
    for (const view of VIEWS) {
      const tab = make("button", { type: "button", role: "tab", id: `tab-${view}`, "data-testid": `tab-${view}`, "data-say": `view_${view}`, "aria-controls": "view" }, say(`view_${view}`));
      tab.onclick = () => this.set({ view }, { committed: true });
      list.append(tab);
    }
    list.onkeydown = (event) => {
      const now = VIEWS.indexOf(this.state.view);
      const next = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: VIEWS.length - 1 }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      const view = VIEWS[(next + VIEWS.length) % VIEWS.length];
      this.set({ view }, { committed: true });
      element(`tab-${view}`).focus();
    };
  }

  /** Changes the state. committed: a step that Back returns from; else only what a slider passes through. */
  set(changes, { committed = false, name = "" } = {}) {
    Object.assign(this.state, changes);
    this.isDragged = !committed;
    if (committed) this.commit();
    this.controls.sync(this.state);
    this.refresh(name, { isWhole: false });
  }

  commit() {
    clearTimeout(this.remembering);
    const address = addressOf(this.state);
    if (address !== (location.hash || "#")) history.pushState(null, "", address);
  }

  /** Keeps something in the address without a step of its own: where the reader points. */
  remember(changes) {
    Object.assign(this.state, changes);
    clearTimeout(this.remembering);
    this.remembering = setTimeout(() => history.replaceState(null, "", addressOf(this.state)), REMEMBER_MS);
  }

  /** Computes, draws, and asks the library to check. What the library refuses leaves the last good drawing. */
  refresh(moved, { isWhole = true } = {}) {
    const start = performance.now();
    const model = modelOf(layerOf(this.state), sizeOf(this.state), kindsOf(this.state));
    if (moved) this.moved = moved;
    if (model) {
      this.model = model;
      this.controls.refuse(null);
      element("error-layer").textContent = "";
    }
    // An address may begin with what is impossible: then the layer that the page begins with is drawn.
    this.model ??= modelOf(layerOf(DEFAULTS), sizeOf(DEFAULTS), kindsOf(DEFAULTS));
    element("kept").hidden = Boolean(model);
    this.drawView({ isWhole });
    this.drawFormula();
    performance.measure("redraw", { start, end: performance.now() });
    element("verified").textContent = model ? say("checking") : "";
    element("verified").className = "";
    during(this.settle());
  }

  /** Asks the library once nothing has changed for a while. */
  async settle() {
    const turn = {};
    this.turn = turn;
    await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
    if (this.turn !== turn) return;
    if (isUnfinished(element("view"))) this.drawView();
    await this.check();
  }

  /** isWhole: what is out of sight too, which else may wait until the hand rests. */
  drawView({ isWhole = true } = {}) {
    this.isWhole = isWhole;
    const { view } = this.state;
    for (const each of VIEWS) {
      const tab = element(`tab-${each}`);
      tab?.setAttribute("aria-selected", String(each === view));
      tab?.setAttribute("tabindex", each === view ? "0" : "-1");
    }
    // A stack and a photograph bring layers of their own: the size of the layer above would only confuse.
    element("formula").parentElement.hidden = view === "stack" || view === "photo";
    const root = element("view");
    root.setAttribute("aria-labelledby", `tab-${view}`);
    const module = this.views[view];
    if (!module) {
      during(this.load(view));
      return;
    }
    if (!this.model && !module.needsNoModel) return;
    if (root.dataset.view !== view) root.replaceChildren();
    // Not while a slider is dragged: the question where the tab is costs a layout.
    if (isWhole || root.dataset.view !== view) element("tabs").scrollLeft = element(`tab-${view}`).offsetLeft - 40;
    root.dataset.view = view;
    module.draw(root, this);
  }

  /**
   * The side that cells get where this one would fit: under the hand they may shrink, and they grow when it lets go. Laid
   * out anew, all of them are half of a step's time.
   */
  sideOf(fitting) {
    this.side = this.isDragged ? Math.min(fitting, this.side) : fitting;
    return this.side;
  }

  async load(view) {
    this.views[view] = await LOADERS[view]();
    if (this.state.view === view) this.drawView();
  }

  drawFormula() {
    if (!this.model) return;
    const { spec, axes } = this.model;
    const names = { 1: ["L"], 2: ["H", "W"], 3: ["D", "H", "W"] }[spec.rank];
    const [words, ...lines] = formulaOf(spec);
    const rows = [make("div", { class: "in-words" }, words), ...lines.map((line) => make("div", { "data-testid": `formula-${line[0]}` }, line))];
    if (!spec.transposed) {
      axes.forEach((axis, i) => {
        const rest = axis.before + axis.size + axis.after - ((axis.length - 1) * axis.stride + axis.dilation * (axis.kernel - 1) + 1);
        if (rest) rows.push(make("div", { class: "dropped", "data-testid": `dropped-${names[i]}` }, say("dropped", { n: rest, axis: names[i] })));
      });
    }
    element("formula").replaceChildren(...rows);
  }

  /** The library's word: its numbers must be ours; its refusal stands beside the control. */
  async check() {
    const question = { layer: layerOf(this.state), input_size: sizeOf(this.state) };
    const model = this.model;
    const answer = await this.question("/api/trace", { ...question, numbers: kindsOf(this.state) });
    if (!answer) return;
    const verified = element("verified");
    if (answer.error) {
      if (!this.controls.refuse(answer.error, answer.names, this.moved)) element("error-layer").textContent = answer.error;
      verified.textContent = "";
      return;
    }
    this.layerText = answer.layer;
    if (document.activeElement !== element("layer-text")) element("layer-text").value = answer.layer;
    const same = model && agrees(model, answer.numbers.output);
    verified.textContent = same ? `✓ ${say("verified")}` : say("differs");
    verified.className = same ? "good" : "bad";
    await showFacts(this, question);
  }

  /** A layer that was typed: its parameters become the controls'. */
  async useText(text) {
    const answer = await this.question("/api/parse", { layer: text });
    if (!answer) return;
    if (answer.error) {
      element("error-layer").textContent = answer.error;
      element("layer-text").setAttribute("aria-invalid", "true");
      return;
    }
    element("layer-text").removeAttribute("aria-invalid");
    element("error-layer").textContent = "";
    const { rank, transposed, bias, padding_mode, ...numbers } = answer.parameters;
    const changes = { kind: `conv${transposed ? "transpose" : ""}${rank}d`, bias: bias ? "1" : "0", padding_mode };
    for (const [name, value] of Object.entries(numbers)) changes[name] = spell(value);
    if (sizeOf(this.state).length !== rank) changes.input_size = spell(sizeOf(this.state)[0]);
    this.set(changes, { committed: true });
  }

  /** An answer of the server; null where a newer question took its place, or nobody answers, which is said. */
  async question(path, body) {
    try {
      return await ask(path, body);
    } catch {
      element("verified").textContent = say("gone");
      element("verified").className = "bad";
      this.announce(say("gone"));
      return null;
    }
  }

  async copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      this.announce(say("copied"));
    } catch {
      this.announce(say("not_copied"));
    }
  }

  /** Says something for a moment, aloud too. */
  announce(text) {
    const said = element("said");
    said.textContent = text;
    said.classList.remove("visually-hidden");
    clearTimeout(this.announcing);
    this.announcing = setTimeout(() => said.classList.add("visually-hidden"), 2200);
  }

  downloadButton() {
    const button = make("button", { type: "button", class: "small", "data-testid": "download" }, say("download"));
    button.onclick = async () => {
      const link = make("a", { download: `convforge-${this.state.view}.svg` });
      const { svgFile } = await import("./export.js");
      if (isUnfinished(element("view"))) this.drawView();
      link.href = URL.createObjectURL(new Blob([svgFile(element("view"))], { type: "image/svg+xml" }));
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    };
    return button;
  }
}

/** Whether every output channel is what the library computed. */
function agrees({ spec, axes, numbers }, output) {
  const inside = spec.output_size.reduce((a, b) => a * b, 1);
  if (output.length !== spec.out_channels * inside) return false;
  for (let channel = 0; channel < spec.out_channels; channel++) {
    const ours = outputChannel(spec, axes, numbers, channel);
    if (ours.some((value, i) => value !== output[channel * inside + i])) return false;
  }
  return true;
}

new App().start();
