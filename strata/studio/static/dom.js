// Small helpers: elements, and what is asked of the server.

/** An element: h("button", {class: "small", onclick: f}, "Text", …). */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  set(element, attributes);
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** The same in SVG. */
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  set(element, attributes);
  element.append(...children.flat(Infinity).filter(Boolean));
  return element;
}

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else if (name === "value" || name === "checked" || name === "disabled") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
}

export const $ = (id) => document.getElementById(id);

export function icon(name) {
  return s("svg", { "aria-hidden": "true" }, s("use", { href: `#i-${name}` }));
}

/** Puts children into an element; what had the focus there has it again (by its data-key). */
export function fill(element, ...children) {
  const active = document.activeElement;
  const key = element.contains(active) ? active.dataset.key : null;
  const caret = key && typeof active.selectionStart === "number" ? [active.selectionStart, active.selectionEnd] : null;
  element.replaceChildren(...children.flat(Infinity).filter(Boolean));
  if (key) {
    const again = element.querySelector(`[data-key="${CSS.escape(key)}"]`);
    again?.focus({ preventScroll: true });
    if (caret && again?.setSelectionRange) again.setSelectionRange(...caret);
  }
}

let waited = 0;

/** Counts what is still to be sent, answered or shown; the root says `data-busy` until then, for what drives the page. */
export function busy(by) {
  waited += by;
  document.documentElement.toggleAttribute("data-busy", waited > 0);
}

export function later(milliseconds, action) {
  let timer = 0;
  return (...args) => {
    if (timer) clearTimeout(timer);
    else busy(1);
    timer = setTimeout(async () => {
      timer = 0;
      try {
        await action(...args);
      } finally {
        busy(-1);
      }
    }, milliseconds);
  };
}

export function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

// The server ----------------------------------------------------------------------------------------------------------

/** What the server refused: a message, the field and the region that it names. */
export class Refusal extends Error {
  constructor(problem, status) {
    super(problem.message);
    Object.assign(this, { field: problem.field ?? null, region: problem.region ?? null, status });
  }
}

async function answered(path, options) {
  let answer;
  try {
    answer = await fetch(`/api/${path}`, options);
  } catch {
    throw new Refusal({ message: "The server does not answer; is it still running?" }, 0);
  }
  if (answer.ok) return answer;
  let problem = { message: `The server says ${answer.status}` };
  try {
    problem = (await answer.json()).error ?? problem;
  } catch { /* no JSON: the number has to do */ }
  if (answer.status === 401) location.reload();
  throw new Refusal(problem, answer.status);
}

const counted = (ask) => async (...args) => {
  busy(1);
  try {
    return await ask(...args);
  } finally {
    busy(-1);
  }
};

const sent = (path, body, type) => answered(path, { method: "POST", body, headers: { "content-type": type } });
const asked = (path, data) => sent(path, JSON.stringify(data), "application/json");

export const get = counted(async (path) => (await answered(path)).json());
export const post = counted(async (path, data = {}) => (await asked(path, data)).json());
/** The answer as a file's content. */
export const blobOf = counted(async (path, data) => (await asked(path, data)).blob());
export const remove = counted(async (path) => (await answered(path, { method: "DELETE" })).json());
export const upload = counted(async (path, content) => (await sent(path, content, "application/octet-stream")).json());

export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
