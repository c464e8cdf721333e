// Sending a file, with progress: XMLHttpRequest, as fetch tells nothing of what has left.

import { Refusal, patiently, refusalOf } from "./server.js";

// Answers what the server says of the file: {kind: "scene", job} or {kind: "patch", job, ...}.
export function send(file, fields, { onProgress, onWait, signal }) {
  return patiently(() => sendOnce(file, fields, onProgress, signal), { onWait, signal });
}

function sendOnce(file, fields, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const stop = () => { request.abort(); reject(new DOMException("cancelled", "AbortError")); };
    if (signal.aborted) { stop(); return; }
    signal.addEventListener("abort", stop, { once: true });
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) onProgress(event.loaded, event.total);
    });
    request.addEventListener("error", () => reject(broken(file)));
    request.addEventListener("loadend", () => signal.removeEventListener("abort", stop));
    request.addEventListener("load", () => settle(request, resolve, reject));
    request.open("POST", "/classify");
    request.setRequestHeader("Accept", "application/json");
    request.send(formOf(file, fields));
  });
}

function settle(request, resolve, reject) {
  if (request.status < 200 || request.status >= 300) {
    reject(refusalOf(request.status, request.responseText, request.getResponseHeader("Retry-After")));
    return;
  }
  try {
    resolve(JSON.parse(request.responseText));
  } catch {
    reject(new Refusal(request.status, "The server's answer cannot be read.", "Try again; if it stays, see the server's log."));
  }
}

function formOf(file, fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  form.append("image", file, file.name);
  return form;
}

function broken(file) {
  return new Refusal(0, `The connection broke while ${file.name} was sent.`,
    "See that the server is still running, that you are online, and that the file has not been moved or changed; then send it again.");
}
