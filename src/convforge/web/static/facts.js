// What stands beside every drawing: the costs of one call, and advice.

import { make } from "./controls.js";
import { say, spoken } from "./words.js";

const COSTS = [
  ["parameters"],
  ["multiply_adds"],
  ["real_multiply_adds", "sub"],
  ["additions"],
  ["bias_additions"],
  ["input_bytes"],
  ["weight_bytes"],
  ["output_bytes"],
  ["arithmetic_intensity"],
];
// Where the page shows what an advice speaks of.
const VIEW_OF = {
  cell: "trace",
  size_formula: "trace",
  padding: "trace",
  dilation: "trace",
  groups: "channels",
  matrix: "matrix",
  transposed: "transposed",
  output_padding: "transposed",
  overlap: "transposed",
  receptive_field: "stack",
};
const element = (id) => document.getElementById(id);

/** Asks for both, and shows them where the page has room for them. */
export async function showFacts(app, question) {
  const [costs, advice] = await Promise.all([
    app.question("/api/costs", question),
    app.question("/api/advise", { ...question, language: spoken() }),
  ]);
  if (costs?.costs) {
    const rows = COSTS.filter(([name]) => name in costs.costs).flatMap(([name, kind = ""]) => [
      make("dt", { class: kind }, say(`cost_${name}`)),
      make("dd", { "data-testid": `cost-${name}`, "data-value": costs.costs[name] }, grouped(costs.costs[name])),
    ]);
    element("costs").replaceChildren(...rows);
  }
  if (advice?.advice) drawAdvice(app, advice, question);
}

function drawAdvice(app, { advice, unmeasured }, question) {
  const notes = advice.map((each) => {
    const note = make("div", { class: `advice ${each.severity}`, "data-testid": `advice-${each.id}` }, make("h3", {}, each.id), make("p", {}, each.text));
    if (each.timing) note.append(make("p", { class: "fix" }, say("timing", { before: each.timing[0].toPrecision(3), after: each.timing[1].toPrecision(3) })));
    if (each.fix) {
      const instead = each.fix.length ? [`${say("fix")}: `, make("code", {}, each.fix.join(", ")), " — "] : [];
      note.append(make("p", { class: "fix" }, ...instead, each.effect));
    }
    const buttons = make("div", { class: "line" });
    const act = (name, words, run) => {
      const button = make("button", { type: "button", class: "small", "data-testid": `${name}-${each.id}` }, say(words));
      button.onclick = run;
      buttons.append(button);
    };
    // A fix of several layers is a stack, which the controls cannot show.
    if (each.fix?.length === 1) act("use", "use_fix", () => app.useText(each.fix[0]));
    else if (each.fix?.length) {
      const stacked = { view: "stack", stack: each.fix.join("|"), stack_size: app.state.input_size };
      act("use", "use_stack", () => app.set(stacked, { committed: true }));
    }
    const view = VIEW_OF[each.drawing];
    if (view && view !== app.state.view) act("see", "see", () => app.set({ view }, { committed: true }));
    if (buttons.children.length) note.append(buttons);
    note.append(make("details", {}, make("summary", {}, say("because")), make("p", {}, each.principle)));
    return note;
  });
  if (!notes.length) notes.push(make("p", { class: "hint" }, say("no_advice")));
  if (unmeasured.length) {
    const button = make("button", { type: "button", class: "small", "data-testid": "measure" }, say("measure"));
    button.onclick = async () => {
      button.disabled = true;
      const measured = await app.question("/api/advise", { ...question, language: spoken(), measure: true });
      if (measured?.advice) drawAdvice(app, measured, question);
      else if (measured?.error) app.announce(measured.error);
    };
    notes.push(make("p", { class: "hint" }, say("unmeasured", { rules: unmeasured.join(", ") })), button);
  }
  element("advice").replaceChildren(...notes);
}

/** 1234567 -> 1 234 567, and fractions with two digits. */
const grouped = (value) => (Number.isInteger(value) ? String(value).replace(/\B(?=(\d{3})+(?!\d))/g, " ") : value.toFixed(2));
