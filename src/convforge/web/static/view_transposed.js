// One transposed convolution, seen as stamps, as zeros between, and as a matrix turned over: one result.

import { flat, modelOf, positions, weightStart } from "./core.js";
import { folded, fullSize, gathered, matrixOf, multiplied, scattered, spread } from "./ways.js";
import { Cells, marks, number, paddedCell, place, sideFor, widthIn } from "./figure.js";
import { frameOf, refill } from "./frame.js";
import { put } from "./grid.js";
import { channelBar, chosen } from "./view_trace.js";
import { kindsOf, layerOf, sizeOf } from "./state.js";
import { drawMatrix } from "./view_matrix.js";
import { make } from "./controls.js";
import { say } from "./words.js";

const MOST_CELLS = 4096;

/** The layer itself if it is transposed, else the transposed layer of the same parameters; null if there is none. */
function transposedModel(app) {
  if (app.model.spec.transposed) return app.model;
  const layer = { ...layerOf(app.state), transposed: true, output_padding: 0, padding: app.model.spec.padding };
  return modelOf(layer, sizeOf(app.state), kindsOf(app.state));
}

/** Draws the view. */
export function draw(root, app) {
  const model = transposedModel(app);
  const { nodes: [bar, words, equal, none], sections, ways } = frameOf(root, frame);
  words.textContent = `${say("transposed_words")} ${app.model.spec.transposed ? "" : say("transposed_of")}`;
  const isDrawn = Boolean(model) && !model.spec.output_size.includes(0);
  for (const node of [bar, equal, ways]) node.hidden = !isDrawn;
  none.hidden = isDrawn;
  none.textContent = say("transposed_none");
  if (!isDrawn) return;
  const { spec, axes, numbers } = model;
  const here = { state: app.state, model, set: (...changes) => app.set(...changes), downloadButton: () => app.downloadButton() };
  const pick = chosen(here);
  refill(bar, ...channelBar(here, pick));

  const inside = positions(spec.input_size).length;
  const taps = positions(spec.kernel_size).length;
  const x = numbers.input.slice(pick.in * inside, (pick.in + 1) * inside);
  const start = weightStart(spec, pick.out, pick.in);
  const kernel = numbers.weight.slice(start, start + taps);
  const stamped = scattered(spec, x, kernel);
  const wide = spread(spec, x);
  const moved = gathered(spec, wide, kernel);
  const matrix = matrixOf(spec, axes, numbers, pick.out, pick.in);
  const results = [folded(spec, axes, stamped), folded(spec, axes, moved), multiplied(matrix, x)];
  const difference = Math.max(0, ...results[0].map((value, i) => Math.max(Math.abs(value - results[1][i]), Math.abs(value - results[2][i]))));

  const full = fullSize(spec);
  const first = axes.map((axis) => -axis.before);
  const last = spec.rank - 1;
  const available = widthIn(root);
  const columns = Math.max(spec.input_size[last] + full[last], wide.size[last] + full[last]) + spec.kernel_size[last];
  const beside = sideFor(available, columns, 3, [0, 32]);
  const pixels = app.sideOf(beside >= 16 ? beside : sideFor(available, wide.size[last], 1, [14, 22]));
  const panel = (name, title, size, first, cell) => ({ title, detail: size.join(" × "), grid: { name, size, first, cell } });
  const zero = (size) => size.map(() => 0);
  const inputCell = (at) => {
    const value = number(x[flat(at, spec.input_size)]);
    return { kind: "input", text: value, label: say("cell_input", { at: place(at), value }) };
  };
  const kernelCell = (turned) => (at) => {
    const tap = turned ? at.map((n, i) => spec.kernel_size[i] - 1 - n) : at;
    const value = number(kernel[flat(tap, spec.kernel_size)]);
    return { kind: "kernel", text: value, label: say("cell_kernel", { at: place(tap), value }) };
  };
  const resultCell = (values) => (at) => {
    const value = number(values[flat(at.map((n, i) => n + axes[i].before), full)]);
    const cell = paddedCell(spec, axes, at, () => 0);
    if (cell.inside) return { kind: "output", text: value, label: say("cell_output", { at: place(at), value }) };
    if (cell.source) return { kind: spec.padding_mode, text: value, label: say("cell_folded", { at: place(at), source: place(cell.source) }) };
    return { kind: "cut", text: value, label: say("cell_cut", { at: place(at) }) };
  };
  const wideCell = (at) => {
    const value = wide.cells[flat(at, wide.size)];
    const text = number(value ?? 0);
    return { kind: value === null ? "between" : "input", text, label: say("cell_input", { at: place(at), value: text }) };
  };

  equal.dataset.difference = difference;
  equal.textContent = say("ways_equal", { n: number(difference) });
  const rows = positions(spec.output_size).length;
  const [stamp, zeros, third] = sections;
  stamp.name(say("way_stamp"), say("way_stamp_words", { stride: spec.stride.join(" × ") }));
  zeros.name(say("way_zeros"), say("way_zeros_words"));
  third.name(say("way_matrix"), say("way_matrix_words", { rows, columns: inside }));
  const stamping = [
    panel("stamp-input", say("panel_input"), spec.input_size, zero(spec.input_size), inputCell),
    panel("stamp-kernel", say("panel_kernel"), spec.kernel_size, zero(spec.kernel_size), kernelCell(false)),
    panel("stamp-output", say("panel_output"), full, first, resultCell(stamped)),
  ];
  const gathering = [
    panel("zeros-input", say("panel_spread"), wide.size, zero(wide.size), wideCell),
    panel("zeros-kernel", say("panel_turned"), spec.kernel_size, zero(spec.kernel_size), kernelCell(true)),
    panel("zeros-output", say("panel_output"), full, first, resultCell(moved)),
  ];
  put([[stamp.drawn, stamping], [zeros.drawn, gathering]], { pixels, whole: app.isWhole });
  linkStamps(stamp, spec, axes);
  linkZeros(zeros, spec, axes);
  if (rows * inside > MOST_CELLS) {
    third.drawn.replaceChildren();
    third.says.textContent = say("matrix_large", { rows, columns: inside });
    return;
  }
  third.says.textContent = "";
  drawMatrix(third.drawn, third.says, { spec, matrix, x, width: available, whole: app.isWhole, name: "turned" });
}

function frame() {
  const sections = ["panels", "panels", "scroll"].map((kind) => {
    const [title, hint, drawn, says] = [make("h3"), make("p", { class: "hint" }), make("div", { class: kind }), make("p", { class: "says" })];
    const name = (...words) => [title.textContent, hint.textContent] = words;
    return { part: make("section", {}, title, hint, drawn, says), drawn, says, name };
  });
  const ways = make("div", { class: "ways" }, ...sections.map((section) => section.part));
  const nodes = [
    make("div", { class: "bar" }),
    make("p", { class: "words" }),
    make("p", { class: "check", "data-testid": "ways" }),
    make("p", { class: "error", "data-testid": "transposed-none" }),
    ways,
  ];
  return { nodes, sections, ways };
}

/** Pointing at an input shows its stamp, at an output the stamps that reach it. */
function linkStamps({ drawn, says }, spec, axes) {
  const taps = positions(spec.kernel_size);
  const landing = (at, tap) => at.map((n, i) => n * spec.stride[i] + tap[i] * spec.dilation[i] - axes[i].before);
  const meetings = () => positions(spec.input_size).flatMap((at) => taps.map((tap) => ({ at, tap, onto: landing(at, tap) })));
  linked(drawn, says, { "stamp-input": "at", "stamp-kernel": "tap", "stamp-output": "onto" }, meetings);
}

/** Pointing at an output shows the window of the spread input that it is made of. */
function linkZeros({ drawn, says }, spec, axes) {
  const taps = positions(spec.kernel_size);
  const meetings = () =>
    positions(fullSize(spec)).flatMap((n) =>
      taps.map((tap) => ({
        at: n.map((each, i) => each + tap[i] * spec.dilation[i]),
        tap,
        onto: n.map((each, i) => each - axes[i].before),
      })),
    );
  linked(drawn, says, { "zeros-input": "at", "zeros-kernel": "tap", "zeros-output": "onto" }, meetings);
}

/** Meetings by what may be pointed at: "panel:place". */
function indexed(meetings, parts) {
  const index = new Map();
  for (const meeting of meetings) {
    for (const [panel, part] of Object.entries(parts)) {
      const key = `${panel}:${meeting[part]}`;
      if (!index.has(key)) index.set(key, []);
      index.get(key).push(meeting);
    }
  }
  return index;
}

function linked(drawn, says, parts, meetings) {
  // Many, and wanted only once something is pointed at.
  let index = null;
  const show = (panel, at) => {
    index ??= indexed(meetings(), parts);
    const met = index.get(`${panel}:${at}`) ?? [];
    const lit = Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, marks(met.map((meeting) => meeting[part]))]));
    lit[panel] = marks([at]);
    cells.light(lit);
    says.textContent = drawn.querySelector(`[data-testid="${panel}:${at}"]`)?.getAttribute("aria-label") ?? "";
  };
  says.textContent = "";
  const cells = new Cells(drawn, { point: show, leave: () => cells.light({}), choose: show });
}
