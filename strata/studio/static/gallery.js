// The pictures of the session, the newest first.

import { $, fill, h } from "./dom.js";
import { changed, view } from "./store.js";
import { ended } from "./runs.js";
import { pictureUrl } from "./stage.js";

const KINDS = { draw: "", versus: "versus", restyle: "restyled", repaint: "repainted", probe: "probed" };
let shown = "";

export function renderGallery() {
  const items = [...view.runs.values()].filter((run) => run.kind !== "plan").reverse().flatMap(entries);
  const key = JSON.stringify(items.map((each) => each.key)) + JSON.stringify(view.picture);
  if (key === shown) return;
  shown = key;
  fill($("gallery"), items.map(({ run, name, picture }) => {
    const current = view.picture?.run === run.id && (view.picture.name === name || (!name && !view.picture.name));
    return h("li", {}, h("button", {
      type: "button", "data-key": `${run.id} ${name}`, "data-run": run.id, "data-state": run.state,
      "aria-current": String(current), "aria-label": told(run, picture), title: told(run, picture),
      onclick: (event) => (event.shiftKey && picture ? compare(run, name) : choose(run, name)),
    }, picture ? thumbnail(run, picture) : progress(run)));
  }));
}

function entries(run) {
  const found = run.pictures.map((picture) => ({ run, name: picture.name, picture, key: [run.id, picture.name, picture.judged !== null] }));
  if (!ended(run) || !run.pictures.length) found.unshift({ run, name: "", picture: null, key: [run.id, run.state, run.step, run.index, run.place] });
  return found;
}

function told(run, picture) {
  if (!picture) return `${run.title}: ${run.state}${run.problem ? `, ${run.problem.message}` : ""}`;
  return `${run.title}, ${KINDS[run.kind] || run.drawn_by}, seed ${picture.seed}`;
}

function thumbnail(run, picture) {
  const score = right(picture);
  return [
    h("img", { src: pictureUrl(run, picture.name, false), alt: "", loading: "lazy" }),
    KINDS[run.kind] && h("span", { class: "kind" }, KINDS[run.kind]),
    score && h("span", { class: `mark${score[0] < score[1] ? " part" : ""}`, title: `${score[0]} of ${score[1]} regions obeyed` }, `${score[0]}/${score[1]}`),
  ];
}

/** How many regions are right, and of how many; null where nobody judged. */
export function right(picture) {
  const objects = picture.judged?.objects;
  return objects?.length ? [objects.filter((each) => each.success).length, objects.length] : null;
}

function progress(run) {
  const share = (100 * run.step) / Math.max(run.total, 1);
  return [
    run.preview ? h("img", { src: `/api/runs/${run.id}/preview?n=${run.index}-${run.step}`, alt: "" }) : h("span", { class: "text" }, run.state === "waiting" && run.place ? `waits: ${run.place} before it` : run.state),
    run.state === "drawing" && h("span", { class: "bar", style: { width: `${share}%` } }),
  ];
}

function choose(run, name) {
  view.picture = { run: run.id, name };
  view.beside = null;
  view.mode = "picture";
  view.area = null;
  changed();
}

/** Shows a picture beside the one that is looked at. */
function compare(run, name) {
  view.beside = { run: run.id, name };
  view.mode = "picture";
  changed();
}
