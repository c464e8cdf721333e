// The jobs of this browser: remembered in localStorage, followed while they run.

import { Refusal, ask, part } from "./server.js";

const KEY = "lulc.jobs";
const POLL_SECONDS = 3;
const FINAL = ["done", "failed", "cancelled", "gone"];

export const isFinal = (state) => FINAL.includes(state?.state);

export class Jobs extends EventTarget {
  #records = load(); // [{id, kind, name, of}], newest first; `of` is the map of a report
  #states = new Map();
  #stream = null;
  #streamed = null;

  constructor() {
    super();
    setInterval(() => this.#poll(), POLL_SECONDS * 1000);
    addEventListener("storage", (event) => {
      if (event.key !== KEY) return;
      this.#records = load();
      this.#tell(null);
    });
  }

  get records() { return this.#records; }

  stateOf(id) { return this.#states.get(id) ?? null; }

  add(record, state = null) {
    if (!this.#records.some(({ id }) => id === record.id)) {
      this.#records = [record, ...this.#records];
      save(this.#records);
    }
    if (state) this.#states.set(record.id, state);
    this.#tell(record.id);
  }

  forget(id) {
    this.#records = this.#records.filter((record) => record.id !== id);
    save(this.#records);
    this.#states.delete(id);
    if (this.#streamed === id) this.#closeStream();
    this.#tell(id);
  }

  // Asks once; a job the server no longer has gets the state "gone".
  async refresh(id) {
    try {
      this.#take(await ask(`/jobs/${part(id)}`));
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 404) throw error;
      this.#take({ id, state: "gone", error: { problem: error.problem, remedy: error.remedy } });
    }
    return this.stateOf(id);
  }

  // One stream at a time: browsers open only six connections to a server, and tiles need them. Other jobs are asked now and then.
  follow(id) {
    if (this.#streamed === id || isFinal(this.stateOf(id))) return;
    this.#closeStream();
    this.#streamed = id;
    this.#stream = new EventSource(`/jobs/${part(id)}/events`);
    this.#stream.addEventListener("message", (event) => this.#take(JSON.parse(event.data)));
    this.#stream.addEventListener("error", () => this.#onStreamError(id));
  }

  // Cancels a job that runs, removes one that is finished.
  async remove(id) {
    try {
      await ask(`/jobs/${part(id)}`, { method: "DELETE" });
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 404) throw error;
    }
  }

  #take(state) {
    this.#states.set(state.id, state);
    if (isFinal(state) && this.#streamed === state.id) this.#closeStream();
    this.#tell(state.id);
  }

  #onStreamError(id) {
    // EventSource connects again by itself, except after an answer that is no stream (404 and the like).
    if (this.#stream?.readyState !== EventSource.CLOSED) {
      this.dispatchEvent(new CustomEvent("silence", { detail: id }));
      return;
    }
    this.#closeStream();
    this.refresh(id).catch(() => this.dispatchEvent(new CustomEvent("silence", { detail: id })));
  }

  #closeStream() {
    this.#stream?.close();
    this.#stream = null;
    this.#streamed = null;
  }

  async #poll() {
    if (document.hidden) return;
    for (const { id } of this.#records) {
      if (id === this.#streamed || isFinal(this.stateOf(id))) continue;
      await this.refresh(id).catch(() => {}); // asked again in a moment
    }
  }

  #tell(id) {
    this.dispatchEvent(new CustomEvent("change", { detail: id }));
  }
}

function load() {
  try {
    const records = JSON.parse(localStorage.getItem(KEY)) ?? [];
    return records.filter((record) => typeof record?.id === "string");
  } catch {
    return [];
  }
}

function save(records) {
  try {
    localStorage.setItem(KEY, JSON.stringify(records));
  } catch { /* private mode: the address still holds the job */ }
}
