// Joints placed one after another: each click puts the chosen joint there and goes on to the next.
// S.placing: whether that is so. A press that moves is a drag as always, of a joint or the picture.

import { DO, choose, endDrawing, isShown, open, placeJoint, setJoints } from "./actions.js";
import { toFrame } from "./canvas.js";
import { LOOKING } from "./keys.js";
import { isGuide, nice, say } from "./labels.js";
import { flash } from "./panel.js";
import { NO_MODEL, accept, trusted } from "./predictions.js";
import { stackOf } from "./undo.js";

const KEEP_PLACING = [...LOOKING, "loupe", "light", "darker", "brighter", "flatter", "sharper", "peek", "nudge", "redo"];
export const PLACE_HELP = "Click where the named joint is; the next follows. Enter takes the faint or predicted one, r no label, Tab as it stands, z back, Esc ends.";

export function startPlacing(S) {
  if (S.placing) return endPlacing(S);
  if (!open(S) || !isShown(S)) return;
  if (S.masking) endDrawing(S);
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

// The next joint's turn; after the last one it is over.
function goOn(S, by) {
  const next = Math.max(S.joint + by, 0);
  if (next < S.skeleton.joints.length) return choose(S, next);
  endPlacing(S);
  flash(S, "Every joint had its turn: a approves.");
}

// At a place in the stage, in its pixels.
export function placeNext(S, sx, sy) {
  if (!open(S)) return;
  placeJoint(S, S.joint, ...toFrame(S, sx, sy));
  goOn(S, 1);
}

// Undo leads back to the joint that it gives back.
function placeBack(S) {
  const op = stackOf(S, S.item.id).undo.at(-1);
  const [name, more] = Object.keys(op?.patch?.joints ?? {});
  DO.undo(S);
  if (!S.now.exists) return endPlacing(S);
  if (name && !more) choose(S, S.skeleton.joints.indexOf(name));
}

// What keys mean while joints are placed; others end it and do what they do.
export function placeAction(S, verb, rest) {
  const [value] = rest;
  if (verb === "place" || verb === "leave") endPlacing(S);
  else if (verb === "tab") goOn(S, Number(value));
  else if (verb === "undo") placeBack(S);
  else if (verb === "state" || verb === "cause") {
    setJoints(S, verb, value);
    if (["unlabelled", "truncated", "0"].includes(value)) goOn(S, 1); // these need no place
  } else if (verb === "accept" && value === "joint") {
    if ((trusted(S)?.joints[S.joint] || isGuide(S, S.now.joints[S.joint])) && open(S)) {
      accept(S, value);
      goOn(S, 1);
    } else flash(S, S.model ? "Nothing is predicted for it." : NO_MODEL);
  } else {
    if (!KEEP_PLACING.includes(verb)) endPlacing(S);
    return false;
  }
  return true;
}

// What the pointer carries: which joint comes.
export function placingText(S) {
  const text = `${nice(S.skeleton.joints[S.joint])} · ${S.joint + 1} of ${S.skeleton.joints.length}`;
  const { state } = S.now.joints[S.joint];
  return state === 2 || state === null ? text : `${text} · ${say(S.now.joints[S.joint])}`;
}
