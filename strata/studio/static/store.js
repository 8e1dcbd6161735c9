// What the page knows: the scene that is edited, with its history, and what is shown of it.

import { busy, later, post } from "./dom.js";

/** Of the server: model, palette, presets, …; filled once at the start. */
export const facts = {};

/** What is edited and kept: plan, routing (text of its file), settings. */
export const scene = {
  plan: { width: 128, height: 128, prompt: "", regions: [] },
  routing: "",
  settings: { seed: "", steps: "", guidance: "", true_cfg: "", method: "", strict: false },
  count: 1,
  obey: { until_obeyed: "", mend: "repaint" }, // "": drawn once
  previews: true,
  opacity: 0.55, // of the underlay
};

/** What is shown: nothing of it is kept. */
export const view = {
  selected: "whole", // an index of regions, "whole" or "background"
  corner: null,
  tool: "select",
  mode: "edit",
  snap: true,
  grid: false,
  heard: false,
  overlay: false,
  picture: null, // {run, name}
  beside: null,
  area: null, // of the picture that is looked at
  look: { problems: [], tokens: null, notes: [], remarks: [], area: 0 },
  depth: null,
  depthProblem: null,
  runs: new Map(),
};

const listeners = new Set();
let planned = false;

/** Calls `listener` after changes, once for several that come together. */
export function watch(listener) {
  listeners.add(listener);
}

export function changed() {
  if (planned) return;
  planned = true;
  busy(1);
  requestAnimationFrame(() => {
    planned = false;
    busy(-1);
    for (const listener of listeners) listener();
  });
}

// History -------------------------------------------------------------------------------------------------------------

const past = [];
const future = [];
let lastKey = null;
let lastTime = 0;
let kept = "";
const MOST = 200;

const snapshot = () => JSON.stringify({ plan: scene.plan, routing: scene.routing });

/** The scene as it is now is where undoing ends. */
export function startHistory() {
  past.length = future.length = 0;
  lastKey = null;
  kept = snapshot();
}

/** Something was changed; changes of one `key` that come quickly are one step of the history. */
export function commit(key = null) {
  const now = snapshot();
  if (now === kept) return changed();
  const joined = key !== null && key === lastKey && Date.now() - lastTime < 1500;
  if (!joined) past.push(kept);
  if (past.length > MOST) past.shift();
  future.length = 0;
  kept = now;
  lastKey = key;
  lastTime = Date.now();
  changed();
  look();
}

function travel(from, to) {
  if (!from.length) return;
  to.push(kept);
  kept = from.pop();
  Object.assign(scene, JSON.parse(kept));
  if (typeof view.selected === "number" && view.selected >= scene.plan.regions.length) view.selected = "whole";
  view.corner = null;
  lastKey = null;
  changed();
  look();
}

export const undo = () => travel(past, future);
export const redo = () => travel(future, past);
export const canUndo = () => past.length > 0;
export const canRedo = () => future.length > 0;

// The server's view ---------------------------------------------------------------------------------------------------

let asked = 0;
let routed = "";

/** Asks what the server makes of the scene, which is kept there too: a reload finds it again. */
export const look = later(220, async () => {
  const number = ++asked;
  try {
    const overlap = view.depth?.overlap;
    const found = await post("look", { plan: scene.plan, state: scene, overlap });
    if (number !== asked) return;
    view.look = found;
    await showRouting();
    if (view.depth?.overlap !== overlap) look(); // who is heard where regions overlap is the routing's word
  } catch (error) {
    view.look = { ...view.look, problems: [{ message: error.message, field: null, region: null }] };
  }
  changed();
});

export const keep = later(400, () => post("look", { plan: scene.plan, state: scene }).catch(() => {}));

async function showRouting() {
  const request = routingRequest();
  if (JSON.stringify(request) === routed) return;
  try {
    view.depth = await post("routing", request);
    view.depthProblem = null;
    routed = JSON.stringify(request);
  } catch (error) {
    view.depthProblem = error.message;
  }
}

function routingRequest(op = undefined) {
  const steps = Number(scene.settings.steps) || facts.model.steps;
  return { text: scene.routing, steps, regions: scene.plan.regions.length, area: view.look.area, op };
}

/** Changes the routing on the server: `op` as `strata.studio.depth.edited` takes it. */
export async function changeRouting(op, key = null) {
  try {
    view.depth = await post("routing", routingRequest(op));
    scene.routing = view.depth.text;
    view.depthProblem = null;
    routed = JSON.stringify(routingRequest());
    commit(key);
  } catch (error) {
    view.depthProblem = error.message;
    changed();
  }
}

/** Takes another text for the routing; one that is wrong is told and not taken. */
export async function takeRouting(text) {
  try {
    const shown = await post("routing", { ...routingRequest(), text });
    scene.routing = shown.text;
    view.depth = shown;
    view.depthProblem = null;
    routed = JSON.stringify(routingRequest());
    commit();
    return true;
  } catch (error) {
    view.depthProblem = error.message;
    changed();
    return false;
  }
}

// Regions -------------------------------------------------------------------------------------------------------------

export const colourOf = (index) => facts.colours[index % facts.colours.length];
export const region = () => (typeof view.selected === "number" ? scene.plan.regions[view.selected] : null);

export function select(area) {
  if (view.selected !== area) view.corner = null;
  view.selected = area;
  changed();
}

function freeName(stem) {
  const names = new Set(scene.plan.regions.map((each) => each.name));
  if (!names.has(stem)) return stem;
  const base = stem.replace(/ \d+$/, "");
  for (let number = 2; ; number += 1) if (!names.has(`${base} ${number}`)) return `${base} ${number}`;
}

/** Adds a region of a shape ({box}, {polygon} or {mask}) and selects it. */
export function addRegion(shape, like = null) {
  if (scene.plan.regions.length >= facts.most_regions) return;
  const { name = `region ${scene.plan.regions.length + 1}`, ...rest } = like ?? {};
  scene.plan.regions.push({ name: freeName(name), ...rest, ...shape });
  view.selected = scene.plan.regions.length - 1;
  view.corner = null;
  commit();
}

export function removeRegion(index) {
  scene.plan.regions.splice(index, 1);
  const left = scene.plan.regions.length;
  view.selected = left ? Math.min(index, left - 1) : "whole";
  view.corner = null;
  commit();
}

export function moveRegion(index, by) {
  const to = index + by;
  if (to < 0 || to >= scene.plan.regions.length) return;
  const [moved] = scene.plan.regions.splice(index, 1);
  scene.plan.regions.splice(to, 0, moved);
  view.selected = to;
  commit();
}

export function takePlan(plan) {
  scene.plan = { prompt: "", regions: [], ...plan };
  scene.plan.regions ??= [];
  view.selected = scene.plan.regions.length ? 0 : "whole";
  view.corner = null;
}

/** Sets a key of a mapping, or takes it away where the value is empty. */
export function put(target, key, value) {
  if (value === "" || value === null || value === undefined) delete target[key];
  else target[key] = value;
}
