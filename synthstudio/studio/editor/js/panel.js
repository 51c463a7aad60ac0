// The page around the stage: bar, side panel, joint table, forms, help. Text goes in as text only.

import { choose, decide } from "./actions.js";
import { asKey, buildMore, buildPalette, fillEmpty, fillMore, fillPalette } from "./buttons.js";
import { el, make, shapeOf, zoomBy } from "./canvas.js";
import { buildClips, fillClips } from "./clips.js";
import { KEYS } from "./key_help.js";
import { CAUSE_WORD, STATE_WORD, STATUS_WORD, nice, say } from "./labels.js";
import { buildMasks, fillMasks } from "./mask_tool.js";
import { buildPredictions, fillPredictions } from "./predictions.js";
import { buildStrokes, fillStrokes, isChosen, toggleJoint } from "./strokes.js";
import { refusedOf, syncStatus } from "./sync_queue.js";
import { aboutComment, buildMentions, buildThreads, closeMentions, fillThreads } from "./threads.js";
import { stackOf } from "./undo.js";

export const BLINDED = "Somebody reviewed this person, and a blind second review is open: what was said is not shown, and nothing can be changed here. Take second reviews on the page Team.";
const REASONS = {
  rejected: ["joints wrong", "not a person", "image broken", "too small"],
  flagged: ["cannot tell", "left and right?", "cause unclear", "ask a lead"],
};
const LAYERS = [["boxes", "Boxes", "3"], ["modal", "Mask", "4"], ["amodal", "Amodal", "5"], ["others", "Others", "6"], ["names", "Names", "7"], ["predictions", "Predictions", "8"]];

export function button(parent, text, key, title, act, cls) {
  const node = el("button", `btn ${cls ?? ""}`, null, parent);
  node.type = "button";
  el("span", "", text, node);
  if (key) el("kbd", "", key, node);
  node.title = key ? `${title} (${key})` : title;
  node.setAttribute("aria-label", title);
  if (key) node.setAttribute("aria-keyshortcuts", key);
  if (act.action) node.dataset.action = act.action;
  node.addEventListener("click", (event) => act(event));
  return node;
}

export function buildPage(S, parent) {
  const root = el("div", "ed", null);
  S.root = root;
  el("h1", "live", "Review", root);
  const ui = (S.ui = {});
  const bar = el("div", "bar", null, root);
  bar.setAttribute("role", "toolbar");
  bar.setAttribute("aria-label", "Editor");
  buildBar(S, bar);
  const main = el("div", "main", null, root);
  ui.stage = el("div", "stage", null, main);
  ui.stage.tabIndex = 0;
  ui.stage.setAttribute("role", "application");
  ui.stage.setAttribute("aria-label", "Picture with the person's joints. Press question mark for the keys.");
  ui.picture = el("canvas", "picture", null, ui.stage);
  ui.mask = el("canvas", "picture", null, ui.stage);
  ui.peek = el("canvas", "picture", null, ui.stage);
  ui.marks = make("svg", { class: "marks", "aria-hidden": "true" }, ui.stage);
  ui.turn = el("canvas", "turn", null, ui.stage);
  ui.turn.hidden = true;
  ui.loupe = el("canvas", "loupe", null, ui.stage);
  ui.loupe.width = ui.loupe.height = 336;
  ui.loupe.hidden = true;
  ui.overlay = el("div", "overlay", "", ui.stage);
  ui.flash = el("div", "flash", "", ui.stage);
  ui.side = el("aside", "side", null, main);
  ui.side.setAttribute("aria-label", "Person");
  buildSide(S, ui.side);
  buildClips(S, root);
  const foot = el("div", "foot", null, root);
  ui.hint = el("span", "hint", "", foot);
  ui.progress = el("span", "progress", "", foot);
  ui.status = el("span", "status", "", foot);
  ui.status.setAttribute("role", "status");
  ui.live = el("div", "live", "", root);
  ui.live.setAttribute("aria-live", "polite");
  buildHelp(S, root);
  parent.append(root);
}

function buildBar(S, bar) {
  const ui = S.ui;
  const group = () => el("div", "group", null, bar);
  let g = group();
  button(g, "‹", "b", "Back", asKey(S, "back"));
  ui.place = el("span", "place", "", g);
  button(g, "›", "n", "Next", asKey(S, "next"));
  g = group();
  ui.undo = button(g, "Undo", "z", "Undo", asKey(S, "undo"));
  ui.redo = button(g, "Redo", "Shift+z", "Redo", asKey(S, "redo"));
  g = group();
  ui.swap = button(g, "Swap", "w", "Swap left and right", asKey(S, "swap"));
  ui.mirror = button(g, "Mirror", "m", "Mirror the pose", asKey(S, "mirror"));
  ui.add = button(g, "Add", "i", "Add a missing person", asKey(S, "add"));
  ui.box = button(g, "Box", "Shift+b", "Draw this person's box", asKey(S, "box"));
  ui.someone = button(g, "New", "Shift+n", "Draw a box with somebody new in it", asKey(S, "someone"));
  ui.del = button(g, "Delete", "Del", "Delete this person, or bring it back", asKey(S, "delete"));
  g = group();
  ui.layers = {};
  for (const [name, text, key] of LAYERS) {
    ui.layers[name] = button(g, text, "", `${text} (${key})`, asKey(S, `layer ${name}`), "toggle");
  }
  g = group();
  button(g, "−", "", "Zoom out", () => zoomBy(S, 1 / 1.25));
  ui.zoom = el("span", "zoom", "100%", g);
  button(g, "+", "", "Zoom in", () => zoomBy(S, 1.25));
  button(g, "Fit", "f", "Fit the person", asKey(S, "fit person"));
  ui.light = button(g, "☀", "", "Light as it is (backslash); [ ] brightness, { } contrast", asKey(S, "light"));
  button(g, "Keys", "?", "Keys", asKey(S, "help"));
}

function buildSide(S, side) {
  const ui = S.ui;
  const head = el("div", "head", null, side);
  ui.who = el("h2", "", "", head);
  ui.chip = el("span", "chip", "", head);
  ui.facts = el("p", "facts", "", side);
  ui.risk = el("ul", "risk", null, side);
  ui.risk.setAttribute("aria-label", "Why this person is worth a look");
  ui.refused = el("div", "refused", null, side);
  ui.refused.setAttribute("role", "alert");
  const decide = el("div", "decide", null, side);
  ui.decide = [
    button(decide, "Approve", "a", "Approve and go on", asKey(S, "approve"), "good"),
    button(decide, "Reject", "x", "Reject with a reason", asKey(S, "reject"), "bad"),
    button(decide, "Flag", "q", "Flag with a reason", asKey(S, "flag"), "warn"),
    button(decide, "Skip", "j", "Skip", asKey(S, "skip")),
    button(decide, "Comment", "e", "Comment", asKey(S, "comment")),
  ];
  buildForm(S, side);
  buildThreads(S, side);
  buildPalette(S, side);
  buildStrokes(S, side);
  buildMasks(S, side);
  buildMore(S, side);
  buildPredictions(S, side);
  ui.table = el("div", "joints", null, side);
  ui.table.setAttribute("role", "group");
  ui.table.setAttribute("aria-label", "Joints");
  const past = el("div", "past", null, side);
  button(past, "History", "y", "Show what was done to this person", asKey(S, "history"), "flat");
  ui.past = el("ol", "events", null, past);
}

function buildForm(S, side) {
  const form = el("form", "form", null, side);
  S.ui.form = form;
  form.hidden = true;
  S.ui.formLabel = el("label", "", "", form);
  S.ui.input = el("input", "", null, form);
  S.ui.input.maxLength = 2000;
  S.ui.input.id = "text";
  S.ui.formLabel.htmlFor = "text";
  buildMentions(S, form);
  S.ui.quick = el("div", "quick", null, form);
  const row = el("div", "row", null, form);
  const ok = el("button", "btn good", "Save ⏎", row);
  ok.type = "submit";
  button(row, "Cancel", "Esc", "Cancel", () => closeForm(S), "flat");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const { kind } = form.dataset;
    const text = S.ui.input.value.trim();
    if (!text) {
      flash(S, "Say why in a few words first.");
      return;
    }
    closeForm(S);
    decide(S, kind, text);
  });
}

export function openForm(S, kind, thread = null) {
  S.talk = { thread, joint: kind === "comment" && thread === null && S.joint >= 0 && !S.picked.length ? S.skeleton.joints[S.joint] : null };
  const words = { rejected: "Why is it rejected?", flagged: "What should somebody look at?", comment: "Comment" };
  S.ui.form.hidden = false;
  S.ui.form.dataset.kind = kind;
  S.ui.formLabel.textContent = words[kind];
  S.ui.input.value = "";
  closeMentions(S);
  S.ui.quick.replaceChildren();
  if (kind === "comment") aboutComment(S);
  (REASONS[kind] ?? []).forEach((text, k) => {
    button(S.ui.quick, text, `Alt+${k + 1}`, text, () => {
      closeForm(S);
      decide(S, kind, text);
    }, "flat");
  });
  S.ui.input.focus({ preventScroll: true });
}

export function closeForm(S) {
  S.ui.form.hidden = true;
  closeMentions(S);
  S.ui.stage.focus({ preventScroll: true });
}

function buildHelp(S, root) {
  const help = el("dialog", "help", null, root);
  S.ui.help = help;
  help.setAttribute("aria-label", "Keys");
  el("h2", "", "Keys", help);
  const cols = el("div", "cols", null, help);
  for (const [title, rows] of KEYS) {
    const part = el("section", "", null, cols);
    if (title === "Clips") S.ui.clipKeys = part;
    el("h3", "", title, part);
    const list = el("dl", "", null, part);
    for (const [key, what] of rows) {
      el("dt", "", null, list).append(...key.split(" · ").flatMap((k, n) => [n ? " " : "", el("kbd", "", k)]));
      el("dd", "", what, list);
    }
  }
  const legend = el("p", "legend", "Left: orange, drawn once. Right: blue, drawn double. Dashed bones have a hidden end. A dot is visible, a ring hidden by the person itself, a triangle by another person, a square by an object, a cross outside, a diamond unknown.", help);
  legend.id = "legend";
  button(help, "Close", "Esc", "Close", () => help.close(), "flat");
  help.addEventListener("close", () => S.ui.stage.focus({ preventScroll: true }));
}

export function glyph(cause, side) {
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
    const node = el("button", "joint-row", null, S.ui.table);
    node.type = "button";
    node.dataset.joint = name;
    const row = { node, drawn: "", mark: el("span", "mark", null, node) };
    el("span", "name", nice(name), node);
    row.reason = el("span", "reason", "", node);
    const share = el("span", "share", null, node);
    row.fill = el("span", "fill", null, share);
    el("span", "half", null, share);
    row.share = share;
    row.dot = el("span", "dot", "", node);
    node.addEventListener("click", (event) => {
      if (event.shiftKey || event.ctrlKey || event.metaKey || S.another) toggleJoint(S, j);
      else choose(S, S.joint === j && !S.picked.length ? -1 : j);
    });
    return row;
  });
}

export function fillTable(S) {
  S.rows.forEach((row, j) => {
    const joint = S.now.joints[j];
    const share = S.item.shares?.[j]?.[0] ?? null;
    const edited = S.now.edited.has(S.skeleton.joints[j]);
    const occluder = joint.state === 1 && S.item.occluder[j] && !edited ? S.item.occluder[j] : "";
    const near = share !== null && share >= 0.2 && share < 0.5;
    const whose = joint.origin === "predicted" ? "model" : edited ? "edited" : "";
    const chosen = isChosen(S, j);
    const look = [joint.cause, joint.state, occluder, share, whose, chosen, S.joint].join("|");
    if (row.drawn === look) return;
    row.drawn = look;
    row.mark.replaceChildren(glyph(joint.cause, S.skeleton.sides[j]));
    row.reason.textContent = occluder || (joint.state === null ? "no label" : joint.state === 1 ? CAUSE_WORD[joint.cause] : STATE_WORD[joint.state]);
    row.fill.style.width = share === null ? "0" : `${Math.round(share * 100)}%`;
    row.share.classList.toggle("none", share === null);
    row.share.classList.toggle("near", near);
    const bar = share === null ? "no visible share known" : `${Math.round(share * 100)}% visible in the labels`;
    row.share.title = near ? `${bar}: near the threshold` : bar;
    row.dot.textContent = whose;
    row.node.classList.toggle("chosen", chosen);
    row.node.setAttribute("aria-pressed", String(chosen));
    row.node.tabIndex = S.joint === j || (S.joint < 0 && j === 0) ? 0 : -1;
    row.node.setAttribute("aria-label", `${nice(S.skeleton.joints[j])}, ${say(joint)}${occluder ? ` (${occluder})` : ""}, ${bar}${whose ? `, ${whose === "model" ? "as predicted" : whose}` : ""}`);
    if (S.joint === j) row.node.scrollIntoView({ block: "nearest" });
  });
}

export function fillPanel(S) {
  const { ui, item, now } = S;
  ui.who.textContent = `Frame ${item.frame} · ${item.instance ? `person ${item.instance}` : "nobody"}`;
  const status = !item.instance && now.status !== "nobody" ? "empty" : now.deleted ? "deleted" : now.status;
  ui.chip.textContent = item.blinded ? "second review open" : STATUS_WORD[status] ?? status;
  ui.chip.className = `chip ${status}`;
  ui.chip.title = item.blinded ? BLINDED : now.reason || (item.state.who ? `last change by ${item.state.who}` : "nobody has touched it");
  if (item.blinded) ui.chip.className = "chip flagged";
  const extra = now.reason ? [`“${now.reason}”`] : [];
  if (item.lease) extra.push(`held by ${item.lease}`);
  ui.facts.textContent = [...item.facts, ...extra].join(" · ");
  fillThreads(S);
  fillPalette(S);
  fillStrokes(S);
  fillMasks(S);
  fillMore(S);
  fillPredictions(S);
  ui.risk.replaceChildren(...item.risk.map((text) => el("li", "", text)));
  for (const node of [...ui.decide, ui.swap, ui.mirror, ui.del]) node.disabled = !S.can.edit || item.blinded || !item.instance;
  fillEmpty(S, status === "nobody");
  ui.box.disabled = !S.can.edit || item.blinded;
  ui.someone.disabled = ui.box.disabled;
  ui.box.setAttribute("aria-pressed", String(Boolean(S.boxing && !(S.boxing.fresh && item.instance))));
  ui.someone.setAttribute("aria-pressed", String(Boolean(S.boxing?.fresh)));
  ui.add.disabled = !S.can.edit || item.blinded;
  ui.undo.disabled = !stackOf(S, item.id).undo.length;
  ui.redo.disabled = !stackOf(S, item.id).redo.length;
  for (const [name] of LAYERS) ui.layers[name].setAttribute("aria-pressed", String(S.layers[name]));
  ui.place.textContent = `${item.pos + 1} of ${S.queue.total}`;
  ui.place.title = S.queue.label;
  fillTable(S);
  fillRefused(S);
  fillPast(S);
  fillClips(S);
  // A button that has nothing more to do would swallow the keys that are pressed on it.
  if (S.root.getRootNode().activeElement?.disabled) ui.stage.focus({ preventScroll: true });
}

function fillProgress(S) {
  const p = S.progress;
  if (!p) return;
  const hours = (Date.now() - S.began) / 3.6e6;
  const rate = S.decided > 4 && hours > 0.01 ? ` · ${Math.round(S.decided / hours)} an hour` : "";
  const empty = p.nobody ? ` · nobody in ${p.nobody} frame${p.nobody === 1 ? "" : "s"}` : "";
  const share = p.frames ? `${p.frames_left} of ${p.frames} frames left` : `${p.done} of ${p.total} reviewed`;
  S.ui.progress.textContent = `${share}${empty}${rate}`;
}

// Where the refused edits are, so that one finds them again.
function refusedWhere(S) {
  const { refused } = S.sync;
  const many = `${refused.length} edit${refused.length === 1 ? "" : "s"} refused`;
  const people = new Set(refused.map((op) => op.id));
  if (people.size > 1 || people.has(S.item?.id)) return many;
  return `${many}: frame ${refused[0].frame}${refused[0].instance ? `, person ${refused[0].instance}` : ""}`;
}

function fillRefused(S) {
  const mine = refusedOf(S, S.item.id);
  const look = mine.map((op) => op.seq).join();
  if (S.ui.refused.dataset.look === look) return;
  S.ui.refused.dataset.look = look;
  S.ui.refused.replaceChildren();
  S.ui.refused.hidden = !mine.length;
  if (!mine.length) return;
  el("strong", "", mine.length === 1 ? "An edit was not taken" : `${mine.length} edits were not taken`, S.ui.refused);
  for (const text of new Set(mine.map((op) => op.refused.text))) el("p", "", text, S.ui.refused);
  el("p", "what", `Yours: ${mine.map(inWords).join("; ")}`, S.ui.refused);
  const row = el("div", "row", null, S.ui.refused);
  button(row, "Take theirs", "Alt+t", "Drop my edit and keep what is stored", asKey(S, "take theirs"), "flat");
  button(row, "Try again", "Alt+r", "Make my edit again on what is stored now", asKey(S, "try again"), "warn");
}

export function inWords(op) {
  if (op.kind === "status") return STATUS_WORD[op.status] ?? "status";
  const whose = op.from && op.from !== op.id ? ` of person ${op.instance}` : "";
  if (whose) return (op.kind === "revert" ? "undo" : "an edit") + whose;
  if (op.kind !== "edit") return { revert: "undo", add: "add a person", delete: "delete", comment: "comment", resolve: "resolve", reopen: "reopen", distrust: "prediction called wrong" }[op.kind] ?? op.kind;
  const names = Object.keys(op.joints ?? {});
  if (typeof op.keyed === "boolean" && !names.length) return "key frame";
  if (!names.length) return op.masks ? "mask" : op.box ? "box" : "";
  return names.length > 2 ? `${names.length} joints` : names.map(nice).join(", ");
}

function fillPast(S) {
  const past = S.past?.id === S.item.id ? S.past.events ?? null : null;
  S.ui.past.hidden = past === null;
  const look = past === null ? "" : `${S.item.id}/${past.length}`;
  if (past === null || S.ui.past.dataset.look === look) return;
  S.ui.past.dataset.look = look;
  S.ui.past.replaceChildren();
  if (!past.length) el("li", "", `Nobody has touched this ${S.item.instance ? "person" : "frame"} yet.`, S.ui.past);
  for (const event of past) {
    const li = el("li", "", null, S.ui.past);
    el("span", "when", event.when, li);
    el("span", "", ` ${event.who}: ${event.what}`, li);
  }
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
  const text = elsewhere ? `${now.word === "saved" ? "" : `${now.text} · `}${refusedWhere(S)}` : now.text;
  if (status.textContent !== text) status.textContent = text;
  status.className = `status ${elsewhere ? "refusal" : now.word}`;
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
