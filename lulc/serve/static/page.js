// The page: what the address names is what is shown.

import { addressOf, idOf, readAddress } from "./address.js";
import { alertOf, showAlert } from "./alerts.js";
import { announce, byId, confirmed } from "./dom.js";
import { failureOf } from "./job_text.js";
import { Jobs, isFinal } from "./jobs.js";
import { markCurrent, renderNamed, renderOwn } from "./map_list.js";
import { closeMap, forgetLook, openMap } from "./map_screen.js";
import { showPatch } from "./patch_answer.js";
import { showEnded, showProgress, showRunning, showUpload } from "./progress_view.js";
import { ask, part } from "./server.js";
import { orderByWidth, showStage, startSkipLink } from "./stage.js";
import { startUploadForm } from "./upload_form.js";
import { Uploads } from "./uploads.js";

const jobs = new Jobs();
let about;
let uploads;
let named = []; // [{id, title}]
let current = null; // "job:ID", "map:ID", "upload:N" or null
let shown = new AbortController(); // aborted when something else is shown

window.lulc = { map: null };

async function start() {
  startSkipLink();
  orderByWidth();
  try {
    about = await ask("/about");
    named = (await ask("/maps")).maps;
  } catch (error) {
    byId("loading").textContent = "The page cannot be shown.";
    alertOf(error, { action: { text: "Try again", run: () => location.reload() } });
    return;
  }
  uploads = new Uploads(about);
  if (!about.view_only) startSending();
  byId("own-hint").textContent = about.view_only ? "" : `Kept on the server for ${about.limits.keep_minutes} minutes. Download what you need.`;
  await Promise.all(jobs.records.map(({ id }) => jobs.refresh(id).catch(() => {})));
  dropExpired();
  told = new Set(jobs.records.map(({ id }) => id).filter((id) => isFinal(jobs.stateOf(id))));
  jobs.addEventListener("change", ({ detail }) => onJobChange(detail));
  jobs.addEventListener("silence", ({ detail }) => onSilence(detail));
  addEventListener("hashchange", () => route());
  renderNamed(named.map(({ id, title }) => ({ key: `map:${id}`, href: `#map=${part(id)}`, title })), current);
  route();
}

function startSending() {
  uploads.addEventListener("change", onUploadChange);
  uploads.addEventListener("answered", ({ detail }) => onAnswered(detail));
  uploads.addEventListener("failed", ({ detail }) => { if (current === detail.key) goHome(); });
  uploads.addEventListener("again", ({ detail }) => go(detail));
  startUploadForm(about, (files) => {
    const key = uploads.take(files);
    if (key) go(key);
  });
}

// --- the address ---

function go(key) {
  if (location.hash === addressOf(key)) route();
  else location.hash = addressOf(key);
}

function goHome() {
  history.replaceState(null, "", location.pathname);
  current = null;
  route();
}

function route() {
  const { key, second } = readAddress();
  if (key?.startsWith("upload:") && !uploads.find(key)) { goHome(); return; }
  if (!key && firstKey()) {
    history.replaceState(null, "", addressOf(firstKey()));
    route();
    return;
  }
  if (key && key === current) return;
  show(key, second);
}

// What a page without an address begins with: a map named at start, or the newest of this browser.
function firstKey() {
  if (named.length) return `map:${named[0].id}`;
  const newest = ownRecords().find(({ id }) => jobs.stateOf(id)?.state === "done");
  return newest ? `job:${newest.id}` : null;
}

// --- showing ---

function show(key, second = null) {
  shown.abort();
  shown = new AbortController();
  closeMap();
  current = key;
  renderLists();
  if (!key) showWelcome();
  else if (key.startsWith("upload:")) showSending(key);
  else if (key.startsWith("map:")) showMap(idOf(key), { second });
  else showJob(idOf(key), second);
}

function showWelcome() {
  if (about.view_only) {
    byId("welcome-title").textContent = "No maps";
    byId("welcome-text").textContent = "No maps were named when this server was started.";
    byId("welcome-choose").hidden = true;
  }
  showStage("welcome");
}

function showSending(key) {
  const upload = uploads.find(key);
  showStage("progress", upload.title);
  showUpload(upload, () => uploads.cancel(key));
}

async function showJob(id, second) {
  const signal = shown.signal;
  showStage("loading");
  try {
    const state = await jobs.refresh(id);
    if (signal.aborted) return;
    if (state.kind !== "report" && state.state !== "gone") jobs.add({ id, kind: state.kind, name: state.name });
    showJobState(id, second);
  } catch (error) {
    if (!signal.aborted) alertOf(error, { action: { text: "Try again", run: () => show(`job:${id}`, second) } });
  }
}

function showJobState(id, second = null) {
  const state = jobs.stateOf(id);
  if (!isFinal(state)) followOnStage(state);
  else if (state.answer) showAnswer(id, state.answer);
  else if (state.state === "done" && state.map) showMap(state.map, { second, warnings: state.warnings, job: id });
  else showEndOf(id, state);
}

function followOnStage(state) {
  jobs.follow(state.id);
  showStage("progress", state.name);
  showRunning(state, () => removeJob(state.id));
}

function showEndOf(id, state) {
  const name = state.name ?? jobs.records.find((record) => record.id === id)?.name ?? "This map";
  showStage("progress", name);
  showEnded(name, state, about.limits.keep_minutes);
  if (state.state === "gone") jobs.forget(id);
}

function showAnswer(id, answer) {
  showStage("patch", answer.name);
  showPatch(id, answer, shown.signal);
}

async function showMap(id, { second = null, warnings = [], job = null }) {
  const signal = shown.signal;
  showStage("loading");
  try {
    const info = await ask(`/maps/${part(id)}`, { signal });
    if (signal.aborted) return;
    showStage("map", info.title);
    const key = job ? `job:${job}` : `map:${id}`;
    const onSecond = (mapId) => history.replaceState(null, "", addressOf(key, mapId));
    openMap(info, { about, jobs, warnings, others: otherMaps(id), second, onSecond });
  } catch (error) {
    if (signal.aborted) return;
    showStage("progress");
    showProgress({ title: "No map", text: "This map cannot be shown.", failure: { problem: error.problem ?? error.message, remedy: error.remedy }, over: true });
    if (!error.problem) console.error(error);
  }
}

function otherMaps(id) {
  const own = ownRecords().map((record) => jobs.stateOf(record.id)).filter((state) => state?.map)
    .map((state) => ({ mapId: state.map, title: state.name }));
  return [...named.map(({ id: mapId, title }) => ({ mapId, title })), ...own].filter(({ mapId }) => mapId !== id);
}

// --- what happens while something is shown ---

function onUploadChange() {
  renderLists();
  const upload = current && uploads.find(current);
  if (upload) showSending(current);
  else if (current?.startsWith("upload:")) goHome();
}

function onAnswered({ upload, answer }) {
  const state = answer.kind === "patch"
    ? { id: answer.job, kind: "patch", name: answer.name, state: "done", answer, warnings: [] }
    : { id: answer.job, kind: answer.kind, name: upload.title, state: "queued", ahead: 0 };
  jobs.add({ id: answer.job, kind: answer.kind, name: upload.title }, state);
  if (current === upload.key) {
    history.replaceState(null, "", addressOf(`job:${answer.job}`));
    route();
  }
}

let told = new Set(); // jobs whose end has been told

function onJobChange(id) {
  renderLists();
  const state = jobs.stateOf(id);
  if (!state) return;
  if (current === `job:${id}`) {
    if (document.body.dataset.view === "progress" && state.state !== "gone") {
      forgetLook();
      showJobState(id);
    }
  }
  tellEnd(state);
}

function tellEnd(state) {
  if (!isFinal(state)) { told.delete(state.id); return; }
  if (told.has(state.id) || state.kind === "report") return;
  told.add(state.id);
  if (state.state === "done") announce(`${state.name}: ${state.answer ? state.answer.class : "the map is ready"}.`);
  const elsewhere = current !== `job:${state.id}` && jobs.records.some(({ id }) => id === state.id);
  if (state.state === "failed" && elsewhere) showAlert({ problem: `${state.name}: ${failureOf(state).problem}`, remedy: failureOf(state).remedy });
}

function onSilence(id) {
  if (current === `job:${id}`) byId("progress-note").textContent = "The server is not heard; trying again. The job goes on, unless the server was stopped.";
}

// --- lists ---

const ownRecords = () => jobs.records.filter(({ kind }) => kind !== "report");

function renderLists() {
  const sending = (uploads?.all ?? []).map((upload) => ({ key: upload.key, href: addressOf(upload.key), title: upload.title, text: upload.text,
    state: { state: "running" } }));
  const own = ownRecords().map(({ id, name }) => ({ key: `job:${id}`, href: addressOf(`job:${id}`), title: name, state: jobs.stateOf(id) }));
  renderOwn([...sending, ...own], current, onRemove);
  markCurrent(current);
}

function dropExpired() {
  for (const { id } of [...jobs.records]) {
    const shownNow = location.hash === addressOf(`job:${id}`);
    if (jobs.stateOf(id)?.state === "gone" && !shownNow) jobs.forget(id);
  }
}

function onRemove(key) {
  if (key.startsWith("upload:")) uploads.cancel(key);
  else removeJob(key.slice("job:".length));
}

async function removeJob(id) {
  const state = jobs.stateOf(id);
  const name = state?.name ?? "this map";
  const keeps = state?.state === "done";
  if (keeps && !await confirmed(`Remove ${name} and its files from the server?`)) return;
  try {
    await jobs.remove(id);
  } catch (error) {
    alertOf(error, { subject: name });
    return;
  }
  jobs.forget(id);
  announce(keeps ? `${name} is removed.` : `${name} is cancelled.`);
  if (current === `job:${id}`) goHome();
}

start();
