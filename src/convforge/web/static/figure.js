// Grids of cells as SVG, each cell a node with a test id and a label; arrow keys move within a grid.

const GAP = 2;
const MARGIN = 20;
const CAPTION_SLACK = 24;

/** −3, with the sign that is as wide as a plus. */
export const number = (value) => String(Math.round(value * 1e6) / 1e6).replace("-", "−");

/** (0, 1) as people write a position. */
export const place = (at) => (at.length === 1 ? `[${number(at[0])}]` : `(${at.map(number).join(", ")})`);

export const escape = (text) =>
  String(text).replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);

/**
 * A grid of cells.
 * name: of the panel, as in its test ids ("input:0,1"). title: for those who do not see it.
 * size, first: sides, and the coordinate of the first cell, an axis each. pixels: a cell's side.
 * slices: how many slices of a volume stand side by side.
 * cell: (at) -> {kind, text, label}. Returns {markup, width, height}.
 */
export function grid({ name, title, size, first, pixels, slices = 1, indexed = true, cell }) {
  const rank = size.length;
  const [depth, rows, columns] = [...Array(3 - rank).fill(1), ...size];
  const margin = indexed && pixels >= 15 ? MARGIN : 2;
  const head = rank === 3 ? 18 : 0;
  const pitch = pixels + GAP;
  const [wide, high] = [margin + columns * pitch + 2, head + margin + rows * pitch + 2];
  const across = Math.min(depth, Math.max(1, slices));
  const width = across * wide + (across - 1) * 10;
  const height = Math.ceil(depth / across) * (high + 8) - 8;
  const small = Math.min(pixels * 0.36, 11);
  const lead = Array(3 - rank).fill(0);
  const start = [...lead, ...first];
  const parts = [];
  let groups = "";
  for (let d = 0; d < depth; d++) {
    const [left, top] = [(d % across) * (wide + 10) + margin, Math.floor(d / across) * (high + 8) + head + margin];
    if (head) {
      const label = `D = ${number(start[0] + d)}`;
      parts.push(`<text class="name" font-size="11" x="${left}" y="${top - margin - 6}">${label}</text>`);
    }
    if (margin === MARGIN) {
      for (let c = 0; c < columns; c++) {
        const x = left + c * pitch + pixels / 2;
        parts.push(`<text class="index" font-size="${small}" x="${x}" y="${top - 8}">${number(start[2] + c)}</text>`);
      }
      for (let r = 0; rank > 1 && r < rows; r++) {
        const y = top + r * pitch + pixels / 2;
        parts.push(`<text class="index" font-size="${small}" x="${left - 10}" y="${y}">${number(start[1] + r)}</text>`);
      }
    }
    for (let r = 0; r < rows; r++) {
      groups += '<g role="row">';
      for (let c = 0; c < columns; c++) {
        const at = [start[0] + d, start[1] + r, start[2] + c].slice(3 - rank);
        groups += node(name, at, cell(at), left + c * pitch, top + r * pitch, pixels);
      }
      groups += "</g>";
    }
  }
  const markup =
    `<svg class="panel" role="grid" data-panel="${name}" data-testid="panel-${name}" aria-label="${escape(title)}" ` +
    `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">${parts.join("")}${groups}</svg>`;
  return { markup, width, height };
}

function node(name, at, { kind, text, label }, x, y, pixels) {
  const letters = text === undefined ? "" : String(text);
  const font = Math.min(pixels * 0.46, 15, (pixels * 1.55) / Math.max(letters.length, 1));
  const shown = letters && font >= 4.5;
  return (
    `<g class="cell ${kind}" role="gridcell" tabindex="-1" data-at="${at}" data-testid="${name}:${at}" ` +
    `aria-label="${escape(label)}"><rect x="${x}" y="${y}" width="${pixels}" height="${pixels}" rx="2"/>` +
    (shown ? `<text x="${x + pixels / 2}" y="${y + pixels / 2}" font-size="${font.toFixed(1)}">${letters}</text>` : "") +
    "</g>"
  );
}

/** A figure with its caption: a name, and sizes in the type of code. */
export const figure = (title, detail, markup, name) =>
  `<figure data-figure="${name}"><figcaption><b>${escape(title)}</b> <span class="size">${escape(detail)}</span></figcaption>${markup}</figure>`;

/** What a drawing may take of the sheet it stands in. */
export function widthIn(root) {
  const { paddingLeft, paddingRight } = getComputedStyle(root);
  return Math.max(root.clientWidth - Number.parseFloat(paddingLeft) - Number.parseFloat(paddingRight) - 2, 240);
}

/** A cell's side such that so many cells, and the margins of so many panels, fit into a width. */
export function sideFor(width, cells, panels, [least, most]) {
  // A kernel's caption may be wider than the kernel.
  const room = width - panels * (MARGIN + 6) - (panels - 1) * (CAPTION_SLACK + 28);
  return Math.max(least, Math.min(most, Math.floor(room / cells) - GAP));
}

// Where the pointer rests. A drawing that moves under it is no pointing: what the keys chose would go out again.
let rest = "";
const drawings = new WeakMap();
const owners = new WeakMap();

/** Puts figures into an element; those that are drawn there already, letter by letter, stay: a new node costs more. */
export function putFigures(root, markups) {
  const before = drawings.get(root) ?? [];
  drawings.set(root, markups);
  markups.forEach((markup, i) => {
    if (markup === before[i] && root.children[i]) return;
    const holder = document.createElement("div");
    holder.innerHTML = markup;
    if (root.children[i]) root.children[i].replaceWith(holder.firstChild);
    else root.append(holder.firstChild);
  });
  while (root.children.length > markups.length) root.lastChild.remove();
}

/**
 * Lets a cell be pointed at, touched, or walked to with the arrow keys; Page Up and Page Down change the slice.
 * on: {point(panel, at), leave(), choose(panel, at)}. Each grid is one stop of the Tab key.
 */
export class Cells {
  constructor(root, on) {
    this.root = root;
    // A root that is kept from one drawing to the next belongs to the newest.
    owners.get(root)?.abort();
    const owner = new AbortController();
    owners.set(root, owner);
    for (const cell of root.querySelectorAll(".hot, .source")) cell.classList.remove("hot", "source");
    this.panels = new Map();
    for (const svg of root.querySelectorAll("[data-panel]")) {
      const nodes = new Map();
      for (const cell of svg.querySelectorAll("[data-at]")) nodes.set(cell.dataset.at, cell);
      this.panels.set(svg.dataset.panel, nodes);
      svg.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
      nodes.values().next().value?.setAttribute("tabindex", "0");
    }
    this.lit = [];
    const cellOf = (event) => event.target.closest?.("[data-at]");
    const report = (event, what) => {
      const cell = cellOf(event);
      const panel = cell?.closest("[data-panel]");
      if (panel) what(panel.dataset.panel, cell.dataset.at.split(",").map(Number));
    };
    root.onpointerover = (event) => {
      const moved = `${event.screenX},${event.screenY}`;
      if (moved !== rest) report(event, on.point);
      rest = moved;
    };
    root.onpointermove = (event) => {
      rest = `${event.screenX},${event.screenY}`;
    };
    root.onpointerleave = () => on.leave();
    root.onclick = (event) => {
      const cell = cellOf(event);
      if (cell) this.enter(cell);
    };
    root.addEventListener("focusin", (event) => {
      const cell = cellOf(event);
      if (!cell) return;
      this.enter(cell, false);
      report(event, on.choose);
    }, { signal: owner.signal });
    root.onkeydown = (event) => this.walk(event);
  }

  /** Makes a cell its grid's stop of the Tab key. */
  enter(cell, focus = true) {
    const svg = cell.closest("[data-panel]");
    svg.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
    cell.setAttribute("tabindex", "0");
    if (focus) cell.focus({ preventScroll: true });
  }

  walk(event) {
    const step = STEPS[event.key];
    const cell = event.target.closest?.("[data-at]");
    if (!step || !cell || event.altKey || event.ctrlKey || event.metaKey) return;
    const nodes = this.panels.get(cell.closest("[data-panel]").dataset.panel);
    const at = cell.dataset.at.split(",").map(Number);
    if (event.key === "Home" || event.key === "End") {
      const row = [...nodes.keys()].filter((key) => key.split(",").slice(0, -1).join() === at.slice(0, -1).join());
      this.enter(nodes.get(event.key === "Home" ? row[0] : row.at(-1)));
    } else {
      // A single column of channels is walked up and down, a row of a signal left and right.
      const axis = at.length === 1 && step[0] > -3 ? 0 : at.length + step[0];
      if (axis < 0) return;
      const next = nodes.get(at.map((n, i) => (i === axis ? n + step[1] : n)).join());
      if (next) this.enter(next);
    }
    event.preventDefault();
  }

  /** Lights up cells: {panel: Map or Set of places -> class}. What was lit before goes out. */
  light(marks) {
    for (const [cell, mark] of this.lit) cell.classList.remove(mark);
    this.lit = [];
    for (const [panel, places] of Object.entries(marks)) {
      const nodes = this.panels.get(panel);
      if (!nodes) continue;
      for (const [key, mark] of places) {
        const cell = nodes.get(key);
        if (!cell) continue;
        cell.classList.add(mark);
        this.lit.push([cell, mark]);
      }
    }
  }
}

const STEPS = {
  ArrowRight: [-1, 1],
  ArrowLeft: [-1, -1],
  ArrowDown: [-2, 1],
  ArrowUp: [-2, -1],
  PageDown: [-3, 1],
  PageUp: [-3, -1],
  Home: [0, 0],
  End: [0, 0],
};

/** Marks for `Cells.light`: all places with one class. */
export const marks = (places, mark = "hot") => places.map((at) => [at.join(), mark]);

/** All the drawings of a view as one SVG file's text, colours and all. */
export async function svgFile(view) {
  const sheet = await (await fetch("/figure.css")).text();
  const frame = view.getBoundingClientRect();
  const panels = [...view.querySelectorAll("svg.panel")];
  const probe = document.body.appendChild(document.createElement("i"));
  const colour = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const rules = sheet.replace(/var\((--[\w-]+)\)/g, (_, name) => colour(name));
  const [page, text] = [colour("--card"), colour("--text")];
  probe.remove();
  const font = getComputedStyle(document.body).fontFamily.replaceAll('"', "'");
  let [width, height, body] = [0, 0, ""];
  for (const panel of panels) {
    const box = panel.getBoundingClientRect();
    const [x, y] = [box.left - frame.left, box.top - frame.top];
    [width, height] = [Math.max(width, x + box.width), Math.max(height, y + box.height)];
    const copy = panel.cloneNode(true);
    for (const [name, value] of Object.entries({ x, y, width: box.width, height: box.height })) copy.setAttribute(name, value.toFixed(1));
    for (const each of copy.querySelectorAll("*")) for (const name of ["tabindex", "role", "data-at", "data-testid"]) each.removeAttribute(name);
    for (const name of ["role", "data-panel", "data-testid"]) copy.removeAttribute(name);
    const caption = panel.closest("figure")?.querySelector("figcaption")?.textContent ?? "";
    body += `<text x="${x.toFixed(1)}" y="${(y - 8).toFixed(1)}" font-size="13" fill="${text}">${escape(caption)}</text>`;
    body += new XMLSerializer().serializeToString(copy);
  }
  [width, height] = [Math.ceil(width + 20), Math.ceil(height + 20)];
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="${font}">` +
    `<style>${rules}</style><rect width="${width}" height="${height}" fill="${page}"/>${body}</svg>\n`
  );
}

/** The words for a list of places, at most eight of them. */
export const listed = (places) =>
  places.slice(0, 8).map(place).join(" ") + (places.length > 8 ? ` … (${places.length})` : "");

/** The three panels' common look of an input that may be padded: kind, text and words of a cell. */
export function paddedCell(spec, axes, at, valueAt) {
  const inside = at.every((n, i) => n >= 0 && n < axes[i].side);
  if (inside) return { inside, source: at, value: valueAt(at) };
  const source = at.map((n, i) => axes[i].sources[n + axes[i].before] ?? null);
  if (source.includes(null)) return { inside, source: null, value: 0 };
  return { inside, source, value: valueAt(source) };
}
