// Drawing and moving with the pointer, and everything by the keyboard.

import { $, clamp } from "./dom.js";
import { paintEnd, paintMove, paintStart } from "./brush.js";
import { bounds, movedBy, nextAt, regionAt, resizedBox, snapped } from "./shapes.js";
import { addRegion, changed, commit, facts, moveRegion, redo, region, removeRegion, scene, select, undo, view } from "./store.js";
import { pixels, pointOf, shownRun, sketch } from "./stage.js";

const stage = $("stage");
let drag = null;
let copied = null;

export function setTool(tool) {
  finishPolygon(false);
  view.tool = tool;
  view.mode = "edit";
  changed();
}

export function setView(mode) {
  finishPolygon(false);
  view.mode = mode;
  changed();
}

// The pointer ---------------------------------------------------------------------------------------------------------

function down(event) {
  if (event.button !== 0 || event.target.id === "divider") return;
  stage.focus({ preventScroll: true });
  const [x, y] = pointOf(event);
  if (view.mode === "picture") return choosePicturesRegion(x, y);
  event.preventDefault();
  stage.setPointerCapture(event.pointerId);
  if (view.tool === "box") drag = { kind: "new", from: at(x, y, event) };
  else if (view.tool === "polygon") addCorner(x, y, event);
  else if (view.tool === "brush" || view.tool === "erase") drag = paintStart(x, y, view.tool) ? { kind: "paint" } : null;
  else pick(x, y, event);
}

const at = (x, y, event) => [snapped(x, scene.plan.width, event.altKey), snapped(y, scene.plan.height, event.altKey)];

function choosePicturesRegion(x, y) {
  const plan = shownRun()?.run.plan;
  const index = plan ? regionAt(x, y, plan) : null;
  if (index === null) return;
  view.area = plan.regions[index].name;
  changed();
}

function pick(x, y, event) {
  const handle = handleAt(x, y);
  if (handle) {
    drag = { kind: "handle", handle, before: region() };
    if (handle.startsWith("corner")) view.corner = Number(handle.split(" ")[1]);
    return changed();
  }
  const index = regionAt(x, y);
  if (index === null) return select("whole");
  drag = { kind: "move", from: [x, y], box: null, index, was: view.selected, moved: false };
  select(index);
  drag.before = structuredClone(region());
  drag.box = bounds(region());
  if (event.altKey) drag.copy = true;
}

function handleAt(x, y) {
  const chosen = region();
  if (!chosen || chosen.mask) return null;
  const near = pixels(9);
  for (const handle of document.querySelectorAll("#drawing [data-handle]")) {
    const size = Number(handle.getAttribute("width"));
    const middle = ["x", "y"].map((side) => Number(handle.getAttribute(side)) + size / 2);
    if (Math.abs(middle[0] - x) <= near && Math.abs(middle[1] - y) <= near) return handle.dataset.handle;
  }
  return null;
}

function move(event) {
  const [x, y] = pointOf(event);
  if (!drag) {
    if (sketch.polygon && view.tool === "polygon") {
      sketch.polygon[sketch.polygon.length - 1] = at(x, y, event);
      changed();
    }
    return;
  }
  if (drag.kind === "new") sketch.box = between(drag.from, at(x, y, event));
  else if (drag.kind === "paint") paintMove(x, y);
  else if (drag.kind === "handle") dragHandle(x, y, event);
  else dragRegion(x, y, event);
  changed();
}

const between = ([x1, y1], [x2, y2]) => [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)];

function dragHandle(x, y, event) {
  const chosen = region();
  if (!chosen) return;
  const to = at(x, y, event);
  if (drag.handle.startsWith("corner")) chosen.polygon[view.corner] = to;
  else chosen.box = resizedBox(drag.before.box, drag.handle, ...to);
  drag.before = { ...drag.before, ...(chosen.box ? { box: chosen.box } : {}) };
}

function dragRegion(x, y, event) {
  const chosen = region();
  if (!chosen || chosen.mask || !drag.box) return;
  const near = pixels(3);
  if (!drag.moved && Math.hypot(x - drag.from[0], y - drag.from[1]) < near) return;
  drag.moved = true;
  const [left, top] = at(drag.box[0] + x - drag.from[0], drag.box[1] + y - drag.from[1], event);
  Object.assign(chosen, movedBy(drag.before, left - drag.box[0], top - drag.box[1]));
}

function up(event) {
  if (!drag) return;
  const done = drag;
  drag = null;
  if (done.kind === "paint") return paintEnd();
  if (done.kind === "new") {
    const box = sketch.box;
    sketch.box = null;
    if (box && box[2] > box[0] && box[3] > box[1]) {
      addRegion({ box: box.map(Math.round) });
      view.tool = "select";
      $("inspector").dispatchEvent(new CustomEvent("named"));
    }
    return changed();
  }
  if (done.kind === "move" && !done.moved && done.was === done.index) {
    const [x, y] = pointOf(event);
    const next = nextAt(x, y);
    if (next !== null) select(next); // a second click: what lies below
    return;
  }
  commit();
}

// Polygons ------------------------------------------------------------------------------------------------------------

function addCorner(x, y, event) {
  const point = at(x, y, event);
  if (!sketch.polygon) sketch.polygon = [point, point];
  else {
    const [first] = sketch.polygon;
    const near = Math.max(pixels(8), view.snap ? facts.model.token / 3 : 0);
    if (sketch.polygon.length > 3 && Math.hypot(x - first[0], y - first[1]) < near) return finishPolygon(true);
    sketch.polygon[sketch.polygon.length - 1] = point;
    sketch.polygon.push(point);
  }
  changed();
}

function finishPolygon(keep) {
  const points = sketch.polygon;
  sketch.polygon = null;
  if (!points) return;
  const corners = points.slice(0, -1).filter((point, n, all) => n === 0 || String(point) !== String(all[n - 1]));
  if (keep && corners.length >= 3) {
    addRegion({ polygon: corners });
    view.tool = "select";
    $("inspector").dispatchEvent(new CustomEvent("named"));
  }
  changed();
}

function doubled(event) {
  if (view.mode !== "edit") return;
  if (sketch.polygon) return finishPolygon(true);
  const chosen = region();
  if (view.tool !== "select" || !chosen?.polygon) return;
  const point = at(...pointOf(event), event);
  const ends = chosen.polygon.map((from, n) => distance(point, from, chosen.polygon[(n + 1) % chosen.polygon.length]));
  const nearest = ends.indexOf(Math.min(...ends));
  chosen.polygon.splice(nearest + 1, 0, point);
  view.corner = nearest + 1;
  commit();
}

function distance([x, y], [x1, y1], [x2, y2]) {
  const length = (x2 - x1) ** 2 + (y2 - y1) ** 2 || 1;
  const along = clamp(((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length, 0, 1);
  return Math.hypot(x - x1 - along * (x2 - x1), y - y1 - along * (y2 - y1));
}

// The keyboard --------------------------------------------------------------------------------------------------------

export function addBox() {
  const { token } = facts.model;
  const { width, height } = scene.plan;
  const side = (size) => Math.max(token, Math.round(size / 2 / token) * token);
  const [wide, tall] = [Math.min(width, side(width)), Math.min(height, side(height))];
  const [x, y] = [Math.floor((width - wide) / 2 / token) * token, Math.floor((height - tall) / 2 / token) * token];
  view.mode = "edit";
  addRegion({ box: [x, y, x + wide, y + tall] });
  $("inspector").dispatchEvent(new CustomEvent("named"));
}

export function copyRegion() {
  if (region()) copied = structuredClone(region());
}

export function pasteRegion() {
  if (!copied) return;
  const { box, polygon, mask, ...rest } = structuredClone(copied);
  const by = facts.model.token;
  const shape = mask ? { mask } : movedBy({ box, polygon }, by, by);
  addRegion(shape, rest);
}

export function duplicate() {
  copyRegion();
  pasteRegion();
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const TOOLS = { v: "select", b: "box", p: "polygon", m: "brush", e: "erase" };

function nudge(event) {
  const chosen = region();
  if (!chosen || chosen.mask) return false;
  const step = view.snap && !event.altKey ? facts.model.token : 1;
  const [dx, dy] = ARROWS[event.key].map((sign) => sign * step);
  if (event.shiftKey && chosen.box) {
    const [x1, y1, x2, y2] = chosen.box;
    chosen.box = resizedBox([x1, y1, x2, y2], "se", clamp(x2 + dx, 0, scene.plan.width), clamp(y2 + dy, 0, scene.plan.height));
  } else if (view.corner !== null && chosen.polygon) {
    const [x, y] = chosen.polygon[view.corner];
    chosen.polygon[view.corner] = [x + dx, y + dy];
  } else Object.assign(chosen, movedBy(chosen, dx, dy));
  commit(`nudge ${view.selected}`);
  return true;
}

function removeChosen() {
  const chosen = region();
  if (!chosen) return;
  if (view.corner !== null && chosen.polygon?.length > 3) {
    chosen.polygon.splice(view.corner, 1);
    view.corner = null;
    return commit();
  }
  removeRegion(view.selected);
}

function onStage(event) {
  if (event.target.id === "divider") return;
  const key = event.key;
  if (key in ARROWS) {
    if (view.mode === "edit" && nudge(event)) event.preventDefault();
    return;
  }
  if (event.ctrlKey || event.metaKey) return;
  const plain = key.toLowerCase();
  if (plain in TOOLS) setTool(TOOLS[plain]);
  else if (plain === "n") addBox();
  else if (plain === "o") {
    view.overlay = !view.overlay;
    changed();
  } else if (key === "Delete" || key === "Backspace") removeChosen();
  else if (key === "[" && region()) moveRegion(view.selected, -1);
  else if (key === "]" && region()) moveRegion(view.selected, 1);
  else if (key === "Enter") {
    if (sketch.polygon) finishPolygon(true);
    else $("inspector").dispatchEvent(new CustomEvent("named"));
  } else if (key === "Escape") {
    sketch.box = null;
    drag = null;
    finishPolygon(false);
    select("whole");
  } else return;
  event.preventDefault();
}

/** Keys that hold wherever the focus is, but for those that a text field has itself. */
function anywhere(event) {
  if (!(event.ctrlKey || event.metaKey)) return;
  const inText = event.target.matches("input:not([type=range], [type=checkbox]), textarea");
  const key = event.key.toLowerCase();
  if (key === "enter") $("drawbar").requestSubmit();
  else if (inText) return;
  else if (key === "z") (event.shiftKey ? redo : undo)();
  else if (key === "y") redo();
  else if (key === "d") duplicate();
  else if (key === "c" && !String(getSelection())) copyRegion();
  else if (key === "x") {
    copyRegion();
    if (region()) removeRegion(view.selected);
  } else if (key === "v") pasteRegion();
  else return;
  event.preventDefault();
}

export function startTools() {
  stage.addEventListener("pointerdown", down);
  stage.addEventListener("pointermove", move);
  stage.addEventListener("pointerup", up);
  stage.addEventListener("pointercancel", up);
  stage.addEventListener("dblclick", doubled);
  stage.addEventListener("keydown", onStage);
  document.addEventListener("keydown", anywhere);
  for (const button of document.querySelectorAll("[data-tool]:not(#work, #stage)"))
    button.addEventListener("click", () => setTool(button.dataset.tool));
  for (const button of document.querySelectorAll("#tools [data-view]"))
    button.addEventListener("click", () => setView(button.dataset.view));
  for (const name of ["snap", "grid", "heard", "overlay"])
    $(name).addEventListener("click", () => {
      view[name] = !view[name];
      changed();
    });
  $("undo").addEventListener("click", undo);
  $("redo").addEventListener("click", redo);
  $("add").addEventListener("click", addBox);
}
