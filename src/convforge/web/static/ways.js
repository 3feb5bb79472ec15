// A layer as an explicit matrix, and a transposed layer in three ways that have one result: also arithmetic without a
// page, held equal to Python's by the same test as core.js.

import { combinations, flat, positions, product, weightStart } from "./core.js";

/** The matrix of a pair of channels, rows outputs, columns inputs: rows of {place: {value, taps}}. */
export function matrixOf(spec, axes, numbers, outChannel, inChannel) {
  const start = weightStart(spec, outChannel, inChannel);
  return positions(spec.output_size).map((at) => {
    const row = new Map();
    for (const contacts of combinations(axes.map((axis, i) => axis.contacts[at[i]]))) {
      if (contacts.some((c) => c.source === null)) continue;
      const place = flat(contacts.map((c) => c.source), spec.input_size);
      const tap = contacts.map((c) => c.tap);
      const entry = row.get(place) ?? { value: 0, taps: [] };
      entry.value += numbers.weight[start + flat(tap, spec.kernel_size)];
      entry.taps.push(tap);
      row.set(place, entry);
    }
    return row;
  });
}

/** Size of a transposed layer's result before padding is taken off it. */
export const fullSize = (spec) => spec.output_size.map((n, i) => n + spec.padding[i][0] + spec.padding[i][1]);

/** Adds what was computed on the padded side onto the output: what a zero padding cuts off is dropped. */
export function folded(spec, axes, full) {
  const output = new Array(product(spec.output_size)).fill(0);
  const size = fullSize(spec);
  positions(size).forEach((at, place) => {
    const onto = at.map((n, i) => axes[i].sources[n]);
    if (!onto.includes(null)) output[flat(onto, spec.output_size)] += full[place];
  });
  return output;
}

/** A pair of channels of a transposed layer, first way: every input element stamps the kernel. The padded result. */
export function scattered(spec, x, kernel) {
  const size = fullSize(spec);
  const full = new Array(product(size)).fill(0);
  const taps = positions(spec.kernel_size);
  positions(spec.input_size).forEach((at, place) => {
    taps.forEach((tap, k) => {
      full[flat(at.map((n, i) => n * spec.stride[i] + tap[i] * spec.dilation[i]), size)] += x[place] * kernel[k];
    });
  });
  return full;
}

/** The second way's input: stride - 1 zeros between elements, and room for the whole kernel around: {size, cells}. */
export function spread(spec, x) {
  const border = spec.kernel_size.map((k, i) => spec.dilation[i] * (k - 1));
  const size = fullSize(spec).map((n, i) => n + border[i]);
  const cells = new Array(product(size)).fill(null);
  positions(spec.input_size).forEach((at, place) => {
    cells[flat(at.map((n, i) => n * spec.stride[i] + border[i]), size)] = x[place];
  });
  return { size, cells };
}

/** The second way: a plain convolution of stride 1 of the spread input with the kernel turned around. */
export function gathered(spec, wide, kernel) {
  const taps = positions(spec.kernel_size);
  const last = kernel.length - 1;
  return positions(fullSize(spec)).map((at) =>
    taps.reduce((sum, tap, k) => {
      const value = wide.cells[flat(at.map((n, i) => n + tap[i] * spec.dilation[i]), wide.size)];
      return sum + (value ?? 0) * kernel[last - k];
    }, 0),
  );
}

/** The third way: the matrix times the input as a column. */
export const multiplied = (matrix, x) =>
  matrix.map((row) => [...row].reduce((sum, [place, entry]) => sum + entry.value * x[place], 0));
