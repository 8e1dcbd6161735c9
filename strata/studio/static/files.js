// What is opened, saved, imported and exported.

import { $, blobOf, download, fill, h, post, remove, upload } from "./dom.js";
import { addRegion, changed, commit, facts, keep, scene, takePlan, view } from "./store.js";
import { refuse, say } from "./runs.js";
import { underlay } from "./stage.js";

const dialog = $("dialog");

function open(title, ...children) {
  dialog.className = "";
  fill(dialog, h("h2", { id: "dialog-title" }, title), children);
  dialog.showModal();
}

const close = () => h("form", { method: "dialog", class: "buttons" }, h("button", {}, "Close"));

function openDialog() {
  const form = h("select", { id: "form" }, h("option", { value: "" }, "Strata: plan, routing, .zip, picture"), facts.imports.map((each) => h("option", { value: each }, each)));
  const file = h("input", { type: "file", id: "file", accept: ".yaml,.yml,.json,.png,.zip,.txt,.parquet,.jsonl", onchange: () => take(file.files[0], form.value) });
  const mask = h("input", { type: "file", id: "mask-file", accept: "image/*", onchange: () => takeMask(mask.files[0]) });
  open("Open",
    h("div", { class: "drop" }, h("p", {}, "Drop a file anywhere on the page, or choose one"), h("label", { class: "field" }, h("span", { class: "hidden" }, "File"), file)),
    h("label", { class: "field" }, h("span", {}, "What it is"), form),
    h("label", { class: "field" }, h("span", {}, "Or load a mask (white is inside) as a region"), mask),
    h("p", { class: "note" }, "Pictures that Strata drew hold their plan, routing and seed. Nothing in a file is executed."),
    h("p", { class: "note bad", id: "why", role: "alert" }), close());
}

async function take(file, form = "") {
  if (!file) return;
  const { width, height } = scene.plan;
  const query = new URLSearchParams({ name: file.name, form, width, height });
  try {
    const found = await upload(`open?${query}`, file);
    if (found.plan) takePlan({ width, height, ...found.plan });
    if (found.routing) scene.routing = found.routing;
    if (found.settings) for (const [name, value] of Object.entries(found.settings)) scene.settings[name] = String(value);
    view.mode = "edit";
    dialog.close();
    say([`Opened ${file.name}`, ...(found.notes ?? [])].join(" · "));
    commit();
  } catch (error) {
    const why = dialog.open && $("why");
    if (why) why.textContent = error.message;
    else refuse(error);
  }
}

async function takeMask(file) {
  if (!file) return;
  try {
    const { mask } = await upload(`masks?width=${scene.plan.width}&height=${scene.plan.height}`, file);
    dialog.close();
    view.mode = "edit";
    addRegion({ mask });
  } catch (error) {
    $("why").textContent = error.message;
  }
}

async function save() {
  try {
    download(await blobOf("save", { plan: scene.plan, routing: scene.routing }), "scene.zip");
    say("Saved as scene.zip: plan.yaml, routing.yaml, masks, layout.png");
  } catch (error) {
    refuse(error);
  }
}

function exportDialog() {
  const area = h("textarea", { readonly: true, id: "exported", "aria-label": "The plan in this form" });
  const notes = h("div");
  const form = h("select", { id: "export-form", onchange: write }, facts.exports.map((each) => h("option", { value: each }, each)));
  async function write() {
    try {
      const { text, notes: told } = await post("export", { plan: scene.plan, form: form.value });
      area.value = text;
      fill(notes, told.map((each) => h("p", { class: "note warn" }, each)));
    } catch (error) {
      area.value = "";
      fill(notes, h("p", { class: "note bad", role: "alert" }, error.message));
    }
  }
  open("Export the plan as a model's own caption",
    h("label", { class: "field" }, h("span", {}, "Form"), form), area, notes,
    h("div", { class: "buttons" }, h("button", { type: "button", onclick: () => download(new Blob([area.value]), `${form.value}.txt`) }, "Download")), close());
  write();
}

const KEYS = [
  ["V B P M E", "select, box, polygon, brush, eraser"], ["N", "a new box in the middle"], ["Arrow keys", "move the region; with Shift resize it; with Alt by one pixel"],
  ["Enter", "to its texts; closes a polygon"], ["Delete", "remove the region, or the chosen corner"], ["[ ]", "further back, further to the front"],
  ["Ctrl+C X V D", "copy, cut, paste, duplicate"], ["Ctrl+Z, Ctrl+Shift+Z", "undo, redo"], ["O", "regions over the picture"], ["Shift+click", "on a picture below: beside the one that is shown"], ["Ctrl+Enter", "draw"], ["Alt", "while dragging: off the token grid"],
  ["Arrow keys, Shift", "on a strip of the depth: go through its cells, choose a range; Ctrl+A takes all"], ["Home End PgUp PgDn", "on a strip: first and last block, first and last step"],
  ["1 2 3 4 5, Enter", "on a strip: paint it heard, half, silent, isolated, together; with the chosen pen"],
];

function helpDialog() {
  const words = Object.entries(facts.model.words ?? {});
  open("Keys and words",
    h("dl", {}, KEYS.map(([keys, what]) => [h("dt", {}, h("kbd", {}, keys)), h("dd", {}, what)])),
    words.length > 0 && [h("h3", {}, `What the model ${facts.model.name} knows`),
      words.map(([group, known]) => h("details", { class: "more" }, h("summary", {}, `${group} (${known.length})`), h("p", { class: "words" }, known.map((each) => h("span", {}, each)))))],
    h("p", { class: "note" }, `Strata ${facts.version} · model ${facts.model.name}${facts.model.device ? ` on ${facts.model.device}` : ""} · planner ${facts.planner}`), close());
}

let laid = 0; // counts what is chosen, so that a late answer does not undo a later choice

/** The server keeps what lies below the canvas: a reload finds it again. */
async function layUnder(chosen) {
  const number = ++laid;
  try {
    const content = await chosen();
    if (number !== laid) return;
    const { underlay: name } = content ? await upload("underlay", content) : await remove("underlay");
    if (number === laid) showUnderlay(name);
  } catch (error) {
    say(error.message, true);
    showUnderlay(under);
  }
}

function takeUnderlay(choice) {
  if (choice === "file") {
    $("underlay").value = under ? "kept" : "";
    return $("underlay-file").click();
  }
  if (choice === "kept") return;
  const shown = view.picture?.name ? view.picture : null;
  if (choice !== "picture") return layUnder(() => null);
  if (shown) return layUnder(async () => (await fetch(`/api/runs/${shown.run}/files/${shown.name}`)).blob());
  say("There is no picture yet", true);
  showUnderlay(under);
}

let under = null; // the name of what lies below

/** Shows what the server keeps under this name; null: nothing. */
export function showUnderlay(name) {
  under = name;
  underlay.url = name && `/api/underlay/${name}`;
  if (name) $("work").dataset.under = "";
  else delete $("work").dataset.under;
  $("underlay").querySelector("[value=kept]").hidden = !name;
  $("underlay").value = name ? "kept" : "";
  $("opacity").value = 100 * scene.opacity;
  changed();
}

export function startFiles() {
  $("open").addEventListener("click", openDialog);
  $("save").addEventListener("click", save);
  $("export").addEventListener("click", exportDialog);
  $("help").addEventListener("click", helpDialog);
  $("underlay").addEventListener("change", (event) => takeUnderlay(event.target.value));
  $("underlay-file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    if (file) layUnder(() => file);
    event.target.value = ""; // the same one can be chosen again
  });
  $("opacity").addEventListener("input", (event) => {
    scene.opacity = Number(event.target.value) / 100;
    keep();
    changed();
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    take(event.dataTransfer.files[0], dialog.open ? $("form")?.value : "");
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "?" && !event.target.matches("input, textarea")) helpDialog();
  });
}
