// The alert region: a problem and its remedy, until it is dismissed.

import { byId, make, prose } from "./dom.js";
import { Refusal, isAbort } from "./server.js";

const MOST = 5; // several files may be refused at once

export function clearAlerts() {
  byId("alerts").replaceChildren();
}

export function alertOf(error, { subject = "", action = null } = {}) {
  if (isAbort(error)) return;
  if (!(error instanceof Refusal)) console.error(error);
  const problem = error.problem ?? "Something went wrong in this page.";
  const remedy = error.problem ? error.remedy : "Reload the page; if it stays, report it.";
  const named = !subject || problem.includes(subject);
  showAlert({ problem: named ? problem : `${subject}: ${problem}`, remedy, action });
}

export function problemLines({ problem, remedy }) {
  const lines = [make("p", { class: "problem" }, make("strong", {}, ...prose(problem)))];
  if (remedy) lines.push(make("p", { class: "remedy" }, ...prose(remedy)));
  return lines;
}

export function showAlert({ problem, remedy = "", action = null }) {
  const box = make("div", { class: "alert" });
  const dismiss = make("button", { type: "button", class: "button", "data-dismiss": true, onclick: () => box.remove() }, "Dismiss");
  box.append(...problemLines({ problem, remedy }), make("p", { class: "buttons" }, action ? actionButton(action, box) : "", dismiss));
  byId("alerts").prepend(box);
  [...byId("alerts").children].slice(MOST).forEach((old) => old.remove());
  // On a phone the reader may be far below the alert.
  box.scrollIntoView({ block: "nearest" });
}

function actionButton({ text, run }, box) {
  return make("button", { type: "button", class: "button primary", "data-action": true, onclick: () => { box.remove(); run(); } }, text);
}
