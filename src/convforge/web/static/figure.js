// Figures: their numbers, names and sizes, and how their cells are pointed at and walked through.

const GAP = 2;
const MARGIN = 20;
const CAPTION_SLACK = 24;

/** −3, with the sign that is as wide as a plus. */
export const number = (value) => String(Math.round(value * 1e6) / 1e6).replace("-", "−");

/** (0, 1) as people write a position. */
export const place = (at) => (at.length === 1 ? `[${number(at[0])}]` : `(${at.map(number).join(", ")})`);

export const escape = (text) =>
  String(text).replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);

/** A figure with its caption: a name, and sizes in the type of code. */
export const figure = (title, detail, markup, name) =>
  `<figure data-figure="${name}"><figcaption><b>${escape(title)}</b> <span class="size">${escape(detail)}</span></figcaption>${markup}</figure>`;

/** What a drawing may take of the sheet it stands in. */
export function widthIn(root) {
  const { paddingLeft, paddingRight } = getComputedStyle(root);
  return Math.max(root.clientWidth - Number.parseFloat(paddingLeft) - Number.parseFloat(paddingRight) - 2, 240);
}

// Cells have few sizes, so that a dragged slider seldom changes them: all of them laid out anew are half of its time.
const SIDES = [12, 14, 16, 18, 21, 24, 28, 32, 38];

/** The largest side of a cell such that so many cells, and the margins of so many panels, fit into a width. */
export function sideFor(width, cells, panels, [least, most]) {
  // A kernel's caption may be wider than the kernel.
  const room = width - panels * (MARGIN + 6) - (panels - 1) * (CAPTION_SLACK + 28);
  const fitting = Math.floor(room / cells) - GAP;
  return Math.max(least, ...SIDES.filter((side) => side <= Math.min(most, fitting)));
}

/** The cells of panels that know them: of a panel's element, Map of place -> element. */
export const placesOf = new WeakMap();

// Where the pointer rests. A drawing that moves under it is no pointing: what the keys chose would go out again.
let rest = "";
const owners = new WeakMap();

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
      const found = () => new Map([...svg.querySelectorAll("[data-at]")].map((cell) => [cell.dataset.at, cell]));
      this.panels.set(svg.dataset.panel, placesOf.get(svg) ?? found());
      svg.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
      svg.querySelector("[data-at]")?.setAttribute("tabindex", "0");
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
      const row = [...nodes.keys()].map((key) => key.split(",").map(Number)).filter((each) => each.slice(0, -1).join() === at.slice(0, -1).join());
      row.sort((a, b) => a.at(-1) - b.at(-1));
      this.enter(nodes.get((event.key === "Home" ? row[0] : row.at(-1)).join()));
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
