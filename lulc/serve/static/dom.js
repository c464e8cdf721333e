// Small helpers for elements. Text from the server enters the page by textContent alone.

export const byId = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function swatch(color) {
  const box = make("span", { class: "swatch", "aria-hidden": "true" });
  box.style.backgroundColor = color;
  return box;
}

// A long name in one word may break where a capital follows: Herbaceous|Vegetation.
export function breakable(name) {
  const words = name.split(/(?<=[a-z])(?=[A-Z])/);
  return make("span", {}, ...words.flatMap((word, at) => (at ? [make("wbr"), word] : [word])));
}

// A message of the server as nodes: it begins with a capital unless a name does, and `commands` are set as code.
export function prose(text) {
  const capital = /^(?!lulc\b)[a-z]+[ ,]/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text;
  return capital.split("`").map((words, at) => (at % 2 ? make("code", {}, words) : words));
}

export function bar(share, color) {
  const inner = make("span");
  inner.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  if (color) inner.style.backgroundColor = color;
  return make("span", { class: "bar", "aria-hidden": "true" }, inner);
}

// For screen readers: what changed on the screen without the focus going there.
export function announce(text) {
  byId("announcer").textContent = "";
  setTimeout(() => { byId("announcer").textContent = text; }, 50);
}

export function confirmed(question) {
  const dialog = byId("confirm");
  byId("confirm-text").textContent = question;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
