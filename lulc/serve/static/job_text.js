// What a job's state is in words.

import { duration, percent, plural } from "./format.js";

const STAGES = {
  starting: "Starting",
  classifying: "Classifying",
  drawing: "Drawing the map",
  reporting: "Writing the report",
};

// While it starts, its size is known already and nothing of it is done.
export function shareDone({ state, stage, done, total }) {
  return state === "running" && stage !== "starting" && total > 0 ? Math.min(1, done / total) : null;
}

export function stageText(state) {
  if (state.state === "queued") {
    return state.ahead > 0 ? `In the queue, ${plural(state.ahead, "job", "jobs")} before it` : "In the queue, next";
  }
  if (state.state === "running") return STAGES[state.stage] ?? capital(state.stage ?? "Running");
  return { done: "Done", failed: "Failed", cancelled: "Cancelled", gone: "No longer kept" }[state.state] ?? capital(state.state);
}

export function progressText(state) {
  const share = shareDone(state);
  if (share === null || share >= 1) return stageText(state);
  return `${stageText(state)}, ${Math.floor(100 * share)} %`;
}

export function timeText(state) {
  if (state.state !== "running" || !(state.seconds > 0)) return "";
  const share = shareDone(state);
  const running = `Running for ${duration(state.seconds)}`;
  // The first hundredths say little about the rest.
  if (!(share > 0.05) || share >= 1) return `${running}.`;
  return `${running}, about ${duration(state.seconds * (1 - share) / share)} to go.`;
}

export function listText(state) {
  if (!state) return "…";
  if (state.state === "done" && state.answer) return `${state.answer.class}, ${percent(state.answer.confidence)}`;
  if (state.state === "done") return "Map";
  return progressText(state);
}

export const failureOf = ({ error }) => error ?? { problem: "The job failed.", remedy: "Try again; if it stays, see the server's log." };

const capital = (word) => word.charAt(0).toUpperCase() + word.slice(1);
