// The Leaflet map of what is shown: one map, or two with a divider between them.

import { byId } from "./dom.js";
import { Side } from "./side.js";
import { spaceOf } from "./space.js";

const DEEPER = 5; // zoom levels beyond the map's own pixels
const FARTHER = 4;

// Tells "layer" when the layer changes, "sides" when a second map comes or goes.
export class MapView extends EventTarget {
  #closing = new AbortController();
  #basemap = null;
  #opacity = 1;
  #baseKind = "none";
  #clouds = false;

  constructor(info, about, before = null) {
    super();
    this.about = about;
    this.info = info;
    this.space = spaceOf(info);
    this.map = this.#makeMap();
    this.sides = [new Side(this.map, info, "left", 0)];
    this.layer = info.layers[0];
    this.sides[0].showLayer(this.layer);
    this.#look(before);
    this.#watchSize();
    this.#watchHand();
  }

  // Aborted when the view closes: listeners and requests hang on it.
  get signal() { return this.#closing.signal; }

  get baseKind() { return this.#baseKind; }

  get legend() { return this.info.legend; }

  zoomToMap() {
    this.map.fitBounds(this.space.bounds, { padding: [12, 12] });
  }

  setLayer(id) {
    this.layer = this.info.layers.find((layer) => layer.id === id) ?? this.info.layers[0];
    for (const side of this.sides) side.showLayer(side.same(this.layer));
    this.dispatchEvent(new Event("layer"));
  }

  setOpacity(opacity) {
    this.#opacity = opacity;
    for (const side of this.sides) side.setOpacity(opacity);
  }

  setClouds(shown) {
    this.#clouds = shown;
    for (const side of this.sides) side.showClouds(shown);
  }

  setBase(kind) {
    this.#baseKind = kind;
    for (const side of this.sides) side.showScene(kind === "scene");
    this.#basemap?.remove();
    this.#basemap = kind === "online" ? onlineBasemap(this.about.basemap).addTo(this.map) : null;
  }

  setSecond(info) {
    this.sides.splice(1).forEach((side) => side.remove());
    if (info) {
      const side = new Side(this.map, info, "right", 1);
      side.showLayer(side.same(this.layer));
      side.setOpacity(this.#opacity);
      side.showScene(this.#baseKind === "scene");
      side.showClouds(this.#clouds);
      this.sides.push(side);
    } else {
      this.sides[0].clip("");
    }
    this.map.setMaxZoom(Math.max(...this.sides.map((each) => each.info.max_zoom)) + DEEPER);
    this.dispatchEvent(new Event("sides"));
  }

  aim(shown) {
    byId("map-frame").classList.toggle("aim", shown);
  }

  // What another view of the same place may go on from.
  look() {
    return { crs: this.space.crs, bounds: this.space.bounds, center: this.map.getCenter(), zoom: this.map.getZoom() };
  }

  close() {
    this.#closing.abort();
    this.aim(false);
    this.map.remove();
  }

  #makeMap() {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const { info } = this;
    const map = L.map("map", {
      crs: this.space.crs,
      minZoom: info.georeferenced ? Math.max(0, info.min_zoom - FARTHER) : info.min_zoom - FARTHER,
      maxZoom: info.max_zoom + DEEPER,
      attributionControl: false,
      zoomAnimation: !still,
      fadeAnimation: !still,
      inertia: !still,
    });
    if (still) map.panBy = (by, options) => L.Map.prototype.panBy.call(map, by, { ...options, animate: false }); // Leaflet has no option for it
    L.control.attribution({ prefix: "Leaflet" }).addTo(map);
    map.attributionControl.addAttribution(plain(firstSentence(info.facts?.attribution ?? "")));
    if (info.georeferenced) L.control.scale({ imperial: false, maxWidth: 140 }).addTo(map);
    return map;
  }

  #look(before) {
    const stays = before && before.crs === this.space.crs && this.info.georeferenced && sameGround(before.bounds, this.space.bounds)
      && this.space.bounds.contains(before.center);
    if (stays) this.map.setView(before.center, before.zoom, { animate: false });
    else this.map.fitBounds(this.space.bounds, { padding: [12, 12], animate: false });
  }

  // Leaflet focuses the map on a click, and browsers then show a keyboard's focus ring.
  #watchHand() {
    const mark = (pointer) => byId("map-frame").classList.toggle("by-pointer", pointer);
    addEventListener("pointerdown", () => mark(true), { signal: this.signal, capture: true });
    addEventListener("keydown", () => mark(false), { signal: this.signal, capture: true });
  }

  #watchSize() {
    const observer = new ResizeObserver(() => this.map.invalidateSize({ animate: false }));
    observer.observe(byId("map"));
    this.signal.addEventListener("abort", () => observer.disconnect());
  }
}

// Maps of one place are looked at in turns; one of another extent is shown whole.
function sameGround(one, other) {
  const size = (west, south, east, north) => Math.max(0, east - west) * Math.max(0, north - south);
  const [area, otherArea] = [one, other].map((bounds) => size(bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()));
  const common = size(Math.max(one.getWest(), other.getWest()), Math.max(one.getSouth(), other.getSouth()),
    Math.min(one.getEast(), other.getEast()), Math.min(one.getNorth(), other.getNorth()));
  return common > (area + otherArea - common) / 2;
}

// On the map there is room for the first words; all of them are in "About this map".
function firstSentence(text) {
  const end = text.indexOf(". ");
  const first = end > 0 ? text.slice(0, end + 1) : text;
  return first.length > 100 ? "Credits: see About this map" : first;
}

function onlineBasemap({ url, attribution }) {
  return L.tileLayer(url, { maxNativeZoom: 19, maxZoom: 30, attribution: plain(textOf(attribution ?? "")), pane: "tilePane" });
}

// Leaflet puts attributions into the page as HTML, so nothing of the server's may still be markup.
function plain(text) {
  const box = document.createElement("span");
  box.textContent = text;
  return box.innerHTML;
}

function textOf(markup) {
  return new DOMParser().parseFromString(markup, "text/html").body.textContent;
}
