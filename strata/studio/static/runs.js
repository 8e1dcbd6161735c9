// Drawing: the bar below the canvas, and the events of runs.

import { $, clamp, fill, get, h, post } from "./dom.js";
import { bounds } from "./shapes.js";
import { changed, commit, facts, keep, look, scene, takePlan, view } from "./store.js";
import { setView } from "./tools.js";

let following = null; // the run whose progress the bar shows
let told = { text: "", error: false };

export function say(text, error = false) {
  told = { text, error };
  renderStatus();
}

// The server's events -------------------------------------------------------------------------------------------------

/** Listens; after a gap everything is asked for again, so that nothing is missed. */
export function listen() {
  let opened = false;
  const source = new EventSource("/api/events");
  source.onopen = async () => {
    $("banner").hidden = true;
    if (opened) takeRuns((await get("session")).runs);
    opened = true;
  };
  source.onerror = () => {
    $("banner").textContent = "The server does not answer. What is drawn stays; this page goes on when it is back.";
    $("banner").hidden = false;
  };
  source.onmessage = (event) => take(JSON.parse(event.data));
  addEventListener("pagehide", () => source.close());
}

export function takeRuns(runs) {
  view.runs = new Map(runs.map((run) => [run.id, run]));
  const busy = runs.find((run) => ["drawing", "loading", "planning"].includes(run.state)) ?? runs.find((run) => run.state === "waiting");
  if (busy && !following) follow(busy.id);
  changed();
}

function take(event) {
  if (event.type === "model") {
    Object.assign(facts.model, event.model);
    if (event.model.state === "failed") say(`The model could not be loaded: ${event.model.message}`, true);
  } else if (event.type === "run") takeRun(event.run);
  else if (event.type === "step") {
    const run = view.runs.get(event.id);
    if (run) Object.assign(run, { state: "drawing", index: event.index, step: event.step, total: event.total, preview: event.preview });
  } else if (event.type === "try") {
    const run = view.runs.get(event.id);
    if (run) Object.assign(run, { tries: [...run.tries, event.try], step: 0 });
  } else if (event.type === "gone") view.runs.delete(event.id);
  changed();
}

function takeRun(run) {
  const before = view.runs.get(run.id);
  view.runs.set(run.id, run);
  if (run.kind === "plan") return takePlanned(run, before);
  const news = run.pictures.length > (before?.pictures.length ?? 0);
  const looked = view.picture?.run === run.id;
  if (looked && run.pictures.length && (news || !view.picture.name)) view.picture = { run: run.id, name: run.pictures.at(-1).name };
  if (news && run.beside && following === run.id) showBeside(run);
  if (following === run.id && run.state === "failed") say(run.problem?.message ?? "could not be drawn", true);
  if (following === run.id && run.state === "done") say(finished(run));
  if (following === run.id && run.state === "cancelled") say("Cancelled");
  if (following === run.id && ended(run)) follow(next()?.id ?? run.id);
}

export const ended = (run) => ["done", "failed", "cancelled"].includes(run.state);
const next = () => [...view.runs.values()].find((run) => !ended(run));

function finished(run) {
  const seconds = run.pictures.reduce((sum, each) => sum + each.seconds, 0);
  const what = run.kind === "probe" ? "Attention recorded" : run.pictures.length === 1 ? "Drawn" : `${run.pictures.length} pictures drawn`;
  const [first] = run.pictures;
  const tries = triesAt(run, 0).length;
  const kept = run.pictures.length === 1 && first.kept && tries > 1 ? `; of ${tries} tries the best, number ${first.kept}, is kept` : "";
  return `${what} in ${seconds.toFixed(1)} s, seed ${first?.seed ?? run.seed}${kept}`;
}

/** What is told of the tries at a picture, by its place in the run. */
export const triesAt = (run, index) => run.tries.filter((each) => each.picture === index);

/** A picture that was made of another one, or with it, is shown beside it; one that was changed, so that the change is seen. */
function showBeside(run) {
  const [id, name] = run.beside.split("/");
  const other = view.runs.get(id);
  const first = name || other?.pictures[0]?.name;
  if (!other || !first || run.kind === "probe") return;
  const [made, from] = [{ run: run.id, name: run.pictures[0].name }, { run: id, name: first }];
  const changes = run.kind === "restyle" || run.kind === "repaint";
  [view.picture, view.beside] = changes ? [made, from] : [from, made];
  $("divider").value = changes ? rightOf(run) : 50;
  view.mode = "picture";
}

/** Where the changed region ends, in percent of the width: the picture that it is in stands left of the divider. */
function rightOf(run) {
  const region = run.plan.regions?.find((each) => each.name === view.area);
  const right = region && !region.mask ? (100 * bounds(region, run.plan)[2]) / run.plan.width : 100;
  return clamp(Math.round(right), 50, 92);
}

function takePlanned(run, before) {
  if (following !== run.id || before?.state === run.state) return;
  if (run.state === "failed") say(run.problem?.message ?? "could not be planned", true);
  if (run.state !== "done") return;
  takePlan(run.plan);
  view.selected = run.plan.regions?.length ? 0 : "whole";
  view.mode = "edit";
  const number = run.plan.regions?.length ?? 0;
  const missing = run.plan.provenance?.planner?.missing ?? [];
  say(`Planned: ${number} region${number === 1 ? "" : "s"}${missing.length ? `; in no description: ${missing.join(", ")}` : ""}`);
  commit();
}

/** A run that was asked for: the bar follows it. Its events may have come before the answer. */
export function queued(run) {
  const known = view.runs.get(run.id);
  following = run.id;
  say("");
  if (known && ended(known)) {
    view.runs.delete(run.id);
    takeRun(known);
  } else if (!known) view.runs.set(run.id, run);
  changed();
}

function follow(id) {
  following = id;
}

// The bar -------------------------------------------------------------------------------------------------------------

export function renderBar() {
  const { settings } = scene;
  value("seed", settings.seed);
  value("count", scene.count);
  value("steps", settings.steps);
  $("steps").placeholder = facts.model.steps;
  const run = following && view.runs.get(following);
  const busy = run && !ended(run);
  $("cancel").hidden = !busy;
  $("plan").disabled = [...view.runs.values()].some((each) => each.kind === "plan" && !ended(each));
  $("progress").hidden = !busy;
  if (busy) {
    const share = run.kind === "plan" ? 50 : (100 * (run.index + ofPicture(run))) / Math.max(run.count, 1);
    $("progress").firstElementChild.style.width = `${share}%`;
    $("progress").setAttribute("aria-valuenow", Math.round(share));
  }
  const tried = facts.judge && scene.obey.until_obeyed !== "";
  $("more").firstElementChild.textContent = tried ? `More · until it obeys (${scene.obey.until_obeyed})` : "More";
  renderStatus();
  renderVersus();
}

/** How much of the picture is done, 0 to 1; where it is tried several times, if all tries are needed. */
function ofPicture(run) {
  const step = run.step / Math.max(run.total, 1);
  return run.most ? (triesAt(run, run.index).length + step) / run.most : step;
}

function value(id, text) {
  const field = $(id);
  if (document.activeElement !== field && field.value !== String(text ?? "")) field.value = text ?? "";
}

function renderStatus() {
  const run = following && view.runs.get(following);
  const [first] = view.look.problems;
  let text = told.text;
  let error = told.error;
  if (run && !ended(run)) [text, error] = [going(run), false];
  else if (!text && first) [text, error] = [first.message, scene.plan.regions.length > 0 || scene.plan.prompt !== ""];
  else if (!text) text = facts.model.state === "loading" ? "The model is loading" : "";
  if ($("status").textContent !== text) $("status").textContent = text;
  $("status").classList.toggle("error", error);
}

function going(run) {
  if (run.state === "waiting") return facts.model.state === "loading" ? "Waits for the model to load" : `Waits: ${run.place} before it`;
  if (run.state === "loading") return "The model is loading";
  if (run.state === "planning") return "Planning the sentence";
  const of = run.count > 1 ? `picture ${run.index + 1} of ${run.count}, ` : "";
  const tries = run.most ? triesAt(run, run.index) : [];
  const tried = run.most ? `try ${Math.min(tries.length + 1, run.most)} of ${run.most}, ` : "";
  const wrong = tries.at(-1)?.wrong.length ? `; before it ${tries.at(-1).wrong.join("; ")}` : "";
  return `Drawing: ${of}${tried}step ${run.step} of ${run.total}${wrong}`;
}

let versus = "";

function renderVersus() {
  const select = $("versus");
  if (select.options.length) return;
  fill(select, h("option", { value: "" }, "nothing"),
    h("optgroup", { label: "Method" }, facts.methods.filter((each) => each !== "regional").map((each) => h("option", { value: `method ${each}` }, each))),
    h("optgroup", { label: "Routing" }, facts.presets.map((each) => h("option", { value: `routing ${each.name}` }, each.name))));
  select.value = versus;
}

function settingsNow() {
  const numbers = ["seed", "steps", "guidance", "true_cfg"];
  const found = {};
  for (const [name, text] of Object.entries(scene.settings)) {
    if (text === "" || text === false || text === null || text === undefined) continue;
    const number = Number(text);
    found[name] = numbers.includes(name) && String(text).trim() !== "" && Number.isFinite(number) ? number : text;
  }
  return found;
}

/** How often a picture is tried until it obeys; undefined: it is drawn once. */
function obeyNow() {
  const { until_obeyed: most, mend } = scene.obey;
  if (!facts.judge || most === "") return undefined;
  return { until_obeyed: Number.isFinite(Number(most)) ? Number(most) : most, mend };
}

async function draw(event) {
  event.preventDefault();
  const [kind, name] = versus.split(" ");
  const data = {
    plan: scene.plan,
    settings: settingsNow(),
    count: scene.count,
    obey: obeyNow(),
    previews: scene.previews,
    title: scene.plan.prompt.slice(0, 80) || "scene",
    versus: versus ? { [kind]: name } : undefined,
  };
  if (!scene.settings.method || scene.settings.method.startsWith("regional") || scene.settings.method === "native+regional") data.routing = scene.routing;
  try {
    const { runs } = await post("draw", data);
    view.picture = { run: runs[0].id, name: "" };
    view.beside = null;
    for (const run of runs.reverse()) queued(run);
    setView("picture");
  } catch (error) {
    refuse(error);
  }
}

/** Shows what the server refused, where it is. */
export function refuse(error) {
  say(error.message, true);
  if (typeof error.region === "number") {
    view.selected = error.region;
    view.mode = "edit";
  }
  if (["until_obeyed", "mend"].includes(error.field)) {
    refused = error.field;
    $("more").open = true;
    fields();
  } else if (["seed", "steps"].includes(error.field)) $(error.field).setAttribute("aria-invalid", "true");
  changed();
}

const MENDS = {
  repaint: "repaint the regions that are wrong",
  isolate: "repaint them isolated",
  again: "draw all again, another seed",
};

let refused = ""; // the field of these that the server refused

/** Shown where a judge is at hand. */
function obeying() {
  if (!facts.judge) return null;
  const { obey } = scene;
  const most = h("input", {
    type: "number", id: "until_obeyed", min: 1, placeholder: "once", value: obey.until_obeyed, "aria-invalid": refused === "until_obeyed" ? "true" : null,
    oninput: (event) => {
      // What is no number has no value: the server tells what is right.
      obey.until_obeyed = event.target.validity.badInput ? "?" : event.target.value.trim();
      accept(event.target);
      changed();
    },
  });
  const mend = h("select", { id: "mend", "aria-invalid": refused === "mend" ? "true" : null, onchange: (event) => { obey.mend = event.target.value; accept(event.target); } },
    Object.entries(MENDS).map(([name, what]) => h("option", { value: name, selected: name === obey.mend }, what)));
  return h("fieldset", {}, h("legend", {}, "Draw until each region obeys"),
    h("label", { title: `Judged by ${facts.judge}; the best picture is kept` }, "At most N pictures", most), h("label", {}, "Then", mend));
}

function accept(field) {
  refused = "";
  field.removeAttribute("aria-invalid");
  say("");
  keep();
}

function fields() {
  const { settings } = scene;
  const write = (name) => (event) => {
    settings[name] = event.target.type === "checkbox" ? event.target.checked : event.target.value;
    keep();
  };
  fill($("more-fields"),
    h("label", {}, "Method", h("select", { onchange: write("method") },
      h("option", { value: "" }, "as the routing asks"), facts.methods.map((each) => h("option", { value: each, selected: each === settings.method }, each)))),
    facts.model.guidance !== null && h("label", {}, "Guidance", h("input", { type: "number", step: 0.1, min: 0, max: 1000, placeholder: facts.model.guidance, value: settings.guidance ?? "", oninput: write("guidance") })),
    h("label", { title: "Weight of the negative prompt, above 1" }, "True CFG", h("input", { type: "number", step: 0.5, min: 0, max: 1000, value: settings.true_cfg ?? "", oninput: write("true_cfg") })),
    h("label", { class: "check" }, "Previews at each step", h("input", { type: "checkbox", checked: scene.previews, onchange: (event) => { scene.previews = event.target.checked; keep(); } })),
    obeying(),
    h("label", { class: "check" }, "Refuse unknown words", h("input", { type: "checkbox", checked: Boolean(settings.strict), onchange: write("strict") })));
}

async function planSentence(event) {
  event.preventDefault();
  const prompt = $("prompt").value.trim();
  if (!prompt) return say("Write a sentence first: what is to be seen, and where", true);
  const { width, height, regions } = scene.plan;
  const data = { prompt, width, height };
  if ($("keep").checked && regions.length)
    data.draft = { width, height, regions: regions.map(({ loras, ...each }) => (/^region \d+$/.test(each.name) ? { ...each, name: undefined } : each)) };
  try {
    queued(await post("plan", data));
  } catch (error) {
    refuse(error);
  }
}

export function startRuns() {
  $("drawbar").addEventListener("submit", draw);
  $("sentence").addEventListener("submit", planSentence);
  $("cancel").addEventListener("click", () => following && post(`runs/${following}/cancel`).catch(refuse));
  $("dice").addEventListener("click", () => { scene.settings.seed = ""; $("seed").value = ""; keep(); changed(); });
  for (const name of ["seed", "steps"])
    $(name).addEventListener("input", (event) => {
      event.target.removeAttribute("aria-invalid");
      scene.settings[name] = event.target.value.trim();
      say("");
      (name === "steps" ? look : keep)();
    });
  $("count").addEventListener("input", (event) => { scene.count = Math.min(64, Math.max(1, Math.round(Number(event.target.value)) || 1)); keep(); });
  $("versus").addEventListener("change", (event) => { versus = event.target.value; });
  $("more").addEventListener("toggle", () => $("more").open && fields());
  document.addEventListener("pointerdown", (event) => { if (!$("more").contains(event.target)) $("more").open = false; });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") $("more").open = false; });
}
