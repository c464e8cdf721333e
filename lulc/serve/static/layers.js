// The controls of what is drawn: layer, opacity, clouds above, base beneath.

import { byId, make } from "./dom.js";

const BASES = { scene: "Scene in true colour", online: "Online basemap", none: "Nothing" };
const HEADINGS = { class: "Classes of the map", confidence: "Confidence" };

export const layerTitle = ({ id, code, title }) => (code === undefined ? HEADINGS[id] ?? title : `Activation of ${title}`);

export function startLayers(view) {
  fillLayers(view);
  fillBases(view);
  startClouds(view);
  const { signal } = view;
  byId("layer").addEventListener("change", () => view.setLayer(byId("layer").value), { signal });
  view.addEventListener("layer", () => { byId("layer").value = view.layer.id; });
  byId("opacity").addEventListener("input", () => applyOpacity(view), { signal });
  byId("zoom-map").addEventListener("click", () => view.zoomToMap(), { signal });
  applyOpacity(view);
}

function fillLayers(view) {
  const plain = view.info.layers.filter(({ code, kind }) => code === undefined && kind !== "sky");
  const activations = view.info.layers.filter((layer) => layer.code !== undefined);
  const option = (layer) => make("option", { value: layer.id }, layerTitle(layer));
  byId("layer").replaceChildren(...plain.map(option));
  if (activations.length) {
    byId("layer").append(make("optgroup", { label: "Activation of a class" }, ...activations.map(option)));
  }
  byId("layer").value = view.layer.id;
}

function startClouds(view) {
  const offer = () => { byId("clouds-choice").hidden = !view.sides.some((side) => side.flagsClouds); };
  byId("clouds").checked = false;
  byId("clouds").addEventListener("change", () => view.setClouds(byId("clouds").checked), { signal: view.signal });
  view.addEventListener("sides", offer);
  offer();
}

function fillBases(view) {
  const kinds = [];
  if (view.info.base) kinds.push("scene");
  if (view.about.basemap && view.info.georeferenced) kinds.push("online");
  kinds.push("none");
  const { signal } = view;
  const choices = kinds.map((kind, at) => {
    const radio = make("input", { type: "radio", name: "base", value: kind, checked: at === 0 });
    radio.addEventListener("change", () => view.setBase(kind), { signal });
    return make("label", { class: "check" }, radio, BASES[kind]);
  });
  byId("bases").hidden = kinds.length === 1;
  byId("bases").replaceChildren(byId("bases").firstElementChild, ...choices);
  view.setBase(kinds[0]);
}

function applyOpacity(view) {
  const percent = Number(byId("opacity").value);
  byId("opacity-value").textContent = `${percent} %`;
  view.setOpacity(percent / 100);
}
