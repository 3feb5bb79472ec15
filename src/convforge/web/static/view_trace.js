// Input, kernel and output: pointing at a cell of any of them lights up what it is made of, or what is made of it.

import { channelsRead, combinations, flat, outputChannel, termsOf, weightStart } from "./core.js";
import { Cells, escape, marks, number, paddedCell, place, sideFor, widthIn } from "./figure.js";
import { frameOf, refill } from "./frame.js";
import { put } from "./grid.js";
import { choice, make } from "./controls.js";
import { say } from "./words.js";

const MOST_TERMS = 49;

/** Keeps channels and the chosen cell within what there is. */
export function chosen(app) {
  const { spec } = app.model;
  const within = (text, most) => Math.min(Math.max(Number(text) || 0, 0), most - 1);
  const out = within(app.state.out, spec.out_channels);
  const [first, stop] = channelsRead(spec, out);
  const inChannel = Math.min(Math.max(Number(app.state.in) || 0, first), Math.max(stop - 1, first));
  const wanted = app.state.at.split(",").map(Number);
  const at = spec.output_size.map((side, i) => {
    const middle = Math.floor((side - 1) / 2);
    const n = wanted.length === spec.rank && Number.isSafeInteger(wanted[i]) ? wanted[i] : middle;
    return Math.min(Math.max(n, 0), Math.max(side - 1, 0));
  });
  return { out, in: inChannel, at, first, stop };
}

/** What a view's bar holds: selects of an output and an input channel, where there is more than one; a hint; the download. */
export function channelBar(app, pick, ...hints) {
  const { spec } = app.model;
  const bar = [];
  const options = (from, to) => Array.from({ length: to - from }, (_, i) => [String(from + i), say("channel_n", { n: from + i })]);
  if (pick.stop - pick.first > 1) {
    bar.push(choice("in-channel", options(pick.first, pick.stop), String(pick.in), say("show_in"), (value) => app.set({ in: value }, { committed: true })));
  }
  if (spec.out_channels > 1) {
    bar.push(choice("out-channel", options(0, spec.out_channels), String(pick.out), say("show_out"), (value) => app.set({ out: value, in: "0" }, { committed: true })));
  }
  return [...bar, ...hints, make("span", { class: "push" }, app.downloadButton())];
}

/** Draws the view. */
export function draw(root, app) {
  const { spec, axes, numbers } = app.model;
  const pick = chosen(app);
  const output = outputChannel(spec, axes, numbers, pick.out);
  app.model.output = { channel: pick.out, values: output };
  const inside = spec.input_size.reduce((a, b) => a * b, 1);
  const inputAt = (at) => numbers.input[pick.in * inside + flat(at, spec.input_size)];
  const start = weightStart(spec, pick.out, pick.in);
  const weightAt = (at) => numbers.weight[start + flat(at, spec.kernel_size)];
  const outputAt = (at) => output[flat(at, spec.output_size)];
  const widthOf = (axis) => axes[axis].before + axes[axis].side + axes[axis].after;
  const last = spec.rank - 1;
  // Cells keep their size while the stride is dragged, or the output padding: room for all the outputs that may come.
  const room = widthOf(last) - spec.dilation[last] * (spec.kernel_size[last] - 1);
  const more = Math.max(spec.stride[last], spec.dilation[last]) - 1 - spec.output_padding[last];
  const sides = spec.transposed ? [spec.input_size[last], widthOf(last) + more] : [widthOf(last), room];
  const available = widthIn(root);
  const columns = sides[0] + sides[1] + spec.kernel_size[last];
  const together = sideFor(available, columns, 3, [0, 38]);
  // Where three do not fit side by side, they stand below each other, as large as the widest allows; what is wider than
  // that is scrolled, as nobody reads a number in less than 14 pixels.
  const alone = sideFor(available, Math.max(...sides), 1, [14, 30]);
  const volume = spec.rank === 3;
  const fitting = volume ? Math.min(24, Math.max(14, alone - 4)) : together >= 18 ? together : spec.rank === 1 ? alone : Math.min(alone, 24);
  const pixels = app.sideOf(fitting);

  const padded = { size: axes.map((axis) => axis.before + axis.side + axis.after), first: axes.map((axis) => -axis.before) };
  const plain = (size) => ({ size, first: size.map(() => 0) });
  const unread = (at) => at.some((n, i) => axes[i].unread.includes(n));
  const inputCell = (at) => {
    const cell = paddedCell(spec, spec.transposed ? axes.map((axis, i) => ({ ...axis, side: spec.input_size[i], before: 0 })) : axes, at, inputAt);
    if (cell.inside) return { kind: `input${unread(at) ? " unread" : ""}`, text: number(cell.value), label: say("cell_input", { at: place(at), value: number(cell.value) }) };
    if (!cell.source) return { kind: "zeros", text: "0", label: say("cell_zero", { at: place(at) }) };
    return { kind: spec.padding_mode, text: number(cell.value), label: say("cell_copy", { at: place(at), source: place(cell.source), value: number(cell.value) }) };
  };
  const kernelCell = (at) => ({ kind: "kernel", text: number(weightAt(at)), label: say("cell_kernel", { at: place(at), value: number(weightAt(at)) }) });
  const outputCell = (at) => {
    const cell = paddedCell(spec, axes, at, outputAt);
    if (!spec.transposed || cell.inside) return { kind: "output", text: number(outputAt(at)), label: say("cell_output", { at: place(at), value: number(outputAt(at)) }) };
    if (!cell.source) return { kind: "cut", text: "", label: say("cell_cut", { at: place(at) }) };
    return { kind: spec.padding_mode, text: "+", label: say("cell_folded", { at: place(at), source: place(cell.source) }) };
  };
  const panel = (name, box, cell, detail) => ({ title: say(`panel_${name}`), detail, grid: { name, ...box, cell } });
  const sizeText = (channels, size) => [channels, ...size].join(" × ");
  const figures = [
    panel("input", spec.transposed ? plain(spec.input_size) : padded, inputCell, sizeText(spec.in_channels, spec.input_size)),
    panel("kernel", plain(spec.kernel_size), kernelCell, sizeText(`${spec.out_channels} × ${spec.in_channels / spec.groups}`, spec.kernel_size)),
  ];
  const empty = spec.output_size.includes(0);
  if (!empty) figures.push(panel("output", spec.transposed ? padded : plain(spec.output_size), outputCell, sizeText(spec.out_channels, spec.output_size)));

  const { nodes: [bar, panels, says, equation] } = frameOf(root, () => ({
    nodes: [
      make("div", { class: "bar" }),
      make("div", { class: "panels", "data-testid": "panels" }),
      make("p", { class: "says", "data-testid": "says" }),
      make("div", { class: "equation", "data-testid": "equation" }),
    ],
  }));
  refill(bar, ...channelBar(app, pick, make("span", {}, say("hint_trace"))));
  equation.replaceChildren();
  put([[panels, figures]], { pixels, whole: app.isWhole });
  if (empty) {
    says.textContent = say("empty_output");
    return;
  }

  const isInside = (at, size) => at.every((n, i) => n >= 0 && n < size[i]);
  /** What lights up for a cell, and what is said of it. */
  const about = (name, at) => {
    if (name === "output" && isInside(at, spec.output_size)) {
      const terms = termsOf(spec, axes, numbers, pick.out, at);
      const here = terms.filter((term) => term.channel === pick.in);
      const zeros = terms.filter((term) => term.source === null).length;
      const lit = {
        output: [...marks([at]), ...(spec.transposed ? marks(here.map((t) => t.position)) : [])],
        kernel: marks(here.map((t) => t.tap)),
        input: spec.transposed
          ? marks(here.map((t) => t.source))
          : [...marks(here.map((t) => t.position)), ...marks(here.filter((t) => t.source && !isInside(t.position, spec.input_size)).map((t) => t.source), "source")],
      };
      const words = zeros ? say("says_output_zeros", { at: place(at), n: terms.length, zeros }) : say("says_output", { at: place(at), n: terms.length });
      return { lit, words, equationOf: at };
    }
    if (name === "kernel") {
      const found = termsOf(spec, axes, numbers, pick.out, pick.at).filter((term) => term.tap.join() === at.join());
      const here = found.filter((term) => term.channel === pick.in);
      return {
        lit: { kernel: marks([at]), output: marks([pick.at]), input: marks(here.map((t) => (spec.transposed ? t.source : t.position))) },
        words: say("says_kernel", { at: place(at), output: place(pick.at), n: new Set(found.map((t) => t.channel)).size }),
      };
    }
    // An input cell, padding too; or a border cell of a transposed output.
    const stamps = name === "input";
    const met = axes.map((axis, i) =>
      axis.contacts.flatMap((contacts, out) =>
        contacts.filter((c) => (stamps && spec.transposed ? c.source : c.position) === at[i]).map((c) => ({ out, ...c })),
      ),
    );
    const pairs = combinations(met);
    const outputs = new Map(pairs.map((pair) => [pair.map((c) => c.out).join(), pair.map((c) => c.out)]));
    const taps = pairs.map((pair) => pair.map((c) => c.tap));
    const label = root.querySelector(`[data-testid="${name}:${at}"]`)?.getAttribute("aria-label") ?? "";
    if (!stamps) {
      return { lit: { output: [...marks([at]), ...marks([...outputs.values()], "source")], kernel: marks(taps), input: marks(pairs.map((pair) => pair.map((c) => c.source))) }, words: label };
    }
    if (spec.transposed) {
      const landing = combinations(axes.map((axis, i) => Array.from({ length: axis.kernel }, (_, tap) => at[i] * axis.stride + tap * axis.dilation - axis.before)));
      return { lit: { input: marks([at]), kernel: marks(combinations(spec.kernel_size.map((k) => [...Array(k).keys()]))), output: marks(landing) }, words: `${label}. ${say("says_stamp", { at: place(at), n: landing.length })}` };
    }
    const source = paddedCell(spec, axes, at, inputAt);
    const words = outputs.size ? say("says_input", { at: place(at), n: outputs.size }) : say("says_unread", { at: place(at) });
    return {
      lit: { input: [...marks([at]), ...(!source.inside && source.source ? marks([source.source], "source") : [])], kernel: marks(taps), output: marks([...outputs.values()]) },
      words: source.inside ? words : `${label}. ${outputs.size ? words : ""}`,
    };
  };
  const show = (name, at) => {
    const { lit, words, equationOf } = about(name, at);
    cells.light(lit);
    says.textContent = words;
    if (equationOf) equation.innerHTML = equationMarkup(app.model, pick.out, equationOf, outputAt(equationOf));
  };
  let pinned = ["output", pick.at];
  const cells = new Cells(panels, {
    point: show,
    leave: () => show(...pinned),
    choose: (name, at) => {
      pinned = [name, at];
      if (name === "output" && isInside(at, spec.output_size)) {
        pick.at = at;
        app.remember({ at: at.join() });
      }
      show(name, at);
    },
  });
  const first = cells.panels.get("output").get(pick.at.join());
  if (first) cells.enter(first, false);
  show(...pinned);
}

/** A summand: a negative one in brackets. */
const signed = (value) => (value < 0 ? `(${number(value)})` : number(value));

/** 3×1 + 0×−2 + … + bias = 8, a line a channel. */
function equationMarkup({ spec, axes, numbers }, out, at, value) {
  const [first, stop] = channelsRead(spec, out);
  const terms = termsOf(spec, axes, numbers, out, at);
  const lines = [];
  for (let channel = first; channel < stop; channel++) {
    const here = terms.filter((term) => term.channel === channel);
    const name = stop - first > 1 ? `<span class="channel">${escape(say("channel_n", { n: channel }))}: </span>` : "";
    const sum = here.reduce((total, term) => total + term.x * term.w, 0);
    const product = (term) =>
      `<span class="${term.source ? "x" : "zero"}">${number(term.x)}</span>×<span class="w">${signed(term.w)}</span>`;
    const body = here.length > MOST_TERMS ? escape(say("sum_of", { n: here.length })) : here.map(product).join(" + ") || "0";
    lines.push(`${name}${body}${stop - first > 1 || here.length > MOST_TERMS ? ` = ${number(sum)}` : ""}`);
  }
  const bias = numbers.bias ? numbers.bias[out] : null;
  const biasText = bias === null ? "" : ` + <span class="w" title="bias">${signed(bias)}</span><span class="channel"> bias</span>`;
  const result = `<span class="y" data-testid="equation-result">${number(value)}</span>`;
  const name = `<span class="y">y</span><span class="channel">${place([out, ...at])}</span>`;
  if (lines.length === 1) return `<div>${name} = ${lines[0]}${biasText} = ${result}</div>`;
  const sums = Array.from({ length: stop - first }, (_, i) =>
    signed(terms.filter((term) => term.channel === first + i).reduce((total, term) => total + term.x * term.w, 0)),
  );
  return `${lines.map((line) => `<div>${line}</div>`).join("")}<div>${name} = ${sums.join(" + ") || "0"}${biasText} = ${result}</div>`;
}
