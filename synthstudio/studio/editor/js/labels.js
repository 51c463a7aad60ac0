// What an item is, and what an edit makes of it. No DOM here.
// Joint: {x, y, state, cause, origin}, continuous pixels, x and y null where nobody knows.
// Patch: what an op changes: {joints: {name: [x, y, state, cause]}, status, reason, deleted,
// exists, box, masks}, of the masks all that are drawn: {modal: counts, amodal: counts} or null.

import { opsOver } from "./sync_queue.js";

export const CAUSE_WORD = {
  visible: "visible", self: "own body", person: "person", object: "object",
  truncated: "outside", unknown: "unknown", unlabelled: "no label",
};
export const STATE_WORD = { 2: "visible", 1: "hidden", 0: "outside" };
const HIDDEN_BY = ["self", "person", "object"]; // the order of visibility_fractions 1..3
export const STATUS_WORD = {
  pending: "to review", approved: "approved", rejected: "rejected",
  flagged: "flagged", skipped: "skipped", empty: "no people", no_people: "confirmed empty",
};

const PLAIN = ["status", "reason", "deleted", "exists", "box", "masks", "rejected_models", "track", "keyframe"];

export function describeJoint(joint) {
  if (joint.state === null) return "no label";
  if (joint.state === 1) return joint.cause === "unknown" ? "hidden" : `hidden by ${CAUSE_WORD[joint.cause]}`;
  return STATE_WORD[joint.state];
}

// Occluders of a joint by the labels on disk; "" where unknown or edited.
export function occluderOf(S, j) {
  return S.now.joints[j].state === 1 && !S.now.edited.has(S.skeleton.joints[j]) ? S.item.occluder[j] ?? "" : "";
}

export const nice = (name) => name.replaceAll("_", " ");

export const toRow = (joint) => [joint.x, joint.y, joint.state, joint.cause];

const fromRow = ([x, y, state, cause, origin]) => ({ x, y, state, cause, origin: origin ?? "human" });

export const round3 = (value) => (value === null ? null : Math.round(value * 1000) / 1000);

// The item as its reviewer sees it: the data set's labels, the store's state as it was read, then every
// op that was saved since or waits in this browser.
export function derive(S, item) {
  const at = Object.fromEntries(S.skeleton.joints.map((name, j) => [name, j]));
  const { state } = item;
  const out = {
    joints: item.base.map(fromRow), edited: new Set(), exists: item.exists || state.added, revision: state.revision,
    box: null, masks: null, rejected_models: [], track: null, keyframe: null,
    resolved: Object.fromEntries((item.threads ?? []).map(({ id, open }) => [id, !open])),
  };
  applyPatch(out, state, at);
  for (const op of opsOver(S, item)) {
    applyPatch(out, op.patch, at);
    out.revision = op.saved ?? op.revision + 1;
  }
  return out;
}

function applyPatch(out, patch, at) {
  for (const [name, row] of Object.entries(patch.joints ?? {})) {
    if (!(name in at)) continue;
    out.joints[at[name]] = fromRow(row);
    out.edited.add(name);
  }
  for (const field of PLAIN) if (field in patch) out[field] = patch[field];
  Object.assign(out.resolved, patch.resolved);
}

// What would take a patch back, given the item before it.
export function inverse(S, now, patch) {
  const back = {};
  const at = (name) => now.joints[S.skeleton.joints.indexOf(name)];
  const rows = (joints) => Object.keys(joints).map((name) => [name, [...toRow(at(name)), at(name).origin]]);
  if (patch.joints) back.joints = Object.fromEntries(rows(patch.joints));
  for (const field of PLAIN) if (field in patch) back[field] = now[field];
  if (patch.resolved) back.resolved = Object.fromEntries(Object.keys(patch.resolved).map((id) => [id, now.resolved[id]]));
  return back;
}

export function jointsPatch(S, changed) {
  const row = (joint) => (joint.taken ? [...toRow(joint), "predicted"] : toRow(joint));
  return { joints: Object.fromEntries(changed.map(([j, joint]) => [S.skeleton.joints[j], row(joint)])) };
}

// Hidden: by what the labels say hides most of it, else unknown.
function likelyCause(item, j) {
  const fractions = item.visibility_fractions?.[j];
  if (!fractions || fractions.some((v) => v === null)) return "unknown";
  const best = Math.max(...fractions.slice(1, 4));
  return best > 0 ? HIDDEN_BY[fractions.slice(1, 4).indexOf(best)] : "unknown";
}

export function withState(item, joint, j, state) {
  const cause = { 2: "visible", 0: "truncated" }[state];
  const kept = HIDDEN_BY.includes(joint.cause) ? joint.cause : likelyCause(item, j);
  return { ...joint, state, cause: cause ?? kept };
}

export function withCause(joint, cause) {
  const state = { truncated: 0, unlabelled: null, visible: 2 }[cause];
  return { ...joint, state: state === undefined ? 1 : state, cause };
}

export const inFrame = (item, joint) => known(joint) && joint.x >= 0 && joint.y >= 0 && joint.x <= item.w && joint.y <= item.h;

// Outside means outside the picture: a joint that leaves it or comes in by being moved says so,
// and one that is called outside where it lies inside has no known place.
export function asPlaced(item, joint) {
  if (joint.state === null || !known(joint)) return joint;
  const inside = inFrame(item, joint);
  if (inside && joint.state === 0) return { ...joint, state: 2, cause: "visible" };
  return inside || joint.state === 0 ? joint : { ...joint, state: 0, cause: "truncated" };
}

export const asCalled = (item, joint) => (joint.state === 0 && inFrame(item, joint) ? { ...joint, x: null, y: null } : joint);

// The joints as they are drawn: an unfinished drag lies over what the item says.
export function drawn(S) {
  const joints = S.now.joints.slice();
  for (const [j, joint] of S.drag?.changed ?? []) joints[j] = joint;
  return joints;
}

// A box that no mask gave is the one that somebody drew, else grows with the joints that lie in it.
export function grownBox(S, box) {
  if (S.now.box) return S.now.box;
  const moved = new Set((S.drag?.changed ?? []).map(([j]) => j));
  const mine = drawn(S).filter((joint, j) => joint.state > 0 && inFrame(S.item, joint)
    && (!box || moved.has(j) || S.now.edited.has(S.skeleton.joints[j])));
  const round = extent({ joints: mine });
  return round && box && box[2] > 0 ? around(box, round) : round ?? box;
}

// The least box in which two lie.
export function around(a, b) {
  const [x, y] = [Math.min(a[0], b[0]), Math.min(a[1], b[1])];
  return [x, y, Math.max(a[0] + a[2], b[0] + b[2]) - x, Math.max(a[1] + a[3], b[1] + b[3]) - y];
}

// Everybody of a frame: those whom this browser holds, and the others as the server last told of
// them, with the first of the frame's items. `closed`: why somebody may not be changed, or null.
export function peopleOf(S, frame) {
  const held = S.list.filter((item) => item.frame === frame && item.instance);
  const numbers = new Set(held.map((item) => item.instance));
  const first = S.list.find((item) => item.frame === frame && item.people);
  for (const { instance, joints, revision, status, closed, masks, drawn: painted } of first?.people ?? []) {
    if (numbers.has(instance)) continue;
    const state = { revision, status, reason: "", joints: {}, masks: painted ?? null, deleted: false, added: false, who: null };
    const own = Object.fromEntries(Object.entries(masks ?? {}).map(([which, counts]) => [which, { counts }]));
    held.push({ id: `${frame}:${instance}`, frame, instance, w: first.w, h: first.h, base: joints, state, exists: true, closed, ...own });
  }
  return held;
}

// Who is in the shown frame, as their reviewers see them now: {item, now}.
export function present(S) {
  const people = peopleOf(S, S.item.frame).map((item) => ({ item, now: derive(S, item) }));
  return people.filter(({ now }) => now.exists && !now.deleted);
}

export const neighbours = (S) => present(S).filter(({ item }) => item.id !== S.item.id);

export const known = (joint) => joint.x !== null && joint.y !== null;

export function moveJoints(item, now, dx, dy, joints = [...now.joints.keys()]) {
  return joints.flatMap((j) => {
    const joint = now.joints[j];
    return known(joint) ? [[j, asPlaced(item, { ...joint, x: round3(joint.x + dx), y: round3(joint.y + dy) })]] : [];
  });
}

// Turned clockwise by an angle in radians and made larger, about the middle of all that have a place.
export function turnJoints(item, now, angle, factor) {
  const [cx, cy] = middleOf(now);
  const [cos, sin] = [factor * Math.cos(angle), factor * Math.sin(angle)];
  return now.joints.flatMap((joint, j) => {
    if (!known(joint)) return [];
    const [dx, dy] = [joint.x - cx, joint.y - cy];
    return [[j, asPlaced(item, { ...joint, x: round3(cx + cos * dx - sin * dy), y: round3(cy + sin * dx + cos * dy) })]];
  });
}

export function middleOf(now) {
  const [x, y, w, h] = extent(now, known);
  return [x + w / 2, y + h / 2];
}

// A joint of somebody added by hand that nobody has placed yet: where the fitted pose has it.
export const isGuide = (S, joint) => !S.item.exists && joint.state === null && known(joint);

// Reflect the pose about the middle of its extent; the names stay.
export function mirrored(item, now) {
  const xs = now.joints.filter(known).map((joint) => joint.x);
  if (!xs.length) return [];
  const sum = Math.min(...xs) + Math.max(...xs);
  return now.joints.flatMap((joint, j) => (known(joint) ? [[j, asPlaced(item, { ...joint, x: round3(sum - joint.x) })]] : []));
}

// Left becomes right: everything a joint says goes to its twin. `only`: that pair alone.
export function swapped(S, now, only) {
  const meant = (j, twin) => twin !== j && (only === null || j === only || twin === only);
  return S.skeleton.flip.flatMap((twin, j) => (meant(j, twin) ? [[j, { ...now.joints[twin] }]] : []));
}

// A standing person, as shares of a box, for one who was missed.
const STANDING = {
  nose: [0.5, 0.07], eye: [0.55, 0.05], ear: [0.6, 0.06], shoulder: [0.68, 0.19],
  elbow: [0.76, 0.34], wrist: [0.8, 0.48], hip: [0.6, 0.52], knee: [0.61, 0.74],
  ankle: [0.61, 0.95], big_toe: [0.64, 0.99], small_toe: [0.68, 0.985], heel: [0.6, 0.98],
  pelvis: [0.5, 0.52], spine: [0.5, 0.36], thorax: [0.5, 0.19], neck: [0.5, 0.16],
  upper_neck: [0.5, 0.13], head_top: [0.5, 0],
};

export function standing(S, box) {
  return S.skeleton.joints.map((name, j) => {
    const side = S.skeleton.sides[j];
    const [u, v] = STANDING[name.replace(/^(left|right)_/, "")] ?? [0.5, 0.5];
    const x = side === "right" ? 1 - u : u; // facing us: the left hand is on the picture's right
    return { x: round3(box[0] + x * box[2]), y: round3(box[1] + v * box[3]), state: 2, cause: "visible", origin: "human" };
  });
}

// Somebody in a box: in the pose of the set whose box has the most similar form, or standing.
export function fitted(S, box) {
  const [x, y, w, h] = [box[0] + 0.05 * box[2], box[1] + 0.05 * box[3], 0.9 * box[2], 0.9 * box[3]];
  const unlike = (pose) => Math.abs(Math.log((pose.form * h) / w));
  const pose = (S.skeleton.poses ?? []).reduce((best, one) => (best && unlike(best) <= unlike(one) ? best : one), null);
  if (!pose) return standing(S, box);
  return pose.at.map(([u, v]) => ({ x: round3(x + u * w), y: round3(y + v * h), state: 2, cause: "visible", origin: "human" }));
}

export function extent(now, among = (joint) => known(joint) && joint.state !== null) {
  const points = now.joints.filter(among);
  if (!points.length) return null;
  const [xs, ys] = [points.map((joint) => joint.x), points.map((joint) => joint.y)];
  const [x, y] = [Math.min(...xs), Math.min(...ys)];
  return [x, y, Math.max(...xs) - x, Math.max(...ys) - y];
}
