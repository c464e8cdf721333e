// The picture of an explanation with what is said of it.

import { make, prose } from "./dom.js";
import { downloadItems } from "./downloads.js";
import { ask, part } from "./server.js";

export function askExplanation(job, body, signal, onWait) {
  return ask(`/jobs/${part(job)}/explanation`, { method: "POST", json: body, signal, onWait });
}

export function explanationFigure({ title, subtitle, notes, picture, picture_alt: alt, downloads }) {
  const image = make("img", { src: picture, alt: alt || title, "data-explanation-picture": true });
  const open = make("a", { href: picture, target: "_blank", rel: "noopener", title: "Open the picture in full size" }, image);
  return make("figure", { class: "explanation" },
    make("figcaption", {}, make("strong", {}, title), subtitle ? make("span", { class: "subtitle" }, ...prose(subtitle)) : ""),
    open,
    notes?.length ? make("ul", { class: "notes" }, ...notes.map((note) => make("li", {}, ...prose(note)))) : "",
    make("ul", { class: "downloads" }, ...downloadItems(downloads ?? [])));
}
