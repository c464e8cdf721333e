// The stage while something is sent or made: what happens, how far it is, and a way out.

import { problemLines } from "./alerts.js";
import { announce, byId } from "./dom.js";
import { failureOf, progressText, shareDone, stageText, timeText } from "./job_text.js";

let lastSaid = "";

// `failure` is {problem, remedy} of what ended badly. `said` is what a screen reader hears; it is heard again only when it changes.
export function showProgress({ title, text, said = text, share = null, note = "", failure = null, over = false, onCancel = null }) {
  byId("progress-title").textContent = title;
  byId("progress-text").textContent = text;
  byId("progress-note").textContent = note;
  byId("failure").replaceChildren(...(failure ? problemLines(failure) : []));
  const progress = byId("progress");
  progress.hidden = over;
  if (share === null) progress.removeAttribute("value");
  else progress.value = share;
  byId("cancel").hidden = !onCancel;
  byId("cancel").onclick = onCancel;
  if (said !== lastSaid) announce(said);
  lastSaid = said;
}

export function showUpload({ title, text, share, note }, onCancel) {
  // Percents change too often to be said.
  showProgress({ title, text, said: text.replace(/,.*/, ""), share, note, onCancel });
}

export function showRunning(state, onCancel) {
  showProgress({ title: state.name, text: progressText(state), said: stageText(state), share: shareDone(state), note: timeText(state), onCancel });
}

export function showEnded(title, state, keepMinutes) {
  const notes = {
    gone: `Results are kept for ${keepMinutes} minutes. Make the map again.`,
    cancelled: "Nothing of it is kept.",
  };
  const failure = state.state === "failed" ? failureOf(state) : null;
  showProgress({ title, text: stageText(state), note: notes[state.state] ?? "", failure, over: true });
}
