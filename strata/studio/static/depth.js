// The routing as a strip of blocks × steps per level: chosen, painted, slid, or written.

import { chosen, goTo, moved, range, tell, tellThat } from "./cells.js";
import { $, busy, fill, h } from "./dom.js";
import { changeRouting, facts, scene, takeRouting, view } from "./store.js";

const PENS = [
  { name: "hear", label: "Heard", strength: 1, isolate: null },
  { name: "half", label: "Half", strength: 0.5, isolate: null },
  { name: "mute", label: "Silent", strength: 0, isolate: null },
  { name: "apart", label: "Isolate", strength: null, isolate: true },
  { name: "together", label: "Together", strength: null, isolate: false },
];
const pen = { ...PENS[0] };
let stroke = null; // {level, cells: Map} while a pen is down
let rules = null; // what is written in the text, while it is edited
let shown = null;
let lastUsed = "";

export function renderDepth() {
  const depth = view.depth;
  if (!depth) return fill($("depth"), h("p", { class: "note" }, view.depthProblem ?? "…"));
  if (stroke) return drawStrips();
  const used = ["high", "low", "full"].map(told).join();
  if (shown === depth && lastUsed === used && $("depth").dataset.problem === (view.depthProblem ?? "")) return;
  shown = depth;
  lastUsed = used;
  $("depth").dataset.problem = view.depthProblem ?? "";
  const preset = facts.presets.find((each) => each.name === depth.name);
  fill($("depth"),
    h("label", { class: "field" }, h("span", {}, "Routing"),
      h("select", { id: "preset", "data-key": "preset", onchange: (event) => event.target.value && takeRouting(event.target.value) },
        !preset && h("option", { value: "", selected: true }, depth.name),
        facts.presets.map((each) => h("option", { value: each.name, selected: each === preset }, each.name)))),
    depth.about && h("p", { class: "note" }, short(depth.about)),
    view.depthProblem && h("p", { class: "note bad", role: "alert" }, view.depthProblem),
    strips(depth),
    pens(depth),
    h("h3", {}, "Balance"),
    slider("heard", "Regions heard", depth.heard, 5, 100, 5, "%", "until this share of the steps; then the base prompt alone"),
    slider("base_ratio", "Base ratio", depth.base_ratio, 0, 1, 0.05, "", "how much the base prompt counts beside the regions"),
    slider("isolate", "Isolation", depth.isolated, 0, 100, 5, "%", "regions see each other only after this share of the steps"),
    roles(),
    h("details", { class: "more", open: rules !== null },
      h("summary", {}, "Rules as text"),
      h("label", {}, h("span", { class: "hidden" }, "Rules of the routing, as its file has them"),
        h("textarea", { id: "rules", spellcheck: "false", "data-key": "rules", value: rules ?? depth.text, oninput: (event) => { rules = event.target.value; } })),
      h("div", { class: "buttons" },
        h("button", { type: "button", class: "small", id: "apply", onclick: applyText }, "Apply"),
        h("button", { type: "button", class: "small quiet", onclick: () => { rules = null; shown = null; renderDepth(); } }, "Undo edits")),
      h("ul", { class: "summary" }, depth.summary.map((line) => h("li", {}, line)))),
  );
  drawStrips();
}

const short = (text) => (text.length > 170 ? `${text.slice(0, 168)}…` : text);

async function applyText() {
  if (await takeRouting($("rules").value)) rules = null;
}

function slider(op, label, value, min, max, step, unit, about) {
  const output = h("output", {}, `${value}${unit}`);
  return h("label", { class: "slider", title: about }, h("span", {}, label),
    h("input", {
      type: "range", min, max, step, value, "data-key": `slide ${op}`, "data-op": op,
      oninput: (event) => { output.textContent = `${event.target.value}${unit}`; },
      onchange: (event) => changeRouting({ [op]: Number(event.target.value) }, `slide ${op}`),
    }), output);
}

// The strips ----------------------------------------------------------------------------------------------------------

function strips(depth) {
  const levels = depth.views.filter((each) => each.level);
  const named = new Set(levels.map((each) => each.level));
  const silent = ["high", "low", "full"].filter((level) => !named.has(level))
    .map((level) => ({ level, name: `${level} ${facts.levels[level].meaning}`, areas: "silent", strength: depth.isolate.map((row) => row.map(() => 0)) }));
  return [
    h("div", { class: "axis" }, h("span", {}, `${depth.double} double blocks`), h("span", {}, `${depth.single} single`)),
    [...levels, ...silent].map((each, n) =>
      h("div", { class: `strip${told(each.level) ? "" : " unused"}` },
        h("div", { class: "name" }, h("i", { style: { background: `var(--${each.level})` } }), each.name, h("span", {}, told(each.level) ? each.areas : "no such text in the plan")),
        h("canvas", {
          tabindex: "0", role: "application", "aria-roledescription": "strip", "data-strip": n, "data-level": each.level, "data-key": keyOf(each, n, levels),
          "aria-label": `${each.name}, ${each.areas}: rows are ${depth.steps} steps, columns ${depth.double + depth.single} blocks. ${depth.summary.filter((line) => line.startsWith(each.level)).join("; ")}`,
          onpointerdown: (event) => begin(event, each), onpointermove: drawOn, onpointerup: end, onpointercancel: end,
          onkeydown: (event) => press(event, each), onfocus: () => focused(each), onblur: drawStrips,
        }))),
    h("div", { class: "axis" }, h("span", {}, "↓ steps · hatched: regions isolated"), h("span", {}, depth.title.split(", ").slice(-1)[0])),
    depth.views.filter((each) => !each.level).map((each) => h("p", { class: "note" }, `${each.name}: ${each.areas}`)),
  ];
}

/** Names a strip for the focus: its level, which stays where a silent one becomes one that is heard. */
const keyOf = (each, n, levels) => `strip ${each.level} ${levels.slice(0, n).filter((other) => other.level === each.level).length}`;

/** Whether the plan has a text of a level. */
function told(level) {
  const { plan } = scene;
  return Boolean(plan[level] || plan.background?.[level] || plan.regions.some((each) => each[level]));
}

function pens(depth) {
  if (!depth.paintable) return h("p", { class: "note" }, "This routing has rules for some regions only: edit its text.");
  return h("div", { class: "pens", role: "group", "aria-label": "Pen for the strips" }, h("span", { class: "note" }, "Pen"),
    PENS.map((each, n) => h("button", { type: "button", title: `${n + 1} on a strip`, "aria-pressed": String(pen.name === each.name), "data-pen": each.name,
      onclick: () => { Object.assign(pen, each); shown = null; renderDepth(); } }, each.label)));
}

const ROW = 6;
const GAP = 5;

function layout(canvas, depth) {
  const wide = canvas.clientWidth || 300;
  const blocks = depth.double + depth.single;
  const gap = depth.double && depth.single ? GAP : 0;
  const row = Math.max(3, Math.min(ROW, 150 / depth.steps));
  const cell = (wide - gap) / blocks;
  return { wide, tall: Math.round(row * depth.steps), row, cell, left: (block) => block * cell + (block >= depth.double ? gap : 0) };
}

function drawStrips() {
  const depth = view.depth;
  const levels = depth.views.filter((each) => each.level);
  for (const canvas of document.querySelectorAll("[data-strip]")) {
    const each = levels[Number(canvas.dataset.strip)];
    drawStrip(canvas, depth, each?.strength ?? null, canvas.dataset.level);
  }
}

function drawStrip(canvas, depth, strength, level) {
  const place = layout(canvas, depth);
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(place.wide * ratio);
  canvas.height = Math.round(place.tall * ratio);
  canvas.style.height = `${place.tall}px`;
  const pen2 = canvas.getContext("2d");
  pen2.scale(ratio, ratio);
  const style = getComputedStyle(document.documentElement);
  const [empty, colour, paper] = ["--wash", `--${level}`, "--panel"].map((name) => style.getPropertyValue(name));
  for (let step = 0; step < depth.steps; step += 1)
    for (let block = 0; block < depth.double + depth.single; block += 1) {
      const [x, y] = [place.left(block), step * place.row];
      const size = [Math.max(1, place.cell - (place.cell > 9 ? 1.5 : 0.6)), place.row + 0.4];
      const value = painted(level, step, block) ?? strength?.[step]?.[block] ?? 0;
      pen2.globalAlpha = 1;
      pen2.fillStyle = empty;
      pen2.fillRect(x, y, ...size);
      if (value > 0) {
        pen2.globalAlpha = 0.25 + 0.75 * value;
        pen2.fillStyle = colour;
        pen2.fillRect(x, y, ...size);
      }
      if (value > 0 && isolated(depth, level, step, block)) {
        pen2.globalAlpha = 0.8;
        pen2.strokeStyle = paper;
        pen2.lineWidth = 1;
        pen2.beginPath();
        for (let from = 0; from < size[0]; from += 6) {
          pen2.moveTo(x + from, y + place.row);
          pen2.lineTo(x + Math.min(size[0], from + place.row), y + Math.max(0, place.row - (size[0] - from)));
        }
        pen2.stroke();
      }
    }
  if (document.activeElement === canvas) drawCursor(pen2, place, depth, style);
}

/** A frame around the cells that the keyboard has chosen. */
function drawCursor(pen2, place, depth, style) {
  const { steps, blocks } = range(depth);
  const [x, y] = [place.left(blocks[0]), steps[0] * place.row];
  const [wide, tall] = [place.left(blocks[1]) + place.cell - x, (steps[1] + 1 - steps[0]) * place.row];
  pen2.globalAlpha = 1;
  for (const [colour, width] of [["--panel", 4], ["--ink", 2]]) {
    pen2.strokeStyle = style.getPropertyValue(colour);
    pen2.lineWidth = width;
    pen2.strokeRect(x + 1, y + 1, Math.max(wide - 2, 1), Math.max(tall - 2, 1));
  }
}

const painted = (level, step, block) => (stroke?.level === level && pen.strength !== null && stroke.cells.has(`${step},${block}`) ? pen.strength : null);

function isolated(depth, level, step, block) {
  if (stroke && pen.isolate !== null && stroke.cells.has(`${step},${block}`)) return pen.isolate;
  return depth.isolate[step]?.[block];
}

function begin(event, each) {
  if (!view.depth.paintable) return;
  event.target.setPointerCapture(event.pointerId);
  stroke = { level: each.level, cells: new Map(), canvas: event.target };
  drawOn(event);
}

function drawOn(event) {
  if (!stroke) return;
  const depth = view.depth;
  const place = layout(stroke.canvas, depth);
  const rect = stroke.canvas.getBoundingClientRect();
  const [x, y] = [event.clientX - rect.left, event.clientY - rect.top];
  const step = Math.floor(y / place.row);
  let block = -1;
  for (let n = 0; n < depth.double + depth.single; n += 1) if (x >= place.left(n)) block = n;
  if (step < 0 || step >= depth.steps || block < 0) return;
  const [from, to] = [stroke.last ?? [step, block], [step, block]];
  const far = Math.max(Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1]), 1);
  for (let n = 0; n <= far; n += 1) {
    const cell = from.map((start, side) => Math.round(start + ((to[side] - start) * n) / far));
    stroke.cells.set(cell.join(), cell);
  }
  stroke.last = to;
  goTo(...to);
  drawStrips();
}

async function end() {
  if (!stroke) return;
  const done = stroke;
  await paint(done.level, [...done.cells.values()]);
  stroke = null;
  shown = null;
  renderDepth();
}

let painting = Promise.resolve();

/** Paints cells with the pen; one stroke after the other, as each changes the text that the one before has made. */
function paint(level, cells) {
  const { strength, isolate } = pen;
  busy(1);
  painting = painting.then(() => changeRouting({ paint: { level, cells, strength, isolate } })).finally(() => busy(-1));
  return painting;
}

// The strips by the keyboard ------------------------------------------------------------------------------------------

function focused(each) {
  tell(view.depth, each.name, each.strength);
  drawStrips();
}

function press(event, each) {
  const { depth } = view;
  if (moved(event, depth)) {
    event.preventDefault();
    return focused(each);
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const picked = PENS["12345".indexOf(event.key)];
  if (!picked && event.key !== "Enter" && event.key !== " ") return;
  event.preventDefault();
  if (!depth.paintable) return tellThat("This routing has rules for some regions only: edit its text.");
  if (picked) Object.assign(pen, picked);
  paintChosen(each.level);
}

async function paintChosen(level) {
  const name = pen.label;
  await paint(level, chosen(view.depth));
  shown = null;
  renderDepth();
  const now = view.depth.views.find((each) => each.level === level);
  if (view.depthProblem) tellThat(view.depthProblem);
  else tell(view.depth, now?.name ?? level, now?.strength ?? null, `${name}: `);
}

// What was measured ---------------------------------------------------------------------------------------------------

function roles() {
  if (!facts.roles.length) return null;
  return [h("h3", {}, "Measured roles of the blocks"),
    facts.roles.map((row) => {
      const top = Math.max(0.05, ...row.values.map((value) => Math.abs(value ?? 0)));
      return h("div", { class: "strip", title: row.about },
        h("div", { class: "name" }, h("i", { style: { background: `var(--${row.level})` } }), row.name, h("span", {}, `at most ${Math.round(100 * top)} %`)),
        h("div", { class: "roles", role: "img", "aria-label": `${row.name}, ${row.about}: ${row.values.map((v, n) => `block ${n} ${Math.round(100 * (v ?? 0))} %`).join(", ")}` },
          row.values.map((value, n) => h("i", { class: n === view.depth.double ? "first" : null, style: { background: `var(--${row.level})`, opacity: 0.08 + 0.92 * Math.max(0, value ?? 0) / top } }))));
    })];
}

export function redrawDepth() {
  shown = null;
  renderDepth();
}
