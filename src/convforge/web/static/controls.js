// The controls of a layer: for every parameter a slider, a field that takes what PyTorch takes, and room for a refusal.

import { FILLS, KINDS, parseValue } from "./state.js";
import { MODES } from "./core.js";
import { say } from "./words.js";

// Of each parameter its slider's ends; the field beside takes any value.
const SLIDERS = {
  input_size: [1, { 1: 24, 2: 16, 3: 7 }],
  in_channels: [1, 8],
  out_channels: [1, 8],
  kernel_size: [1, 7],
  stride: [1, 5],
  padding: [0, 6],
  output_padding: [0, 4],
  dilation: [1, 4],
  groups: [1, 8],
};
const NAMES = { conv1d: "Conv1d", conv2d: "Conv2d", conv3d: "Conv3d" };
for (const rank of [1, 2, 3]) NAMES[`convtranspose${rank}d`] = `Transpose${rank}d`;

/** Every name that a refusal may stand beside. */
export const CONTROLS = [...Object.keys(SLIDERS), "bias", "padding_mode", "seed"];

/** An element with attributes and children. */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const errorOf = (name) =>
  make("p", { class: "error", id: `error-${name}`, "data-testid": `error-${name}`, role: "alert" });

/** A select with its label. */
export function choice(name, values, value, label, pick) {
  const select = make("select", { id: `${name}-select`, "data-testid": `${name}-select` });
  for (const each of values) select.append(make("option", { value: each[0] }, each[1]));
  select.value = value;
  select.onchange = () => pick(select.value);
  return make("label", { class: "line" }, make("span", {}, label), select);
}

/** The panel of controls. change(changes, {committed, name}) is told of everything that is set. */
export class Controls {
  constructor(root, change) {
    this.root = root;
    this.change = change;
  }

  /** Builds all of it, in the language spoken. */
  build(state) {
    const focused = document.activeElement?.id;
    this.rows = new Map();
    this.root.replaceChildren(this.kinds(state), make("p", { class: "hint" }, say("per_axis")));
    for (const name of Object.keys(SLIDERS)) this.root.append(this.number(name));
    this.root.append(this.bias(), this.list("padding_mode", MODES));
    this.root.append(make("h2", {}, say("numbers")), this.list("x", FILLS), this.list("w", FILLS), this.seed());
    this.sync(state);
    if (focused) document.getElementById(focused)?.focus();
  }

  kinds(state) {
    const set = make("fieldset", { class: "kinds" }, make("legend", {}, say("kind")));
    for (const kind of KINDS) {
      const radio = make("input", { type: "radio", name: "kind", value: kind, id: `kind-${kind}`, "data-testid": `kind-${kind}` });
      radio.setAttribute("aria-label", kind.replace("conv", "Conv").replace("transpose", "Transpose"));
      radio.checked = state.kind === kind;
      radio.onchange = () => this.change({ kind }, { committed: true, name: "kind" });
      set.append(make("label", {}, radio, make("span", {}, NAMES[kind])));
    }
    return set;
  }

  number(name) {
    const slider = make("input", { type: "range", id: `${name}-slider`, "data-testid": `${name}-slider`, step: 1 });
    slider.setAttribute("aria-label", say("slider", { name }));
    const field = make("input", { type: "text", id: `${name}-field`, "data-testid": `${name}-field`, spellcheck: "false", autocomplete: "off", maxlength: 60 });
    field.setAttribute("aria-describedby", `error-${name}`);
    const label = make("label", { class: "name", for: field.id }, make("code", {}, name), make("small", {}, say(name)));
    const row = make("div", { class: "control", "data-control": name }, label, make("div", { class: "line" }, slider, field), errorOf(name));
    const set = (value, committed) => this.change({ [name]: value }, { committed, name });
    slider.oninput = () => set(slider.value, false);
    slider.onchange = () => set(slider.value, true);
    field.oninput = () => set(field.value, false);
    field.onchange = () => set(field.value, true);
    field.onkeydown = (event) => {
      const step = { ArrowUp: 1, ArrowDown: -1 }[event.key];
      if (!step) return;
      const value = parseValue(field.value);
      const numbers = Array.isArray(value) ? value : [value];
      if (!numbers.every(Number.isSafeInteger)) return;
      event.preventDefault();
      const moved = numbers.map((n) => n + step);
      set(Array.isArray(value) ? moved.join(", ") : String(moved[0]), true);
    };
    this.rows.set(name, { row, slider, field });
    return row;
  }

  list(name, values) {
    const select = make("select", { id: `${name}-field`, "data-testid": `${name}-field`, "aria-describedby": `error-${name}` });
    for (const value of values) select.append(make("option", { value }, say(value)));
    select.onchange = () => this.change({ [name]: select.value }, { committed: true, name });
    const words = name === "padding_mode" ? [make("code", {}, name), make("small", {}, say(name))] : [make("span", {}, say(name))];
    const label = make("label", { class: "name", for: select.id }, ...words);
    const row = make("div", { class: "control", "data-control": name }, label, make("div", { class: "line" }, select), errorOf(name));
    this.rows.set(name, { row, field: select });
    return row;
  }

  bias() {
    const box = make("input", { type: "checkbox", id: "bias-field", "data-testid": "bias-field" });
    box.onchange = () => this.change({ bias: box.checked ? "1" : "0" }, { committed: true, name: "bias" });
    const label = make("label", { class: "check" }, box, make("code", {}, "bias"), make("small", { class: "hint" }, say("bias")));
    const row = make("div", { class: "control", "data-control": "bias" }, label, errorOf("bias"));
    this.rows.set("bias", { row, field: box });
    return row;
  }

  seed() {
    const field = make("input", { type: "text", id: "seed-field", "data-testid": "seed-field", inputmode: "numeric", maxlength: 12, "aria-describedby": "error-seed" });
    const button = make("button", { type: "button", class: "small", "data-testid": "new-seed" }, say("new_seed"));
    field.oninput = () => this.change({ seed: field.value }, { committed: false, name: "seed" });
    field.onchange = () => this.change({ seed: field.value }, { committed: true, name: "seed" });
    button.onclick = () => {
      const seed = parseValue(field.value);
      this.change({ seed: String(Number.isSafeInteger(seed) && seed < 0x7fffffff ? seed + 1 : 0) }, { committed: true, name: "seed" });
    };
    const label = make("label", { class: "name", for: field.id }, make("span", {}, say("seed")));
    const row = make("div", { class: "control", "data-control": "seed" }, label, make("div", { class: "line" }, field, button), errorOf("seed"));
    this.rows.set("seed", { row, field });
    return row;
  }

  /** Shows a state; a field that is being typed into is left alone. */
  sync(state) {
    const rank = Number(state.kind.at(-2));
    for (const radio of this.root.querySelectorAll('[name="kind"]')) radio.checked = radio.value === state.kind;
    for (const [name, { row, slider, field }] of this.rows) {
      if (name === "bias") field.checked = state.bias === "1";
      else if (field !== document.activeElement || parseValue(field.value) !== parseValue(state[name])) field.value = state[name];
      if (!slider) continue;
      const [least, most] = SLIDERS[name];
      slider.min = least;
      slider.max = most[rank] ?? most;
      const value = [parseValue(state[name])].flat(2).find(Number.isSafeInteger);
      if (value !== undefined) slider.value = value;
      slider.setAttribute("aria-valuetext", state[name]);
      row.hidden = name === "output_padding" && !state.kind.startsWith("convtranspose");
    }
  }

  /** Shows a refusal beside the control that caused it: the one that was moved last, if it is named; or none. */
  refuse(error, names = [], moved = "") {
    for (const { row, field } of this.rows.values()) {
      row.querySelector(".error").textContent = "";
      field.removeAttribute("aria-invalid");
    }
    if (!error) return true;
    const shown = (name) => this.rows.has(name) && !this.rows.get(name).row.hidden;
    const name = [names.includes(moved) ? moved : null, ...names, moved].find((each) => each && shown(each));
    if (!name) return false;
    const { row, field } = this.rows.get(name);
    row.querySelector(".error").textContent = error;
    field.setAttribute("aria-invalid", "true");
    return true;
  }
}
