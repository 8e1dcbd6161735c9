// The panel of the picture that is looked at: what it is, whether its regions obeyed, what can be made of it.

import { $, fill, h, post } from "./dom.js";
import { changed, colourOf, commit, facts, scene, takePlan, view } from "./store.js";
import { ended, queued, refuse, say, triesAt } from "./runs.js";
import { nameOf, pictureUrl, shownRun } from "./stage.js";

let drawn = "";
const written = { low: "", high: "", seed: "", words: "" };

export function renderPicture() {
  renderBesides();
  const shown = shownRun();
  const key = JSON.stringify([shown?.run.id, shown?.picture, shown?.run.state, view.area, shown?.run.notes, shown?.run.tries?.length]);
  if (key === drawn) return;
  drawn = key;
  if (!shown?.picture) return fill($("picture"), h("p", { class: "note" }, shown ? stateOf(shown.run) : "Draw something, or choose a picture below."), shown && tried(shown.run, shown.run.index, null), shown && !ended(shown.run) && cancel(shown.run));
  const { run, picture } = shown;
  fill($("picture"), about(run, picture), obeyed(run, picture), tried(run, run.pictures.indexOf(picture), picture.kept), changes(run, picture), files(run, picture));
}

const stateOf = (run) => run.problem?.message ?? `${run.state[0].toUpperCase()}${run.state.slice(1)}`;

const cancel = (run) => h("button", { type: "button", class: "small", onclick: () => post(`runs/${run.id}/cancel`).catch(refuse) }, "Cancel this run");

function about(run, picture) {
  const rows = [
    ["Drawn by", run.drawn_by],
    ["Seed", picture.seed],
    ["Size", `${picture.width} × ${picture.height}, ${run.total} steps, ${picture.seconds} s`],
    run.kind === "restyle" || run.kind === "repaint" ? [run.kind === "restyle" ? "Restyled" : "Repainted", run.title] : null,
  ].filter(Boolean);
  return [
    h("p", {}, run.plan.prompt || run.title),
    h("dl", { class: "facts" }, rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))])),
    run.notes.map((note) => h("p", { class: "note warn" }, note)),
    h("div", { class: "buttons" },
      h("button", { type: "button", class: "small", onclick: () => reopen(run, picture) }, "Edit this"),
      h("button", { type: "button", class: "small", onclick: () => { scene.settings.seed = String(picture.seed); $("seed").value = picture.seed; changed(); say(`The next picture has seed ${picture.seed}`); } }, "Keep the seed"),
      run.page && h("button", { type: "button", class: "small", onclick: () => $("tab-attention").click() }, "Attention")),
  ];
}

async function reopen(run, picture) {
  try {
    const found = await post(`runs/${run.id}/reopen`, { picture: picture.name });
    takePlan(found.plan);
    if (found.routing) scene.routing = found.routing;
    Object.assign(scene.settings, { seed: String(found.settings.seed ?? ""), steps: String(found.settings.steps ?? ""), method: found.settings.method ?? "" });
    view.mode = "edit";
    commit();
  } catch (error) {
    refuse(error);
  }
}

function obeyed(run, picture) {
  const { judged } = picture;
  if (!judged) return facts.judge && !["done", "failed", "cancelled"].includes(run.state) ? h("p", { class: "note" }, "The judge looks at it…") : null;
  if (judged.refused) return [h("h3", {}, "Did each region obey?"), h("p", { class: "note" }, judged.refused)];
  const rows = judged.objects.map((each) => {
    const wrong = Object.entries(each.right).filter(([, is]) => !is).map(([name]) => `${name} ${each.found[name] ?? "?"}`);
    const index = run.plan.regions.findIndex((region) => region.name === each.region);
    return h("li", {},
      h("i", { class: "chip", style: { background: colourOf(Math.max(index, 0)).fill } }), each.region,
      h("span", { class: "told" }, each.success ? "" : wrong.join(", ")),
      h("span", { class: each.success ? "yes" : "no" }, each.success ? "✓ yes" : "✗ no"));
  });
  const count = judged.count === false ? h("p", { class: "note" }, "Not as many things as regions.") : null;
  return [h("h3", {}, `Did each region obey? (${judged.judge})`), h("ul", { class: "obeyed" }, rows), count];
}

/** The tries at a picture, as the command line tells them; `kept` is the one that it is, null while they go on. */
function tried(run, index, kept) {
  const tries = triesAt(run, index);
  if (!tries.length) return null;
  const best = kept ?? tries.findLast((each) => each.best)?.number;
  return [h("h3", {}, "Tries"), h("ol", { class: "tries", "aria-live": kept === null ? "polite" : null },
    tries.map((each) => h("li", { "aria-current": each.number === best ? "true" : null },
      each.text, each.number === best && h("b", {}, kept === null ? "best so far" : "kept"))))];
}

// Restyle and repaint -------------------------------------------------------------------------------------------------

function areasOf(plan) {
  return [...plan.regions.map((each) => each.name), ...(plan.background ? ["background"] : []), "global"];
}

function changes(run, picture) {
  const areas = areasOf(run.plan);
  if (!areas.includes(view.area)) view.area = areas[0];
  const region = run.plan.regions.find((each) => each.name === view.area);
  const of = region ?? (view.area === "background" ? run.plan.background : run.plan) ?? {};
  const field = (name, label, placeholder) => h("label", { class: "field" }, h("span", {}, label),
    h("input", { value: written[name], placeholder: placeholder ?? "", autocomplete: "off", "data-key": `change ${name}`, oninput: (event) => { written[name] = event.target.value; } }));
  return h("div", { class: "card" },
    h("label", { class: "field" }, h("span", {}, "Change one area (or click it in the picture)"),
      h("select", { id: "area", "data-key": "area", onchange: (event) => { view.area = event.target.value; changed(); } },
        areas.map((each) => h("option", { value: each, selected: each === view.area }, each === "global" ? "whole picture (style)" : each)))),
    field("low", "New low text", of.low ?? "blue, dotted"),
    h("div", { class: "buttons" }, h("button", { type: "button", class: "small", id: "restyle", onclick: () => restyle(run, picture) }, "Restyle: same seed, new detail")),
    region && field("high", "New high text", of.high ?? of.full ?? "a house"),
    region && h("div", { class: "buttons" }, h("button", { type: "button", class: "small", id: "repaint", onclick: () => repaint(run, picture) }, "Repaint only this region")),
    region && h("p", { class: "note" }, "Repainting leaves all other pixels as they are. Without new texts it comes out otherwise by chance."));
}

async function restyle(run, picture) {
  try {
    queued(await post(`runs/${run.id}/restyle`, { picture: picture.name, area: view.area, low: written.low }));
  } catch (error) {
    say(error.message, true);
  }
}

async function repaint(run, picture) {
  const { low, high } = written;
  try {
    queued(await post(`runs/${run.id}/repaint`, { picture: picture.name, region: view.area, low, high }));
  } catch (error) {
    say(error.message, true);
  }
}

// Files, and the picture beside ---------------------------------------------------------------------------------------

function files(run, picture) {
  return [h("h3", {}, "Files"), h("div", { class: "buttons" },
    h("a", { class: "button", href: `${pictureUrl(run, picture.name, false)}?download` }, "Picture"),
    h("a", { class: "button", href: `/api/runs/${run.id}/zip` }, "Everything (.zip)"),
    h("a", { class: "button", href: `/api/runs/${run.id}/files/layout.png`, target: "_blank", rel: "noopener" }, "Layout"),
    run.routing && h("a", { class: "button", href: `/api/runs/${run.id}/files/schedule.png`, target: "_blank", rel: "noopener" }, "Schedule")),
  h("p", { class: "note" }, "The picture holds its plan, routing and seed: open it here again, or draw it with strata generate image.png.")];
}

function renderBesides() {
  const select = $("beside");
  const all = [...view.runs.values()].filter((run) => run.kind !== "plan").flatMap((run) => run.pictures.map((each) => [`${run.id}/${each.name}`, nameOf(run, each.name)]));
  const key = JSON.stringify(all);
  if (select.dataset.has !== key) {
    select.dataset.has = key;
    fill(select, h("option", { value: "" }, "nothing"), all.reverse().map(([value, name]) => h("option", { value }, name)));
  }
  select.value = view.beside ? `${view.beside.run}/${view.beside.name}` : "";
}

// Attention -----------------------------------------------------------------------------------------------------------

let attended = "";

export function renderAttention() {
  const shown = shownRun();
  const key = JSON.stringify([shown?.run.id, shown?.picture?.name, shown?.run.page, $("attention").hidden]);
  if (key === attended || $("attention").hidden) return;
  attended = key;
  if (!shown?.picture) return fill($("attention"), h("p", { class: "note" }, "Choose a picture: its attention by block and word stands here."));
  const { run, picture } = shown;
  const page = `/api/runs/${run.id}/files/probe.html`;
  if (run.page)
    return fill($("attention"),
      h("div", { class: "buttons" }, h("button", { type: "button", class: "small", onclick: () => enlarge(page) }, "Larger"), h("a", { class: "button", href: `${page}?download` }, "Download")),
      h("iframe", { src: page, title: "Attention by block and word", sandbox: "allow-scripts" }));
  const word = (run.plan.regions[0]?.high ?? run.plan.regions[0]?.full ?? "").split(/\W+/).at(-1);
  written.words ||= word ?? "";
  fill($("attention"),
    h("p", { class: "note" }, "Draws the picture again, from its seed, and records what every block attends to."),
    h("label", { class: "field" }, h("span", {}, "Words to follow, separated by commas"), h("input", { value: written.words, "data-key": "words", id: "words", oninput: (event) => { written.words = event.target.value; } })),
    h("button", { type: "button", id: "probe", onclick: () => probe(run, picture) }, "Record attention"));
}

async function probe(run, picture) {
  try {
    const made = await post(`runs/${run.id}/probe`, { picture: picture.name, words: written.words });
    view.picture = { run: made.id, name: "" };
    view.beside = null;
    view.mode = "picture";
    queued(made);
  } catch (error) {
    say(error.message, true);
  }
}

function enlarge(page) {
  const dialog = $("dialog");
  dialog.className = "wide";
  fill(dialog, h("h2", { id: "dialog-title" }, "Attention by block and word"), h("iframe", { src: page, title: "Attention by block and word", sandbox: "allow-scripts" }),
    h("form", { method: "dialog", class: "buttons" }, h("button", {}, "Close")));
  dialog.showModal();
}

export function redrawPicture() {
  drawn = attended = "";
}
