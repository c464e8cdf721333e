// What can be fetched, with sizes; and the report of a map named at start, which is made on demand.

import { byId, make } from "./dom.js";
import { bytes } from "./format.js";
import { ask, isAbort, part } from "./server.js";
import { isFinal } from "./jobs.js";
import { progressText, shareDone } from "./job_text.js";

export function downloadItems(downloads) {
  return downloads.map(({ title, url, bytes: size }) => make("li", {},
    make("a", { href: url, download: "" }, title), size === undefined || size === null ? "" : make("span", { class: "size" }, bytes(size))));
}

export function startDownloads(view, jobs) {
  byId("download-list").replaceChildren(...downloadItems(view.info.downloads ?? []));
  byId("report").hidden = view.info.job !== null;
  if (view.info.job === null) startReport(view, jobs);
}

function startReport(view, jobs) {
  const { info, signal } = view;
  showReport(null);
  byId("make-report").addEventListener("click", () => order(info, jobs, signal), { signal });
  jobs.addEventListener("change", ({ detail }) => {
    const record = recordOf(jobs, info);
    if (record && record.id === detail) showReport(jobs.stateOf(record.id));
  }, { signal });
  const known = recordOf(jobs, info);
  if (known) jobs.refresh(known.id).then((state) => { if (!isFinal(state)) jobs.follow(known.id); }).catch(() => {});
}

const recordOf = (jobs, { id }) => jobs.records.find((record) => record.kind === "report" && record.of === id);

async function order(info, jobs, signal) {
  byId("make-report").disabled = true;
  const onWait = (refusal, next) => { byId("report-text").textContent = `${refusal.problem} Try ${next} in ${refusal.wait} s.`; };
  try {
    const { job } = await ask(`/maps/${part(info.id)}/report`, { method: "POST", signal, onWait });
    const before = recordOf(jobs, info);
    if (before) jobs.forget(before.id);
    jobs.add({ id: job, kind: "report", name: `Report of ${info.title}`, of: info.id }, { id: job, state: "queued", ahead: 0 });
    jobs.follow(job);
  } catch (error) {
    if (isAbort(error)) return;
    byId("make-report").disabled = false;
    byId("report-text").textContent = `${error.problem ?? error.message} ${error.remedy ?? ""}`;
  }
}

function showReport(state) {
  const running = Boolean(state) && !isFinal(state);
  const failed = state?.state === "failed";
  byId("make-report").disabled = running;
  byId("report-text").textContent = running ? progressText(state) : failed ? `${state.error.problem} ${state.error.remedy}` : "";
  const progress = byId("report-progress");
  progress.hidden = !running;
  const share = running ? shareDone(state) : null;
  if (share === null) progress.removeAttribute("value");
  else progress.value = share;
  byId("report-list").replaceChildren(...downloadItems(state?.state === "done" ? state.downloads : []));
}
