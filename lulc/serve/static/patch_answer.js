// The answer for a picture: its class, how sure, every probability, and what speaks for a class.

import { bar, breakable, byId, make, prose } from "./dom.js";
import { percent } from "./format.js";
import { askExplanation, explanationFigure } from "./explanation_figure.js";
import { isAbort } from "./server.js";

export function showPatch(job, answer, signal) {
  const { name, notes } = answer;
  byId("patch").replaceChildren(
    make("h2", { id: "patch-title" }, name),
    make("div", { class: "patch-parts" },
      make("div", { class: "patch-answer" }, headline(answer), noteList(notes), probabilities(answer)),
      explanationPart(job, answer, signal)));
}

function headline({ class: winner, confidence, ood_score: score, picture, name }) {
  return make("div", { class: "patch-head" },
    make("img", { src: picture, alt: `The picture ${name}, enlarged`, class: "patch-picture", id: "patch-picture" }),
    make("p", {},
      make("strong", { class: "patch-class", id: "patch-class" }, winner),
      make("span", { id: "patch-confidence" }, `Confidence ${percent(confidence)}`),
      make("span", { class: "hint" }, "calibrated: of patches like those it learnt from, about so many are right"),
      typeof score === "number" ? make("span", { id: "patch-ood-score" }, `OOD score ${score.toFixed(2)}`) : "",
      typeof score === "number" ? make("span", { class: "hint" }, "above 1 the picture is unlike those it learnt from") : ""));
}

function noteList(notes) {
  return notes?.length ? make("ul", { class: "notes" }, ...notes.map((note) => make("li", {}, ...prose(note)))) : "";
}

function probabilities({ probabilities: all, class: winner }) {
  const rows = Object.entries(all).map(([name, share]) => make("tr", { "data-class": name, class: name === winner ? "winner" : null },
    make("th", { scope: "row" }, breakable(name)), make("td", { class: "number" }, percent(share)), make("td", { class: "bar-cell" }, bar(share))));
  const head = make("tr", {}, make("th", { scope: "col" }, "Class"), make("th", { scope: "col", class: "number" }, "Probability"),
    make("td", {}));
  return make("table", { class: "legend", id: "probabilities" }, make("caption", {}, "Probability of every class"),
    make("thead", {}, head), make("tbody", {}, ...rows));
}

function explanationPart(job, answer, signal) {
  const status = make("p", { class: "hint", role: "status", id: "patch-explain-status" });
  const box = make("div", { id: "patch-explanation" });
  const options = Object.keys(answer.probabilities).map((name) => make("option", { value: name, selected: name === answer.class }, name));
  const select = make("select", { id: "patch-explain-class" }, ...options);
  const explainer = new PatchExplainer(job, status, box, signal);
  select.addEventListener("change", () => explainer.show(select.value));
  explainer.show(answer.class);
  return make("section", { class: "patch-explain", "aria-labelledby": "patch-explain-title" },
    make("h3", { id: "patch-explain-title" }, "What speaks for this class?"),
    make("label", { for: "patch-explain-class" }, "Class"), select, status, box);
}

class PatchExplainer {
  #known = new Map();
  #running = null;

  constructor(job, status, box, signal) {
    Object.assign(this, { job, status, box, signal });
    signal.addEventListener("abort", () => this.#running?.abort());
  }

  async show(name) {
    this.#running?.abort();
    const running = this.#running = new AbortController();
    const say = (text) => { this.status.textContent = text; };
    try {
      if (!this.#known.has(name)) {
        say("Being explained; this takes up to ten seconds.");
        const onWait = (refusal, next) => say(`${refusal.problem} Try ${next} in ${refusal.wait} s.`);
        this.#known.set(name, await askExplanation(this.job, { class: name }, running.signal, onWait));
      }
      if (running.signal.aborted) return;
      this.box.replaceChildren(explanationFigure(this.#known.get(name)));
      say("");
    } catch (error) {
      if (!isAbort(error)) say(`${error.problem ?? error.message} ${error.remedy ?? ""}`);
    }
  }
}
