// Two maps with a divider between them, moved by a slider.

import { byId, make } from "./dom.js";
import { ask, isAbort, part } from "./server.js";
import { comparable } from "./space.js";

const THUMB = 36; // width of the slider's thumb in map.css: the line runs through its middle

// `others` are the maps there are: [{mapId, title}]; `chosen` the one to start with; onChange tells the page.
export function startCompare(view, others, chosen, onChange) {
  const select = byId("compare-with");
  byId("compare").hidden = others.length === 0;
  select.replaceChildren(make("option", { value: "" }, "None"), ...others.map(({ mapId, title }) => make("option", { value: mapId }, title)));
  select.value = others.some(({ mapId }) => mapId === chosen) ? chosen : "";
  const choose = () => { choice(view, select.value); onChange(select.value); };
  select.addEventListener("change", choose, { signal: view.signal });
  byId("swipe").addEventListener("input", () => drawDivider(view), { signal: view.signal });
  view.map.on("move zoom zoomend resize viewreset", () => drawDivider(view));
  view.signal.addEventListener("abort", hideDivider);
  letDrag();
  hideDivider();
  byId("compare-note").textContent = "";
  if (select.value) choose();
}

async function choice(view, mapId) {
  const note = byId("compare-note");
  note.textContent = "";
  if (!mapId) {
    hideDivider();
    view.setSecond(null);
    return;
  }
  try {
    const info = await ask(`/maps/${part(mapId)}`, { signal: view.signal });
    if (byId("compare-with").value === mapId) showSecond(view, info, note);
  } catch (error) {
    if (!isAbort(error)) note.textContent = `${error.problem ?? error.message} ${error.remedy ?? ""}`;
  }
}

function showSecond(view, info, note) {
  if (!comparable(view.info, info)) {
    hideDivider();
    view.setSecond(null);
    note.textContent = "These two cannot lie on one another: one has no place on the Earth, or their sizes differ.";
    return;
  }
  view.setSecond(info);
  const [a, b] = view.sides;
  note.textContent = a.space.bounds.intersects(b.space.bounds)
    ? `A, left: ${a.info.title}. B, right: ${b.info.title}.`
    : "These two maps do not overlap.";
  byId("left-name").textContent = `A: ${a.info.title}`;
  byId("right-name").textContent = `B: ${b.info.title}`;
  byId("swipe").setAttribute("aria-label", `Divider between A, ${a.info.title}, on the left and B, ${b.info.title}, on the right`);
  byId("divider").hidden = false;
  drawDivider(view);
}

function hideDivider() {
  byId("divider").hidden = true;
}

function drawDivider(view) {
  if (view.sides.length < 2) return;
  const { map, sides } = view;
  const size = map.getSize();
  const share = Number(byId("swipe").value) / 100;
  const x = THUMB / 2 + share * (size.x - THUMB);
  byId("divider-line").style.left = `${x}px`;
  byId("left-name").style.right = `${size.x - x + 8}px`;
  byId("left-name").style.maxWidth = `${Math.max(0, x - 16)}px`;
  byId("right-name").style.left = `${x + 8}px`;
  byId("right-name").style.maxWidth = `${Math.max(0, size.x - x - 16)}px`;
  byId("swipe").setAttribute("aria-valuetext", `${Math.round(100 * share)} % of the width shows A`);
  const from = map.containerPointToLayerPoint([0, 0]);
  const to = map.containerPointToLayerPoint(size);
  sides[0].clip(rectangle(from.x, from.y, from.x + x, to.y));
  sides[1].clip(rectangle(from.x + x, from.y, to.x, to.y));
}

// A pane has no size of its own, so the cut is in pixels of its coordinates.
function rectangle(left, top, right, bottom) {
  return `polygon(${left}px ${top}px, ${right}px ${top}px, ${right}px ${bottom}px, ${left}px ${bottom}px)`;
}

// Dragging the divider must not drag the map beneath it.
function letDrag() {
  L.DomEvent.disableClickPropagation(byId("swipe"));
}
