// The drawings of a view as one SVG file. It is written from what is seen, each node with the colours that it has now:
// no style sheet, no variable, so that every program that reads SVG shows the same.

import { escape } from "./figure.js";

const SPACE = "http://www.w3.org/2000/svg";
const MARGIN = 20;
const CAPTION = 13;
// Of a node of SVG: what style sheets may have set, and what the file need not say.
const PAINT = {
  fill: "rgb(0, 0, 0)", stroke: "none", "stroke-width": "1px", "stroke-dasharray": "none", opacity: "1", rx: "auto",
  "font-weight": "400", "text-anchor": "start", "dominant-baseline": "auto",
};

/** The file's text. */
export function svgFile(view) {
  const frame = view.getBoundingClientRect();
  const text = getComputedStyle(view).color;
  let [left, top, right, bottom, body] = [Infinity, Infinity, 0, 0, ""];
  const holds = ({ x, y, width, height }) => {
    [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x + width), Math.max(bottom, y + height)];
  };
  for (const panel of view.querySelectorAll(".panel")) {
    const box = placed(panel, frame);
    holds(box);
    const caption = panel.closest("figure")?.querySelector("figcaption");
    if (caption?.textContent.trim()) {
      const at = placed(caption, frame);
      holds(at);
      body += letters(caption.textContent, { x: at.x, y: at.y + at.height / 2, size: CAPTION, fill: text, anchor: "start" });
    }
    body += panel.tagName === "svg" ? drawing(panel, box) : gridOf(panel, frame);
  }
  const [x, y, width, height] = [left, top, right - left, bottom - top].map((n, i) => Math.round(n) + (i < 2 ? -MARGIN : 2 * MARGIN));
  const font = getComputedStyle(document.body).fontFamily.replaceAll('"', "'");
  return (
    `<svg xmlns="${SPACE}" width="${width}" height="${height}" viewBox="${x} ${y} ${width} ${height}" font-family="${font}">` +
    `<rect x="${x}" y="${y}" width="${width}" height="${height}" fill="${getComputedStyle(view).backgroundColor}"/>${body}</svg>\n`
  );
}

const rounded = (value) => String(Math.round(value * 10) / 10);

function placed(node, frame) {
  const { left, top, width, height } = node.getBoundingClientRect();
  return { x: left - frame.left, y: top - frame.top, width, height };
}

function letters(text, { x, y, size, fill, anchor = "middle", more = "" }) {
  return (
    `<text x="${rounded(x)}" y="${rounded(y)}" font-size="${rounded(size)}" fill="${fill}" text-anchor="${anchor}" ` +
    `dominant-baseline="central"${more}>${escape(text)}</text>`
  );
}

/** A grid of HTML: a rectangle and a text for each cell, a text for each name and coordinate. */
function gridOf(panel, frame) {
  let body = "";
  for (const node of panel.querySelectorAll(".cell, .index, .name")) {
    const { x, y, width, height } = placed(node, frame);
    if (!width) continue;
    const style = getComputedStyle(node);
    const size = Number.parseFloat(style.fontSize);
    const centre = { x: x + width / 2, y: y + height / 2, size, fill: style.color };
    const written = node.textContent && size ? node.textContent : "";
    if (!node.classList.contains("cell")) {
      if (written) body += letters(written, node.classList.contains("name") ? { ...centre, x, anchor: "start" } : centre);
      continue;
    }
    const dash = style.getPropertyValue("--dash").trim();
    const line = Number.parseFloat(style.outlineWidth);
    body +=
      `<g class="${node.className}" aria-label="${escape(node.getAttribute("aria-label"))}">` +
      `<rect x="${rounded(x)}" y="${rounded(y)}" width="${rounded(width)}" height="${rounded(height)}" rx="${Number.parseFloat(style.borderRadius)}" ` +
      `fill="${style.backgroundColor}" stroke="${style.outlineColor}" stroke-width="${line}"${dash === "none" ? "" : ` stroke-dasharray="${dash}"`}/>`;
    const struck = style.textDecorationLine === "none" ? "" : ` text-decoration="${style.textDecorationLine}"`;
    const bold = style.fontWeight === "400" ? "" : ` font-weight="${style.fontWeight}"`;
    if (written) body += letters(written, { ...centre, more: struck + bold });
    body += "</g>";
  }
  return `<g>${body}</g>`;
}

/** A drawing that is SVG already: a copy, each of its nodes with the paint that it has. */
function drawing(panel, { x, y, width, height }) {
  const copy = panel.cloneNode(true);
  for (const [name, value] of Object.entries({ x, y, width, height })) copy.setAttribute(name, rounded(value));
  const nodes = [...panel.querySelectorAll("*")];
  for (const [i, node] of [...copy.querySelectorAll("*")].entries()) {
    for (const name of ["tabindex", "role", "data-at", "data-testid", "data-panel", "data-in", "data-out"]) node.removeAttribute(name);
    if (node.tagName === "g") continue;
    const style = getComputedStyle(nodes[i]);
    for (const [name, usual] of Object.entries(PAINT)) {
      const value = style.getPropertyValue(name);
      if (value && value !== usual) node.setAttribute(name, value);
    }
  }
  return new XMLSerializer().serializeToString(copy);
}
