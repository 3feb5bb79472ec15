// A photograph, convolved by the real library on this machine, with a kernel that is chosen or drawn.

import { choice, make } from "./controls.js";
import { ask, askPhoto } from "./ask.js";
import { layerOf, parseValue } from "./state.js";
import { number } from "./figure.js";
import { say } from "./words.js";

export const needsNoModel = true;
const MOST_MB = 20;
const SIDES = ["3", "5", "7"];
// The photograph outlives a redraw, and goes with the page: it is in no address.
let photo = null;
let kernels = [];
let result = null;

/** Draws the view. */
export function draw(root, app) {
  const wanted = ["kernel", "side", "grid", "own", "kind", "stride", "padding", "dilation", "groups", "padding_mode", "kernel_size", "in_channels", "out_channels", "output_padding", "bias", "seed", "out"];
  const key = `${document.documentElement.lang}#${wanted.map((name) => app.state[name]).join("#")}`;
  const shown = root.querySelector("[data-photo]");
  if (shown?.dataset.photo === key) return;
  // Only a change of words or of the kind of kernel builds the controls anew; the rest just convolves again.
  const frame = `${document.documentElement.lang}#${app.state.kernel}#${app.state.side}#${app.state.own}`;
  if (shown?.dataset.frame === frame) {
    shown.dataset.photo = key;
    convolve(root, app);
    return;
  }
  const all = make("div", { "data-photo": key, "data-frame": frame });
  const focused = document.activeElement?.dataset?.testid;
  all.append(dropZone(root, app), kernelPart(root, app));
  // What was convolved stays until the next result is there.
  const kept = ["photo-error", "photos"].map((name) => root.querySelector(`[data-testid="${name}"]`));
  all.append(kept[0] ?? make("p", { class: "error", role: "alert", "data-testid": "photo-error" }));
  all.append(kept[1] ?? make("div", { class: "photos", "data-testid": "photos" }));
  root.replaceChildren(all);
  if (focused) root.querySelector(`[data-testid="${focused}"]`)?.focus();
  loadKernels(root, app).then(() => convolve(root, app));
}

function dropZone(root, app) {
  const file = make("input", { type: "file", id: "photo-file", accept: "image/*", "data-testid": "photo-file", "aria-label": say("choose_photo") });
  file.onchange = () => file.files[0] && take(root, app, file.files[0]);
  const sample = make("button", { type: "button", "data-testid": "photo-sample" }, say("sample"));
  sample.onclick = async () => take(root, app, await testPicture());
  // The browser's own button speaks the system's language: a label of ours stands over it.
  const choose = make("label", { class: "button" }, make("span", {}, say("choose_photo")), file);
  const zone = make("div", { class: "drop", "data-testid": "drop" }, make("p", { class: "hint" }, say("photo_words")), choose, sample);
  const over = (on) => (event) => {
    event.preventDefault();
    zone.classList.toggle("over", on);
  };
  zone.ondragover = over(true);
  zone.ondragleave = over(false);
  zone.ondrop = (event) => {
    over(false)(event);
    const dropped = event.dataTransfer.files[0];
    if (dropped) take(root, app, dropped);
  };
  return zone;
}

function take(root, app, file) {
  if (file.size > MOST_MB * 2 ** 20) {
    root.querySelector('[data-testid="photo-error"]').textContent = say("photo_large", { n: (file.size / 2 ** 20).toFixed(1), most: MOST_MB });
    return;
  }
  photo = file;
  result = null;
  convolve(root, app);
}

/** Rings, edges and a ramp: what shows best what a kernel does. Made here, as the page brings no pictures. */
function testPicture() {
  const canvas = make("canvas", { width: 320, height: 240 });
  const paper = canvas.getContext("2d");
  const ramp = paper.createLinearGradient(0, 0, 320, 240);
  ramp.addColorStop(0, "#12344b");
  ramp.addColorStop(1, "#f7c65c");
  paper.fillStyle = ramp;
  paper.fillRect(0, 0, 320, 240);
  for (let ring = 6; ring > 0; ring--) {
    paper.fillStyle = ring % 2 ? "#e3f1fb" : "#0072b2";
    paper.beginPath();
    paper.arc(110, 120, ring * 14, 0, 7);
    paper.fill();
  }
  paper.fillStyle = "#c04f00";
  paper.fillRect(215, 40, 70, 70);
  paper.fillStyle = "#00795a";
  paper.beginPath();
  paper.moveTo(215, 200);
  paper.lineTo(285, 200);
  paper.lineTo(250, 135);
  paper.fill();
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

function kernelPart(root, app) {
  const part = make("div", {});
  const bar = make("div", { class: "bar" });
  const own = make("input", { type: "checkbox", "data-testid": "photo-own" });
  own.checked = app.state.own === "1";
  own.onchange = () => app.set({ own: own.checked ? "1" : "" }, { committed: true });
  const box = make("label", { class: "line own" }, own, make("span", {}, say("own_layer")));
  part.append(bar);
  if (!own.checked) {
    bar.append(choice("photo-side", SIDES.map((side) => [side, `${side} × ${side}`]), app.state.side, say("kernel_side"), (side) => app.set({ side, grid: "", kernel: side === "3" ? "sobel-x" : "gaussian" }, { committed: true })));
    bar.append(make("span", { "data-kernels": "" }));
    part.append(make("p", { class: "hint", id: "draw-hint" }, say("draw_kernel")), make("div", { "data-grid": "", "data-testid": "kernel-grid" }));
  }
  bar.append(box);
  return part;
}

async function loadKernels(root, app) {
  if (app.state.own === "1") return;
  const side = SIDES.includes(app.state.side) ? Number(app.state.side) : 3;
  const answer = await ask("/api/kernels", { kernel_size: [side, side] }).catch(() => null);
  if (!answer?.kernels) return;
  kernels = answer.kernels;
  const names = [...kernels.map((each) => [each.name, each.name]), ["drawn", say("kernel_drawn")]];
  const pick = choice("photo-kernel", names, app.state.kernel, say("kernel_name"), (kernel) => {
    // What is drawn begins with what was chosen.
    const grid = kernel === "drawn" ? gridsOf(app)[0].map((row) => row.join(",")).join(";") : "";
    app.set({ kernel, grid }, { committed: true });
  });
  root.querySelector("[data-kernels]")?.replaceChildren(pick);
  const holder = root.querySelector("[data-grid]");
  if (!holder) return;
  const grid = gridsOf(app)[0];
  const box = make("div", { class: `kernel-grid side${side}`, role: "group", "aria-labelledby": "draw-hint" });
  box.style.gridTemplateColumns = `repeat(${side}, max-content)`;
  grid.forEach((row, r) =>
    row.forEach((value, c) => {
      const field = make("input", { type: "text", inputmode: "decimal", value: Math.round(value * 1e4) / 1e4, maxlength: 9, "data-testid": `kernel-cell-${r}-${c}`, "aria-label": say("kernel_cell", { row: r, column: c }) });
      field.onchange = () => {
        const next = gridsOf(app)[0].map((each) => [...each]);
        const typed = Number(field.value.replace("−", "-"));
        field.setAttribute("aria-invalid", String(!Number.isFinite(typed) || !field.value.trim()));
        // What is no number goes to the library as it is, which says so.
        next[r][c] = Number.isFinite(typed) && field.value.trim() ? typed : field.value;
        app.set({ kernel: "drawn", grid: next.map((each) => each.join(",")).join(";") }, { committed: true });
      };
      box.append(field);
    }),
  );
  holder.replaceChildren(box);
}

/** The kernel to use: the drawn one, or that of the chosen name. */
function gridsOf(app) {
  const side = SIDES.includes(app.state.side) ? Number(app.state.side) : 3;
  if (app.state.kernel === "drawn" && app.state.grid) {
    return [app.state.grid.split(";").map((row) => row.split(",").map((text) => (text.trim() && Number.isFinite(Number(text)) ? Number(text) : text)))];
  }
  const known = kernels.find((each) => each.name === app.state.kernel) ?? kernels[0];
  return known?.grids ?? [Array.from({ length: side }, () => Array(side).fill(0))];
}

function questionOf(app) {
  const layer = layerOf(app.state);
  const seed = parseValue(app.state.seed);
  if (app.state.own === "1") {
    return { layer, numbers: { seed }, shows: "any", channel: Math.min(Number(app.state.out) || 0, Math.max(0, Number(layer.out_channels) - 1 || 0)) };
  }
  const grids = gridsOf(app);
  const known = kernels.find((each) => each.name === app.state.kernel);
  const size = [grids[0].length, grids[0][0].length];
  // One kernel for every colour by itself: a depthwise layer of three channels, stepping as the controls say.
  const one = (name, fallback) => [parseValue(app.state[name])].flat(2).find(Number.isSafeInteger) ?? fallback;
  const photoLayer = {
    rank: 2, transposed: layer.transposed, in_channels: 3, out_channels: 3, groups: 3, bias: false, kernel_size: size,
    stride: one("stride", 1), dilation: one("dilation", 1), padding: one("padding", 0), padding_mode: layer.padding_mode,
    ...(layer.transposed ? { output_padding: one("output_padding", 0) } : {}),
  };
  const signed = grids.flat(2).some((value) => value < 0);
  return { layer: photoLayer, grids, numbers: { seed }, shows: known?.shows ?? (signed ? "signed" : "image") };
}

async function convolve(root, app) {
  const photos = root.querySelector('[data-testid="photos"]');
  const error = root.querySelector('[data-testid="photo-error"]');
  if (!photos) return;
  if (!photo) {
    photos.replaceChildren(make("p", { class: "hint" }, say("photo_none")));
    return;
  }
  photos.setAttribute("aria-busy", "true");
  if (!photos.querySelector("img")) photos.replaceChildren(make("p", { class: "hint" }, say("working")));
  let answer;
  try {
    answer = await askPhoto(questionOf(app), photo);
  } catch {
    answer = { error: say("gone") };
  }
  if (!answer || !photos.isConnected) return;
  photos.removeAttribute("aria-busy");
  error.textContent = answer.error ?? "";
  if (!answer.png) {
    // The last good result stays.
    if (!result) photos.replaceChildren();
    return;
  }
  result = answer;
  const bytes = Uint8Array.from(atob(answer.png), (letter) => letter.charCodeAt(0));
  photos.replaceChildren(
    picture("before", photo, answer.input_size, []),
    picture("after", new Blob([bytes], { type: "image/png" }), answer.output_size, [
      answer.layer,
      ...answer.formula.slice(1),
      say("took", { ms: answer.milliseconds.toPrecision(3), kernel: answer.kernel }),
      say("range", { low: number(Number(answer.low.toFixed(3))), high: number(Number(answer.high.toFixed(3))) }),
    ]),
  );
}

function picture(name, blob, size, lines) {
  const image = make("img", { alt: say(name), "data-testid": `photo-${name}` });
  image.src = URL.createObjectURL(blob);
  image.onload = () => URL.revokeObjectURL(image.src);
  const caption = make("figcaption", {}, make("b", {}, say(name)), " ", make("span", { class: "size", "data-testid": `photo-${name}-size` }, size.join(" × ")));
  return make("figure", {}, caption, image, ...lines.map((line) => make("p", { class: "hint" }, line)));
}
