// The box of a person, drawn by a drag or by the keys: arrows move a corner, Tab takes the other.
// S.stroke: {tool, box: [x, y, width, height], corner}; tool "box", or "someone" for a new person; corner 0 is the
// upper left one, 1 the lower right.

import { DO, addNew, beginDrawing, choose, endDrawing, isShown, open, passOn, placeJoint, setJoints } from "./actions.js";
import { boxNode, draw, make, toFrame, toScreen } from "./canvas.js";
import { LOOKING } from "./keys.js";
import { extent, fitted, grownBox, isGuide, nice, round3, describeJoint } from "./labels.js";
import { maskCounts } from "./mask_codes.js";
import { flash } from "./panel.js";
import { HANDLE } from "./pointer.js";
import { NO_MODEL, accept, asNew, predictionIn, validPrediction } from "./predictions.js";
import { commit, record, stackOf } from "./sync_queue.js";

// `fresh`: somebody new is in it, whoever is shown.
export function startBox(S, fresh) {
  if (S.item.instance && !fresh ? !open(S) : !S.can.edit || S.item.blinded) return;
  if (!isShown(S)) return;
  const own = S.item.instance && !fresh;
  if (own && maskCounts(S.item, S.now, "modal")) return flash(S, "This box follows the mask and cannot be drawn.");
  const [x, y] = toFrame(S, S.ui.stage.clientWidth / 2, S.ui.stage.clientHeight / 2);
  const now = own ? grownBox(S, S.item.modal?.box) ?? extent(S.now) : null;
  S.stroke = { tool: own ? "box" : "someone", corner: 0, box: insideFrame(S, now ?? [x - S.item.w / 8, y - S.item.h / 6, S.item.w / 4, S.item.h / 3]) };
  beginDrawing(S, own ? BOX_HELP : `${BOX_HELP} A person is added inside it.`);
}

export const BOXES = ["box", "someone"];
const BOX_HELP = "Drag the box. Or arrows move a corner, Tab switches corners, Enter saves, Esc cancels.";

export function insideFrame(S, [x, y, w, h]) {
  const { item } = S;
  const [left, top] = [Math.min(Math.max(x, 0), item.w - 1), Math.min(Math.max(y, 0), item.h - 1)];
  const [right, low] = [Math.min(Math.max(x + w, left + 1), item.w), Math.min(Math.max(y + h, top + 1), item.h)];
  return [left, top, right - left, low - top].map(round3);
}

export function boxCorners(S, [ax, ay], [bx, by]) {
  S.stroke.box = insideFrame(S, [Math.min(ax, bx), Math.min(ay, by), Math.abs(ax - bx), Math.abs(ay - by)]);
}

export function cornerAction(S, verb, rest) {
  const shape = S.stroke;
  if (verb === "nudge") {
    const [x, y, w, h] = shape.box;
    const [dx, dy] = rest.map(Number);
    shape.box = insideFrame(S, shape.corner ? [x, y, w + dx, h + dy] : [x + Math.min(dx, w - 1), y + Math.min(dy, h - 1), w - dx, h - dy]);
  } else if (verb === "tab") shape.corner = 1 - shape.corner;
  else return false;
  draw(S);
  return true;
}

export function keepBox(S) {
  const { box, tool } = S.stroke;
  endDrawing(S);
  if (!isShown(S)) return;
  if (tool === "someone") {
    const prediction = predictionIn(S, box);
    const guide = (joint, j) => [j, { ...joint, state: null, cause: "unlabelled" }];
    const joints = prediction ? asNew(S, S.item, prediction) : fitted(S, box).map(guide);
    addNew(S, joints, { prediction, box });
    if (!prediction) return startPlacing(S);
    choose(S, HANDLE);
    return flash(S, "A person was added in the box, as predicted. Check each joint.");
  }
  if (!open(S) || box.join() === S.now.box?.join()) return;
  S.layers.boxes = true;
  record(S, S.item, commit(S, S.item, { kind: "edit", box }, { box }));
  flash(S, "Box saved.");
}

export function drawCorners(S) {
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
