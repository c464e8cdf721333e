// Files on their way to the server, one after another; each can be looked at, cancelled, and sent again.

import { alertOf, clearAlerts } from "./alerts.js";
import { bytes, duration } from "./format.js";
import { isAbort } from "./server.js";
import { send } from "./upload.js";
import { clearOptions, objectionTo, openOptions, optionsGiven } from "./upload_form.js";

// Tells "change" as anything changes, "answered" with {upload, answer} when the server has taken a file.
export class Uploads extends EventTarget {
  #about;
  #all = [];
  #count = 0;
  #busy = false;

  constructor(about) {
    super();
    this.#about = about;
    addEventListener("beforeunload", (event) => { if (this.#busy) event.preventDefault(); });
  }

  get all() { return this.#all; }

  find(key) { return this.#all.find((upload) => upload.key === key); }

  // Takes files; the first one's key, or null where the options cannot be sent.
  take(files) {
    clearAlerts();
    return this.#queue(files);
  }

  #queue(files) {
    const fields = optionsGiven();
    if (!fields) return null;
    const taken = files.map((file) => this.#entry(file, fields));
    this.#all.push(...taken);
    this.#work();
    return taken[0].key;
  }

  cancel(key) {
    const upload = this.find(key);
    upload?.closing.abort();
    if (upload) this.#drop(upload);
  }

  #entry(file, fields) {
    this.#count += 1;
    return { key: `upload:${this.#count}`, file, fields, title: file.name, text: "Waits", share: null, note: "", closing: new AbortController(), started: 0 };
  }

  async #work() {
    if (this.#busy) return;
    this.#busy = true;
    while (this.#all.length) await this.#sendOne(this.#all[0]);
    this.#busy = false;
  }

  async #sendOne(upload) {
    try {
      const objection = await objectionTo(upload.file, this.#about.limits);
      if (objection) throw objection;
      upload.started = performance.now();
      this.#say(upload, { text: "Sending" });
      const answer = await send(upload.file, upload.fields, {
        signal: upload.closing.signal,
        onProgress: (loaded, total) => this.#onProgress(upload, loaded, total),
        onWait: (refusal, next) => this.#say(upload, { text: `Trying again in ${refusal.wait} s (try ${next})`, share: null, note: refusal.problem }),
      });
      if (upload.again) clearOptions(); // they mended that file; the next one says itself what it is
      this.#drop(upload, { answer });
    } catch (error) {
      this.#drop(upload);
      if (!isAbort(error)) this.#complain(upload, error);
    }
  }

  #onProgress(upload, loaded, total) {
    if (loaded >= total) {
      this.#say(upload, { text: "Sent; the server looks at it", share: null, note: "" });
      return;
    }
    const seconds = (performance.now() - upload.started) / 1000;
    const left = loaded && seconds > 2 ? `, about ${duration(seconds * (total - loaded) / loaded)} to go` : "";
    const share = loaded / total;
    this.#say(upload, { text: `Sending, ${Math.floor(100 * share)} %`, share, note: `${bytes(loaded)} of ${bytes(total)}${left}` });
  }

  #complain(upload, error) {
    // What an option can mend (unknown bands and the like) comes with the options open.
    if (error.status === 422) openOptions();
    this.dispatchEvent(new CustomEvent("failed", { detail: upload }));
    const again = () => {
      const key = this.#queue([upload.file]);
      if (!key) return;
      this.find(key).again = true;
      this.dispatchEvent(new CustomEvent("again", { detail: key }));
    };
    alertOf(error, { subject: upload.title, action: { text: "Send again", run: again } });
  }

  #say(upload, news) {
    Object.assign(upload, news);
    this.dispatchEvent(new Event("change"));
  }

  #drop(upload, answered = null) {
    this.#all = this.#all.filter((other) => other !== upload);
    if (answered) this.dispatchEvent(new CustomEvent("answered", { detail: { upload, ...answered } }));
    this.dispatchEvent(new Event("change"));
  }
}
