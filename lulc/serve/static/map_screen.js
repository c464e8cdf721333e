// A map on the stage with all its controls.

import { byId, make, prose } from "./dom.js";
import { startCompare } from "./compare.js";
import { startDownloads } from "./downloads.js";
import { startExplanation } from "./explanation.js";
import { startLayers } from "./layers.js";
import { startLegend } from "./legend.js";
import { MapView } from "./map_view.js";
import { startPointerValue } from "./pointer_value.js";

const FACTS = { model: "Model", input: "Input", acquired: "Acquired" };

let view = null;
let lastLook = null;

// A map just made is shown whole, wherever the one before was looked at.
export function forgetLook() {
  lastLook = null;
}

export function closeMap() {
  if (!view) return;
  lastLook = view.look();
  view.close();
  view = null;
  window.lulc.map = null;
}

// The stage must already show its map part: Leaflet measures it.
export function openMap(info, { about, jobs, warnings, others, second, onSecond }) {
  closeMap();
  view = new MapView(info, about, lastLook);
  window.lulc.map = view.map; // for the browser's console and for tests
  describe(info, warnings);
  startLayers(view);
  startLegend(view);
  startPointerValue(view);
  startExplanation(view);
  startDownloads(view, jobs);
  startCompare(view, others, second, onSecond);
}

function describe(info, warnings) {
  byId("map-title").textContent = info.title;
  byId("map").setAttribute("aria-label", `Map ${info.title}`);
  byId("warnings").replaceChildren(...warnings.map((text) => make("li", {}, ...prose(text))));
  const facts = Object.entries(FACTS).filter(([name]) => info.facts?.[name]).map(([name, title]) => [title, info.facts[name]]);
  facts.push(["Size", `${info.width} × ${info.height} pixels${info.pixel_m ? ` of ${Number(info.pixel_m.toPrecision(4))} m` : ""}`]);
  facts.push(["Grid", info.crs || "no georeference"]);
  if (info.facts?.attribution) facts.push(["Data", info.facts.attribution]);
  byId("facts").replaceChildren(...facts.flatMap(([title, text]) => [make("dt", {}, title), make("dd", {}, text)]));
}
