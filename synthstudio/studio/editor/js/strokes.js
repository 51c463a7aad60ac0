// What is drawn over the picture and what it selects: several joints (a line, a limb, a side, a range), boxes, joints
// placed one after another, occluders.
// S.picked: the chosen joints where there are several, S.joint one of them; empty: S.joint alone.
// S.stroke: {tool, box: [x, y, width, height], corner}: a line is drawn by a drag, or a box by a drag or the keys; tool
// "lasso", "object", "person", "box", or "someone" for a new person; corner 0 is the upper left one, 1 the lower right.

import { DO, NO_MASKS, addNew, beginDrawing, choose, endDrawing, isShown, open, passOn, placeJoint, setJoints } from "./actions.js";
import { HANDLE, boxNode, draw, fit, make, toFrame, toScreen } from "./canvas.js";
import { LOOKING } from "./keys.js";
import { describeJoint, extent, fitted, grownBox, isGuide, jointsPatch, known, nice, present, round3, withCause } from "./labels.js";
import { bitsOf, countsOf, crossings, fillOutline, maskCounts, masksEdit } from "./mask_codes.js";
import { fillPanel, flash } from "./panel.js";
import { NO_MODEL, accept, asNew, limbOf, predictionIn, validPrediction } from "./predictions.js";
import { asGroup, atOnce, commit, refusedOf, stackOf } from "./sync_queue.js";

export const targets = (S) => (S.picked.length ? S.picked : S.joint >= 0 ? [S.joint] : []);

export const isChosen = (S, j) => S.joint === j || S.picked.includes(j);

// `lead`: where Tab and the limb's key go on from.
function chooseJoints(S, joints, lead = S.joint) {
  const picked = [...new Set(joints)].sort((a, b) => a - b);
  choose(S, picked.includes(lead) ? lead : picked[0] ?? -1, picked.length > 1 ? picked : []);
}

export function toggleJoint(S, j) {
  const had = targets(S);
  if (had.includes(j)) chooseJoints(S, had.filter((k) => k !== j));
  else chooseJoints(S, [...had, j], j);
}

export function chooseMany(S, which) {
  const all = [...S.skeleton.joints.keys()];
  if (which === "limb" && S.joint < 0) return flash(S, "Select a joint of the limb first: click it, or press Tab.");
  const joints = which === "limb" ? limbOf(S) : which === "all" ? all : all.filter((j) => S.skeleton.sides[j] === which);
  if (!joints.length) return flash(S, "This skeleton has no such joints.");
  chooseJoints(S, joints);
}

// A range of joints in the order of the list: the next one more, or back over the last one.
export function extend(S, by) {
  const had = targets(S);
  const next = had.length ? S.joint + by : 0;
  if (next < 0 || next >= S.skeleton.joints.length) return flash(S, "There is no joint beyond this one.");
  chooseJoints(S, had.includes(next) ? had.filter((j) => j !== S.joint) : [...had, next], next);
}

const STROKE_HELP = "Or arrows move a corner, Tab switches corners, Enter saves, Esc cancels.";

export function startStroke(S, tool) {
  if (tool === "lasso" ? !open(S) || !isShown(S) : !mayPaint(S)) return;
  const [x, y, w, h] = extent(S.now) ?? [0, 0, S.item.w, S.item.h];
  S.stroke = { tool, corner: 0, box: insideFrame(S, [x - 3, y - 3, w + 6, h + 6]) };
  if (tool !== "lasso") setOccluder(S, tool);
  beginDrawing(S, `${tool === "lasso" ? "Drag a line round the joints." : PAINT_HELP} ${STROKE_HELP}`);
}

export function strokeAction(S, verb, rest) {
  const { tool, box: [x, y, w, h] } = S.stroke;
  if (cornerAction(S, verb, rest) || paintAction(S, verb, rest)) return true;
  if (verb === "accept" && S.stroke.clicked) clickStroke(S);
  else if (verb === "accept" && rest[0] === "joint") keepStroke(S, [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]);
  else if (verb === "leave" || (BOXES.includes(tool) ? BOXES.includes(verb) : verb === tool)) endDrawing(S);
  else return passOn(S, verb, LOOKING);
  return true;
}

// A click draws nothing, and Enter after it not the box of the keys, which its author did not mean.
export function clickStroke(S) {
  S.stroke.clicked = true;
  flash(S, `Drag to draw. ${STROKE_HELP}`);
}

export function keepStroke(S, line) {
  const { tool, front } = S.stroke;
  if (front) return keepOccluder(S, line);
  if (tool !== "lasso") return keepBox(S);
  endDrawing(S);
  const inside = S.now.joints.flatMap((joint, j) => (known(joint) && joint.state !== null && isInside(line, joint) ? [j] : []));
  if (!inside.length) return flash(S, "No joint of this person is inside the line.");
  chooseJoints(S, inside);
  flash(S, `${inside.length} joint${inside.length === 1 ? " is" : "s are"} selected.`);
}

const isInside = (line, { x, y }) => crossings(line, x).filter((cut) => cut > y).length % 2 === 1;

export function drawStroke(S) {
  if (!S.stroke) return;
  if (S.drag?.kind !== "stroke") return drawCorners(S);
  const at = S.drag.line.map((p) => toScreen(S, ...p).map((v) => v.toFixed(1)).join(" "));
  make("path", { class: `stroke ${S.stroke.tool}`, d: `M${at.join("L")}Z` }, S.marks.boxes);
}

// `fresh`: somebody new is in it, whoever is shown.
export function startBox(S, fresh) {
  const own = S.item.instance && !fresh;
  if ((own ? !open(S) : !S.can.edit || S.item.blinded) || !isShown(S)) return;
  if (!own && S.fitting === "person") fit(S, "frame"); // whoever is missing may be outside the view
  if (own && maskCounts(S.item, S.now, "modal")) return flash(S, "This box follows the mask and cannot be drawn.");
  const [x, y] = toFrame(S, S.ui.stage.clientWidth / 2, S.ui.stage.clientHeight / 2);
  const now = own ? grownBox(S, S.item.modal?.box) ?? extent(S.now) : null;
  S.stroke = { tool: own ? "box" : "someone", corner: 0, box: insideFrame(S, now ?? [x - S.item.w / 8, y - S.item.h / 6, S.item.w / 4, S.item.h / 3]) };
  beginDrawing(S, own ? BOX_HELP : `${BOX_HELP} A person is added inside it.`);
}

export const BOXES = ["box", "someone"];
const BOX_HELP = "Drag the box. Or arrows move a corner, Tab switches corners, Enter saves, Esc cancels.";

function insideFrame(S, [x, y, w, h]) {
  const { item } = S;
  const [left, top] = [Math.min(Math.max(x, 0), item.w - 1), Math.min(Math.max(y, 0), item.h - 1)];
  const [right, low] = [Math.min(Math.max(x + w, left + 1), item.w), Math.min(Math.max(y + h, top + 1), item.h)];
  return [left, top, right - left, low - top].map(round3);
}

export function boxCorners(S, [ax, ay], [bx, by]) {
  S.stroke.box = insideFrame(S, [Math.min(ax, bx), Math.min(ay, by), Math.abs(ax - bx), Math.abs(ay - by)]);
}

function cornerAction(S, verb, rest) {
  const shape = S.stroke;
  if (verb === "nudge") {
    const [x, y, w, h] = shape.box;
    const [dx, dy] = rest.map(Number);
    shape.box = insideFrame(S, shape.corner ? [x, y, w + dx, h + dy] : [x + Math.min(dx, w - 1), y + Math.min(dy, h - 1), w - dx, h - dy]);
  } else if (verb === "tab") shape.corner = 1 - shape.corner;
  else return false;
  shape.clicked = false;
  draw(S);
  return true;
}

function keepBox(S) {
  const { box, tool } = S.stroke;
  endDrawing(S);
  if (!isShown(S)) return;
  if (tool === "someone") {
    const prediction = predictionIn(S, box);
    const guide = (joint, j) => [j, { ...joint, state: null, cause: "unlabelled" }];
    const joints = prediction ? asNew(S, S.item, prediction) : fitted(S, box).map(guide);
    addNew(S, joints, { prediction, box });
    if (S.fitting === "person") fit(S, "person");
    if (!prediction) return startPlacing(S);
    choose(S, HANDLE);
    return flash(S, "A person was added in the box, as predicted. Check each joint.");
  }
  if (!open(S) || box.join() === S.now.box?.join()) return;
  S.layers.boxes = true;
  commit(S, S.item, { kind: "edit", box }, { box });
  flash(S, "Box saved.");
}

function drawCorners(S) {
  const { box, corner } = S.stroke;
  boxNode(S, S.marks.boxes, box, "box drawing");
  const [x, y] = toScreen(S, box[0] + corner * box[2], box[1] + corner * box[3]);
  make("rect", { class: "corner", x: (x - 5).toFixed(1), y: (y - 5).toFixed(1), width: 10, height: 10 }, S.marks.boxes);
}

// Joints placed one after another: each click puts the chosen joint there and goes on to the next.
// S.placing: whether that is so. A press that moves is a drag as always, of a joint or the picture.

const KEEP_PLACING = [...LOOKING, "loupe", "light", "darker", "brighter", "flatter", "sharper", "peek", "nudge", "redo"];
export const PLACE_HELP = "Click the named joint's position; the next joint follows. Enter accepts the faint or predicted position, r no label, Tab keeps it, z back, Esc ends.";

export function startPlacing(S) {
  if (!open(S) || !isShown(S)) return;
  S.placing = true;
  S.another = false;
  choose(S, Math.max(S.joint, 0));
  flash(S, PLACE_HELP, 8000);
}

export function endPlacing(S) {
  S.placing = false;
  S.ui.flash.classList.remove("on");
  choose(S, -1);
}

function goOn(S, by) {
  const next = Math.max(S.joint + by, 0);
  if (next < S.skeleton.joints.length) return choose(S, next);
  endPlacing(S);
  flash(S, "Last joint placed: a approves.");
}

// At a place in the stage, in its pixels.
export function placeNext(S, sx, sy) {
  if (!open(S)) return;
  placeJoint(S, S.joint, ...toFrame(S, sx, sy));
  goOn(S, 1);
}

function placeBack(S) {
  const op = stackOf(S, S.item.id).undo.at(-1);
  const [name, more] = Object.keys(op?.patch?.joints ?? {});
  DO.undo(S);
  if (!S.now.exists) return endPlacing(S);
  if (name && !more) choose(S, S.skeleton.joints.indexOf(name));
}

export function placeAction(S, verb, rest) {
  const [value] = rest;
  if (verb === "place" || verb === "leave") endPlacing(S);
  else if (verb === "tab") goOn(S, Number(value));
  else if (verb === "undo") placeBack(S);
  else if (verb === "state" || verb === "cause") {
    setJoints(S, verb, value);
    if (["unlabelled", "truncated", "0"].includes(value)) goOn(S, 1); // these need no place
  } else if (verb === "accept" && value === "joint") {
    if ((validPrediction(S)?.joints[S.joint] || isGuide(S, S.now.joints[S.joint])) && open(S)) {
      accept(S, value);
      goOn(S, 1);
    } else flash(S, S.model ? "No prediction for this joint." : NO_MODEL);
  } else return passOn(S, verb, KEEP_PLACING, endPlacing);
  return true;
}

export function placingText(S) {
  const text = `${nice(S.skeleton.joints[S.joint])} · ${S.joint + 1} of ${S.skeleton.joints.length}`;
  const { state } = S.now.joints[S.joint];
  return state === 2 || state === null ? text : `${text} · ${describeJoint(S.now.joints[S.joint])}`;
}

// An occluder drawn over the picture: the joints under it, of everybody behind it, are hidden by it.
// S.cut: it is cut out of their masks too, where they have any; kept for the next one.
// S.stroke has besides its line: tool "object" or "person", `front`: the ids of those whom it does
// not hide, `mark`: the id of the person of whom the keys say whether it does.

const PAINT_HELP = "Drag a line round the occluder (o object, p person).";

function mayPaint(S) {
  if (!open(S, true, true) || !isShown(S)) return false;
  const any = present(S).length > 0;
  if (!any) flash(S, "No person in this frame can be hidden by an occluder.");
  return any;
}

// A person does not hide itself: whose body is drawn is the shown person's, unless it is said otherwise.
function setOccluder(S, tool) {
  const people = present(S);
  const { id } = (people.find(({ item }) => item.id === S.item.id) ?? people[0]).item;
  Object.assign(S.stroke, { tool, front: new Set(tool === "person" && id === S.item.id ? [id] : []), mark: id });
}

function paintAction(S, verb, rest) {
  const { stroke } = S;
  if (!stroke.front) return false;
  const tool = verb === "paint" ? "object" : verb === "cause" || verb === "by" ? rest[0] : null;
  if (tool === "object" || tool === "person") {
    if (verb === "paint") endDrawing(S);
    else setOccluder(S, tool);
  } else if (verb === "cut") {
    if (!S.can.masks) flash(S, NO_MASKS);
    else if (!present(S).some(maskToCut)) flash(S, "No person in this frame has a mask.");
    else {
      S.cut = !S.cut;
      flash(S, S.cut ? "It is also cut out of the masks." : "The masks are unchanged.");
    }
  } else if (verb === "extend") {
    const ids = present(S).map(({ item }) => item.id);
    stroke.mark = ids[(ids.indexOf(stroke.mark) + Number(rest[0]) + ids.length) % ids.length];
    flash(S, hidesWord(S, stroke.mark));
  } else if (verb === "hides") {
    stroke.mark = rest[0] ?? stroke.mark;
    if (!stroke.front.delete(stroke.mark)) stroke.front.add(stroke.mark);
    flash(S, hidesWord(S, stroke.mark));
  } else return false;
  S.changed();
  return true;
}

const hidesWord = (S, id) => `Person ${id.split(":")[1]} is ${S.stroke.front.has(id) ? "in front of it" : "hidden by it"}.`;

// Why somebody cannot be changed from here, as far as is known: the server decides again.
const closedWhy = (S, item) => (refusedOf(S, item.id).length ? "one of their edits was refused" : item.closed);

// Whether somebody hides a joint who is in front of the occluder: whom the labels name, where nobody
// has changed them, else anybody in front.
function hiddenInFront(S, item, now, j, front) {
  if (now.joints[j].cause !== "person") return false;
  const named = now.edited.has(S.skeleton.joints[j]) ? null : item.occluder?.[j];
  return named ? front.has(`${item.frame}:${named.split(" ")[1]}`) : front.size > 0;
}

// The mask of which an occluder leaves what can be seen: where only the whole one is known, of that.
export const maskToCut = ({ item, now }) => maskCounts(item, now, "modal") ?? maskCounts(item, now, "amodal");

// What is left of somebody's visible mask beside the occluder; its edit is null where nothing changes.
function cutMask(S, item, now, line) {
  const counts = maskToCut({ item, now });
  if (!S.cut || !S.can.masks || counts === null) return { edit: null };
  const bits = bitsOf(counts, item);
  fillOutline(bits, item, line, 0);
  return masksEdit(item, now, { modal: countsOf(bits) });
}

function keepOccluder(S, line) {
  const { tool, front } = S.stroke;
  endDrawing(S);
  if (!mayPaint(S)) return;
  const made = [];
  const left = [];
  let spared = 0;
  atOnce(S, () => {
    for (const { item, now } of present(S).filter((one) => !front.has(one.item.id))) {
      const under = (joint) => joint.state > 0 && joint.cause !== tool && known(joint) && isInside(line, joint);
      const met = [...now.joints.keys()].filter((j) => under(now.joints[j]));
      const kept = met.filter((j) => !hiddenInFront(S, item, now, j, front));
      spared += met.length - kept.length;
      const changed = kept.map((j) => [j, withCause(now.joints[j], tool)]);
      const { edit: cut, empty } = cutMask(S, item, now, line);
      if (empty) left.push(`the mask of person ${item.instance} (it would become empty)`);
      if (!changed.length && !cut) continue;
      const why = closedWhy(S, item);
      if (why) {
        left.push(`person ${item.instance} (${why})`);
        continue;
      }
      const patch = { ...(changed.length ? jointsPatch(S, changed) : {}), ...cut?.patch };
      made.push({ item, op: commit(S, item, { kind: "edit", joints: patch.joints, masks: cut?.masks, from: S.item.id }, patch) });
    }
  });
  const what = tool === "object" ? "an object" : "a person";
  if (made.length) asGroup(S, made, `${what} over`);
  fillPanel(S);
  const count = made.reduce((sum, { op }) => sum + Object.keys(op.joints ?? {}).length, 0);
  const masks = made.filter(({ op }) => op.masks).length;
  const people = `${made.length} ${made.length === 1 ? "person" : "people"}`;
  const done = made.length ? `${count} joint${count === 1 ? "" : "s"} of ${people} hidden by ${what}${masks ? `, cut out of ${masks} mask${masks === 1 ? "" : "s"}` : ""}. Undo with z.`
    : "It covers no joint that it would hide.";
  const stay = spared ? `${spared} joint${spared === 1 ? " stays" : "s stay"} hidden by a person in front. ` : "";
  flash(S, `${left.length ? `Left out: ${left.join(", ")}. ` : ""}${stay}${made.length || !left.length ? done : ""}`, 8000);
}
