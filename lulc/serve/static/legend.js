// The legend as a table: swatch, name, area, share; of two maps also the difference.

import { byId, make, prose, swatch } from "./dom.js";
import { areaFormat, difference, percent } from "./format.js";
import { layerTitle } from "./layers.js";
import { ask, isAbort, part } from "./server.js";

const SIDES = ["A", "B"];
const SHOWN_THOUGH_ABSENT = 20; // of longer legends, such as all transitions of a change map, those that occur are shown

export function startLegend(view) {
  const show = () => showTables(view);
  view.addEventListener("layer", () => { showRamp(view); markActivation(view); });
  view.addEventListener("sides", show);
  showRamp(view);
  show();
}

function showRamp(view) {
  const shown = view.layer.kind === "share";
  byId("ramp").hidden = !shown;
  if (!shown) return;
  byId("ramp-title").textContent = layerTitle(view.layer);
  byId("ramp-bar").style.backgroundImage = `linear-gradient(to right, ${view.about.ramp.join(", ")})`;
}

function showTables(view) {
  const infos = view.sides.map((side) => side.info);
  if (infos.length === 2 && sameLegend(...infos)) showTogether(view, infos);
  else byId("legend-body").replaceChildren(...infos.map((info, at) => oneMap(view, info, infos.length === 2 ? `${SIDES[at]}: ${info.title}` : "")));
  markActivation(view);
}

function sameLegend(one, other) {
  const names = ({ legend }) => legend.map(({ code, name }) => `${code} ${name}`).join("\n");
  return names(one) === names(other);
}

function oneMap(view, info, title) {
  const caption = title || `Classes of ${info.title}`;
  const table = tableOf(view, info.legend, caption, [info.georeferenced ? "Hectares" : "Pixels", "Share"], !title);
  const status = make("p", { class: "hint", role: "status" }, "The areas are being counted.");
  loadAreas(view, [info], status, ([areas]) => {
    const unit = unitOf([areas]);
    table.heads[0].textContent = unit.title;
    const total = sum(areas, unit);
    const area = areaFormat(total, unit.whole);
    for (const entry of areas.classes) fill(table, entry.code, [area(unit.of(entry)), percent(entry.share)]);
    fillTotal(table, [area(total), total > 0 ? "100 %" : ""]);
    hideAbsent(table, areas.classes.filter(({ pixels }) => pixels === 0).map(({ code }) => code));
    status.replaceChildren(`${percent(areas.valid_share)} of the map has data. `, ...prose(areas.note));
  });
  return make("div", {}, table.element, status);
}

function showTogether(view, infos) {
  const table = tableOf(view, infos[0].legend, `Classes of A (${infos[0].title}) and B (${infos[1].title})`, ["A", "B", "B − A"], true);
  const status = make("p", { class: "hint", role: "status" }, "The areas are being counted.");
  byId("legend-body").replaceChildren(table.element, status);
  loadAreas(view, infos, status, (both) => {
    const unit = unitOf(both);
    ["A", "B", "B − A"].forEach((head, at) => { table.heads[at].textContent = `${head}, ${unit.sign}`; });
    const totals = both.map((areas) => sum(areas, unit));
    const area = areaFormat(Math.max(...totals), unit.whole);
    const row = (a, b) => [area(a), area(b), difference(b - a, area)];
    for (const { code } of infos[0].legend) {
      const [a, b] = both.map(({ classes }) => unit.of(classes.find((entry) => entry.code === code) ?? { pixels: 0, hectares: 0 }));
      fill(table, code, row(a, b));
    }
    fillTotal(table, row(...totals));
    const occur = new Set(both.flatMap(({ classes }) => classes.filter(({ pixels }) => pixels > 0)).map(({ code }) => code));
    hideAbsent(table, infos[0].legend.map(({ code }) => code).filter((code) => !occur.has(code)));
    status.replaceChildren(`${sameGround(both)} `, ...prose(both[0].note));
  });
}

// Areas of different ground cannot be compared, so the page says what is left out.
function sameGround(both) {
  const left = both.map(({ common_share: share }, at) => [SIDES[at], share]).filter(([, share]) => share < 1);
  if (left.length === 0) return "Both maps have data on the same ground.";
  return `Only ground where both maps have data is counted: ${left.map(([side, share]) => `${percent(share)} of the data of ${side}`).join(" and ")}.`;
}

function tableOf(view, legend, caption, headings, withActivations) {
  const activation = new Map(view.info.layers.filter(({ code }) => code !== undefined).map((layer) => [layer.code, layer]));
  const shows = withActivations && activation.size > 0;
  const heads = headings.map((text) => make("th", { scope: "col", class: "number" }, text));
  const corner = make("th", { scope: "col" }, "Class");
  const last = shows ? make("th", { scope: "col" }, make("span", { class: headings.length > 2 ? "unseen" : "roomy" }, "Activation")) : null;
  const rows = new Map();
  const body = legend.map(({ code, name, color }) => {
    const cells = headings.map(() => make("td", { class: "number" }, "…"));
    rows.set(code, cells);
    const button = shows ? make("td", {}, activation.has(code) ? activationButton(view, activation.get(code), name) : "") : null;
    return make("tr", { "data-code": code }, make("th", { scope: "row" }, swatch(color), name), ...cells, button);
  });
  const totals = headings.map(() => make("td", { class: "number" }, "…"));
  const element = make("table", { class: "legend" },
    make("caption", { class: "unseen" }, caption),
    make("thead", {}, make("tr", {}, corner, ...heads, last)),
    make("tbody", {}, ...body),
    make("tfoot", {}, make("tr", { "data-total": true }, make("th", { scope: "row" }, "All classes"), ...totals, shows ? make("td") : null)));
  return { element: make("div", { class: "table-box" }, titleOf(withActivations, caption), element), heads, rows, totals };
}

// Two tables need their names on the screen; one stands under its map's title.
function titleOf(alone, caption) {
  return alone ? "" : make("h4", {}, caption);
}

function activationButton(view, layer, name) {
  const toggle = () => view.setLayer(view.layer.id === layer.id ? view.info.layers[0].id : layer.id);
  return make("button", {
    type: "button", class: "button small", "data-activation": layer.code, "aria-pressed": "false",
    "aria-label": `Show activation of ${name}`, title: `Show activation of ${name}`, onclick: toggle,
  }, "Show");
}

function markActivation(view) {
  for (const button of byId("legend-body").querySelectorAll("[data-activation]")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.activation) === view.layer.code));
  }
}

function hideAbsent({ rows, element }, codes) {
  if (rows.size <= SHOWN_THOUGH_ABSENT || codes.length === 0) return;
  const absent = codes.map((code) => rows.get(code)[0].parentElement);
  const show = (shown) => { for (const row of absent) row.hidden = !shown; };
  const toggle = make("button", { type: "button", class: "button small", "data-absent": true, "aria-expanded": "false" }, `Show ${absent.length} that do not occur`);
  toggle.addEventListener("click", () => {
    const shown = toggle.getAttribute("aria-expanded") === "false";
    toggle.setAttribute("aria-expanded", String(shown));
    toggle.textContent = shown ? "Hide those that do not occur" : `Show ${absent.length} that do not occur`;
    show(shown);
  });
  show(false);
  element.append(toggle);
}

async function loadAreas(view, infos, status, show) {
  try {
    const within = (at) => (infos.length === 2 ? `?within=${part(infos[1 - at].id)}` : "");
    show(await Promise.all(infos.map(({ id }, at) => ask(`/maps/${part(id)}/areas${within(at)}`, { signal: view.signal }))));
  } catch (error) {
    if (!isAbort(error)) status.textContent = `The areas cannot be shown. ${error.problem ?? error.message} ${error.remedy ?? ""}`;
  }
}

function unitOf(all) {
  const known = all.every(({ classes }) => classes.every(({ hectares }) => hectares !== null));
  return known
    ? { title: "Hectares", sign: "ha", whole: false, of: ({ hectares }) => hectares }
    : { title: "Pixels", sign: "px", whole: true, of: ({ pixels }) => pixels };
}

const sum = ({ classes }, unit) => classes.reduce((total, entry) => total + unit.of(entry), 0);

function fill({ rows }, code, texts) {
  rows.get(code)?.forEach((cell, at) => { cell.textContent = texts[at]; });
}

function fillTotal({ totals }, texts) {
  totals.forEach((cell, at) => { cell.textContent = texts[at]; });
}
