// One map on the Leaflet map: its scene beneath and its layer above, in panes of their own that can be cut at a divider.

import { part } from "./server.js";
import { spaceOf, tileOptions } from "./space.js";

export class Side {
  #map;
  #names;
  #base = null;
  #layer = null;
  #clouds = null;
  #layerId = null;
  #opacity = 1;

  constructor(map, info, name, depth) {
    this.#map = map;
    this.info = info;
    this.space = spaceOf(info);
    this.#names = [`${name}-base`, `${name}-layer`, `${name}-clouds`];
    this.#names.forEach((pane, above) => { map.createPane(pane).style.zIndex = String(210 + 10 * depth + above); });
  }

  // One more pane that is cut at the divider with this map's others.
  ownPane(name, depth) {
    this.#map.createPane(name).style.zIndex = String(depth);
    this.#names.push(name);
  }

  showScene(shown) {
    this.#base?.remove();
    this.#base = null;
    if (!shown || !this.info.base) return;
    this.#base = this.#tiles("base", this.#names[0]).addTo(this.#map);
  }

  showLayer(layer) {
    if (layer.id === this.#layerId) return;
    this.#layer?.remove();
    this.#layerId = layer.id;
    this.#layer = this.#tiles(`tiles/${part(layer.id)}`, this.#names[1]).addTo(this.#map);
    this.#layer.setOpacity(this.#opacity);
  }

  get flagsClouds() { return this.#cloudLayer !== undefined; }

  showClouds(shown) {
    this.#clouds?.remove();
    this.#clouds = null;
    if (!shown || !this.flagsClouds) return;
    this.#clouds = this.#tiles(`tiles/${part(this.#cloudLayer.id)}`, this.#names[2]).addTo(this.#map);
  }

  setOpacity(opacity) {
    this.#opacity = opacity;
    this.#layer?.setOpacity(opacity);
  }

  // `path` is a CSS clip-path in the coordinates of Leaflet's layers.
  clip(path) {
    for (const name of this.#names) this.#map.getPane(name).style.clipPath = path;
  }

  remove() {
    this.#base?.remove();
    this.#layer?.remove();
    this.#clouds?.remove();
    for (const name of this.#names) this.#map.getPane(name).remove();
  }

  // The layer of this map that shows the same as `layer` of another map; its classes where it has none such.
  same(layer) {
    const { layers } = this.info;
    const matches = (mine) => (layer.code === undefined ? mine.id === layer.id : mine.code !== undefined && mine.title === layer.title);
    return layers.find(matches) ?? layers[0];
  }

  get #cloudLayer() { return this.info.layers.find(({ kind }) => kind === "sky"); }

  #tiles(path, pane) {
    // Pixels stay pixels when enlarged: a smoothed class would be one the map does not have.
    const options = tileOptions(this.info, { pane, className: "crisp" });
    return L.tileLayer(`/maps/${part(this.info.id)}/${path}/{z}/{x}/{y}.png`, options);
  }
}
