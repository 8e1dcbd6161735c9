// The strips of the routing by the keyboard: a cell of steps × blocks, or a range of them, and what is told of it.

import { $, clamp } from "./dom.js";

const at = { step: 0, block: 0 }; // where the cursor is, the same on every strip
let anchor = null; // the other corner of a range; null: the cell alone

/** The first and last step and block that are chosen. */
export function range(depth) {
  const blocks = depth.double + depth.single;
  const inside = (cell) => [clamp(cell.step, 0, depth.steps - 1), clamp(cell.block, 0, blocks - 1)];
  const [one, other] = [inside(at), inside(anchor ?? at)];
  const ends = [0, 1].map((side) => [Math.min(one[side], other[side]), Math.max(one[side], other[side])]);
  return { steps: ends[0], blocks: ends[1] };
}

/** Those cells, as [step, block]. */
export function chosen(depth) {
  const { steps, blocks } = range(depth);
  const found = [];
  for (let step = steps[0]; step <= steps[1]; step += 1) for (let block = blocks[0]; block <= blocks[1]; block += 1) found.push([step, block]);
  return found;
}

/** The cursor goes to a cell, as a pointer chose it. */
export function goTo(step, block) {
  Object.assign(at, { step, block });
  anchor = null;
}

/** Whether a key moves the cursor or changes the range; then it has done so. */
export function moved(event, depth) {
  const last = { step: depth.steps - 1, block: depth.double + depth.single - 1 };
  if (event.key === "a" && (event.ctrlKey || event.metaKey)) {
    anchor = { step: 0, block: 0 };
    Object.assign(at, last);
    return true;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  if (event.key === "Escape" && anchor) {
    anchor = null;
    return true;
  }
  const to = {
    ArrowLeft: { block: at.block - 1 }, ArrowRight: { block: at.block + 1 }, ArrowUp: { step: at.step - 1 }, ArrowDown: { step: at.step + 1 },
    Home: { block: 0 }, End: { block: last.block }, PageUp: { step: 0 }, PageDown: { step: last.step },
  }[event.key];
  if (!to) return false;
  if (!event.shiftKey) anchor = null;
  else anchor ??= { ...at };
  const { step, block } = { ...at, ...to };
  Object.assign(at, { step: clamp(step, 0, last.step), block: clamp(block, 0, last.block) });
  return true;
}

/** Says what is chosen of a strip: where it is, and how it is heard there. */
export function tell(depth, name, strength, note = "") {
  const cells = chosen(depth);
  const { steps, blocks } = range(depth);
  const kinds = new Map();
  for (const [step, block] of cells) {
    const what = heardAs(strength?.[step]?.[block] ?? 0, depth.isolate[step]?.[block]);
    kinds.set(what, (kinds.get(what) ?? 0) + 1);
  }
  const what = kinds.size === 1 ? [...kinds.keys()][0] : [...kinds].map(([each, count]) => `${count} ${each}`).join("; ");
  const where = `${span("step", steps, depth.steps)}, ${blocksTold(blocks, depth)}`;
  const text = `${note}${name}, ${where}${cells.length > 1 ? `, ${cells.length} cells` : ""}: ${what}`;
  if ($("cell").textContent !== text) $("cell").textContent = text;
}

export function tellThat(text) {
  $("cell").textContent = text;
}

function heardAs(value, isolated) {
  if (value <= 0) return "silent";
  return `heard${value < 1 ? ` at ${Number(value.toFixed(2))}` : ""}${isolated ? ", isolated" : ""}`;
}

const span = (noun, [first, last], count) => (first === last ? `${noun} ${first + 1} of ${count}` : `${noun}s ${first + 1} to ${last + 1} of ${count}`);

function blocksTold([first, last], { double, single }) {
  const parts = [];
  if (first < double) parts.push(span("double block", [first, Math.min(last, double - 1)], double));
  if (last >= double) parts.push(span("single block", [Math.max(first, double) - double, last - double], single));
  return parts.join(" and ");
}
