// The twin of Python's trace: sizes, contacts and numbers of a convolution, so that a dragged slider redraws at once.
// Python owns the semantics (problem/, explain/trace.py, web/numbers.py, web/asked.py); a test holds the two equal
// over thousands of configurations. What is refused here is null: the words of the refusal come from the library.

export const MODES = ["zeros", "reflect", "replicate", "circular"];
const LARGEST_SIDE = 64;
const LARGEST_CHANNELS = 1024;
const LARGEST_ARRAY = 1 << 16;
const LARGEST_WORK = 1 << 24;
const LARGEST_PADDED = 1 << 9;

/** Of all numbers. */
export const product = (numbers) => numbers.reduce((a, b) => a * b, 1);
const span = (kernel, dilation) => dilation * (kernel - 1) + 1;

/** One whole number an axis, none below `least`; null for anything else. */
function integers(value, rank, least) {
  const list = Array.isArray(value) ? value : [value];
  if (list.length !== 1 && list.length !== rank) return null;
  if (!list.every((each) => Number.isSafeInteger(each) && each >= least)) return null;
  return list.length === 1 ? Array(rank).fill(list[0]) : list;
}

/** [before, after] an axis; null for what is no padding. */
function paddings(value, size, kernel, stride, dilation, transposed) {
  const rank = size.length;
  if (typeof value === "string") {
    if (transposed) return null;
    if (value === "valid") return size.map(() => [0, 0]);
    if (value === "causal" && rank === 1) return [[dilation[0] * (kernel[0] - 1), 0]];
    if (value !== "same") return null;
    return size.map((side, i) => {
      const windows = Math.ceil(side / stride[i]);
      const total = Math.max((windows - 1) * stride[i] + span(kernel[i], dilation[i]) - side, 0);
      return [Math.floor(total / 2), total - Math.floor(total / 2)];
    });
  }
  if (!Array.isArray(value) || !value.some(Array.isArray)) {
    const sides = integers(value, rank, 0);
    return sides && sides.map((side) => [side, side]);
  }
  if (value.length !== rank) return null;
  const pairs = value.map((item) => (Array.isArray(item) ? item : [item, item]));
  const good = (pair) => pair.length === 2 && pair.every((side) => Number.isSafeInteger(side) && side >= 0);
  return pairs.every(good) ? pairs : null;
}

/** Whether the padding mode can fill these pads of an axis: reflect needs a larger side, circular one as large. */
function modeFits(mode, side, pair) {
  const most = Math.max(...pair);
  if (mode === "zeros") return true;
  if (mode === "replicate") return side > 0 || most === 0;
  return most <= Math.max(mode === "reflect" ? side - 1 : side, 0);
}

/**
 * What a layer does to an input of this size, or null where the library refuses it.
 * layer: {rank, transposed, in_channels, out_channels, kernel_size, stride, padding, output_padding, dilation, groups,
 * bias, padding_mode}, values as PyTorch takes them. size: one number an axis.
 */
export function specOf(layer, size) {
  const { rank, transposed, in_channels, out_channels, groups, padding_mode: mode } = layer;
  if (![in_channels, out_channels].every((n) => Number.isSafeInteger(n) && n >= 0 && n <= LARGEST_CHANNELS)) return null;
  if (!Number.isSafeInteger(groups) || groups < 1 || in_channels % groups || out_channels % groups) return null;
  if (!size.every((side) => Number.isSafeInteger(side) && side >= 1 && side <= LARGEST_SIDE)) return null;
  const kernel = integers(layer.kernel_size, rank, 1);
  const stride = integers(layer.stride, rank, 1);
  const dilation = integers(layer.dilation, rank, 1);
  const extra = integers(layer.output_padding ?? 0, rank, 0);
  if (!kernel || !stride || !dilation || !extra || !MODES.includes(mode) || size.length !== rank) return null;
  if ((transposed ? in_channels : out_channels) < groups || (transposed && out_channels < groups)) return null;
  const pads = paddings(layer.padding, size, kernel, stride, dilation, transposed);
  if (!pads) return null;
  let output;
  if (transposed) {
    if (extra.some((n, i) => n >= Math.max(stride[i], dilation[i]))) return null;
    output = size.map((n, i) => (n - 1) * stride[i] + span(kernel[i], dilation[i]) - pads[i][0] - pads[i][1] + extra[i]);
    if (output.some((n) => n < 0) || !output.every((n, i) => modeFits(mode, n, pads[i]))) return null;
  } else {
    if (extra.some((n) => n > 0) || !size.every((n, i) => modeFits(mode, n, pads[i]))) return null;
    const room = size.map((n, i) => n + pads[i][0] + pads[i][1] - span(kernel[i], dilation[i]));
    if (room.some((n) => n < 0)) return null;
    output = room.map((n, i) => Math.floor(n / stride[i]) + 1);
  }
  const spec = {
    rank,
    transposed,
    in_channels,
    out_channels,
    groups,
    bias: layer.bias,
    input_size: size,
    output_size: output,
    kernel_size: kernel,
    stride,
    padding: pads,
    dilation,
    output_padding: extra,
    padding_mode: pads.some((pair) => pair[0] || pair[1]) ? mode : "zeros",
  };
  return fitsPage(spec) ? spec : null;
}

function fitsPage(spec) {
  const elements = [weightShape(spec), [spec.in_channels, ...spec.input_size], [spec.out_channels, ...spec.output_size]];
  if (elements.some((shape) => product(shape) > LARGEST_ARRAY)) return false;
  const inner = spec.transposed ? spec.output_size : spec.input_size;
  if (inner.some((side, i) => side + spec.padding[i][0] + spec.padding[i][1] > LARGEST_PADDED)) return false;
  const windows = product(spec.transposed ? elements[1] : elements[2]);
  const others = spec.transposed ? spec.out_channels : spec.in_channels;
  return windows * Math.floor(others / spec.groups) * product(spec.kernel_size) <= LARGEST_WORK;
}

/** Shape of the weight: (out, in / groups, …kernel), or (in, out / groups, …kernel) if transposed. */
export function weightShape(spec) {
  const [first, second] = spec.transposed
    ? [spec.in_channels, spec.out_channels]
    : [spec.out_channels, spec.in_channels];
  return [first, second / spec.groups, ...spec.kernel_size];
}

/** Which element stands at each position of a padded axis, null for a zero. */
export function sourcesOf(mode, size, before, after) {
  const found = [];
  for (let at = -before; at < size + after; at++) {
    if (at >= 0 && at < size) found.push(at);
    else if (mode === "zeros") found.push(null);
    else if (mode === "reflect") found.push(Math.abs(at) >= size ? 2 * (size - 1) - Math.abs(at) : Math.abs(at));
    else if (mode === "replicate") found.push(Math.min(Math.max(at, 0), Math.max(size - 1, 0)));
    else found.push(((at % size) + size) % size);
  }
  return found;
}

/**
 * One axis: sources of the padded side, and the contacts of each output, {tap, position, source}. Of a plain layer
 * `position` is the padded input's, of a transposed one where the product lands in the padded output.
 */
export function axisOf(spec, axis) {
  const [before, after] = spec.padding[axis];
  const [size, length] = [spec.input_size[axis], spec.output_size[axis]];
  const [kernel, stride, dilation] = [spec.kernel_size[axis], spec.stride[axis], spec.dilation[axis]];
  const sources = sourcesOf(spec.padding_mode, spec.transposed ? length : size, before, after);
  const contacts = Array.from({ length }, () => []);
  const [windows, side] = spec.transposed ? [size, length] : [length, size];
  for (let tap = 0; tap < kernel; tap++) {
    for (let window = 0; window < windows; window++) {
      const padded = window * stride + tap * dilation;
      const position = padded - before;
      const source = sources[padded] ?? null;
      if (!spec.transposed) contacts[window].push({ tap, position, source });
      else if (source !== null) contacts[source].push({ tap, position, source: window });
    }
  }
  for (const met of contacts) met.sort((a, b) => a.tap - b.tap || a.position - b.position);
  const read = new Set(contacts.flat().map((contact) => contact.source));
  const unread = Array.from({ length: size }, (_, i) => i).filter((i) => !read.has(i));
  return { size, length, side, before, after, kernel, stride, dilation, sources, contacts, unread };
}

/** Whole numbers that look random, one from each place: as web/numbers.py. */
export function drawn(seed, stream, count, low, high) {
  const start = (Math.imul(seed, 0x85ebca77) + Math.imul(stream, 0x27d4eb2f)) | 0;
  const numbers = new Array(count);
  for (let i = 0; i < count; i++) {
    let mixed = (Math.imul(i + 1, 0x9e3779b1) + start) | 0;
    mixed = Math.imul(mixed ^ (mixed >>> 17), 0xed5ad4bb);
    mixed = Math.imul(mixed ^ (mixed >>> 11), 0xac4c1b51);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x31848bab);
    mixed ^= mixed >>> 14;
    numbers[i] = low + ((mixed >>> 0) % (high - low + 1));
  }
  return numbers;
}

function filled(kind, channels, size, middle, seed, stream, low, high, first) {
  const inside = product(size);
  const count = channels * inside;
  if (kind === "random") return drawn(seed, stream, count, low, high);
  if (kind === "counting") return Array.from({ length: count }, (_, i) => first + i);
  if (kind === "ones") return new Array(count).fill(1);
  const numbers = new Array(count).fill(0);
  const centre = flat(middle, size);
  for (let channel = 0; channel < channels; channel++) numbers[channel * inside + centre] = 1;
  return numbers;
}

/** Input, weight and bias, flat: kinds {seed, input, weight}. */
export function numbersOf(spec, kinds) {
  const [first, second, ...kernel] = weightShape(spec);
  const centre = spec.input_size.map((side) => Math.floor(side / 2));
  const tap = kernel.map((side) => Math.floor((side - 1) / 2));
  return {
    input: filled(kinds.input, spec.in_channels, spec.input_size, centre, kinds.seed, 1, 0, 9, 0),
    weight: filled(kinds.weight, first * second, kernel, tap, kinds.seed, 2, -2, 2, 1),
    bias: spec.bias ? drawn(kinds.seed, 3, spec.out_channels, -3, 3) : null,
  };
}

/** Place of a position in a flat array of this size. */
export function flat(at, size) {
  let place = 0;
  for (let axis = 0; axis < size.length; axis++) place = place * size[axis] + at[axis];
  return place;
}

/** Every position of a box, last axis fastest. */
export function positions(size) {
  let found = [[]];
  for (const side of size) found = found.flatMap((at) => Array.from({ length: side }, (_, i) => [...at, i]));
  return found;
}

/** Every way to take one of each list. */
export function combinations(lists) {
  let found = [[]];
  for (const list of lists) found = found.flatMap((some) => list.map((one) => [...some, one]));
  return found;
}

/** The input channels that an output channel reads, [first, stop). */
export function channelsRead(spec, outChannel) {
  const inputs = spec.in_channels / spec.groups;
  const group = Math.floor(outChannel / (spec.out_channels / spec.groups));
  return [group * inputs, (group + 1) * inputs];
}

/** Where the kernel of a pair of channels begins in the flat weight. */
export function weightStart(spec, outChannel, inChannel) {
  const [inputs, outputs] = [spec.in_channels / spec.groups, spec.out_channels / spec.groups];
  const pair = spec.transposed
    ? inChannel * outputs + (outChannel % outputs)
    : outChannel * inputs + (inChannel % inputs);
  return pair * product(spec.kernel_size);
}

/** One output channel, flat. */
export function outputChannel(spec, axes, numbers, outChannel) {
  // Three axes always: a missing one in front has one output with one contact at place 0.
  const none = { contacts: [[{ tap: 0, source: 0 }]] };
  const [a, b, c] = [...Array(3 - spec.rank).fill(none), ...axes].map((axis) =>
    axis.contacts.map((met) => met.filter((contact) => contact.source !== null)),
  );
  const one = Array(3 - spec.rank).fill(1);
  const [, n1, n2] = [...one, ...spec.input_size];
  const [, k1, k2] = [...one, ...spec.kernel_size];
  const inside = product(spec.input_size);
  const [first, stop] = channelsRead(spec, outChannel);
  const bias = numbers.bias ? numbers.bias[outChannel] : 0;
  const output = [];
  for (const as of a) {
    for (const bs of b) {
      for (const cs of c) {
        let sum = bias;
        for (let channel = first; channel < stop; channel++) {
          const x = channel * inside;
          const w = weightStart(spec, outChannel, channel);
          for (const i of as) {
            for (const j of bs) {
              const row = x + (i.source * n1 + j.source) * n2;
              const taps = w + (i.tap * k1 + j.tap) * k2;
              for (const k of cs) sum += numbers.input[row + k.source] * numbers.weight[taps + k.tap];
            }
          }
        }
        output.push(sum);
      }
    }
  }
  return output;
}

/** The products of one output element: {channel, source (null: a zero), tap, position, x, w}. */
export function termsOf(spec, axes, numbers, outChannel, at) {
  const met = combinations(axes.map((axis, i) => axis.contacts[at[i]]));
  const [first, stop] = channelsRead(spec, outChannel);
  const inside = product(spec.input_size);
  const terms = [];
  for (let channel = first; channel < stop; channel++) {
    const start = weightStart(spec, outChannel, channel);
    for (const contacts of met) {
      const source = contacts.some((c) => c.source === null) ? null : contacts.map((c) => c.source);
      const tap = contacts.map((c) => c.tap);
      terms.push({
        channel,
        source,
        tap,
        position: contacts.map((c) => c.position),
        x: source ? numbers.input[channel * inside + flat(source, spec.input_size)] : 0,
        w: numbers.weight[start + flat(tap, spec.kernel_size)],
      });
    }
  }
  return terms;
}

/** The size formula in words, then with its numbers, a line an axis: as explain/formula.py. */
export function formulaOf(spec) {
  const names = { 1: ["L"], 2: ["H", "W"], 3: ["D", "H", "W"] }[spec.rank];
  const words = spec.transposed
    ? "out = (in − 1)·stride − padding + dilation·(kernel − 1) + output_padding + 1"
    : "out = ⌊(in + padding − dilation·(kernel − 1) − 1) / stride⌋ + 1";
  const lines = names.map((name, i) => {
    const [size, kernel, stride, dilation] = [spec.input_size[i], spec.kernel_size[i], spec.stride[i], spec.dilation[i]];
    const [before, after] = spec.padding[i];
    const padding = before === after ? `2·${before}` : `(${before} + ${after})`;
    const numbers = spec.transposed
      ? `(${size} − 1)·${stride} − ${padding} + ${dilation}·(${kernel} − 1) + ${spec.output_padding[i]} + 1`
      : `⌊(${size} + ${padding} − ${dilation}·(${kernel} − 1) − 1) / ${stride}⌋ + 1`;
    return `${name}: ${numbers} = ${spec.output_size[i]}`;
  });
  return [words, ...lines];
}

/** Everything about a layer on an input of this size, or null where the library refuses it. */
export function modelOf(layer, size, kinds) {
  const spec = specOf(layer, size);
  if (!spec) return null;
  if (!Number.isSafeInteger(kinds.seed) || kinds.seed < 0 || kinds.seed > 0x7fffffff) return null;
  return { spec, axes: spec.input_size.map((_, i) => axisOf(spec, i)), numbers: numbersOf(spec, kinds) };
}
