// Layers one behind another, as the reader builds them, and what one output sees of the input.

import { axisOf } from "./core.js";
import { Cells, escape, figure, number, widthIn } from "./figure.js";
import { parseValue } from "./state.js";
import { make } from "./controls.js";
import { say } from "./words.js";

export const needsNoModel = true;
const WIDEST = 96;
const LONGEST = 24;

/** Draws the view: the list at once, sizes and fields as the library answers. */
export function draw(root, app) {
  const texts = app.state.stack ? app.state.stack.split("|") : [];
  // Redrawn only for a stack that it does not show: a field that is typed into keeps its focus.
  const shown = root.querySelector("[data-stack]");
  const wanted = `${app.state.stack}#${app.state.stack_size}#${document.documentElement.lang}#${root.clientWidth}`;
  if (shown?.dataset.stack === wanted) return;
  const focused = document.activeElement?.dataset?.testid;
  const change = (next) => app.set({ stack: next.join("|") }, { committed: true });

  const list = make("ol", { class: "rows" });
  texts.forEach((text, i) => {
    const n = i + 1;
    const field = make("input", { type: "text", value: text, "data-testid": `stack-${i}`, "aria-label": say("stack_layer", { n }), spellcheck: "false", maxlength: 300 });
    field.onchange = () => change(texts.with(i, field.value.replaceAll("|", "")));
    const act = (name, label, sign, next, disabled) => {
      const button = make("button", { type: "button", "data-testid": `stack-${name}-${i}`, "aria-label": say(label, { n }), title: say(label, { n }) }, sign);
      button.disabled = disabled;
      button.onclick = () => change(next());
      return button;
    };
    const swapped = (a, b) => texts.with(a, texts[b]).with(b, texts[a]);
    list.append(
      make(
        "li",
        {},
        make(
          "div",
          { class: "line" },
          field,
          act("up", "move_up", "↑", () => swapped(i, i - 1), i === 0),
          act("down", "move_down", "↓", () => swapped(i, i + 1), i === texts.length - 1),
          act("remove", "remove", "×", () => texts.toSpliced(i, 1), texts.length === 1),
        ),
        make("p", { class: "error", role: "alert", "data-testid": `stack-error-${i}` }),
      ),
    );
  });
  const adds = make("div", { class: "adds", role: "group", "aria-label": say("add") });
  const presets = { add_same: [3, 1, 1], add_stride: [3, 2, 1], add_dilated: [3, 1, 2], add_five: [5, 1, 1], add_up: null };
  for (const [name, sizes] of Object.entries(presets)) {
    const button = make("button", { type: "button", class: "small", "data-testid": `stack-${name}` }, say(name));
    button.disabled = texts.length >= LONGEST;
    button.onclick = () => change([...texts, preset(texts.at(-1) ?? "", sizes)]);
    adds.append(button);
  }
  const size = make("input", { type: "text", value: app.state.stack_size, "data-testid": "stack-size", id: "stack-size", maxlength: 40 });
  size.onchange = () => app.set({ stack_size: size.value }, { committed: true });
  const push = make("span", { class: "push" });
  push.append(app.downloadButton());
  const bar = make("div", { class: "bar" }, make("label", { class: "line", for: "stack-size" }, make("span", {}, say("stack_size")), size), push);
  const sizeError = make("p", { class: "error", role: "alert", "data-testid": "stack-error-size" });
  const result = make("div", { "data-testid": "stack-result" });
  const all = make("div", { "data-stack": wanted }, make("p", { class: "words" }, say("stack_words")), bar, sizeError, list, adds, result);
  root.replaceChildren(all);
  if (focused) root.querySelector(`[data-testid="${focused}"]`)?.focus();
  answerFor(all, app, texts, widthIn(root));
}

/** A layer that fits behind the last one: its channels, its rank. */
function preset(last, sizes) {
  const rank = /([123])d/.exec(last)?.[1] ?? "2";
  const channels = /\(\s*\d+\s*,\s*(\d+)/.exec(last)?.[1] ?? "3";
  if (!sizes) return `ConvTranspose${rank}d(${channels}, ${channels}, 3, stride=2, padding=1, output_padding=1)`;
  const [kernel, stride, dilation] = sizes;
  const extra = [stride > 1 && `stride=${stride}`, `padding=${(dilation * (kernel - 1)) / 2}`, dilation > 1 && `dilation=${dilation}`];
  return `Conv${rank}d(${channels}, ${channels}, ${kernel}, ${extra.filter(Boolean).join(", ")})`;
}

async function answerFor(all, app, texts, width) {
  const rank = Number(/([123])d/.exec(texts[0] ?? "")?.[1] ?? 2);
  const value = parseValue(app.state.stack_size);
  const list = Array.isArray(value) ? value : [value];
  const input_size = list.length === 1 ? Array(rank).fill(list[0]) : list;
  const answer = await app.question("/api/stack", { layers: texts, input_size });
  if (!answer || !all.isConnected) return;
  const { rows = [], error, row, names = [] } = answer;
  if (error) {
    const place = names[0] === "input_size" || row === undefined ? "size" : row;
    all.querySelector(`[data-testid="stack-error-${place}"]`).textContent = error;
    if (!rows.length) return;
  }
  const result = all.querySelector('[data-testid="stack-result"]');
  const columns = ["layer", "size", "field", "jump", "start", "parameters", "macs"];
  const head = make("tr", {}, ...columns.map((name) => make("th", { scope: "col" }, say(`column_${name}`))));
  const each = (fields, part) => (new Set(fields.map((f) => f[part])).size === 1 ? fields[0][part] : fields.map((f) => f[part]).join(" × "));
  const body = rows.map((line, i) =>
    make(
      "tr",
      { "data-testid": `stack-row-${i}` },
      make("td", { class: "n", title: line.layer }, String(i + 1)),
      ...[line.output_size.join(" × "), each(line.fields, "size"), each(line.fields, "jump"), each(line.fields, "start"), line.parameters, line.macs].map((text, c) =>
        make("td", { class: "n", "data-testid": `stack-${columns[c + 1]}-${i}` }, String(text)),
      ),
    ),
  );
  const table = make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
  result.replaceChildren(make("div", { class: "scroll" }, table));
  drawCone(result, rows, width);
}

/** The last axis of every layer as a row of cells; what the chosen output sees lights up row by row. */
function drawCone(result, rows, width) {
  const specs = rows.map((row) => ({ ...row.spec, rank: row.spec.input_size.length }));
  const last = specs[0].rank - 1;
  const axes = specs.map((spec) => axisOf(spec, last));
  const lengths = [axes[0].size, ...axes.map((axis) => axis.length)];
  const widest = Math.max(...lengths);
  if (widest > WIDEST || lengths.includes(0)) {
    result.append(make("p", { class: "says", "data-testid": "stack-wide" }, say("stack_wide", { n: WIDEST })));
    return;
  }
  const pitch = Math.max(5, Math.min(26, (width - 8) / widest));
  const side = pitch - Math.min(2, pitch / 5);
  const [high, total] = [Math.max(14, Math.min(side, 22)), lengths.length];
  const step = high + 30;
  // The input is at the bottom: one looks down from an output.
  const y = (row) => (total - 1 - row) * step + 16;
  const x = (row, n) => ((widest - lengths[row]) / 2 + n) * pitch + 4;
  const name = (row) => (row === 0 ? say("stack_input") : rows[row - 1].layer);
  let body = "";
  for (let row = total - 1; row >= 0; row--) {
    body += `<text class="name" font-size="10.5" x="4" y="${y(row) - 8}">${escape(`${name(row)} · ${lengths[row]}`)}</text>`;
    body += `<g role="grid" data-panel="row-${row}" data-testid="panel-row-${row}" aria-label="${escape(name(row))}"><g role="row">`;
    for (let n = 0; n < lengths[row]; n++) {
      const kind = row === 0 ? "input" : row === total - 1 ? "output" : "blank";
      const label = escape(say("stack_cell", { row: name(row), n }));
      body += `<g class="cell ${kind}" role="gridcell" tabindex="-1" data-at="${n}" data-testid="row-${row}:${n}" aria-label="${label}"><rect x="${x(row, n)}" y="${y(row)}" width="${side}" height="${high}" rx="2"/></g>`;
    }
    body += "</g></g>";
  }
  const [wide, tall] = [widest * pitch + 8, total * step + 4];
  const holder = make("div", { class: "panels" });
  holder.innerHTML = figure("", "", `<svg class="panel" width="${wide}" height="${tall}" viewBox="0 0 ${wide} ${tall}"><g class="cones"></g>${body}</svg>`, "stack");
  const says = make("p", { class: "says", "data-testid": "says" });
  result.append(holder, says);
  const cones = holder.querySelector(".cones");
  const show = (panel, [n]) => {
    let row = Number(panel.slice(4));
    const [top, chosen] = [row, n];
    let seen = new Set([n]);
    const lit = { [panel]: [[String(n), "hot"]] };
    let shapes = "";
    while (row > 0 && seen.size) {
      const below = new Set([...seen].flatMap((at) => axes[row - 1].contacts[at].map((c) => c.source)).filter((source) => source !== null));
      const [from, to] = [span(seen), span(below)];
      if (below.size) {
        shapes += `<path class="cone" d="M${x(row, from[0])} ${y(row) + high}L${x(row, from[1]) + side} ${y(row) + high}L${x(row - 1, to[1]) + side} ${y(row - 1)}L${x(row - 1, to[0])} ${y(row - 1)}Z"/>`;
      }
      seen = below;
      row -= 1;
      lit[`row-${row}`] = [...seen].map((at) => [String(at), "hot"]);
    }
    cones.innerHTML = shapes;
    cells.light(lit);
    const label = say("stack_cell", { row: name(top), n: chosen });
    if (top !== total - 1 || !seen.size) says.textContent = label;
    else says.textContent = say("says_field", { n: chosen, first: number(span(seen)[0]), last: number(span(seen)[1]) });
  };
  let pinned = [`row-${total - 1}`, [Math.floor((lengths.at(-1) - 1) / 2)]];
  const cells = new Cells(holder, {
    point: show,
    leave: () => show(...pinned),
    choose: (panel, at) => {
      pinned = [panel, at];
      show(panel, at);
    },
  });
  show(...pinned);
}

const span = (places) => [Math.min(...places), Math.max(...places)];
