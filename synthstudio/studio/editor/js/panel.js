// The page round the stage: top bar, side panel, forms, foot. Text goes in as text only.

import { choose, fetching, press, whyClosed } from "./actions.js";
import { differs, el, make, set, shapeOf } from "./canvas.js";
import { buildClips, clipOff, clipOn, fillClips } from "./clips.js";
import { buildHelp, startTour } from "./help.js";
import { actionsOf, keyOf, loadKeys, rowOf } from "./keys.js";
import { CAUSE_WORD, STATE_WORD, STATUS_WORD, nice, occluderOf, present, describeJoint } from "./labels.js";
import { NEXT_TOOL, fillMasks, slideBrush } from "./mask_tool.js";
import { buildPredictions, fillPredictions } from "./predictions.js";
import { isChosen, maskToCut, targets, toggleJoint } from "./strokes.js";
import { refusedOf, stackOf, syncStatus } from "./sync_queue.js";
import { fillThreads } from "./threads.js";

export const BLINDED = "This person is reviewed, and a blind second review is open: the first review is not shown, and nothing can be changed here. Take second reviews on the page Team.";
const SIGN = { saved: "✓", pending: "↑", waiting: "…", offline: "!", refusal: "✗" };

export function button(S, parent, text, title, act, cls) {
  const node = el("button", `btn ${cls ?? ""}`, null, parent, { type: "button", title, "aria-label": title });
  el("span", "", text, node);
  node.addEventListener("click", (event) => {
    act(event);
    // After a mouse or a finger the next key is for the picture, not for the button.
    if (event.detail && S.root.getRootNode().activeElement === node) S.ui.stage.focus({ preventScroll: true });
  });
  return node;
}

export function actionButton(S, parent, action, cls) {
  const { label, what } = rowOf(action);
  const node = button(S, parent, label, what, () => press(S, action), cls);
  node.dataset.action = action;
  el("kbd", "", "", node);
  showKey(S, node);
  return node;
}

export function showKey(S, node) {
  const key = keyOf(S, node.dataset.action);
  const name = node.getAttribute("aria-label");
  node.title = key ? `${name} (${key})` : name;
  node.lastChild.textContent = key;
  if (key) set(node, { "aria-keyshortcuts": key });
}

function menu(S, parent, text, title) {
  const node = button(S, parent, `${text} ▾`, title, () => {}, "opens");
  const box = el("div", "pop", null, parent);
  box.popover = "auto";
  node.popoverTargetElement = box;
  box.addEventListener("beforetoggle", () => {
    const { left, bottom } = node.getBoundingClientRect();
    box.style.left = `clamp(8px, ${left}px, calc(100vw - 352px))`;
    box.style.top = `${bottom + 4}px`;
  });
  return box;
}

export function part(parent, tag, cls, name) {
  return el(tag, cls, null, parent, { "aria-label": name, ...(tag === "div" ? { role: "group" } : {}) });
}

export function buildPage(S, parent) {
  const root = (S.root = el("div", "ed"));
  const ui = (S.ui = {});
  loadKeys(S);
  el("h1", "live", "Review", root);
  buildBar(S, part(root, "div", "bar", "Editor"));
  const main = el("div", "main", null, root);
  buildRail(S, part(main, "div", "rail", "Tools"));
  const name = "Picture with the person's joints. Press question mark for the keys.";
  ui.stage = el("div", "stage", null, main, { tabindex: 0, role: "application", "aria-label": name });
  for (const layer of ["picture", "mask", "peek"]) ui[layer] = el("canvas", "picture", null, ui.stage);
  ui.marks = make("svg", { class: "marks", "aria-hidden": "true" }, ui.stage);
  ui.turn = make("svg", { class: "turn", style: "display: none" }, ui.stage);
  ui.loupe = el("canvas", "loupe", null, ui.stage, { width: 336, height: 336, hidden: "" });
  ui.overlay = el("div", "overlay", "", ui.stage);
  ui.flash = el("div", "flash", "", ui.stage);
  buildSide(S, part(main, "aside", "side", "Person"));
  buildClips(S, root);
  const foot = el("div", "foot", null, root);
  for (const cls of ["hint", "progress"]) ui[cls] = el("span", cls, "", foot);
  ui.status = el("span", "status", "", foot, { role: "status" });
  ui.live = el("div", "live", "", root, { "aria-live": "polite" });
  buildHelp(S, root, main);
  parent.append(root);
}

function buildBar(S, bar) {
  const { ui } = S;
  set(bar, { role: "toolbar" });
  actionButton(S, bar, "back");
  ui.place = el("span", "place", "", bar);
  for (const action of ["next", "undo", "redo"]) actionButton(S, bar, action);
  ui.queue = el("span", "queue", "", bar);
  actionButton(S, bar, "farther", "wide");
  ui.zoom = el("span", "zoom wide", "100%", bar);
  for (const action of ["closer", "fit person"]) actionButton(S, bar, action, "wide");
  const view = menu(S, bar, "View", "View");
  const shown = actionsOf("View").filter((action) => !/^(closer|farther|help)$/.test(action));
  for (const [title, pattern] of [["Show", /^layer/], ["Show while held", /^peek/], ["Picture", /^(?!layer|peek)/]]) {
    el("h3", "", title, view);
    const box = part(view, "div", "", title);
    for (const action of shown.filter((one) => pattern.test(one))) actionButton(S, box, action);
  }
  actionButton(S, bar, "help");
}

function buildSide(S, side) {
  const { ui } = S;
  const head = el("div", "head", null, side);
  ui.who = el("h2", "", "", head);
  ui.chip = el("span", "chip", "", head);
  const person = part(menu(S, head, "Edit", "Edit the whole person"), "div", "", "Edit the whole person");
  for (const action of ["swap", "mirror", "add", "delete", "history"]) actionButton(S, person, action);
  ui.refused = el("div", "refused", null, side, { role: "alert" });
  buildOptions(S, side);
  const body = el("div", "body", null, side);
  for (const cls of ["closed", "facts"]) ui[cls] = el("p", cls, "", body);
  ui.risk = part(body, "ul", "risk", "Risk reasons of this person");
  ui.jointHead = el("div", "head", null, body);
  el("h3", "", "Joints", ui.jointHead);
  const several = part(menu(S, ui.jointHead, "Several", "Select several joints"), "div", "", "Select several joints");
  for (const action of [...actionsOf("Select"), "swap pair"]) actionButton(S, several, action);
  ui.table = part(body, "div", "joints", "Joints");
  ui.palette = part(null, "div", "palette", "State and cause of the selected joints");
  for (const action of actionsOf("State and cause")) {
    const node = actionButton(S, ui.palette, action);
    if (action.startsWith("cause ")) node.prepend(glyph(action.slice(6), "middle"));
  }
  ui.threads = part(body, "ul", "threads", "Comments");
  for (const name of ["past", "clipLog"]) ui[name] = el("ol", `events ${name}`, null, body);
  buildPredictions(S, side);
  ui.form = el("form", "form", null, side, { hidden: "" });
  const decisions = part(side, "div", "decide", "Decide");
  ui.approve = actionButton(S, decisions, "approve", "good");
  for (const [action, cls] of [["reject", "bad"], ["flag", "warn"], ["skip"], ["comment"]]) actionButton(S, decisions, action, cls);
}

// Ask beside the decisions: `field` is what is filled in, `answers` are buttons [text, what they do],
// `done` takes what was filled in. Returns the row of the buttons.
export function openForm(S, question, { field = null, answers = [], done = null }) {
  const { form } = S.ui;
  form.hidden = false;
  form.replaceChildren();
  const label = el("label", "", question, form);
  if (field) {
    field.id = label.htmlFor = "text";
    form.append(field);
  }
  const quick = el("div", "row quick", null, form);
  answers.forEach(([text, act], k) => {
    button(S, quick, text, text, () => {
      closeForm(S);
      act();
    }).title = `${text} (Alt+${k + 1})`;
  });
  const row = el("div", "row", null, form);
  if (done) el("button", "btn good", "Save ⏎", row).type = "submit";
  button(S, row, "Cancel", "Cancel (Esc)", () => closeForm(S));
  form.onsubmit = (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text) return flash(S, "Enter a reason first.");
    closeForm(S);
    return done(text);
  };
  S.ui.flash.classList.remove("on");
  (field ?? quick.firstChild).focus({ preventScroll: true });
  return quick;
}

export const textField = () => Object.assign(el("input"), { maxLength: 2000 });

export function closeForm(S) {
  S.ui.form.hidden = true;
  S.ui.form.replaceChildren();
  S.ui.stage.focus({ preventScroll: true });
}

function glyph(cause, side) {
  const svg = make("svg", { viewBox: "-10 -10 20 20", width: 16, height: 16, class: "glyph", "aria-hidden": "true" });
  const [path, filled] = shapeOf(cause, 4.6);
  const colour = `var(--${side})`;
  make("path", { d: path, fill: filled ? colour : "none", stroke: filled ? "none" : colour, "stroke-width": 2 }, svg);
  if (side === "right") make("path", { d: shapeOf(cause, 8)[0], fill: "none", stroke: colour, "stroke-width": 1 }, svg);
  return svg;
}

export function buildTable(S) {
  S.ui.table.replaceChildren();
  S.rows = S.skeleton.joints.map((name, j) => {
    const node = el("button", "joint-row", null, S.ui.table, { type: "button", "data-joint": name });
    const row = { node, mark: el("span", "mark", null, node) };
    el("span", "name", nice(name), node);
    for (const cls of ["reason", "dot", "share"]) row[cls] = el("span", cls, "", node);
    row.fill = el("span", "fill", null, row.share);
    el("span", "half", null, row.share);
    node.addEventListener("click", (event) => {
      if (event.shiftKey || event.ctrlKey || event.metaKey || S.another) toggleJoint(S, j);
      else choose(S, S.joint === j && !S.picked.length ? -1 : j);
    });
    return row;
  });
}

function fillTable(S) {
  S.rows.forEach((row, j) => {
    const joint = S.now.joints[j];
    const share = S.item.visibility_fractions?.[j]?.[0] ?? null;
    const edited = S.now.edited.has(S.skeleton.joints[j]);
    const occluder = occluderOf(S, j);
    const near = share !== null && share >= 0.2 && share < 0.5;
    const whose = joint.origin === "predicted" ? "model" : edited ? "edited" : "";
    const chosen = isChosen(S, j);
    if (!differs(row.node, joint.cause, joint.state, occluder, share, whose, chosen, S.joint)) return;
    row.mark.replaceChildren(glyph(joint.cause, S.skeleton.sides[j]));
    row.reason.textContent = occluder || (joint.state === null ? "no label" : joint.state === 1 ? CAUSE_WORD[joint.cause] : STATE_WORD[joint.state]);
    row.fill.style.width = share === null ? "0" : `${Math.round(share * 100)}%`;
    row.share.classList.toggle("none", share === null);
    row.share.classList.toggle("near", near);
    const bar = share === null ? "visible share unknown" : `${Math.round(share * 100)}% visible in the labels`;
    row.share.title = near ? `${bar}: near the threshold` : bar;
    row.dot.textContent = whose;
    row.node.classList.toggle("chosen", chosen);
    row.node.tabIndex = S.joint === j || (S.joint < 0 && j === 0) ? 0 : -1;
    const label = `${nice(S.skeleton.joints[j])}, ${describeJoint(joint)}${occluder ? ` (${occluder})` : ""}, ${bar}${whose ? `, ${whose === "model" ? "as predicted" : whose}` : ""}`;
    set(row.node, { "aria-pressed": chosen, "aria-label": label });
  });
  // State and cause stand in the row of the selected joint.
  const { palette } = S.ui;
  const row = S.rows[S.joint]?.node;
  if (!row) palette.remove();
  else if (row.nextSibling !== palette) {
    row.after(palette);
    for (const node of [palette, row]) node.scrollIntoView({ block: "nearest" });
  }
}

export function fillPanel(S) {
  const { ui, item, now } = S;
  ui.who.textContent = `Frame ${item.frame} · ${item.instance ? `person ${item.instance}` : "no people"}`;
  const status = !item.instance && now.status !== "no_people" ? "empty" : now.deleted ? "deleted" : now.status;
  ui.chip.textContent = item.blinded ? "second review open" : STATUS_WORD[status] ?? status;
  ui.chip.className = `chip ${item.blinded ? "flagged" : status}`;
  ui.chip.title = item.blinded ? BLINDED : now.reason || (item.state.who ? `last change by ${item.state.who}` : "not reviewed yet");
  ui.closed.textContent = fetching(S) ? "" : whyClosed(S);
  const extra = now.reason ? [`“${now.reason}”`] : [];
  if (item.lease) extra.push(`held by ${item.lease}`);
  ui.facts.textContent = [...item.facts, ...extra].join(" · ");
  ui.risk.replaceChildren(...item.risk.map((text) => el("li", "", text)));
  ui.approve.firstChild.textContent = item.instance ? "Approve" : "No people";
  ui.place.textContent = `${item.pos + 1} of ${S.queue.total}`;
  ui.queue.textContent = S.queue.label;
  fillThreads(S);
  fillTools(S);
  fillPredictions(S);
  ui.jointHead.hidden = ui.table.hidden = !item.instance;
  fillTable(S);
  fillRefused(S);
  const past = S.past?.id === item.id ? S.past.events ?? null : null;
  fillEvents(ui.past, past, `No edits of this ${item.instance ? "person" : "frame"} yet.`);
  fillClips(S);
  if (!item.instance && S.can.edit && !item.blinded) startTour(S);
  // A button that has nothing more to do would swallow the keys that are pressed on it.
  if (S.root.getRootNode().activeElement?.disabled) ui.stage.focus({ preventScroll: true });
}

function fillProgress(S) {
  const p = S.progress;
  if (!p) return;
  const hours = (Date.now() - S.began) / 3.6e6;
  const rate = S.decided > 4 && hours > 0.01 ? ` · ${Math.round(S.decided / hours)} an hour` : "";
  const empty = p.empty_frames ? ` · ${p.empty_frames} empty frame${p.empty_frames === 1 ? "" : "s"}` : "";
  const share = p.frames ? `${p.frames_left} of ${p.frames} frames left` : `${p.done} of ${p.total} reviewed`;
  S.ui.progress.textContent = `${share}${empty}${rate}`;
}

function refusedWhere(S) {
  const { refused } = S.sync;
  const many = `${refused.length} edit${refused.length === 1 ? "" : "s"} refused`;
  const others = new Map(refused.filter((op) => op.id !== S.item?.id).map((op) => [op.id, op]));
  const places = [...others.values()].map((op) => `frame ${op.frame}${op.instance ? `, person ${op.instance}` : ""}`);
  return places.length ? `${many}: ${places.slice(0, 3).join("; ")}${places.length > 3 ? "; …" : ""}` : many;
}

function fillRefused(S) {
  const mine = refusedOf(S, S.item.id);
  if (!differs(S.ui.refused, mine.map((op) => op.seq))) return;
  S.ui.refused.replaceChildren();
  if (!mine.length) return;
  const changed = mine.every((op) => op.refused.reason === "revision") && S.item.state.who;
  const edits = mine.length === 1 ? "An edit was refused" : `${mine.length} edits were refused`;
  el("strong", "", changed ? `${changed === S.user ? "In another window you" : changed} changed this person. Keep theirs, or apply yours again?` : edits, S.ui.refused);
  for (const text of changed ? [] : new Set(mine.map((op) => op.refused.text))) el("p", "", text, S.ui.refused);
  el("p", "what", `Yours: ${[...new Set(mine.map(inWords))].join("; ")}`, S.ui.refused);
  const row = el("div", "row", null, S.ui.refused);
  for (const action of ["keep stored", "try again"]) actionButton(S, row, action);
}

export function inWords(op) {
  if (op.kind === "status") return STATUS_WORD[op.status] ?? "status";
  const whose = op.from && op.from !== op.id ? ` of person ${op.instance}` : "";
  if (whose) return (op.kind === "revert" ? "undo" : "an edit") + whose;
  if (op.kind !== "edit") return { revert: "undo", add: "add a person", delete: "delete", comment: "comment", resolve: "resolve", reopen: "reopen", reject_prediction: "reject the prediction" }[op.kind] ?? op.kind;
  const names = Object.keys(op.joints ?? {});
  if (typeof op.keyframe === "boolean" && !names.length) return "key frame";
  if (!names.length) return op.masks ? "mask" : op.box ? "box" : "";
  return names.length > 2 ? `${names.length} joints` : names.map(nice).join(", ");
}

// Rows of a history; `events`: null for none to show. It comes into view.
export function fillEvents(list, events, none) {
  if (!differs(list, events)) return;
  list.replaceChildren(...(events ?? []).map(({ when, who, what }) => {
    const row = el("li");
    el("span", "when", when, row);
    el("span", "", ` ${who}: ${what}`, row);
    return row;
  }));
  if (events && !events.length) el("li", "", none, list);
  if (events) list.scrollIntoView({ block: "nearest" });
}

// The theme may change while the page stays.
function fillTheme(S) {
  const rgb = getComputedStyle(S.root).backgroundColor.match(/[\d.]+/g) ?? [255, 255, 255];
  S.root.classList.toggle("dark", rgb[0] * 0.3 + rgb[1] * 0.59 + rgb[2] * 0.11 < 128);
}

export function fillStatus(S) {
  const now = syncStatus(S);
  const { status } = S.ui;
  const elsewhere = S.sync.refused.length;
  const word = elsewhere ? "refusal" : now.word;
  const text = elsewhere ? `${now.word === "saved" ? "" : `${now.text} · `}${refusedWhere(S)}` : now.text;
  if (status.textContent !== `${SIGN[word]} ${text}`) status.textContent = `${SIGN[word]} ${text}`;
  status.className = `status ${word}`;
  Object.assign(S.root.dataset, { pending: S.sync.pending.length, refused: elsewhere, saved: now.word, seq: S.sync.seq, ackMs: S.sync.ackMs.at(-1)?.toFixed(1) ?? "" });
  fillProgress(S);
  fillTheme(S);
}

export function flash(S, text, ms = 2200) {
  S.ui.flash.textContent = text;
  S.ui.flash.classList.add("on");
  S.ui.live.textContent = text;
  clearTimeout(S.flashTimer);
  S.flashTimer = setTimeout(() => S.ui.flash.classList.remove("on"), ms);
}

const ICONS = {
  select: "M5 3L15 9.500L10.500 10.800L13 15.500L11 16.500L8.600 11.800L5 15Z",
  place: "M10 2V7M10 13V18M2 10H7M13 10H18M10 9V11M9 10H11",
  someone: "M7 9A3.200 3.200 0 1 0 7 2.600A3.200 3.200 0 0 0 7 9ZM1.500 17.500C1.500 9.500 12.500 9.500 12.500 17.500M15.500 5V11M12.500 8H18.500",
  box: "M3 4H17V16H3Z",
  "mask modal": "M4 12C1 8 5 3 10 3S18 7 17 10S13 11.500 12 13.500S9 17.500 7 16S5 14 4 12ZM7 8L12 6M7 11L11 9",
  paint: "M7 10V6.500A3 3 0 0 1 13 6.500V10M3 10H17V17H3ZM6 17L9 10M11 17L14 10",
  lasso: "M6 12.500C1 11 2 3 10 3S19 11 12 12.700C9 13.300 6 12.700 6 14.500S9 16 8 18",
};
const FRAME_WIDE = /^(someone|box|add|approve|accept found|accept page)$/; // what needs nobody in the frame
const FREE_GROUPS = ["Select", "View"];
const FREE = /^(select|next|back|history|keep stored|try again)$/;

function buildRail(S, rail) {
  set(rail, { role: "toolbar" });
  for (const [action, d] of Object.entries(ICONS)) {
    const svg = make("svg", { viewBox: "0 0 20 20", width: 20, height: 20, "aria-hidden": "true" });
    make("path", { d }, svg);
    actionButton(S, rail, action).prepend(svg);
  }
}

function toolOf(S) {
  if (S.masking) return "mask modal";
  if (S.stroke) return S.stroke.front ? "paint" : S.stroke.tool;
  return S.placing ? "place" : "select";
}

function buildOptions(S, side) {
  const { ui } = S;
  ui.maskOptions = el("div", "options", null, side);
  const kinds = part(ui.maskOptions, "div", "row", "Which mask");
  ui.which = Object.entries({ modal: ["Visible part", "The mask of the visible part"], amodal: ["Whole body", "The mask of the whole person"] })
    .map(([which, [text, title]]) => ({ which, node: button(S, kinds, text, title, () => S.masking.which !== which && press(S, `mask ${which}`)) }));
  const ways = part(ui.maskOptions, "div", "row", "How it is drawn");
  for (const action of ["mask brush", "mask outline", "mask segment", "mask erase"]) actionButton(S, ways, action);
  const size = part(ui.maskOptions, "div", "row", "Brush");
  const label = el("label", "size", null, size);
  ui.maskSize = el("span", "", "", label);
  ui.brush = el("input", "", null, label, { type: "range", min: 0, max: 100 });
  ui.brush.addEventListener("input", () => slideBrush(S));
  ui.maskClose = actionButton(S, size, "mask close");
  button(S, size, "Done", "End drawing masks (Esc)", () => press(S, "select"));
  ui.occluderOptions = el("div", "options", null, side);
  const by = part(ui.occluderOptions, "div", "row", "What is drawn");
  for (const action of ["by object", "by person", "cut"]) actionButton(S, by, action);
  ui.hides = part(ui.occluderOptions, "div", "row hides", "People behind the occluder");
}

function fillHides(S) {
  const { hides } = S.ui;
  const people = present(S);
  const names = people.map(({ item, now }) => `Person ${item.instance}${now.status === "approved" ? " (approved)" : ""}`);
  if (differs(hides, people.map(({ item }) => item.id), names)) {
    hides.replaceChildren(el("span", "", "It hides"));
    people.forEach(({ item: { id } }, k) => {
      button(S, hides, names[k], `It hides ${names[k].replace("P", "p")}`, () => press(S, `hides ${id}`)).dataset.person = id;
    });
  }
  for (const node of hides.querySelectorAll("button")) {
    set(node, { "aria-pressed": !S.stroke.front.has(node.dataset.person) });
    node.classList.toggle("marked", S.stroke.mark === node.dataset.person);
  }
}

// Whether a button is pressed; undefined for one that is none to press in.
function isOn(S, action) {
  const [verb, what] = action.split(" ");
  const { masking, stroke } = S;
  if (action in ICONS) return toolOf(S) === action;
  if (verb === "cause") {
    const causes = new Set(targets(S).map((j) => S.now.joints[j].cause));
    return causes.size === 1 && causes.has(what);
  }
  if (verb === "clip") return clipOn(S, action);
  if (verb === "layer") return S.layers[what];
  if (verb === "peek") return S.peeking?.kind === what;
  if (verb === "mask" && what in NEXT_TOOL) return masking?.tool === what;
  if (verb === "by") return stroke?.tool === what;
  return {
    "mask erase": Boolean(masking?.erase),
    cut: Boolean(S.cut) && S.can.masks, another: Boolean(S.another), loupe: S.loupe, light: S.light.b !== 1 || S.light.c !== 1,
    history: S.past?.id === S.item.id,
  }[action];
}

// Whether a button can do nothing: why is said beside the joints, or is plain from where it stands.
function isOff(S, action) {
  const [verb] = action.split(" ");
  const { item } = S;
  if (FREE_GROUPS.includes(rowOf(action).group) || FREE.test(action)) return false;
  if (action === "undo" || action === "redo") return !stackOf(S, item.id)[action].length;
  if (verb === "clip" || verb === "copy") return clipOff(S, action);
  if (!S.can.edit || item.blinded) return true;
  if (action === "mask close") return !(S.masking?.points.length > 2);
  if (action === "cut") return !S.can.masks || !(S.stroke && present(S).some(maskToCut));
  if (verb === "mask" && !S.can.masks) return true;
  if (action === "delete" && !item.instance) return S.now.status !== "no_people";
  return !item.instance && !FRAME_WIDE.test(action);
}

export function fillTools(S) {
  const { ui, masking, stroke } = S;
  for (const node of S.root.querySelectorAll("[data-action]")) {
    const on = isOn(S, node.dataset.action);
    if (on !== undefined) set(node, { "aria-pressed": on });
    node.disabled = isOff(S, node.dataset.action);
  }
  for (const { which, node } of ui.which) set(node, { "aria-pressed": masking?.which === which });
  ui.maskOptions.hidden = !masking;
  fillMasks(S);
  ui.occluderOptions.hidden = !stroke?.front;
  if (!ui.occluderOptions.hidden) fillHides(S);
}
