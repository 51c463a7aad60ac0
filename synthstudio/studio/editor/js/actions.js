// What keys and buttons do.

import { HANDLE, draw, fit, toFrame, zoomBy } from "./canvas.js";
import { CLIP_DO, goFrame, undoBatch } from "./clips.js";
import { setItem, step, togglePast } from "./editor.js";
import { helpKey, showHelp } from "./help.js";
import { ONCE, actionOf, keyName, keyOf, rowOf } from "./keys.js";
import { asCalled, asPlaced, derive, inFrame, jointsPatch, known, mirrored, moveJoints, neighbours, nice, round3, describeJoint, standing, swapped, toRow, turnJoints, withCause, withState } from "./labels.js";
import { maskAction, startMask } from "./mask_tool.js";
import { BLINDED, closeForm, flash, inWords, openForm, textField } from "./panel.js";
import { setLight, startPeek, togglePeek } from "./pictures.js";
import { accept, rejectPrediction } from "./predictions.js";
import { PLACE_HELP, chooseMany, extend, placeAction, startBox, startPlacing, startStroke, strokeAction, targets } from "./strokes.js";
import { commit, dropRefused, groupBack, refusedOf, stackOf, takeBack, tryAgain } from "./sync_queue.js";
import { answerNewest, settleNewest, writeComment } from "./threads.js";

const TURN_RAD = Math.PI / 180; // by a key
const SIZE = 1.02; // by a key
const PAN_PX = 30; // of the screen, by an arrow; ten times that with Shift
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export function keyAction(S, event) {
  const { key } = event;
  if (key in ARROWS && !event.ctrlKey && !event.metaKey) {
    const by = event.shiftKey ? 10 : event.altKey ? 0.1 : 1;
    const onPicture = S.root.getRootNode().activeElement === S.ui.stage;
    if (S.joint === -1 && !S.stroke && !S.masking) return onPicture ? `pan ${ARROWS[key].map((v) => v * PAN_PX * Math.max(by, 1)).join(" ")}` : null;
    return `nudge ${ARROWS[key][0] * by} ${ARROWS[key][1] * by}`;
  }
  return key === "Escape" ? "leave" : actionOf(S, keyName(event));
}

export function keyDown(S, event) {
  const target = event.composedPath()[0];
  if (!event.ctrlKey && !event.metaKey) event.stopPropagation(); // r and c are Streamlit's own
  if (S.ui.help.open) return helpKey(S, event);
  if (S.ui.form.contains(target)) return formKey(S, event);
  if (target === S.ui.brush && event.key !== "Escape") return; // its arrows and Tab are its own
  const plain = !event.ctrlKey && !event.metaKey && !event.shiftKey;
  const pressing = plain && target.closest?.("button") && (event.key === "Enter" || event.key === " ");
  if (pressing) return;
  if (event.key === "Escape" && S.root.querySelector(":popover-open")) return; // which it closes
  const onStage = target === S.ui.stage;
  if (event.key === "Tab") {
    if (onStage && !S.left) {
      event.preventDefault();
      runKey(S, `tab ${event.shiftKey ? -1 : 1}`);
    }
    return;
  }
  if (event.key === " " && onStage) {
    event.preventDefault();
    S.space = true;
    return;
  }
  const action = keyAction(S, event);
  if (!action) return;
  event.preventDefault();
  if (action.startsWith("peek ")) return event.repeat || startPeek(S, action.slice(5));
  if (event.repeat && ONCE.includes(action)) return;
  S.pressedAt = event.timeStamp;
  runKey(S, action);
}

function formKey(S, event) {
  const quick = S.ui.form.querySelector(".quick").children;
  const mention = quick[0]?.dataset.mention && ["Enter", "Tab"].includes(event.key) && event.target !== quick[0] ? quick[0] : null;
  const answer = event.altKey ? quick[event.key - 1] : mention;
  if (event.key === "Escape") closeForm(S);
  else if (answer) answer.click();
  else return;
  event.preventDefault();
}

// Why the item may not be changed now; "" where it may. `whole`: what is meant is the frame.
export function whyClosed(S, deleted, whole) {
  return fetching(S) ? "Loading the next person…"
    : !S.can.edit ? "Read-only: your role cannot edit."
    : S.item.blinded ? BLINDED
    : S.broken ? BROKEN
    : refusedOf(S, S.item.id).length ? "First resolve the refused edit: keep the stored version, or apply yours."
    : whole ? ""
    : !S.item.instance ? `No people in this frame: draw a new person (${keyOf(S, "someone")}), or mark it as empty (${keyOf(S, "approve")}).`
    : !S.now.exists ? "This added person was undone. Redo with Shift+Z."
    : S.now.deleted && !deleted ? "This person is deleted. Delete restores it."
    : "";
}

export function open(S, deleted, whole) {
  const no = whyClosed(S, deleted, whole);
  if (no) flash(S, no);
  return !no;
}

export const NO_MASKS = "A second review compares joints: masks are drawn in the layer main.";
const BROKEN = "The picture could not be loaded, so nothing can be changed.";

// Whether something may be drawn over the picture: buttons do not wait for it as keys do.
export function isShown(S) {
  if (!S.ready) flash(S, S.broken ? BROKEN : "Wait until the picture is shown, then draw.");
  return S.ready;
}

export function beginDrawing(S, help) {
  S.ui.stage.focus({ preventScroll: true });
  S.changed();
  flash(S, help, 8000);
}

export function endDrawing(S) {
  if (S.stroke?.tool === "someone" && S.fitting === "person") fit(S, "person");
  Object.assign(S, { stroke: null, masking: null, drag: null });
  S.ui.flash.classList.remove("on");
  S.ui.stage.focus({ preventScroll: true });
  S.changed();
}

// A key that a tool does not know ends the tool, unless it only looks, and does what it does.
export function passOn(S, verb, looking, end = endDrawing) {
  if (!looking.includes(verb)) end(S);
  return false;
}

export function edit(S, changed, merge) {
  const differs = ([j, joint]) => toRow(joint).some((value, k) => value !== toRow(S.now.joints[j])[k]);
  const real = changed.filter(differs);
  if (!real.length || !open(S)) return;
  const patch = jointsPatch(S, real);
  commit(S, S.item, { kind: "edit", joints: patch.joints }, patch, merge);
}

export function placeJoint(S, j, x, y) {
  edit(S, [[j, jointAt(S, j, x, y)]]);
}

export function jointAt(S, j, x, y) {
  const joint = S.now.joints[j];
  const seen = joint.state === null ? { state: 2, cause: "visible" } : {};
  return asPlaced(S.item, { ...joint, ...seen, x: round3(x), y: round3(y) });
}

function act(S, action) {
  const [verb, ...rest] = action.split(" ");
  if (S.stroke && strokeAction(S, verb, rest)) return;
  if (S.masking && maskAction(S, verb, rest)) return;
  if (verb === "mask") return startMask(S, rest[0]);
  if (S.placing && placeAction(S, verb, rest)) return;
  if (verb === "state" || verb === "cause") return setJoints(S, verb, rest[0]);
  if (verb === "nudge") return nudge(S, Number(rest[0]), Number(rest[1]));
  if (verb === "turn") return turn(S, Number(rest[0]) * TURN_RAD, 1);
  if (verb === "size") return turn(S, 0, SIZE ** Number(rest[0]));
  if (verb === "choose") return chooseMany(S, rest[0]);
  if (verb === "extend") return extend(S, Number(rest[0]));
  if (verb === "accept") return accept(S, rest[0]);
  if (verb === "layer") return toggle(S, S.layers, rest[0]);
  if (verb === "to") return goFrame(S, Number(rest[0]));
  if (verb === "pan") return pan(S, Number(rest[0]), Number(rest[1]));
  if (verb === "peek") return togglePeek(S, rest[0]);
  if (verb === "tab") return choose(S, (Math.max(S.joint, rest[0] > 0 ? -1 : 0) + Number(rest[0]) + S.now.joints.length) % S.now.joints.length);
  return (DO[action] ?? CLIP_DO[action])?.(S);
}

export const DO = {
  next: (S) => step(S, 1),
  back: (S) => step(S, -1),
  approve: (S) => (S.item.instance ? decide(S, "approved", "") : decideEmpty(S)),
  skip: (S) => decide(S, "skipped", ""),
  reject: (S) => chooseReason(S, "rejected", "Why is it rejected?", ["joints wrong", "not a person", "image broken", "too small"]),
  flag: (S) => chooseReason(S, "flagged", "What needs another look?", ["cannot tell", "left and right?", "cause unclear", "ask a lead"]),
  comment: (S) => writeComment(S),
  answer: (S) => answerNewest(S),
  settle: (S) => settleNewest(S),
  undo: (S) => back(S, "undo", "redo", "Undone"),
  redo: (S) => back(S, "redo", "undo", "Redone"),
  mirror: (S) => edit(S, mirrored(S.item, S.now)),
  swap: (S) => edit(S, swapped(S, S.now, null)),
  "swap pair": (S) => (S.joint >= 0 ? edit(S, swapped(S, S.now, S.joint)) : flash(S, "Select a joint first.")),
  add: (S) => addPerson(S),
  "reject prediction": (S) => rejectPrediction(S),
  delete: (S) => remove(S),
  box: (S) => startBox(S),
  someone: (S) => startBox(S, true),
  place: (S) => startPlacing(S),
  lasso: (S) => startStroke(S, "lasso"),
  paint: (S) => startStroke(S, "object"),
  hides: (S) => flash(S, "First choose the tool Occluder."),
  cut: (S) => flash(S, "First choose the tool Occluder."),
  select: () => {}, // the tool that was running has ended
  whole: (S) => choose(S, HANDLE),
  "fit person": (S) => refit(S, "person"),
  "fit frame": (S) => refit(S, "frame"),
  closer: (S) => zoomBy(S, 1.25),
  farther: (S) => zoomBy(S, 0.8),
  loupe: (S) => toggle(S, S, "loupe"),
  another: (S) => toggle(S, S, "another"),
  brighter: (S) => setLight(S, S.light.b * 1.2, S.light.c),
  darker: (S) => setLight(S, S.light.b / 1.2, S.light.c),
  sharper: (S) => setLight(S, S.light.b, S.light.c * 1.15),
  flatter: (S) => setLight(S, S.light.b, S.light.c / 1.15),
  light: (S) => setLight(S, 1, 1),
  help: (S) => showHelp(S),
  history: (S) => togglePast(S),
  leave: (S) => leave(S),
  "keep stored": (S) => dropRefused(S, refusedOf(S, S.item.id)),
  "try again": (S) => tryAgain(S, S.item),
};

export function setJoints(S, verb, value) {
  const joints = targets(S);
  if (!joints.length) return flash(S, "Select a joint first: click it, or press Tab.");
  if (!open(S)) return;
  const changed = joints.flatMap((j) => {
    const next = calledJoint(S, j, verb, value);
    return next ? [[j, next]] : [];
  });
  const unplaced = changed.filter(([j, next]) => known(next) && !known(S.now.joints[j]) && !S.places.has(`${S.item.id} ${j}`));
  edit(S, changed);
  announce(S);
  for (const [j] of unplaced) flash(S, `${nice(S.skeleton.joints[j])} had no place: it is put into the middle of the view. Drag it, or Alt+click, to where it belongs.`, 6000);
  const left = joints.length - changed.length;
  if (left) flash(S, `${left} of ${joints.length} joints ${left === 1 ? "is outside the picture or has no label and stays" : "are outside the picture or have no label and stay"} as before: select each alone.`, 6000);
}

// A joint as it is called. One alone is put into the picture where it was last, else into the middle of
// what is seen; of several, null for what is outside or has no label and would come into the picture.
function calledJoint(S, j, verb, value) {
  const joint = S.now.joints[j];
  const name = `${S.item.id} ${j}`;
  if (known(joint)) S.places.set(name, [joint.x, joint.y]); // who changes their mind finds it there
  const next = asCalled(S.item, verb === "state" ? withState(S.item, joint, j, Number(value)) : withCause(joint, value));
  if (!(next.state > 0)) return next;
  if (S.picked.length) return joint.state > 0 && inFrame(S.item, next) ? next : null;
  if (inFrame(S.item, next)) return next;
  const at = known(next) ? [next.x, next.y] : S.places.get(name) ?? toFrame(S, S.ui.stage.clientWidth / 2, S.ui.stage.clientHeight / 2);
  const within = (v, size) => round3(Math.min(Math.max(v, 0), size));
  return { ...next, x: within(at[0], S.item.w), y: within(at[1], S.item.h) };
}

function nudge(S, dx, dy) {
  const joints = S.joint === HANDLE ? undefined : targets(S);
  edit(S, moveJoints(S.item, S.now, dx, dy, joints), `${joints ?? "all"} ${S.item.id}`);
}

export function turn(S, angle, factor) {
  if (S.now.joints.some(known)) edit(S, turnJoints(S.item, S.now, angle, factor), `turn ${S.item.id}`);
}

function back(S, from, to, word) {
  if (!stackOf(S, S.item.id)[from].length) flash(S, from === "undo" ? `Nothing to undo here: ${keyOf(S, "back")} goes back.` : `Nothing to ${from}.`);
  else if (!fetching(S) && S.can.edit && !S.item.blinded && !refusedOf(S, S.item.id).length) {
    const { group, batch } = stackOf(S, S.item.id)[from].at(-1);
    if (batch) undoBatch(S, from, to);
    else if (group) groupBack(S, group, from, to, word);
    else flash(S, `${word}: ${inWords(takeBack(S, S.item, from, to))}`);
  } else open(S);
}

function chooseReason(S, status, question, reasons) {
  const done = (text) => decide(S, status, text);
  if (open(S)) openForm(S, question, { field: textField(), answers: reasons.map((text) => [text, () => done(text)]), done });
}

function decide(S, status, text) {
  if (!open(S, true)) return;
  commit(S, S.item, { kind: "status", status, text }, { status, reason: text });
  S.decided += status === "skipped" ? 0 : 1;
  step(S, 1);
}

function decideEmpty(S) {
  if (!open(S, true, true)) return;
  const others = neighbours(S).length;
  if (others) return flash(S, `${others === 1 ? "A person is" : `${others} people are`} in this frame: first delete those who are not there.`);
  if (S.now.status !== "no_people") {
    setEmpty(S, S.item, "no_people");
    S.decided += 1;
  }
  step(S, 1);
}

function setEmpty(S, item, status) {
  commit(S, item, { kind: "status", status, text: "" }, { status, reason: "" });
}

// The frame of an item, where it was marked as empty.
export function emptied(S, item) {
  const frame = S.list.find((other) => other.frame === item.frame && !other.instance);
  return frame && derive(S, frame).status === "no_people" ? frame : null;
}

function remove(S) {
  if (!S.item.instance && emptied(S, S.item)) {
    if (!open(S, true, true)) return;
    setEmpty(S, S.item, "pending");
    return flash(S, "This frame is marked for another review.");
  }
  if (!open(S, true)) return;
  const deleted = !S.now.deleted;
  commit(S, S.item, { kind: deleted ? "delete" : "restore" }, { deleted });
  flash(S, deleted ? "Deleted. Delete again, or z, restores this person." : "Restored.");
}

function addPerson(S) {
  if (fetching(S) || !S.can.edit) return open(S);
  const { item } = S;
  const [x, y] = toFrame(S, S.ui.stage.clientWidth / 2, S.ui.stage.clientHeight / 2);
  const high = Math.min(item.h * 0.7, (S.ui.stage.clientHeight * 0.6) / S.zoom);
  const joints = standing(S, [x - high * 0.19, y - high / 2, high * 0.38, high]);
  addNew(S, joints.map((joint, j) => [j, joint]), { prediction: null });
  choose(S, HANDLE);
  return flash(S, "A person was added. Move it by its handle or the arrows, then its joints.");
}

export function addNew(S, changed, more) {
  const { item } = insertNew(S, S.item, changed, more);
  const look = [S.zoom, S.tx, S.ty];
  setItem(S, item, S.trip);
  [S.zoom, S.tx, S.ty] = look;
}

// Somebody new in the frame of an item. `prediction`: what this person was until now, or null.
export function insertNew(S, item, changed, { prediction, box, track }) {
  const frame = emptied(S, item);
  if (frame) setEmpty(S, frame, "pending");
  const taken = new Set(S.list.filter((other) => other.frame === item.frame).map((other) => other.instance));
  let instance = item.next_instance;
  while (taken.has(instance)) instance += 1;
  const nothing = [null, null, null, "unlabelled", "human"];
  const state = { revision: 0, status: "pending", reason: "", joints: {}, deleted: false, added: false, who: null };
  const added = {
    ...item, id: `${item.frame}:${instance}`, instance, exists: false, local: true, state, base: S.skeleton.joints.map(() => nothing), prediction,
    visibility_fractions: null, occluder: [], xyz: null, modal: null, amodal: null, facts: ["added by hand"], threads: [], risk: [], lease: null, closed: null, next_instance: instance + 1,
  };
  S.list.splice(S.list.indexOf(item) + 1, 0, added);
  for (const other of S.list) if (other.frame === item.frame) other.found = other.found.filter((one) => one.n !== prediction?.n);
  const patch = { ...jointsPatch(S, changed), ...(box ? { box } : {}), ...(track === undefined ? {} : { track }), exists: true };
  return { item: added, op: commit(S, added, { kind: "add", joints: patch.joints, box, track }, patch) };
}

function toggle(S, flags, name) {
  flags[name] = !flags[name];
  S.changed();
}

export function refit(S, how) {
  S.fitting = how;
  fit(S, how);
  draw(S);
}

function leave(S) {
  if (!S.ui.form.hidden) closeForm(S);
  else if (S.joint !== -1) choose(S, -1);
  else {
    S.left = true; // Tab moves on from here, and works as usual again when the stage is entered anew
    S.ui.hint.textContent = "Left the picture: Tab moves on through the page. Click the picture or press an arrow to return.";
  }
}

export function choose(S, j, picked = []) {
  S.joint = j;
  S.picked = picked;
  S.left = false;
  S.ui.stage.focus({ preventScroll: true });
  if (!S.item) return;
  S.changed();
  announce(S);
}

export function announce(S) {
  const j = S.joint;
  S.root.dataset.picked = S.picked.map((k) => S.skeleton.joints[k]).join(" ");
  const many = S.picked.length ? `${S.picked.length} joints` : "";
  const name = many ? `${many}: ${S.picked.map((k) => nice(S.skeleton.joints[k])).join(", ")}` : j >= 0 ? `${nice(S.skeleton.joints[j])}, ${describeJoint(S.now.joints[j])}` : j === HANDLE ? "whole skeleton" : "";
  S.ui.live.textContent = name;
  S.root.dataset.joint = j >= 0 ? S.skeleton.joints[j] : j === HANDLE ? "whole" : "";
  S.ui.hint.textContent = S.placing ? PLACE_HELP : j >= 0 ? `${many || nice(S.skeleton.joints[j])}: ${keysOf(S, ["visible", "self", "person", "object", "truncated", "unlabelled"].map((cause) => `cause ${cause}`))} · arrows move · Esc deselects`
    : j === HANDLE ? "Whole skeleton: arrows move it, Shift 10 px, Alt 0.1 px · Shift+wheel turns · Alt+wheel scales"
    : `Tab selects a joint · ${keysOf(S, ["someone", "place", "undo", "approve", "reject"])} · ${keyOf(S, "next")} next · ${keyOf(S, "help")} keys`;
}

const keysOf = (S, actions) => actions.map((action) => `${keyOf(S, action)} ${rowOf(action).label.toLowerCase()}`).join(" · ");

function pan(S, dx, dy) {
  S.left = false;
  S.tx -= dx;
  S.ty -= dy;
  draw(S);
}

// All others wait for the picture: nobody edits what is not seen, and no key press is lost.
const FREE = new Set(["help", "light", "darker", "brighter", "flatter", "sharper", "closer", "farther", "leave"]);

// Somebody else was gone to, and has not come from the server yet.
export const fetching = (S) => Boolean(S.going) || S.wanted !== null;

// What a button does that does what a key does: who was left is changed by neither. The button Back
// waits no longer, and what waited is not done.
export function press(S, action) {
  if (fetching(S) && action !== "back") return runKey(S, action);
  const waited = fetching(S);
  act(S, action);
  if (waited && !fetching(S)) dropKeys(S, "You went back");
}

export function runKey(S, action) {
  if (!S.item) return;
  if (FREE.has(action) || (!fetching(S) && (S.ready || S.broken))) act(S, action);
  else if (S.keys.length < 200) S.keys.push(action);
}

export function drainKeys(S) {
  S.draining = true;
  try {
    while (S.keys.length && S.ready && !fetching(S)) act(S, S.keys.shift());
  } finally {
    S.draining = false;
  }
}

// Keys wait for the picture of one person. Whoever comes instead, by a button or from the server,
// was not meant; but keys after one that turns to somebody are for whom it turns to.
export function leaveKeys(S) {
  if (!S.draining) dropKeys(S, "The picture was not loaded yet");
}

export function dropKeys(S, why) {
  const any = S.keys.length > 0;
  if (any) flash(S, `${why}, so earlier key presses were ignored.`, 8000);
  S.keys = [];
  return any;
}
