// Asking the server: JSON in, JSON out, and every failure as a problem with a remedy.

const TRIES = 5;
const LONGEST_WAIT = 60;

export class Refusal extends Error {
  constructor(status, problem, remedy = "", wait = 0) {
    super(problem);
    this.status = status;
    this.problem = problem;
    this.remedy = remedy;
    this.wait = wait; // seconds until another try makes sense; 0 where none does
  }
}

const PLAIN = {
  404: ["The server has no such thing, or no longer.", "Results are kept for a limited time. Make the map again."],
  408: ["The file came too slowly and the server stopped waiting.", "Try again on a faster connection."],
  413: ["The file is too large for this server.", "Send a part of the scene, or fewer bands."],
  415: ["The server does not take files of this kind.", "Send a GeoTIFF scene, or a PNG or JPEG picture of 64 × 64 pixels."],
  429: ["The server takes no more uploads at the moment.", "Try again in a minute."],
  503: ["The server is busy.", "Try again in a minute."],
};

function silence() {
  return new Refusal(0, "The server does not answer.", "See that it is still running and that you are online; then try again.");
}

export function refusalOf(status, text, retryAfter) {
  const wait = status === 429 || status === 503 ? secondsOf(retryAfter) : 0;
  try {
    const { problem, remedy } = JSON.parse(text).error;
    if (problem) return new Refusal(status, problem, remedy, wait);
  } catch { /* not in the server's own words: said plainly below */ }
  const [problem, remedy] = PLAIN[status] ?? [`The server answered with an error (${status}).`, "Try again; if it stays, see the server's log."];
  return new Refusal(status, problem, remedy, wait);
}

function secondsOf(retryAfter) {
  const seconds = Number(retryAfter);
  return seconds > 0 ? Math.min(seconds, LONGEST_WAIT) : 5;
}

export const isAbort = (error) => error?.name === "AbortError";

// Runs `attempt` again after 429 and 503, saying so through onWait(refusal, number of the next try).
export async function patiently(attempt, { onWait, signal } = {}) {
  for (let tried = 1; ; tried += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Refusal) || !error.wait || tried >= TRIES) throw error;
      onWait?.(error, tried + 1);
      await pause(error.wait, signal);
    }
  }
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => { clearTimeout(timer); reject(new DOMException("cancelled", "AbortError")); };
    if (signal?.aborted) { reject(new DOMException("cancelled", "AbortError")); return; }
    const timer = setTimeout(() => { signal?.removeEventListener("abort", stop); resolve(); }, seconds * 1000);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

export function ask(url, { method = "GET", json, signal, onWait } = {}) {
  return patiently(() => askOnce(url, { method, json, signal }), { onWait, signal });
}

async function askOnce(url, { method, json, signal }) {
  const request = { method, signal, headers: { Accept: "application/json" } };
  if (json !== undefined) {
    request.body = JSON.stringify(json);
    request.headers["Content-Type"] = "application/json";
  }
  let response;
  let text;
  try {
    response = await fetch(url, request);
    text = await response.text();
  } catch (error) {
    throw isAbort(error) ? error : silence();
  }
  if (!response.ok) throw refusalOf(response.status, text, response.headers.get("Retry-After"));
  return text ? JSON.parse(text) : null;
}

export const part = (id) => encodeURIComponent(id);
