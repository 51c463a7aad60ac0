// The list of keys: ten to begin with, all of them, and own ones instead; the tour of a first empty frame.

import { el } from "./canvas.js";
import { FIRST, KEYS, keyName, keyOf, keysFile, readKeys, rowOf, saveKeys, setKey } from "./keys.js";
import { button, showKey } from "./panel.js";

const LEGEND = "Left: orange, drawn once. Right: blue, drawn double. Dashed bones have a hidden end. A dot is visible, a ring hidden by the own body, a triangle by another person, a square by an object, a diamond hidden with unknown cause, a cross outside.";
const TOUR = [
  ["someone", "This frame has no people yet. New person: drag a box round the person."],
  ["place", "Then place the joints: click the named joint's position, and the next joint follows. Enter accepts the faint position."],
  ["select", "A joint cannot be seen? Select it. Set the cause in its row at the right: own body, person or object."],
  ["undo", "Every step can be undone, also for people you have left. Edits are saved automatically."],
  ["approve", "Approve moves on to the next person. In an empty frame it marks the frame as empty."],
];

export function buildHelp(S, root, main) {
  S.ui.help = el("dialog", "help", null, root, { "aria-label": "Keys" });
  S.ui.help.addEventListener("close", () => S.ui.stage.focus({ preventScroll: true }));
  S.ui.tour = el("section", "tour", null, main, { "aria-label": "Tour", hidden: "" });
}

export function showHelp(S) {
  fillHelp(S, "");
  S.ui.help.showModal();
}

function fillHelp(S, wrong) {
  const { help } = S.ui;
  S.rebinding = null;
  help.replaceChildren();
  el("h2", "", "Ten keys to begin with", help);
  const first = el("dl", "first", null, help);
  for (const action of FIRST) entry(S, first, action, keyOf(S, action), rowOf(action).what);
  el("p", "legend", LEGEND, help);
  const all = el("details", "", null, help);
  all.open = help.open;
  el("summary", "", "All keys, and custom keys", all);
  el("p", "legend", "Click a key and press another one to change it. Your keys stay in this browser; a file moves them to others.", all);
  el("p", "wrong", wrong, all, { role: "alert" });
  const cols = el("div", "cols", null, all);
  for (const [title, rows] of KEYS.filter(([name]) => name !== "Clips" || S.clip)) {
    const part = el("section", "", null, cols);
    el("h3", "", title, part);
    const list = el("dl", "", null, part);
    for (const [action, key, , what] of rows) if (key) entry(S, list, action, action ? keyOf(S, action) : key, what, true);
  }
  const row = el("div", "row", null, help);
  button(S, row, "Save keys as file", "Save keys as file", () => saveFile(S));
  button(S, row, "Load file", "Load keys of a file", () => picker.click());
  const picker = el("input", "", null, row, { type: "file", accept: ".json", hidden: "" });
  picker.addEventListener("change", async () => useFile(S, await picker.files[0].text()));
  button(S, row, "Default keys", "Default keys", () => useFile(S, "{}"));
  button(S, row, "Take the tour", "Take the tour", () => (help.close(), startTour(S, true)));
  button(S, row, "Close", "Close (Esc)", () => help.close());
}

function entry(S, list, action, key, what, own) {
  const dt = el("dt", "", null, list);
  el("dd", "", what, list);
  if (!own || !action || /Enter/.test(key)) return dt.append(...key.split(" · ").flatMap((one, n) => [n ? " " : "", el("kbd", "", one)]));
  return button(S, dt, key, `${what}: change the key ${key}`, ({ currentTarget }) => {
    S.rebinding = action;
    currentTarget.firstChild.textContent = "press…";
  }, "key");
}

export function helpKey(S, event) {
  if (!S.rebinding) return event.key === "?" && S.ui.help.close();
  if (["Shift", "Control", "Alt", "Meta", "Tab"].includes(event.key)) return;
  event.preventDefault();
  showKeys(S, event.key === "Escape" ? "" : setKey(S, S.rebinding, keyName(event)));
}

function showKeys(S, wrong) {
  for (const node of S.root.querySelectorAll("[data-action]")) showKey(S, node);
  fillHelp(S, wrong);
}

function useFile(S, text) {
  const { own, wrong } = readKeys(text);
  if (own) saveKeys(S, own);
  showKeys(S, wrong ?? "");
}

function saveFile(S) {
  const href = URL.createObjectURL(new Blob([keysFile(S)], { type: "application/json" }));
  el("a", "", null, null, { href, download: "shortcuts.json" }).click();
  URL.revokeObjectURL(href);
}

export function startTour(S, again) {
  const name = `synthstudio.tour.${S.user}`;
  if (S.touring || (!again && localStorage.getItem(name))) return;
  S.touring = true;
  tourStep(S, 0, name);
}

function tourStep(S, k, name) {
  const { tour, stage } = S.ui;
  for (const node of S.root.querySelectorAll(".toured")) node.classList.remove("toured");
  tour.hidden = k === TOUR.length;
  tour.replaceChildren();
  if (tour.hidden) {
    S.touring = false;
    localStorage.setItem(name, "1");
    stage.focus({ preventScroll: true });
    return;
  }
  const [action, text] = TOUR[k];
  for (const node of S.root.querySelectorAll(`[data-action="${action}"]`)) node.classList.add("toured");
  const key = keyOf(S, action);
  el("p", "", `${k + 1} of ${TOUR.length}. ${text}${key ? ` Key: ${key}.` : ""}`, tour, { "aria-live": "polite" });
  const row = el("div", "row", null, tour);
  button(S, row, k + 1 < TOUR.length ? "Next step" : "Done", "Next step of the tour", () => tourStep(S, k + 1, name));
  if (k + 1 < TOUR.length) button(S, row, "Skip the tour", "Skip the tour", () => tourStep(S, TOUR.length, name));
}
