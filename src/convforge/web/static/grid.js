// Grids of numbers, kept from one drawing to the next: only what has changed is touched, and rows out of sight wait until
// the hand rests. A dragged slider of a transposed layer of 16 x 16 with its 1089 outputs took 76 ms to the painted frame
// where all was built anew, and up to 100 where all cells were kept but changed their size.

import { make } from "./controls.js";
import { number, placesOf } from "./figure.js";

/** Nodes of neighbouring coordinates in one parent, behind what else stands in it; it grows and shrinks at both ends. */
class Run {
  constructor(parent, create) {
    this.parent = parent;
    this.create = create;
    this.from = 0;
    this.items = [];
  }

  /** Keeps those of the coordinates from, from + 1, …, and makes those that are missing. */
  fit(from, count) {
    const stop = from + count;
    while (this.items.length && this.from < from) {
      this.drop(this.items.shift());
      this.from += 1;
    }
    while (this.items.length && this.from + this.items.length > stop) this.drop(this.items.pop());
    if (!this.items.length) this.from = from;
    while (this.from > from) {
      const item = this.create(--this.from);
      this.parent.insertBefore(item.node, this.items[0].node);
      this.items.unshift(item);
    }
    while (this.items.length < count) {
      const item = this.create(from + this.items.length);
      this.parent.append(item.node);
      this.items.push(item);
    }
    return this.items;
  }

  drop(item) {
    item.node.remove();
    item.forget?.();
  }

  forget() {
    for (const item of this.items) item.forget();
  }
}

const BLANK = make("div", { class: "cell", role: "gridcell", tabindex: "-1" });

class Cell {
  constructor(places, name, at) {
    this.node = BLANK.cloneNode();
    this.node.dataset.at = at;
    this.node.dataset.testid = `${name}:${at}`;
    this.places = places;
    places.set(this.node.dataset.at, this.node);
  }

  forget() {
    this.places.delete(this.node.dataset.at);
  }

  draw({ kind, text = "", label }) {
    const long = text.length > 3 ? ` l${Math.min(text.length, 7)}` : "";
    const look = `cell ${kind}${long}`;
    if (look !== this.look) this.node.className = look;
    if (text !== this.text) this.node.textContent = text;
    if (label !== this.label) this.node.setAttribute("aria-label", label);
    Object.assign(this, { look, text, label });
  }
}

const index = (n) => ({ node: make("span", { class: "index", "aria-hidden": "true" }, number(n)) });

class Row {
  constructor(create, label) {
    this.node = make("div", { class: "row", role: "row" });
    if (label) this.node.append(label.node);
    this.cells = new Run(this.node, create);
    this.isSeen = false;
    this.fill = null;
  }

  /** Draws what fills it, if that is seen or wanted; else it keeps its place, and waits. */
  draw(columns, whole, fill) {
    this.fill = fill;
    if (whole || this.isSeen) return this.finish();
    this.node.style.setProperty("--columns", columns);
    this.node.classList.add(LATER);
  }

  forget() {
    this.cells.forget();
  }

  finish() {
    this.fill();
    this.fill = null;
    this.node.classList.remove(LATER);
  }
}

class Slice {
  constructor(places, name, rank, place) {
    this.node = make("div", { role: "rowgroup" });
    if (rank === 3) this.node.append(make("div", { class: "name" }, `D = ${number(place[0])}`));
    const above = make("div", { class: "row indices", "aria-hidden": "true" });
    if (rank > 1) above.append(make("span", { class: "corner" }));
    this.node.append(above);
    this.columns = new Run(above, index);
    const cellIn = (r) => (c) => new Cell(places, name, [...place, r, c].slice(-rank));
    this.rows = new Run(this.node, (r) => new Row(cellIn(r), rank > 1 ? index(r) : null));
  }

  forget() {
    this.rows.forget();
  }
}

/** One grid; name: of the panel, as in its test ids ("input:0,1"). */
export class Grid {
  constructor(name, rank) {
    this.rank = rank;
    this.node = make("div", { class: "panel grid", role: "grid", "data-panel": name, "data-rank": rank, "data-testid": `panel-${name}` });
    const places = new Map();
    placesOf.set(this.node, places);
    this.slices = new Run(this.node, (d) => new Slice(places, name, rank, [d]));
  }

  /**
   * title: for those who do not see it. size, first: sides, and the coordinate of the first cell, an axis each.
   * cell: (at) -> {kind, text, label}. whole: rows out of sight too.
   */
  draw({ title, size, first, cell, whole }) {
    const lead = Array(3 - this.rank);
    const [depth, rows, columns] = [...lead.fill(1), ...size];
    const start = [...lead.fill(0), ...first];
    this.node.setAttribute("aria-label", title);
    this.slices.fit(start[0], depth).forEach((slice, d) => {
      slice.columns.fit(start[2], columns);
      slice.rows.fit(start[1], rows).forEach((row, r) => {
        row.draw(columns, whole, () => {
          row.cells.fit(start[2], columns).forEach((each, c) => {
            each.draw(cell([start[0] + d, start[1] + r, start[2] + c].slice(-this.rank)));
          });
        });
      });
    });
  }

  rows() {
    return this.slices.items.flatMap((slice) => slice.rows.items);
  }
}

const LATER = "later";
const LEAST_INDEXED = 15;
const LEAST_WRITTEN = 10;
const figures = new WeakMap();

/** Whether anything in an element waits to be drawn. */
export const isUnfinished = (root) => Boolean(root.querySelector(`.${LATER}`));

/**
 * Puts figures into elements. places: of each element its figures, in this order and no others: [[element, figures], …],
 * a figure {title, detail, grid}, and grid what `Grid.draw` takes, and its name. pixels: a cell's side. whole: rows out of
 * sight too. indexed: whether coordinates stand beside the cells, where there is room.
 */
export function put(places, { pixels, whole = true, indexed = true }) {
  const rowsOf = ([root]) => [...(figures.get(root)?.values() ?? [])].flatMap((figure) => figure.grid.rows());
  // Asked before anything is touched: after that, every answer would cost a layout.
  for (const row of places.flatMap(rowsOf)) row.isSeen = !whole && isInSight(row.node);
  for (const [root, wanted] of places) putInto(root, wanted, { pixels, whole, indexed });
  // New ones, and what has come into sight where others changed their size.
  const waiting = places.flatMap(rowsOf).filter((row) => row.fill);
  for (const row of waiting.filter((row) => isInSight(row.node))) row.finish();
}

function putInto(root, wanted, { pixels, whole, indexed }) {
  const kept = figures.get(root) ?? new Map();
  const now = new Map();
  root.style.setProperty("--side", `${pixels}px`);
  root.classList.toggle("bare", !indexed || pixels < LEAST_INDEXED);
  root.classList.toggle("tiny", pixels < LEAST_WRITTEN);
  for (const { title, detail, grid } of wanted) {
    const key = `${grid.name}:${grid.size.length}`;
    const figure = kept.get(key) ?? new Figure(grid.name, grid.size.length);
    figure.draw(title, detail, { ...grid, whole });
    now.set(key, figure);
  }
  const nodes = [...now.values()].map((figure) => figure.node);
  // Put back where they are, nodes would be laid out anew.
  if (nodes.length !== root.children.length || nodes.some((node, i) => node !== root.children[i])) root.replaceChildren(...nodes);
  figures.set(root, now);
}

function isInSight(node) {
  const { top, bottom } = node.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
}

class Figure {
  constructor(name, rank) {
    this.title = make("b");
    this.detail = make("span", { class: "size" });
    this.grid = new Grid(name, rank);
    this.node = make("figure", { "data-figure": name }, make("figcaption", {}, this.title, " ", this.detail), this.grid.node);
  }

  draw(title, detail, grid) {
    if (this.title.textContent !== title) this.title.textContent = title;
    if (this.detail.textContent !== detail) this.detail.textContent = detail;
    this.grid.draw({ title, ...grid });
  }
}
