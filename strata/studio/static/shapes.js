// The geometry of regions on the canvas: in pixels of the plan.

import { clamp } from "./dom.js";
import { changed, colourOf, facts, scene, view } from "./store.js";

const masks = new Map(); // name → {canvas, data} once it is loaded

/** A mask's pixels as a canvas whose alpha is 255 inside; null while it loads. */
export function maskOf(name) {
  const known = masks.get(name);
  if (known !== undefined) return known;
  masks.set(name, null);
  const image = new Image();
  image.onload = () => {
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.drawImage(image, 0, 0);
    const data = pen.getImageData(0, 0, canvas.width, canvas.height);
    for (let n = 0; n < data.data.length; n += 4) {
      data.data[n + 3] = data.data[n] > 127 ? 255 : 0;
      data.data[n] = data.data[n + 1] = data.data[n + 2] = 0;
    }
    pen.putImageData(data, 0, 0);
    masks.set(name, { canvas, data });
    changed();
  };
  image.src = `/api/${name}`;
  return null;
}

const tinted = new Map();

/** A mask in a colour, as a data URL. */
export function tintedMask(name, index) {
  const mask = maskOf(name);
  if (!mask) return null;
  const key = `${name} ${colourOf(index).fill}`;
  if (!tinted.has(key)) {
    const canvas = document.createElement("canvas");
    canvas.width = mask.canvas.width;
    canvas.height = mask.canvas.height;
    const pen = canvas.getContext("2d");
    pen.drawImage(mask.canvas, 0, 0);
    pen.globalCompositeOperation = "source-in";
    pen.fillStyle = colourOf(index).fill;
    pen.fillRect(0, 0, canvas.width, canvas.height);
    if (tinted.size > 200) tinted.clear();
    tinted.set(key, canvas.toDataURL());
  }
  return tinted.get(key);
}

/** The smallest box around a region: [x1, y1, x2, y2]; null for a mask that loads. */
export function bounds(region, plan = scene.plan) {
  if (region.box) return [...region.box];
  if (region.polygon) {
    const xs = region.polygon.map(([x]) => x);
    const ys = region.polygon.map(([, y]) => y);
    return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
  }
  const mask = region.mask && maskOf(region.mask);
  if (!mask) return null;
  mask.box ??= boxOf(mask);
  const [x1, y1, x2, y2] = mask.box;
  const [wide, tall] = [plan.width / mask.canvas.width, plan.height / mask.canvas.height];
  return [x1 * wide, y1 * tall, x2 * wide, y2 * tall];
}

function boxOf({ canvas, data }) {
  let [left, top, right, bottom] = [canvas.width, canvas.height, 0, 0];
  for (let y = 0; y < canvas.height; y += 1)
    for (let x = 0; x < canvas.width; x += 1)
      if (data.data[4 * (y * canvas.width + x) + 3]) {
        left = Math.min(left, x);
        right = Math.max(right, x + 1);
        top = Math.min(top, y);
        bottom = Math.max(bottom, y + 1);
      }
  return [left, top, right, bottom];
}

function inside(region, x, y, plan) {
  if (region.box) return x >= region.box[0] && x < region.box[2] && y >= region.box[1] && y < region.box[3];
  if (region.polygon) {
    let odd = false;
    region.polygon.forEach(([x1, y1], n) => {
      const [x2, y2] = region.polygon[(n + 1) % region.polygon.length];
      if (y1 > y !== y2 > y && x < x1 + ((y - y1) * (x2 - x1)) / (y2 - y1)) odd = !odd;
    });
    return odd;
  }
  const mask = region.mask && maskOf(region.mask);
  if (!mask) return false;
  const column = Math.floor((x / plan.width) * mask.canvas.width);
  const row = Math.floor((y / plan.height) * mask.canvas.height);
  return mask.data.data[4 * (row * mask.canvas.width + column) + 3] > 0;
}

/** The index of the uppermost region at a point; the selected one where it is there too; null for none. */
export function regionAt(x, y, plan = scene.plan) {
  const here = plan.regions.map((region, index) => (inside(region, x, y, plan) ? index : -1)).filter((n) => n >= 0);
  if (plan === scene.plan && here.includes(view.selected)) return view.selected;
  return here.length ? here[here.length - 1] : null;
}

/** The next region below the selected one at a point, for a second click. */
export function nextAt(x, y) {
  const here = scene.plan.regions.map((r, i) => (inside(r, x, y, scene.plan) ? i : -1)).filter((n) => n >= 0);
  if (!here.length) return null;
  const place = here.indexOf(view.selected);
  return here[(place - 1 + here.length) % here.length];
}

/** A coordinate on the token grid, where that is asked for. */
export function snapped(value, size, free = false) {
  const step = view.snap && !free ? facts.model.token : 1;
  return clamp(Math.round(value / step) * step, 0, size);
}

export function movedBy(region, dx, dy) {
  const { width, height } = scene.plan;
  if (region.box) {
    const [x1, y1, x2, y2] = region.box;
    const x = clamp(x1 + dx, 0, width - (x2 - x1));
    const y = clamp(y1 + dy, 0, height - (y2 - y1));
    return { box: [x, y, x + x2 - x1, y + y2 - y1] };
  }
  const box = bounds(region);
  const [left, top] = [clamp(dx, -box[0], width - box[2]), clamp(dy, -box[1], height - box[3])];
  return { polygon: region.polygon.map(([x, y]) => [x + left, y + top]) };
}

/** What a handle ("nw", "e", …) makes of a box when it is dragged to a point. */
export function resizedBox(box, handle, x, y) {
  let [x1, y1, x2, y2] = box;
  const least = view.snap ? facts.model.token : 1;
  if (handle.includes("w")) x1 = Math.min(x, x2 - least);
  if (handle.includes("e")) x2 = Math.max(x, x1 + least);
  if (handle.includes("n")) y1 = Math.min(y, y2 - least);
  if (handle.includes("s")) y2 = Math.max(y, y1 + least);
  return [Math.max(0, x1), Math.max(0, y1), Math.min(scene.plan.width, x2), Math.min(scene.plan.height, y2)];
}

export const HANDLES = { nw: [0, 0], n: [0.5, 0], ne: [1, 0], e: [1, 0.5], se: [1, 1], s: [0.5, 1], sw: [0, 1], w: [0, 0.5] };
