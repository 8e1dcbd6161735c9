// Brush and eraser: strokes on a canvas of the plan's size, kept by the server as a mask.

import { $, blobOf, upload } from "./dom.js";
import { addRegion, changed, colourOf, commit, region, scene, view } from "./store.js";
import { maskOf } from "./shapes.js";
import { pixels } from "./stage.js";

const paint = $("paint");
let last = null;
let erasing = false;
let into = null; // the region that the stroke goes into; null: a new one
let base = null;
let keeping = false; // a stroke is on its way to the server

/** Begins a stroke; false where there is nothing to erase. */
export function paintStart(x, y, tool) {
  const chosen = region();
  erasing = tool === "erase";
  if (keeping || (erasing && !chosen)) return false;
  into = erasing || chosen?.mask ? chosen : null;
  base = into?.mask ? maskOf(into.mask) : null;
  paint.width = scene.plan.width;
  paint.height = scene.plan.height;
  paint.hidden = false;
  paint.style.opacity = erasing ? 0.75 : 0.6;
  last = [x, y];
  paintMove(x, y);
  return true;
}

export function paintMove(x, y) {
  const pen = paint.getContext("2d");
  const index = into ? scene.plan.regions.indexOf(into) : scene.plan.regions.length;
  pen.strokeStyle = erasing ? "#ffffff" : colourOf(index).fill;
  pen.lineWidth = size();
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath();
  pen.moveTo(...last);
  pen.lineTo(x + 0.01, y);
  pen.stroke();
  last = [x, y];
}

/** Of the brush, in pixels of the plan: the slider is a share of the shorter side. */
function size() {
  return Math.max(pixels(2), (Number($("brush-size").value) / 100) * Math.min(scene.plan.width, scene.plan.height));
}

export async function paintEnd() {
  const stroke = document.createElement("canvas");
  stroke.width = paint.width;
  stroke.height = paint.height;
  stroke.getContext("2d").drawImage(paint, 0, 0);
  keeping = true;
  try {
    const content = await merged(stroke);
    const { mask } = await upload(`masks?width=${scene.plan.width}&height=${scene.plan.height}`, content);
    keepMask(mask);
  } catch (error) {
    view.look = { ...view.look, problems: [{ message: error.message, field: null, region: null }] };
    changed();
  } finally {
    keeping = false;
    paint.hidden = true;
    paint.getContext("2d").clearRect(0, 0, paint.width, paint.height);
  }
}

function keepMask(mask) {
  if (!into || !scene.plan.regions.includes(into)) return addRegion({ mask });
  delete into.box;
  delete into.polygon;
  delete into.mask_threshold;
  into.mask = mask;
  commit();
}

/** The region's pixels with the stroke added or taken away: white on black. */
async function merged(stroke) {
  const canvas = document.createElement("canvas");
  canvas.width = stroke.width;
  canvas.height = stroke.height;
  const pen = canvas.getContext("2d");
  const before = await pixelsBefore();
  if (before) pen.drawImage(before, 0, 0, canvas.width, canvas.height);
  pen.globalCompositeOperation = erasing ? "destination-out" : "source-over";
  pen.drawImage(stroke, 0, 0);
  const data = pen.getImageData(0, 0, canvas.width, canvas.height);
  for (let n = 0; n < data.data.length; n += 4) {
    const inside = data.data[n + 3] > 127 ? 255 : 0;
    data.data[n] = data.data[n + 1] = data.data[n + 2] = inside;
    data.data[n + 3] = 255;
  }
  pen.putImageData(data, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/** Where alpha is inside; a box or a polygon that is erased from becomes a mask on the server. */
async function pixelsBefore() {
  if (base) return base.canvas;
  if (!into) return null;
  const { width, height } = scene.plan;
  const { name, box, polygon, mask } = into;
  const plan = { width, height, prompt: "", regions: [{ name, full: "-", ...(box ? { box } : polygon ? { polygon } : { mask }) }] };
  const image = await createImageBitmap(await blobOf("mask", { plan, region: 0 }));
  const canvas = document.createElement("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0);
  const data = pen.getImageData(0, 0, canvas.width, canvas.height);
  for (let n = 0; n < data.data.length; n += 4) data.data[n + 3] = data.data[n];
  pen.putImageData(data, 0, 0);
  return canvas;
}
