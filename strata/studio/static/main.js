// Starts the page: asks the server what there is, then shows and listens.

import { $, get } from "./dom.js";
import { renderAreas, renderInspector, startAreas } from "./areas.js";
import { redrawDepth, renderDepth } from "./depth.js";
import { showUnderlay, startFiles } from "./files.js";
import { renderGallery } from "./gallery.js";
import { renderAttention, renderPicture } from "./picture.js";
import { listen, renderBar, say, startRuns, takeRuns } from "./runs.js";
import { render } from "./stage.js";
import { canRedo, canUndo, changed, facts, look, scene, startHistory, view, watch } from "./store.js";
import { startTools } from "./tools.js";

function renderTools() {
  for (const button of document.querySelectorAll("#tools [data-tool]")) radio(button, button.dataset.tool === view.tool);
  for (const button of document.querySelectorAll("#tools [data-view]")) radio(button, button.dataset.view === view.mode);
  for (const name of ["snap", "grid", "heard", "overlay"]) $(name).setAttribute("aria-pressed", String(view[name]));
  $("undo").disabled = !canUndo();
  $("redo").disabled = !canRedo();
}

function radio(button, on) {
  button.setAttribute("aria-checked", String(on));
  button.tabIndex = on ? 0 : -1;
}

/** Arrow keys go through the buttons of a group. */
function startGroups() {
  for (const group of document.querySelectorAll('[role="radiogroup"], [role="tablist"]'))
    group.addEventListener("keydown", (event) => {
      const buttons = [...group.querySelectorAll("button")];
      const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const place = buttons.indexOf(event.target);
      if (!by || place < 0) return;
      event.preventDefault();
      const next = buttons[(place + by + buttons.length) % buttons.length];
      next.focus();
      next.click();
    });
}

export function showTab(name) {
  for (const tab of document.querySelectorAll('[role="tab"]')) {
    const on = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", String(on));
    tab.tabIndex = on ? 0 : -1;
    $(tab.id.slice(4)).hidden = !on;
  }
  changed();
}

let mode = "edit";

/** The panel follows what is looked at. */
function followMode() {
  if (view.mode === mode) return;
  mode = view.mode;
  if ($("attention").hidden) showTab(mode === "picture" ? "picture" : "depth");
}

function startTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const kept = () => { try { return localStorage.getItem("strata-theme"); } catch { return null; } };
  const apply = (theme) => { document.documentElement.dataset.theme = theme; redrawIfReady(); };
  apply(kept() ?? (dark.matches ? "dark" : "light"));
  dark.addEventListener("change", () => kept() || apply(dark.matches ? "dark" : "light"));
  $("theme").addEventListener("click", () => {
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("strata-theme", theme); } catch { /* it holds for this page then */ }
    apply(theme);
  });
}

let ready = false;
const redrawIfReady = () => ready && redrawDepth();

async function start() {
  startTheme();
  try {
    const { state, runs, underlay, ...rest } = await get("session");
    Object.assign(facts, rest);
    const { size } = facts.model;
    Object.assign(scene.plan, { width: size, height: size });
    scene.routing = facts.preset;
    if (state?.plan) Object.assign(scene, state);
    showUnderlay(underlay);
    takeRuns(runs);
    const last = runs.filter((run) => run.kind !== "plan").at(-1);
    if (last) view.picture = { run: last.id, name: last.pictures.at(-1)?.name ?? "" };
    if (last && !["done", "failed", "cancelled"].includes(last.state)) view.mode = "picture";
  } catch (error) {
    $("banner").textContent = error.message;
    $("banner").hidden = false;
    return;
  }
  if (facts.model.state === "failed") say(`The model could not be loaded: ${facts.model.message}`, true);
  startHistory();
  startTools();
  startAreas();
  startRuns();
  startFiles();
  startGroups();
  for (const tab of document.querySelectorAll('[role="tab"]')) tab.addEventListener("click", () => showTab(tab.id.slice(4)));
  $("divider").addEventListener("input", () => $("frame").style.setProperty("--cut", `${$("divider").value}%`));
  $("beside").addEventListener("change", (event) => {
    const [run, name] = event.target.value.split("/");
    view.beside = run ? { run, name } : null;
    changed();
  });
  for (const part of [renderTools, render, renderAreas, renderInspector, renderDepth, renderBar, renderGallery, renderPicture, renderAttention, followMode]) watch(part);
  ready = true;
  new ResizeObserver(() => { changed(); redrawDepth(); }).observe($("stage"));
  listen();
  look();
  changed();
  document.documentElement.dataset.ready = "";
}

start();
