// "What speaks for this class?" at a place of a scene's map: heat on the map, and its picture in the panel.

import { byId, make } from "./dom.js";
import { askExplanation, explanationFigure } from "./explanation_figure.js";
import { isAbort } from "./server.js";
import { boundsOf, placeNumbers, tileOptions } from "./space.js";

const PANE = "heat";

export function startExplanation(view) {
  byId("explain").hidden = view.info.job === null;
  byId("explain-answer").replaceChildren();
  if (view.info.job !== null) new Explainer(view);
}

class Explainer {
  #view;
  #running = null;
  #heat = null;
  #mark = null;

  constructor(view) {
    this.#view = view;
    const { map, signal } = view;
    view.sides[0].ownPane(PANE, 350);
    this.#fillClasses();
    this.#setMode(false);
    this.#say("");
    byId("explain-toggle").addEventListener("click", () => this.#setMode(!this.#mode), { signal });
    byId("explain-centre").addEventListener("click", () => this.#explain(map.getCenter()), { signal });
    map.on("click", ({ latlng }) => { if (this.#mode) this.#explain(latlng); });
    byId("map").addEventListener("keydown", (event) => this.#onKey(event), { signal });
    signal.addEventListener("abort", () => { this.#running?.abort(); this.#setMode(false); });
  }

  get #mode() {
    return byId("explain-toggle").getAttribute("aria-pressed") === "true";
  }

  #setMode(on) {
    byId("explain-toggle").setAttribute("aria-pressed", String(on));
    byId("explain-centre").hidden = !on;
    byId("map-frame").classList.toggle("explaining", on);
    this.#say(on ? "Click a place on the map, or press Enter on the map for its centre. Escape ends this." : "");
  }

  #onKey(event) {
    if (!this.#mode) return;
    if (event.key === "Enter" && event.target === byId("map")) this.#explain(this.#view.map.getCenter());
    if (event.key === "Escape") this.#setMode(false);
  }

  #fillClasses() {
    const names = this.#view.legend.map(({ name }) => make("option", { value: name }, name));
    byId("explain-class").replaceChildren(make("option", { value: "" }, "The one the place has"), ...names);
  }

  async #explain(latlng) {
    this.#running?.abort();
    const running = this.#running = new AbortController();
    this.#markPlace(latlng);
    this.#say("Being explained; this takes up to ten seconds.");
    byId("explain").setAttribute("aria-busy", "true");
    try {
      const onWait = (refusal, next) => this.#say(`${refusal.problem} Try ${next} in ${refusal.wait} s.`);
      const answer = await askExplanation(this.#view.info.job, this.#body(latlng), running.signal, onWait);
      this.#show(answer);
      this.#say(`Explained: ${answer.class}.`);
    } catch (error) {
      if (isAbort(error)) return;
      this.#say(`${error.problem ?? error.message} ${error.remedy ?? ""}`);
    }
    byId("explain").removeAttribute("aria-busy");
  }

  #body(latlng) {
    const body = placeNumbers(this.#view.space.place(latlng));
    const chosen = byId("explain-class").value;
    return chosen ? { ...body, class: chosen } : body;
  }

  #show(answer) {
    this.#heat?.remove();
    this.#heat = null;
    const controls = make("p", { class: "buttons" });
    if (answer.tiles) {
      this.#heat = this.#heatLayer(answer);
      controls.append(this.#heatSwitch());
    }
    if (answer.bounds) {
      const zoom = () => this.#view.map.fitBounds(boundsOf(answer.bounds));
      controls.append(make("button", { type: "button", class: "button small", id: "explain-zoom", onclick: zoom }, "Zoom to the region"));
    }
    byId("explain-answer").replaceChildren(controls, explanationFigure(answer));
  }

  #heatLayer({ tiles, bounds }) {
    const within = bounds ? { bounds: boundsOf(bounds) } : {};
    const options = tileOptions(this.#view.info, { pane: PANE, className: "crisp heat", opacity: 0.85, ...within });
    return L.tileLayer(tiles, options).addTo(this.#view.map);
  }

  #heatSwitch() {
    const box = make("input", { type: "checkbox", id: "heat-on", checked: true });
    box.addEventListener("change", () => {
      if (box.checked) this.#heat.addTo(this.#view.map);
      else this.#heat.remove();
    });
    return make("label", { class: "check" }, box, "Heat on the map");
  }

  #markPlace(latlng) {
    this.#mark?.remove();
    const ring = (color, weight) => L.circleMarker(latlng, { radius: 9, color, weight, fill: false, interactive: false });
    // White within black: seen on any class.
    this.#mark = L.layerGroup([ring("#000", 5), ring("#fff", 2)]).addTo(this.#view.map);
  }

  #say(text) {
    byId("explain-status").textContent = text;
  }
}
