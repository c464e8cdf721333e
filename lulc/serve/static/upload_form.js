// Where files come from: the button, or dropped anywhere on the page; and what is said of them beside.

import { byId } from "./dom.js";
import { bytes, count } from "./format.js";
import { Refusal } from "./server.js";
import { showAlert } from "./alerts.js";
import { valuesOf } from "./tiff_size.js";

const NAMES = ["bands", "as", "offset", "quantification"];

export function startUploadForm(about, onFiles) {
  byId("new-map").hidden = false;
  describeLimits(about);
  limitKinds(about);
  const input = byId("file");
  const take = () => {
    const files = [...input.files];
    input.value = ""; // the same file may be chosen again
    if (files.length) onFiles(files);
  };
  input.addEventListener("change", take);
  take(); // what was chosen before the page was ready
  byId("welcome-choose").addEventListener("click", () => input.click());
  byId("upload-form").addEventListener("submit", (event) => event.preventDefault());
  acceptDrops(onFiles);
}

function describeLimits({ limits, model }) {
  byId("file-hint").textContent = `Or drop it anywhere on this page. Up to ${bytes(limits.upload_bytes)}; `
    + `results are kept for ${limits.keep_minutes} minutes.`;
  byId("bands-hint").textContent = model
    ? `Where the file does not name them. The model needs ${model.bands.join(", ")}.`
    : "Where the file does not name them.";
}

function limitKinds({ model, patch_model: patchModel }) {
  for (const option of [...byId("as").options]) {
    if (option.value === "scene" && !model) option.remove();
    if (option.value === "patch" && !patchModel) option.remove();
  }
}

// The options as the server wants them; null, and the first wrong one shown, where one is wrong.
export function optionsGiven() {
  const form = byId("upload-form");
  if (!form.checkValidity()) {
    byId("upload-options").open = true;
    form.reportValidity();
    return null;
  }
  const fields = {};
  for (const name of NAMES) {
    const value = form.elements[name].value.trim();
    if (value) fields[name] = value;
  }
  if (form.elements.allow_no_georef.checked) fields.allow_no_georef = "true";
  return fields;
}

export function clearOptions() {
  byId("upload-form").reset();
  byId("upload-options").open = false;
}

export function openOptions() {
  byId("upload-options").open = true;
}

// Why the server would not take this file; said before hours of sending.
export async function objectionTo(file, limits) {
  if (file.size === 0) return new Refusal(0, `${file.name} is empty.`, "Choose the file again once it is complete.");
  if (file.size > limits.upload_bytes) {
    return new Refusal(413, `${file.name} has ${bytes(file.size)}; this server takes up to ${bytes(limits.upload_bytes)}.`,
      "Cut the scene to the area you need, leave out bands the model does not need, or run lulc classify on it.");
  }
  const values = await valuesOf(file);
  if (values && values > limits.values) {
    return new Refusal(413, `${file.name} has ${count(values)} values (pixels × bands); this server takes up to ${count(limits.values)}.`,
      "Cut the scene to the area you need, leave out bands the model does not need, or run lulc classify on it.");
  }
  return null;
}

function acceptDrops(onFiles) {
  const overlay = byId("drop-overlay");
  let depth = 0; // dragenter and dragleave also come from every element inside
  const isFile = (event) => event.dataTransfer?.types.includes("Files");
  const show = (shown) => { overlay.hidden = !shown; if (!shown) depth = 0; };
  addEventListener("dragenter", (event) => { if (isFile(event)) { event.preventDefault(); depth += 1; show(true); } });
  addEventListener("dragleave", () => { depth -= 1; if (depth <= 0) show(false); });
  addEventListener("dragover", (event) => { if (isFile(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    if (!isFile(event)) return;
    event.preventDefault();
    show(false);
    if (holdsFolder(event.dataTransfer)) {
      showAlert({ problem: "Folders are not taken here.", remedy: "Drop one GeoTIFF with all bands; lulc stack makes it from a SAFE folder." });
    } else if (event.dataTransfer.files.length) {
      onFiles([...event.dataTransfer.files]);
    }
  });
}

function holdsFolder(transfer) {
  return [...transfer.items].some((item) => item.webkitGetAsEntry?.()?.isDirectory);
}
