// The canvas: the layout that is edited, or the picture that is looked at.

import { $, clamp, fill, h, s } from "./dom.js";
import { colourOf, facts, scene, view } from "./store.js";
import { HANDLES, bounds, tintedMask } from "./shapes.js";

const drawing = $("drawing");
let scale = 1; // screen pixels of one of the plan's
export const sketch = { box: null, polygon: null }; // what is being drawn now

/** The size of what is shown, in pixels of its plan. */
function canvasSize() {
  const shown = view.mode === "picture" ? shownRun()?.run : null;
  return shown ? [shown.width, shown.height] : [scene.plan.width, scene.plan.height];
}

export function fit() {
  const [width, height] = canvasSize();
  const stage = $("stage");
  const room = [stage.clientWidth - 28, stage.clientHeight - 14];
  scale = Math.max(0.05, Math.min(room[0] / width, room[1] / height));
  Object.assign($("frame").style, { width: `${width * scale}px`, height: `${height * scale}px`, aspectRatio: "auto" });
}

/** Where a pointer is, in pixels of the plan. */
export function pointOf(event) {
  const [width, height] = canvasSize();
  const rect = $("frame").getBoundingClientRect();
  return [((event.clientX - rect.left) / rect.width) * width, ((event.clientY - rect.top) / rect.height) * height];
}

export const pixels = (screen) => screen / scale;

/** The run and the picture that are looked at; a run without pictures shows its preview. */
export function shownRun() {
  const run = view.picture && view.runs.get(view.picture.run);
  if (!run || run.kind === "plan") return null;
  return { run, picture: run.pictures.find((each) => each.name === view.picture.name) ?? null };
}

export function pictureUrl(run, name, large = true) {
  const shown = large && run.small ? name.replace("image", "preview") : name;
  return `/api/runs/${run.id}/files/${shown}`;
}

export function render() {
  $("work").dataset.view = view.mode;
  $("work").dataset.tool = view.tool;
  $("stage").dataset.tool = view.mode === "edit" ? view.tool : "";
  fit();
  const [width, height] = canvasSize();
  drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
  if (view.mode === "edit") renderEditor();
  else renderPicture();
}

// The layout ----------------------------------------------------------------------------------------------------------

export const underlay = { url: null };

function renderEditor() {
  show("result", null);
  show("result2", null);
  $("divider").hidden = $("tag1").hidden = $("tag2").hidden = true;
  $("frame").classList.remove("two");
  const under = $("under");
  under.style.opacity = scene.opacity;
  show("under", underlay.url);
  const { width, height, regions } = scene.plan;
  const bad = new Set(view.look.problems.map((each) => each.region).filter((n) => n !== null));
  fill(
    drawing,
    patterns(),
    !underlay.url && s("rect", { width, height, fill: "url(#hatch)" }),
    view.heard ? heardCells() : order(scene.plan).map((index) => shape(regions[index], index, bad.has(index))),
    view.heard && regions.map((region, index) => shape(region, index, false, true)),
    view.grid && tokens(width, height),
    sketchShapes(),
    regions.map((region, index) => label(region, index, scene.plan)),
    chosen(),
  );
  const empty = $("empty");
  empty.hidden = regions.length > 0 || Boolean(sketch.box || sketch.polygon || underlay.url);
  if (!empty.hidden)
    fill(empty, h("p", {}, h("b", {}, "Say it in a sentence, or draw it"), "Plan a sentence above, or drag a box here and say what is in it."));
}

/** The order in which regions are painted: where priorities decide, the highest last. */
function order(plan) {
  const all = plan.regions.map((_, index) => index);
  if (plan.overlap !== "priority") return all;
  return all.sort((a, b) => (plan.regions[a].priority ?? 0) - (plan.regions[b].priority ?? 0) || a - b);
}

function patterns() {
  const step = pixels(12);
  const hatch = s("pattern", { id: "hatch", width: step, height: step, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    s("rect", { class: "hatch-paper", width: step, height: step }),
    s("line", { class: "hatch-line", x1: 0, y1: 0, x2: 0, y2: step, "stroke-width": pixels(1.6) }));
  const stripes = view.heard ? (view.look.tokens?.atoms ?? []).filter((atom) => atom.members.length > 1).map(striped) : [];
  return s("defs", {}, hatch, stripes);
}

/** A pattern with a stripe in the colour of every region that is heard. */
function striped({ members }) {
  const wide = pixels(7);
  return s("pattern", { id: `heard-${members.join("-")}`, width: wide * members.length, height: wide, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    members.map((index, n) => s("rect", { x: n * wide, width: wide, height: wide, fill: colourOf(index).fill })));
}

function heardCells() {
  const { tokens: laid } = view.look;
  if (!laid) return null;
  const [wide, tall] = [scene.plan.width / laid.cols, scene.plan.height / laid.rows];
  return laid.atoms.filter((atom) => atom.members.length).map(({ members, runs }) => {
    const fillWith = members.length > 1 ? `url(#heard-${members.join("-")})` : colourOf(members[0]).fill;
    const path = runs.flatMap(([first, last]) => {
      const rects = [];
      for (let at = first; at <= last; ) {
        const [row, col] = [Math.floor(at / laid.cols), at % laid.cols];
        const count = Math.min(last - at + 1, laid.cols - col);
        rects.push(`M${col * wide} ${row * tall}h${count * wide}v${tall}h${-count * wide}z`);
        at += count;
      }
      return rects;
    });
    return s("path", { d: path.join(""), fill: fillWith, "fill-opacity": 0.62 });
  });
}

function tokens(width, height) {
  const { token } = facts.model;
  let path = "";
  for (let x = token; x < width; x += token) path += `M${x} 0V${height}`;
  for (let y = token; y < height; y += token) path += `M0 ${y}H${width}`;
  return s("path", { class: "token", d: path });
}

function outline(region) {
  if (region.box) {
    const [x1, y1, x2, y2] = region.box;
    return `M${x1} ${y1}H${x2}V${y2}H${x1}z`;
  }
  return `M${region.polygon.map((point) => point.join(" ")).join("L")}z`;
}

function shape(region, index, bad, bare = false) {
  const colour = colourOf(index).fill;
  if (region.mask) {
    const url = bare ? null : tintedMask(region.mask, index);
    const box = bounds(region);
    return [
      url && s("image", { href: url, width: scene.plan.width, height: scene.plan.height, preserveAspectRatio: "none", opacity: 0.6 }),
      bad && box && s("rect", { class: "shape outline bad", ...rect(box) }),
    ];
  }
  const look = `shape${bare ? " outline" : ""}${bad ? " bad" : ""}`;
  return s("path", { class: look, d: outline(region), fill: colour, stroke: bad ? null : colour, "fill-rule": "evenodd" });
}

const rect = ([x1, y1, x2, y2]) => ({ x: x1, y: y1, width: Math.max(0, x2 - x1), height: Math.max(0, y2 - y1) });

function sketchShapes() {
  return [
    sketch.box && s("rect", { class: "sketch", ...rect(sketch.box) }),
    sketch.polygon && s("path", { class: "sketch", d: `M${sketch.polygon.map((p) => p.join(" ")).join("L")}` }),
    sketch.polygon && s("circle", { class: "handle", cx: sketch.polygon[0][0], cy: sketch.polygon[0][1], r: pixels(5) }),
  ];
}

function label(region, index, plan) {
  const box = bounds(region, plan);
  if (!box) return null;
  const size = pixels(12.5);
  const name = region.name.length > 26 ? `${region.name.slice(0, 25)}…` : region.name;
  const wide = (name.length * 0.65 + 1) * size;
  const x = clamp(box[0] + pixels(4), 0, Math.max(0, plan.width - wide));
  const y = clamp(box[1] + pixels(4), 0, plan.height - size * 1.5);
  const { fill: colour, ink } = colourOf(index);
  return s("g", { class: "label" },
    s("rect", { x, y, width: wide, height: size * 1.5, rx: size * 0.25, fill: colour }),
    s("text", { x: x + size * 0.5, y: y + size * 1.1, "font-size": size, fill: ink }, name));
}

function chosen() {
  const region = typeof view.selected === "number" ? scene.plan.regions[view.selected] : null;
  const box = region && bounds(region);
  if (!box) return null;
  const size = pixels(9);
  const handle = (x, y, name, on) =>
    s("rect", { class: "handle", x: x - size / 2, y: y - size / 2, width: size, height: size, "data-handle": name, fill: on ? "#20242c" : null });
  const parts = [s("rect", { class: "chosen", ...rect(box) })];
  if (region.box)
    for (const [name, [across, down]] of Object.entries(HANDLES))
      parts.push(handle(box[0] + across * (box[2] - box[0]), box[1] + down * (box[3] - box[1]), name));
  if (region.polygon) region.polygon.forEach(([x, y], n) => parts.push(handle(x, y, `corner ${n}`, n === view.corner)));
  return parts;
}

// The picture ---------------------------------------------------------------------------------------------------------

function show(id, url) {
  const image = $(id);
  image.hidden = !url;
  if (url && image.getAttribute("src") !== url) image.setAttribute("src", url);
  if (!url) image.removeAttribute("src");
}

function renderPicture() {
  show("under", null);
  const shown = shownRun();
  const empty = $("empty");
  let url = null;
  if (shown?.picture) url = pictureUrl(shown.run, shown.picture.name);
  else if (shown?.run.preview) url = `/api/runs/${shown.run.id}/preview?n=${shown.run.index}-${shown.run.step}`;
  if (url || !shown || shown.run.state !== "drawing") show("result", url);
  $("result").alt = shown ? `Drawn: ${shown.run.plan?.prompt ?? shown.run.title}` : "";
  empty.hidden = Boolean(url) || !$("result").hidden;
  if (!empty.hidden) fill(empty, h("p", {}, h("b", {}, emptyTitle(shown)), shown?.run.problem?.message ?? ""));
  renderBeside(shown);
  const plan = shown?.run.plan;
  fill(drawing, view.overlay && plan && plan.regions.flatMap((region, index) => overlaid(region, index, plan)));
}

function emptyTitle(shown) {
  const told = { waiting: "Waiting for its turn", loading: "The model is loading", drawing: "Drawing", failed: "Could not be drawn", cancelled: "Cancelled" };
  return told[shown?.run.state] ?? "No picture yet";
}

function renderBeside(shown) {
  const other = view.beside && view.runs.get(view.beside.run);
  const two = Boolean(shown?.picture && other);
  show("result2", two ? pictureUrl(other, view.beside.name) : null);
  $("divider").hidden = !two;
  $("frame").classList.toggle("two", two);
  $("tag1").hidden = $("tag2").hidden = !two;
  if (!two) return;
  $("frame").style.setProperty("--cut", `${$("divider").value}%`);
  $("tag1").textContent = nameOf(shown.run, shown.picture.name);
  $("tag2").textContent = nameOf(other, view.beside.name);
}

/** What tells a picture from others, in a few words. */
export function nameOf(run, name) {
  const picture = run.pictures.find((each) => each.name === name);
  const what = run.kind === "restyle" || run.kind === "repaint" ? run.title : run.drawn_by.replace("routing ", "");
  return `${what} · seed ${picture?.seed ?? "?"}`;
}

function overlaid(region, index, plan) {
  const colour = colourOf(index).fill;
  const on = view.area === region.name;
  if (region.mask) {
    const url = tintedMask(region.mask, index);
    return [url && s("image", { href: url, width: plan.width, height: plan.height, preserveAspectRatio: "none", opacity: on ? 0.55 : 0.35 }), label(region, index, plan)];
  }
  const d = outline(region);
  return [
    s("path", { class: "halo", d }),
    s("path", { class: on ? "shape seen on" : "shape seen", d, fill: colour, stroke: colour, "fill-rule": "evenodd" }),
    label(region, index, plan),
  ];
}
