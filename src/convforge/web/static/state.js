// What the page shows, as text that fits into the address: a copied link restores everything.

export const KINDS = ["conv1d", "conv2d", "conv3d", "convtranspose1d", "convtranspose2d", "convtranspose3d"];
export const VIEWS = ["trace", "matrix", "transposed", "channels", "stack", "photo"];
export const FILLS = ["random", "counting", "ones", "impulse"];

/** Every key of the address with its value where the address does not say. */
export const DEFAULTS = {
  kind: "conv2d",
  input_size: "6",
  in_channels: "1",
  out_channels: "1",
  kernel_size: "3",
  stride: "1",
  padding: "1",
  output_padding: "0",
  dilation: "1",
  groups: "1",
  bias: "1",
  padding_mode: "zeros",
  seed: "0",
  x: "random",
  w: "random",
  view: "trace",
  out: "0",
  in: "0",
  at: "",
  stack: "Conv2d(3, 16, 3, padding=1)|Conv2d(16, 32, 3, stride=2, padding=1)|Conv2d(32, 32, 3, padding=2, dilation=2)",
  stack_size: "24",
  kernel: "sobel-x",
  side: "3",
  grid: "",
  own: "",
  lang: "",
  theme: "",
};

/** The state in an address: what is unknown or not among the choices is left at its default. */
export function readAddress(hash) {
  const state = { ...DEFAULTS };
  for (const [key, value] of new URLSearchParams(hash.replace(/^#/, ""))) {
    if (key in DEFAULTS && value.length <= 4000) state[key] = value;
  }
  const choices = { kind: KINDS, view: VIEWS, x: FILLS, w: FILLS, lang: ["", "en", "zh"], theme: ["", "light", "dark"] };
  for (const [key, known] of Object.entries(choices)) if (!known.includes(state[key])) state[key] = DEFAULTS[key];
  return state;
}

/** The address of a state: only what differs from the defaults. */
export function addressOf(state) {
  const query = new URLSearchParams();
  for (const key of Object.keys(DEFAULTS)) if (state[key] !== DEFAULTS[key]) query.set(key, state[key]);
  // Commas and spaces of layers stay readable.
  return `#${query.toString().replaceAll("%2C", ",").replaceAll("%28", "(").replaceAll("%29", ")")}`;
}

/** A value as PyTorch spells it: 3, "3, 5", "(1, 2), (0, 1)", "same". What is neither stays text, for the library to refuse. */
export function parseValue(text) {
  const trimmed = text.trim();
  if (/^[+-]?\d+$/.test(trimmed)) {
    const number = Number(trimmed);
    return Number.isSafeInteger(number) ? number : trimmed;
  }
  if (/^[\d\s,.()[\]+-]+$/.test(trimmed)) {
    const list = trimmed.replaceAll("(", "[").replaceAll(")", "]").replace(/,\s*(?=]|$)/g, "");
    for (const candidate of [list, `[${list}]`]) {
      try {
        return JSON.parse(candidate);
      } catch {
        // Not this spelling: the next one, or text.
      }
    }
  }
  return trimmed.replace(/^(['"])(.*)\1$/, "$2");
}

/** The shortest spelling of a value: [3, 3] -> "3", [[1, 2], [0, 1]] -> "(1, 2), (0, 1)". */
export function spell(value) {
  if (!Array.isArray(value)) return String(value);
  const parts = value.map((item) => (Array.isArray(item) ? `(${item.join(", ")})` : String(item)));
  return new Set(parts).size === 1 && !Array.isArray(value[0]) ? parts[0] : parts.join(", ");
}

/** The parameters of the layer, as core.js and the server take them. */
export function layerOf(state) {
  const transposed = state.kind.startsWith("convtranspose");
  const layer = { rank: Number(state.kind.at(-2)), transposed };
  for (const name of ["in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups"]) {
    layer[name] = parseValue(state[name]);
  }
  if (transposed) layer.output_padding = parseValue(state.output_padding);
  layer.bias = state.bias === "1";
  layer.padding_mode = state.padding_mode;
  return layer;
}

/** One side an axis; a single one is every axis's. */
export function sizeOf(state) {
  const rank = Number(state.kind.at(-2));
  const value = parseValue(state.input_size);
  const list = Array.isArray(value) ? value : [value];
  return list.length === 1 ? Array(rank).fill(list[0]) : list;
}

/** How the arrays are filled. */
export const kindsOf = (state) => ({ seed: parseValue(state.seed), input: state.x, weight: state.w });
