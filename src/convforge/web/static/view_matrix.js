// The layer as an explicit matrix: rows outputs, columns inputs, every tap on a diagonal.

import { positions } from "./core.js";
import { matrixOf, multiplied } from "./ways.js";
import { Cells, number, place, widthIn } from "./figure.js";
import { frameOf, refill } from "./frame.js";
import { put } from "./grid.js";
import { channelBar, chosen } from "./view_trace.js";
import { make } from "./controls.js";
import { say } from "./words.js";

const MOST_CELLS = 4096;
const MOST_HEIGHT = 620;

/** Draws the view. */
export function draw(root, app) {
  const { spec, axes, numbers } = app.model;
  const pick = chosen(app);
  const { nodes: [bar, words, panels, says] } = frameOf(root, () => ({
    nodes: [
      make("div", { class: "bar" }),
      make("p", { class: "words", "data-testid": "matrix-words" }),
      make("div", { class: "scroll" }),
      make("p", { class: "says", "data-testid": "says" }),
    ],
  }));
  refill(bar, ...channelBar(app, pick));
  const rows = positions(spec.output_size).length;
  const columns = positions(spec.input_size).length;
  const isDrawn = rows && rows * columns <= MOST_CELLS;
  words.textContent = say(rows * columns > MOST_CELLS ? "matrix_large" : "matrix_words", { rows, columns });
  says.textContent = "";
  if (!isDrawn) {
    panels.replaceChildren();
    return;
  }
  const matrix = matrixOf(spec, axes, numbers, pick.out, pick.in);
  const inside = columns;
  const x = numbers.input.slice(pick.in * inside, (pick.in + 1) * inside);
  drawMatrix(panels, says, { spec, matrix, x, width: widthIn(root), whole: app.isWhole });
}

/** The matrix with the input above its columns and the output at the end of its rows. */
export function drawMatrix(root, says, { spec, matrix, x, width, whole, name = "matrix" }) {
  const [outputs, inputs] = [positions(spec.output_size), positions(spec.input_size)];
  const y = multiplied(matrix, x);
  const fitting = Math.min(Math.floor((width - 60) / (inputs.length + 2)), Math.floor(MOST_HEIGHT / outputs.length));
  const pixels = Math.max(10, Math.min(32, fitting - 2));
  const cell = ([r, c]) => {
    const entry = matrix[r].get(c);
    const label = say("matrix_cell", { row: place(outputs[r]), column: place(inputs[c]), value: entry ? number(entry.value) : 0 });
    return entry ? { kind: "kernel", text: number(entry.value), label } : { kind: "blank", text: pixels > 15 ? "0" : "", label };
  };
  const inputCell = ([, c]) => ({ kind: "input", text: number(x[c]), label: say("cell_input", { at: place(inputs[c]), value: number(x[c]) }) });
  const outputCell = ([r]) => ({ kind: "output", text: number(y[r]), label: say("cell_output", { at: place(outputs[r]), value: number(y[r]) }) });
  const part = (title, detail, grid) => ({ title, detail, grid: { first: [0, 0], ...grid } });
  const figures = [
    part("xᵀ", `${inputs.length}`, { name: `${name}-x`, size: [1, inputs.length], cell: inputCell }),
    part("M", `${outputs.length} × ${inputs.length}`, { name, size: [outputs.length, inputs.length], cell }),
    part("y", `${outputs.length}`, { name: `${name}-y`, size: [outputs.length, 1], cell: outputCell }),
  ];
  const { nodes: [frame] } = frameOf(root, () => ({ nodes: [make("div", { class: "matrix" })] }));
  put([[frame, figures]], { pixels, whole, indexed: false });
  const show = (panel, at) => {
    const row = panel === `${name}-x` ? null : at[0];
    const column = panel === `${name}-y` ? null : at[1];
    const lit = { [name]: [], [`${name}-x`]: [], [`${name}-y`]: [] };
    const light = (r, c) => {
      lit[name].push([`${r},${c}`, "hot"]);
      lit[`${name}-x`].push([`0,${c}`, "hot"]);
      lit[`${name}-y`].push([`${r},0`, "hot"]);
    };
    if (panel === name) light(row, column);
    else if (row !== null && panel === `${name}-y`) matrix[row].forEach((_, c) => light(row, c));
    else matrix.forEach((entries, r) => entries.has(column) && light(r, column));
    cells.light(lit);
    if (panel !== name) {
      says.textContent = root.querySelector(`[data-testid="${panel}:${at}"]`).getAttribute("aria-label");
      return;
    }
    const entry = matrix[row].get(column);
    const named = { row: place(outputs[row]), column: place(inputs[column]) };
    says.textContent = entry
      ? say("says_entry", { ...named, value: number(entry.value), taps: entry.taps.map(place).join(" + ") })
      : say("says_no_entry", named);
  };
  const cells = new Cells(root, { point: show, leave: () => cells.light({}), choose: show });
  return y;
}

