// Undo, redo, and edits that were refused: dropped, or made again over what is there now.
// A refused item: drop mine, or say it again over what is there now.

import { asPlaced, derive, everybody, toRow } from "./labels.js";
import { WHICH, rebasedMasks } from "./mask_codes.js";
import { flash } from "./panel.js";
import { asGroup } from "./predictions.js";
import { commit, forget, refusedOf } from "./sync_queue.js";

export function takeTheirs(S, id) {
  dropRefused(S, refusedOf(S, id));
  S.changed();
}

function dropRefused(S, ops) {
  for (const op of ops) forget(S.sync, op);
  S.sync.refused = S.sync.refused.filter((op) => !ops.includes(op));
}

// What cannot be said again from here stays refused, with the reason.
export function tryAgain(S, shown) {
  const apart = []; // of a stroke that this tab knows no more: made in another one, or taken back
  const left = [];
  for (const op of refusedOf(S, shown.id)) {
    const item = op.id === shown.id ? shown : everybody(S, op.frame).find((other) => other.id === op.id);
    if (op.kind === "revert" && op.id !== shown.id) {
      left.push(`Open person ${op.instance} of frame ${op.frame} to try its undo again.`);
    } else if (!item) {
      left.push(`Person ${op.instance} is not in this frame any more.`);
    } else {
      const again = sayAgain(S, item, op);
      dropRefused(S, [op]);
      const stays = op.kind === "revert" && "masks" in op.patch && !("masks" in (again?.patch ?? {}));
      if (stays) flash(S, "The mask cannot be taken back: it was changed since, and nothing would be left of it. Draw over it instead.", 8000);
      else if (!again) {
        flash(S, "Nothing of it is left to do: those joints are outside the picture by now, or have no label.", 8000);
      }
      if (!again) continue;
      record(S, item, again);
      if (op.kind === "revert") continue;
      if (S.groups.has(op.group)) again.group = op.group;
      else if (op.from) apart.push({ item, op: again });
    }
  }
  if (apart.length) asGroup(S, apart, "edits of");
  if (left.length) flash(S, `${left.join(" ")} Alt+T drops what was not taken.`, 8000);
  S.changed();
}

// Commit a refused op anew; null where nothing of it is left to do.
function sayAgain(S, item, op) {
  const { kind, status, text, event, joint } = op;
  const patch = kind !== "add" && op.patch.joints ? { ...op.patch, joints: rebased(S, item, op) } : { ...op.patch };
  const now = derive(S, item);
  // An undo of masks alone that nobody drew on since is taken back as it is, others by their pixels.
  const asItIs = kind === "revert" && !patch.joints && WHICH.every((which) => now.masks?.[which] === op.was.masks?.[which]);
  const redrawn = kind === "edit" ? op.masks : "masks" in patch && !asItIs;
  const over = redrawn ? rebasedMasks(item, now, op) : null;
  if (redrawn) over ? Object.assign(patch, over.patch) : delete patch.masks;
  const joints = patch.joints && Object.keys(patch.joints).length ? patch.joints : null;
  if (!joints && (patch.joints || redrawn) && !("masks" in patch)) return null;
  if (!joints) delete patch.joints;
  if (kind !== "revert") return commit(S, item, { kind, joints, box: op.box, masks: over?.masks, status, text, event, joint, track: op.track, keyed: op.keyed, from: op.from }, patch);
  if (patch.distrusts || "keyed" in patch || "track" in patch || "exists" in patch || ("masks" in patch && !over) || patch.resolved || patch.comments) return commit(S, item, { kind, event: op.event, undoes: op.undoes }, patch);
  const as = joints || over || patch.box ? "edit" : "deleted" in patch ? (patch.deleted ? "delete" : "restore") : "status";
  return commit(S, item, { kind: as, joints, box: patch.box, masks: over?.masks, status: patch.status, text: patch.reason, from: op.from }, patch);
}

// The joints of an op over those that are there now: who only said something of a joint leaves it where
// it is, who only moved it leaves what is said of it. A stroke brings no joint into the picture.
function rebased(S, item, op) {
  const now = derive(S, item);
  const joints = {};
  for (const [name, row] of Object.entries(op.patch.joints)) {
    const was = op.was.joints[name];
    const joint = now.joints[S.skeleton.joints.indexOf(name)];
    const [moved, said] = [[0, 1], [2, 3]].map((part) => part.some((k) => row[k] !== was[k]));
    if (op.from && !(joint.state > 0)) continue;
    const [x, y] = moved ? row : toRow(joint);
    const [, , state, cause] = said ? row : toRow(joint);
    const mine = row[4] === "predicted" || (!moved && !(joint.state > 0));
    joints[name] = mine ? row : toRow(asPlaced(item, { x, y, state, cause }));
  }
  return joints;
}

// Undo and redo: each item has its own stack of what was done to it in this tab.
export function stackOf(S, id) {
  if (!S.stacks.has(id)) S.stacks.set(id, { undo: [], redo: [] });
  return S.stacks.get(id);
}

export function record(S, item, op) {
  if (op.kind === "comment") return op;
  const stack = stackOf(S, item.id);
  if (stack.undo[stack.undo.length - 1] !== op) stack.undo.push(op);
  stack.redo = [];
  return op;
}

export function dropUndo(S, op) {
  const stack = stackOf(S, op.id);
  stack.undo = stack.undo.filter((o) => o !== op);
  stack.redo = stack.redo.filter((o) => o !== op);
  if (op.group) dropEmptyGroup(S, op.group);
}

// A group of edits of which no undo is left leaves no mark where it was made.
function dropEmptyGroup(S, group) {
  const all = [...S.stacks.values()].flatMap(({ undo, redo }) => [...undo, ...redo]);
  if (all.some((op) => op.group === group && !op.mark) || !S.groups.delete(group)) return;
  for (const stack of S.stacks.values()) {
    for (const way of ["undo", "redo"]) stack[way] = stack[way].filter((op) => op.group !== group);
  }
}

// `more`: what the op says besides.
export function takeBack(S, item, from, to, more = {}) {
  const stack = stackOf(S, item.id);
  const [op] = stack[from].splice(stack[from].findLastIndex((one) => !one.mark), 1);
  const event = S.sync.events.get(`${op.client}.${op.seq}`);
  const what = event === undefined ? { undoes: [op.client, op.seq] } : { event };
  stack[to].push(commit(S, item, { kind: "revert", ...what, ...more }, op.was));
  return op;
}
