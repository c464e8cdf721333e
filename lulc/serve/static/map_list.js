// The lists of maps to look at: those of this browser, and those named when the server was started.

import { byId, make } from "./dom.js";
import { isFinal } from "./jobs.js";
import { listText } from "./job_text.js";

// Entries keep their elements, so that the focus stays where it is while progress comes in.
const items = new Map();

export function renderOwn(entries, current, onRemove) {
  byId("own-maps").hidden = entries.length === 0;
  for (const [key, item] of items) {
    if (!entries.some((entry) => entry.key === key)) { item.element.remove(); items.delete(key); }
  }
  const list = byId("own-list");
  entries.forEach((entry, at) => {
    if (!items.has(entry.key)) items.set(entry.key, itemOf(entry, onRemove));
    const item = items.get(entry.key);
    update(item, entry, current);
    if (list.children[at] !== item.element) list.insertBefore(item.element, list.children[at] ?? null);
  });
}

function itemOf(entry, onRemove) {
  const name = make("span", { class: "name" });
  const text = make("span", { class: "state" });
  const link = make("a", { href: entry.href }, name, text);
  const remove = make("button", { type: "button", class: "button small", "data-remove": entry.key, onclick: () => onRemove(entry.key) });
  return { element: make("li", { "data-entry": entry.key }, link, remove), link, name, text, remove };
}

function update({ element, link, name, text, remove }, entry, current) {
  name.textContent = entry.title;
  text.textContent = entry.text ?? listText(entry.state);
  element.dataset.state = entry.state?.state ?? "";
  mark(link, entry.key === current);
  const ends = entry.state && !isFinal(entry.state);
  remove.textContent = ends ? "Cancel" : "Remove";
  remove.setAttribute("aria-label", `${remove.textContent} ${entry.title}`);
}

export function renderNamed(maps, current) {
  byId("named-maps").hidden = maps.length === 0;
  byId("named-list").replaceChildren(...maps.map(({ key, href, title }) => {
    const link = make("a", { href }, make("span", { class: "name" }, title));
    mark(link, key === current);
    return make("li", { "data-entry": key }, link);
  }));
}

export function markCurrent(current) {
  for (const item of document.querySelectorAll(".map-list li")) mark(item.querySelector("a"), item.dataset.entry === current);
}

function mark(link, isCurrent) {
  if (isCurrent) link.setAttribute("aria-current", "page");
  else link.removeAttribute("aria-current");
}
