// The list of areas, and the fields of the one that is selected.

import { $, blobOf, download, fill, h, icon, post } from "./dom.js";
import { colourOf, commit, facts, moveRegion, put, region, removeRegion, scene, select, takePlan, view } from "./store.js";
import { bounds } from "./shapes.js";
import { copyRegion, duplicate } from "./tools.js";

const LEVELS = { high: "High: what is there", low: "Low: colour, material, style", full: "Full: both in one text" };

export function renderAreas() {
  const bad = (index) => view.look.problems.find((each) => each.region === index);
  const items = [
    item("whole", h("i", { class: "chip whole" }), "Whole picture", scene.plan.prompt || "base prompt, style"),
    ...scene.plan.regions.map((each, index) => {
      const chip = h("i", { class: "chip", style: { background: colourOf(index).fill } });
      const marks = [
        bad(index) && h("span", { class: "badge bad", title: bad(index).message }, "!"),
        invented(each.name) && h("span", { class: "badge warn", title: `Not in the sentence: ${invented(each.name)}` }, "+"),
      ];
      return item(index, chip, each.name, texts(each) || "no text yet", marks);
    }),
    item("background", h("i", { class: "chip ground" }), "Background", texts(scene.plan.background ?? {}) || "as the routing decides"),
  ];
  fill($("areas"), items);
  $("areas").setAttribute("aria-activedescendant", `area-${view.selected}`);
}

const texts = (area) => [area.high, area.low, area.full].filter(Boolean).join(" · ");

function item(area, chip, title, told, marks = []) {
  const chosen = view.selected === area;
  return h("li", { role: "option", id: `area-${area}`, "aria-selected": String(chosen), onclick: () => select(area) },
    chip, h("span", { class: "what" }, h("b", {}, title), h("span", {}, told)), marks);
}

function invented(name) {
  const made = scene.plan.provenance?.planner?.invented ?? [];
  return made.filter((each) => each.area === name).flatMap((each) => each.words ?? []).join(", ");
}

function listKeys(event) {
  const order = ["whole", ...scene.plan.regions.keys(), "background"];
  const place = order.indexOf(view.selected);
  const to = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: order.length - 1 }[event.key];
  if (to !== undefined && order[to] !== undefined) select(order[to]);
  else if (event.key === "Enter") focusFirst();
  else if ((event.key === "Delete" || event.key === "Backspace") && region()) removeRegion(view.selected);
  else return;
  event.preventDefault();
}

// The inspector -------------------------------------------------------------------------------------------------------

export function renderInspector() {
  const chosen = region();
  if (chosen) fill($("inspector"), regionFields(chosen, view.selected));
  else if (view.selected === "background") fill($("inspector"), backgroundFields());
  else fill($("inspector"), wholeFields());
}

function problemOf(path) {
  return view.look.problems.find((each) => each.field === path || each.field?.startsWith(`${path}.`) || each.field?.startsWith(`${path}[`))?.message;
}

/** A labelled field whose value is a key of `target`. */
function text(target, key, label, { path = key, area = key, long = true, placeholder = null, level = null } = {}) {
  const why = problemOf(path);
  const write = (event) => {
    if (key === "prompt") target[key] = event.target.value;
    else put(target, key, event.target.value);
    commit(`text ${area}`);
  };
  const attributes = { value: target[key] ?? "", oninput: write, placeholder, "data-key": area, "aria-invalid": why ? "true" : null, maxlength: 20000, spellcheck: "false" };
  return h("label", { class: `field${level ? ` level-${level}` : ""}` }, h("span", {}, label),
    long ? h("textarea", { rows: 2, ...attributes }) : h("input", { ...attributes, autocomplete: "off" }),
    why && h("span", { class: "why" }, why));
}

function regionFields(chosen, index) {
  const path = `regions[${index}]`;
  const at = (key) => ({ path: `${path}.${key}`, area: `${index} ${key}` });
  const general = view.look.problems.find((each) => each.region === index && (each.field === path || !["name", "high", "low", "full"].some((key) => each.field?.startsWith(`${path}.${key}`))));
  const extra = invented(chosen.name);
  return [
    h("div", { class: "title-row" },
      h("h2", {}, "Region"),
      h("span", { class: "actions" },
        tool("up", "Further back", () => moveRegion(index, -1), index === 0),
        tool("down", "Further to the front", () => moveRegion(index, 1), index === scene.plan.regions.length - 1),
        tool("copy", "Duplicate (Ctrl+D)", duplicate),
        tool("delete", "Remove (Delete)", () => removeRegion(index)))),
    text(chosen, "name", "Name", { ...at("name"), long: false }),
    general && h("p", { class: "note bad" }, general.message),
    extra && h("p", { class: "note warn" }, `Not in the sentence: ${extra}`),
    text(chosen, "high", LEVELS.high, { ...at("high"), level: "high", placeholder: "a boat" }),
    text(chosen, "low", LEVELS.low, { ...at("low"), level: "low", placeholder: "red, striped, watercolour" }),
    chosen.full || view.full === chosen.name
      ? text(chosen, "full", LEVELS.full, { ...at("full"), level: "full" })
      : h("button", { type: "button", class: "quiet small", onclick: () => { view.full = chosen.name; renderInspector(); } }, "+ undivided text"),
    strength(chosen, index),
    place(chosen, index),
    loras(chosen, `${path}.loras`, index),
  ];
}

function tool(name, label, action, disabled = false) {
  return h("button", { type: "button", class: "quiet icon small", "aria-label": label, title: label, onclick: action, disabled }, icon(name));
}

function strength(chosen, index) {
  const levels = ["high", "low", "full"].filter((level) => chosen[level]);
  const of = (level) => (typeof chosen.strength === "object" ? chosen.strength[level] ?? 1 : chosen.strength ?? 1);
  const write = (level, value) => {
    const now = Object.fromEntries(["high", "low", "full"].map((each) => [each, each === level ? value : of(each)]));
    if (new Set(Object.values(now)).size === 1) put(chosen, "strength", now.high === 1 ? null : now.high);
    else chosen.strength = now;
    commit(`strength ${index} ${level}`);
  };
  return levels.map((level) =>
    h("label", { class: "slider" }, h("span", {}, `Strength of ${level}`),
      h("input", { type: "range", min: 0, max: 1, step: 0.05, value: of(level), "data-key": `${index} strength ${level}`, oninput: (event) => write(level, Number(event.target.value)) }),
      h("output", {}, of(level).toFixed(2))));
}

function place(chosen, index) {
  const priority = scene.plan.overlap === "priority" && h("label", { class: "field" }, h("span", {}, "Priority"),
    h("input", { type: "number", step: 1, value: chosen.priority ?? 0, "data-key": `${index} priority`, oninput: (event) => { put(chosen, "priority", Math.round(Number(event.target.value)) || null); commit(`priority ${index}`); } }));
  if (chosen.box) {
    const sides = ["Left", "Top", "Right", "Bottom"].map((name, n) =>
      h("label", { class: "field" }, h("span", {}, name),
        h("input", { type: "number", step: view.snap ? facts.model.token : 1, value: chosen.box[n], "data-key": `${index} side ${n}`, onchange: (event) => { chosen.box[n] = Math.round(Number(event.target.value)); commit(); } })));
    return [h("div", { class: "sides" }, sides), priority];
  }
  const box = bounds(chosen);
  const told = chosen.polygon ? `Polygon of ${chosen.polygon.length} corners; double-click an edge for another` : "Brushed mask";
  const size = box ? `, ${Math.round(box[2] - box[0])} × ${Math.round(box[3] - box[1])} pixels` : "";
  const save = chosen.mask && h("button", { type: "button", class: "quiet small", onclick: () => saveMask(index) }, "Save mask");
  return [h("p", { class: "note" }, told + size, " ", save), priority];
}

async function saveMask(index) {
  const { name, mask } = scene.plan.regions[index];
  const { width, height } = scene.plan;
  const plan = { width, height, prompt: "", regions: [{ name, mask, full: "-" }] };
  download(await blobOf("mask", { plan, region: 0 }), `${name}.png`);
}

function loras(target, path, index) {
  const rows = (target.loras ?? []).map((lora, n) => {
    const names = facts.loras.includes(lora.file) ? facts.loras : [lora.file, ...facts.loras];
    return h("div", { class: "lora" },
      h("select", { "aria-label": "LoRA", onchange: (event) => { lora.file = event.target.value; commit(); } },
        names.map((name) => h("option", { value: name, selected: name === lora.file }, name.replace(".safetensors", "")))),
      h("input", { type: "number", step: 0.1, min: -10, max: 10, "aria-label": "Its scale", value: lora.scale ?? 1, "data-key": `${index} lora ${n}`, oninput: (event) => { lora.scale = Number(event.target.value); commit(`lora ${index} ${n}`); } }),
      tool("delete", "Without this LoRA", () => { target.loras.splice(n, 1); if (!target.loras.length) delete target.loras; commit(); }));
  });
  if (!facts.loras.length && !rows.length) return null;
  const why = problemOf(path);
  return [rows, why && h("p", { class: "note bad" }, why),
    facts.loras.length > 0 && h("button", { type: "button", class: "quiet small", onclick: () => { target.loras = [...(target.loras ?? []), { file: facts.loras[0], scale: 1 }]; commit(); } }, "+ LoRA")];
}

function backgroundFields() {
  const ground = { ...(scene.plan.background ?? {}) };
  const write = new Proxy(ground, {
    set(target, key, value) { target[key] = value; keepGround(target); return true; },
    deleteProperty(target, key) { delete target[key]; keepGround(target); return true; },
  });
  const at = (key) => ({ path: `background.${key}`, area: `background ${key}`, level: key });
  return [h("h2", { class: "title-row" }, "Background"),
    text(write, "high", LEVELS.high, { ...at("high"), placeholder: "sea background" }),
    text(write, "low", LEVELS.low, at("low")),
    text(write, "full", LEVELS.full, at("full")),
    ground.high || ground.low || ground.full ? loras(write, "background.loras", "background") : null,
    h("p", { class: "note" }, "Everywhere outside the regions. Empty: what the routing says, mostly the base prompt.")];
}

function keepGround(ground) {
  if (Object.keys(ground).length) scene.plan.background = { ...ground };
  else delete scene.plan.background;
}

function wholeFields() {
  const { plan } = scene;
  const side = (name) => h("label", { class: "field" }, h("span", {}, name === "width" ? "Width" : "Height"),
    h("input", { type: "number", min: facts.model.token, max: facts.model.largest, step: facts.model.token, value: plan[name], "data-key": name, onchange: (event) => resize(name, Math.round(Number(event.target.value))) }),
    problemOf(name) && h("span", { class: "why" }, problemOf(name)));
  const choice = (key, label, values) => h("label", { class: "field" }, h("span", {}, label),
    h("select", { "data-key": key, onchange: (event) => { put(plan, key, event.target.value); commit(); } },
      values.map(([value, told]) => h("option", { value, selected: (plan[key] ?? values[0][0]) === value }, told))));
  return [
    h("h2", { class: "title-row" }, "Whole picture"),
    text(plan, "prompt", "Base prompt", { placeholder: "the scene in one sentence" }),
    text(plan, "high", "High: composition", { level: "high" }),
    text(plan, "low", "Low: style of all", { level: "low" }),
    text(plan, "negative_prompt", "Negative prompt"),
    h("div", { class: "row" }, side("width"), side("height")),
    h("div", { class: "row" },
      choice("overlap", "Where regions overlap", [["", "as the routing says"], ["union", "all are heard"], ["split", "the nearest is heard"],
        ["priority", "the first is heard"]]),
      choice("grid", "Image tokens by", [["nearest", "their middle"], ["coverage", "coverage"]])),
    loras(plan, "loras", "whole"),
    remarks(),
  ];
}

function remarks() {
  const rows = [...view.look.remarks.map((each) => `${each.kind}: ${each.text}`), ...view.look.notes];
  return rows.length > 0 && [h("h3", {}, "Remarks"), rows.map((row) => h("p", { class: "note warn" }, row))];
}

async function resize(name, value) {
  const { plan } = scene;
  if (!plan.regions.length) {
    plan[name] = value;
    return commit();
  }
  try {
    const { plan: resized } = await post("resize", { plan, width: plan.width, height: plan.height, [name]: value });
    const selected = view.selected;
    takePlan(resized);
    view.selected = selected;
  } catch (error) {
    view.look = { ...view.look, problems: [{ message: error.message, field: name, region: null }] };
  }
  commit();
}

function focusFirst() {
  const first = $("inspector").querySelector("input, textarea");
  first?.focus();
  first?.select?.();
}

export function startAreas() {
  $("areas").addEventListener("keydown", listKeys);
  $("inspector").addEventListener("named", () => requestAnimationFrame(() => requestAnimationFrame(focusFirst)));
  $("inspector").addEventListener("keydown", (event) => {
    if (event.key === "Escape") $("stage").focus();
  });
}

export { copyRegion };
