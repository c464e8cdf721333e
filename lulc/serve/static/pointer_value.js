// What the map says at a place: under the pointer, at a click, or at the crosshair in the middle.

import { announce, bar, byId, make, swatch } from "./dom.js";
import { lonLat, percent } from "./format.js";
import { ask, isAbort, part } from "./server.js";

const EVERY_MS = 120;
const SHOWN = 5; // activations, the strongest first; of two maps fewer
const SHOWN_OF_TWO = 3;

export function startPointerValue(view) {
  const reader = new Reader(view);
  const { map, signal } = view;
  const readCentre = () => {
    view.aim(true);
    reader.read(map.getCenter(), { title: "Value at the centre", said: true });
  };
  map.on("mousemove", ({ latlng, originalEvent }) => {
    if (originalEvent.target.id === "swipe") return;
    view.aim(false);
    reader.soon(latlng);
  });
  map.on("click", ({ latlng }) => reader.read(latlng, { title: "Value at the click", said: true }));
  byId("map").addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() === "v" && !event.ctrlKey && !event.metaKey && !event.altKey) readCentre();
  }, { signal });
  byId("value-centre").addEventListener("click", readCentre, { signal });
  view.addEventListener("sides", () => reader.clear());
  reader.clear();
}

class Reader {
  #view;
  #timer = null;
  #latest = null;
  #running = null;

  constructor(view) {
    this.#view = view;
    view.signal.addEventListener("abort", () => this.#stop());
  }

  clear() {
    this.#stop();
    byId("value-title").textContent = "Value";
    byId("value-body").replaceChildren(make("p", { class: "hint" }, "Point at the map, tap it, or press v on it for its centre."));
  }

  soon(latlng) {
    this.#latest = latlng;
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.read(this.#latest, { title: "Value under the pointer" });
    }, EVERY_MS);
  }

  async read(latlng, { title, said = false }) {
    this.#stop();
    const running = this.#running = new AbortController();
    try {
      const values = await Promise.all(this.#view.sides.map((side) => valueOf(side, latlng, running.signal)));
      if (running.signal.aborted) return;
      byId("value-title").textContent = title;
      byId("value-body").replaceChildren(...values.map((value, at) => block(value, this.#nameOf(at), this.#view.sides[at].info.legend)));
      if (said) announce(values.map((value, at) => sentence(value, this.#nameOf(at))).join(" "));
    } catch (error) {
      if (isAbort(error)) return;
      byId("value-body").replaceChildren(make("p", {}, `${error.problem ?? error.message} ${error.remedy ?? ""}`));
      if (said) announce(byId("value-body").textContent);
    }
  }

  #nameOf(at) {
    return this.#view.sides.length === 2 ? `${"AB"[at]}: ${this.#view.sides[at].info.title}` : "";
  }

  #stop() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#running?.abort();
  }
}

async function valueOf(side, latlng, signal) {
  if (!side.space.bounds.contains(latlng)) return { inside: false };
  return ask(`/maps/${part(side.info.id)}/value?${new URLSearchParams(side.space.place(latlng))}`, { signal });
}

function block(value, name, legend) {
  const box = make("div", { class: "value-block" }, name ? make("h4", {}, name) : "");
  if (!value.inside) {
    box.append(make("p", { "data-value": "outside" }, "Outside the map"));
    return box;
  }
  box.append(value.class
    ? make("p", { class: "value-class", "data-value": "class" }, swatch(value.class.color), make("strong", {}, value.class.name))
    : make("p", { "data-value": "none" }, "No data"));
  if (value.confidence !== null) box.append(make("p", { "data-value": "confidence" }, `Confidence ${percent(value.confidence)}`));
  if (value.flagged) box.append(make("p", { "data-value": "flagged" }, `Flagged as ${value.flagged}`));
  for (const [other, share] of Object.entries(value.others ?? {})) {
    box.append(make("p", { "data-value": "other" }, `${other[0].toUpperCase()}${other.slice(1)} ${percent(share)}`));
  }
  if (value.class && value.activations.length) box.append(activations(value.activations, legend, name ? SHOWN_OF_TWO : SHOWN));
  box.append(make("p", { class: "hint lines", "data-value": "place" }, ...placeLines(value)));
  if (value.source) box.append(make("p", { class: "hint", "data-value": "source" }, `From ${value.source}`));
  return box;
}

function activations(all, legend, shown) {
  const colors = new Map(legend.map(({ code, color }) => [code, color]));
  const top = [...all].sort((one, other) => other.share - one.share).slice(0, shown);
  const rows = top.map(({ code, name, share }) => make("li", {},
    make("span", { class: "name" }, name), bar(share, colors.get(code)), make("span", { class: "number" }, percent(share))));
  return make("ul", { class: "bars", "aria-label": "Strongest activations" }, ...rows);
}

function placeWords({ row, col, lon, lat }) {
  const cell = `row ${row}, column ${col}`;
  return lon === null || lon === undefined ? [cell] : [lonLat(lon, lat), cell];
}

const placeLines = (value) => placeWords(value).map((words) => make("span", {}, words));

const place = (value) => placeWords(value).join("; ");

function sentence(value, name) {
  const start = name ? `${name}: ` : "";
  if (!value.inside) return `${start}outside the map.`;
  if (!value.class) return `${start}no data; ${place(value)}.`;
  const confidence = value.confidence === null ? "" : `, confidence ${percent(value.confidence)}`;
  const others = Object.entries(value.others ?? {}).map(([other, share]) => `, ${other} ${percent(share)}`).join("");
  const flagged = value.flagged ? `, flagged as ${value.flagged}` : "";
  return `${start}${value.class.name}${confidence}${flagged}${others}; ${place(value)}.`;
}
