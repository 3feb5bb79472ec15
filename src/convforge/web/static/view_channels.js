// Which output channel reads which input channels: groups, from a dense layer to a depthwise one.

import { channelsRead, weightShape } from "./core.js";
import { Cells, escape, figure, number } from "./figure.js";
import { make } from "./controls.js";
import { say } from "./words.js";

const MOST = 64;
const STYLES = 6;

/** Draws the view. */
export function draw(root, app) {
  const { spec } = app.model;
  const inputs = spec.groups ? spec.in_channels / spec.groups : 0;
  const outputs = spec.out_channels / spec.groups;
  const shape = weightShape(spec);
  const count = shape.reduce((a, b) => a * b, 1);
  const kind =
    spec.groups === 1 ? say("channels_one", { all: spec.in_channels }) : say("channels_words", { groups: spec.groups, inputs, all: spec.in_channels });
  const depthwise = spec.groups > 1 && spec.groups === spec.in_channels ? ` ${say("channels_depthwise")}` : "";
  const dense = spec.groups > 1 ? ` · ${say("weights_dense", { n: number(count * spec.groups), ratio: spec.groups })}` : "";
  const push = make("span", { class: "push" });
  push.append(app.downloadButton());
  const bar = make("div", { class: "bar" }, make("span", { class: "mono", "data-testid": "weight-shape" }, say("weight_shape", { shape: shape.join(" × "), n: number(count) }) + dense), push);
  const words = make("p", { class: "words", "data-testid": "channels-words" }, kind + depthwise);
  const panels = make("div", { class: "panels" });
  const says = make("p", { class: "says", "data-testid": "says" });
  root.replaceChildren(bar, words, panels, says);

  const [left, right] = [Math.min(spec.in_channels, MOST), Math.min(spec.out_channels, MOST)];
  const tall = Math.max(left, right, 1);
  const pitch = Math.max(16, Math.min(40, 460 / tall));
  const side = pitch - 6;
  const [wide, height] = [300, tall * pitch + 8];
  const y = (n, of) => 4 + (height - 8 - of * pitch) / 2 + n * pitch + pitch / 2;
  const style = (group) => `group${group % STYLES}`;
  let links = "";
  for (let out = 0; out < right; out++) {
    const [first, stop] = channelsRead(spec, out);
    for (let channel = first; channel < Math.min(stop, left); channel++) {
      const [from, to] = [y(channel, left), y(out, right)];
      links += `<path class="link ${style(Math.floor(out / outputs))}" data-in="${channel}" data-out="${out}" d="M${side + 30} ${from}C${wide / 2} ${from} ${wide / 2} ${to} ${wide - side - 30} ${to}"/>`;
    }
  }
  const column = (name, n, of, x, group, label) => {
    const top = y(n, of) - side / 2;
    return (
      `<g role="row"><g class="cell channel ${style(group)}" role="gridcell" tabindex="-1" data-at="${n}" data-testid="${name}:${n}" aria-label="${escape(label)}">` +
      `<rect x="${x}" y="${top}" width="${side}" height="${side}" rx="${name === "out" ? side / 3 : 2}"/><text x="${x + side / 2}" y="${top + side / 2}" font-size="${Math.min(13, side * 0.5)}">${n}</text></g></g>`
    );
  };
  let [ins, outs] = ["", ""];
  for (let n = 0; n < left; n++) ins += column("in", n, left, 30, Math.floor(n / inputs), say("in_n", { n, group: Math.floor(n / inputs) }));
  for (let n = 0; n < right; n++) outs += column("out", n, right, wide - side - 30, Math.floor(n / outputs), say("out_n", { n, group: Math.floor(n / outputs) }));
  const title = say("view_channels");
  const markup =
    `<svg class="panel" width="${wide}" height="${height}" viewBox="0 0 ${wide} ${height}" aria-label="${escape(title)}"><g>${links}</g>` +
    `<g role="grid" aria-label="${escape(say("panel_input"))}">${ins}</g><g role="grid" aria-label="${escape(say("panel_output"))}">${outs}</g></svg>`;
  panels.innerHTML = figure(`${say("panel_input")} → ${say("panel_output")}`, `${spec.in_channels} → ${spec.out_channels}`, markup, "channels");
  // Two columns of one drawing: each is a grid of its own to the keyboard.
  const svg = panels.querySelector("svg");
  for (const [index, name] of ["in", "out"].entries()) svg.querySelectorAll('[role="grid"]')[index].dataset.panel = name;
  const paths = [...svg.querySelectorAll(".link")];
  const show = (panel, [n]) => {
    const met = paths.filter((path) => Number(path.dataset[panel]) === n);
    for (const path of paths) path.setAttribute("class", path.getAttribute("class").replace(/ (hot|dim)/g, "") + (met.includes(path) ? " hot" : " dim"));
    cells.light({
      in: [...(panel === "in" ? [[String(n), "hot"]] : []), ...met.map((path) => [path.dataset.in, "hot"])],
      out: [...(panel === "out" ? [[String(n), "hot"]] : []), ...met.map((path) => [path.dataset.out, "hot"])],
    });
    const label = svg.querySelector(`[data-testid="${panel}:${n}"]`).getAttribute("aria-label");
    const [first, stop] = channelsRead(spec, n);
    const list = stop - first > 1 ? `${first}–${stop - 1}` : String(first);
    says.textContent = panel === "out" ? say("reads_channels", { n, list }) : label;
  };
  const cells = new Cells(panels, {
    point: show,
    leave: () => {
      for (const path of paths) path.setAttribute("class", path.getAttribute("class").replace(/ (hot|dim)/g, ""));
      cells.light({});
    },
    choose: show,
  });
  if (spec.in_channels > MOST || spec.out_channels > MOST) root.append(make("p", { class: "hint" }, say("channels_many", { n: MOST })));
}
