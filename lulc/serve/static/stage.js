// Which one of the stage's parts is seen, and its title in the window.

import { byId } from "./dom.js";

const PARTS = { loading: "loading", welcome: "welcome", progress: "progress-view", patch: "patch", map: "map-box" };

export function showStage(view, title = "") {
  const hadFocus = byId("stage").contains(document.activeElement) && document.activeElement !== byId("stage");
  document.body.dataset.view = view;
  for (const [name, id] of Object.entries(PARTS)) byId(id).hidden = name !== view;
  byId("panel").hidden = view !== "map";
  document.title = title ? `${title} – lulc` : "lulc: land-cover maps";
  // What held the focus may just have been hidden; it must not fall to the page's beginning.
  if (hadFocus && !byId("stage").contains(document.activeElement)) byId("stage").focus({ preventScroll: true });
}

// Narrow pages have the map first and the lists last, for the eye and for the tab key alike.
export function orderByWidth() {
  const narrow = matchMedia("(max-width: 70rem)");
  const order = () => {
    if (narrow.matches) byId("main").append(byId("library"));
    else byId("main").prepend(byId("library"));
  };
  narrow.addEventListener("change", order);
  order();
}

export function startSkipLink() {
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault(); // the part of the address after # names what is shown
    byId("stage").focus();
    byId("stage").scrollIntoView();
  });
}
