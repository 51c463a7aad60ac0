// Edits that the server has not confirmed. Each is in localStorage before anything shows it as
// done, under the data set, the user and this tab's own client name; a tab that opens later finds
// what a closed one left and sends it again with the same (client, seq), so it happens once.

import { takeChanged } from "./editor.js";
import { asPlaced, derive, peopleOf, inverse, toRow } from "./labels.js";
import { WHICH, rebasedMasks } from "./mask_codes.js";
import { fillPanel, fillStatus, flash } from "./panel.js";

const SENT_AT_ONCE = 100;
const SENT_CODE = 1_000_000; // characters of masks
const SEND_PATIENCE_MS = [3000, 20000]; // first, then twice as long each time
const RETRY_MS = 1500;
const MERGE_MS = 500;
// One queue for a tab: what a full storage does not take is here alone, also while another page is shown.
const QUEUES = new Map();

export const newClient = () => crypto.randomUUID().replaceAll("-", "").slice(8);

export function openSyncQueue(set, layer, user) {
  const prefix = `synthstudio.sync.${set}.${layer}.${user}.`;
  const sync = QUEUES.get(prefix) ?? {
    prefix, client: newClient(), seq: 0, pending: [], unread: [], refused: [], sending: false, note: "", full: false, ackMs: [], patience: SEND_PATIENCE_MS[0],
    before: 0, // edits that this tab found and that were saved since
  };
  QUEUES.set(prefix, sync);
  sync.sending = false;
  const mine = new Set([...sync.pending, ...sync.refused].map((op) => `${op.client}.${op.seq}`));
  for (const op of storedOps(prefix)) {
    if (!mine.has(`${op.client}.${op.seq}`)) (op.refused ? sync.refused : sync.pending).push(op);
  }
  return sync;
}

function storedOps(prefix) {
  const found = [];
  for (const [key, text] of Object.entries(localStorage)) {
    if (!key.startsWith(prefix)) continue;
    try {
      const op = JSON.parse(text);
      if (op && typeof op.client === "string" && Number.isInteger(op.seq)) found.push({ ...op, sent: true, before: true });
    } catch {
      console.warn("an unreadable edit was left in this browser's storage", key);
    }
  }
  return found.sort((a, b) => a.made - b.made || a.seq - b.seq);
}

function keep(sync, op) {
  try {
    localStorage.setItem(`${sync.prefix}${op.client}.${op.seq}`, JSON.stringify(op));
    sync.full = false;
  } catch {
    sync.full = true; // shown in the status line; the edit is still in this tab and is sent
  }
}

const forget = (sync, op) => localStorage.removeItem(`${sync.prefix}${op.client}.${op.seq}`);

export const pendingOf = (S, id) => S.sync.pending.filter((op) => op.id === id);

// Edits over what was read of a person: a server that cannot read people still saves.
export const isUnread = (op, { id, state }) => op.id === id && op.saved > state.revision;
export const opsOver = (S, item) => [...S.sync.unread.filter((op) => isUnread(op, item)), ...pendingOf(S, item.id)];

// Of a person, and of the others of a group of edits (`from`: where it was made or taken back).
export const refusedOf = (S, id) => S.sync.refused.filter((op) => op.id === id || op.from === id);

// Do edits of many people, which are drawn once: each of 500 would draw all the others anew.
export function atOnce(S, act) {
  S.batch = true;
  try {
    return act();
  } finally {
    S.batch = false;
    S.changed();
  }
}

// Add an edit, which undo takes back. `fields`: {kind, joints?, box?, masks?, status?, text?, event?, undoes?}. Returns the op.
export function commit(S, item, fields, patch, merge) {
  const { sync } = S;
  const now = derive(S, item);
  const last = pendingOf(S, item.id).at(-1);
  if (merge && last && !last.sent && last.merge === merge && performance.now() - last.at < MERGE_MS) {
    Object.assign(last, fields, { patch, at: performance.now() });
    keep(sync, last);
    S.changed();
    if (performance.now() - last.began < 1000) sendSoon(S, 150, merge);
    return last;
  }
  sync.seq += 1;
  const op = {
    client: sync.client, seq: sync.seq, id: item.id, frame: item.frame,
    instance: item.instance, revision: now.revision, after: last ? [last.client, last.seq] : null,
    ...fields, patch, was: inverse(S, now, patch), merge: merge ?? null, sent: false,
    at: performance.now(), began: performance.now(), made: Date.now(),
  };
  sync.pending.push(op);
  keep(sync, op);
  if (op.kind !== "comment" && op.kind !== "revert") record(S, op);
  S.changed();
  sendSoon(S, merge ? 150 : 0, merge);
  return op;
}

const WIRE = ["client", "seq", "frame", "instance", "revision", "kind", "after", "joints", "box", "masks", "status", "text", "event", "joint", "undoes", "track", "keyframe"];

function wire(op) {
  return Object.fromEntries(WIRE.flatMap((field) => (op[field] === null || op[field] === undefined ? [] : [[field, op[field]]])));
}

// The earliest time that was asked for counts, but one nudge puts off what the last one asked.
export function sendSoon(S, wait, nudge) {
  const when = performance.now() + wait;
  if (S.sendTimer && !(nudge && S.sendNudge === nudge) && when >= S.sendAt) return;
  clearTimeout(S.sendTimer);
  Object.assign(S, { sendAt: when, sendNudge: nudge ?? null });
  S.sendTimer = setTimeout(() => {
    S.sendTimer = 0;
    send(S);
  }, wait);
}

// One message at a time: the next waits for the answer.
export async function send(S) {
  const { sync } = S;
  if (!sync.pending.length || sync.sending || S.offline || S.stopped) return;
  let size = 0;
  const ops = sync.pending.slice(0, SENT_AT_ONCE).filter((op, k) => {
    size += Object.values(op.masks ?? {}).reduce((sum, { counts }) => sum + counts.length, 0);
    return !k || size < SENT_CODE;
  });
  for (const op of ops) {
    if (!op.sent) op.sentAt = performance.now();
    op.sent = true;
  }
  sync.sending = true;
  fillStatus(S);
  const body = { set: S.set, layer: S.layer, items: true, model: S.model, ops: ops.map(wire) };
  const { status, data, why } = await request(S, "POST", "/ops", body, sync.patience);
  if (S.stopped) return; // whoever is shown next sends it again
  sync.sending = false;
  sync.patience = status ? SEND_PATIENCE_MS[0] : Math.min(2 * sync.patience, SEND_PATIENCE_MS[1]);
  if (status === 200) receive(S, data);
  else if (status === 403) receive(S, { done: [], refused: ops.map(({ client, seq }) => ({ client, seq, message: why })), wait: "", items: [] });
  else {
    sync.note = status ? why : "";
    sendSoon(S, status ? RETRY_MS : 0);
  }
  S.changed();
}

function receive(S, { done, refused, wait, items, progress }) {
  const { sync } = S;
  const byName = (rows) => new Map(rows.map((row) => [`${row.client}.${row.seq}`, row]));
  const [yes, no] = [byName(done), byName(refused)];
  sync.note = wait;
  const answered = sync.pending.filter((op) => yes.has(`${op.client}.${op.seq}`) || no.has(`${op.client}.${op.seq}`));
  sync.pending = sync.pending.filter((op) => !answered.includes(op));
  for (const op of answered) {
    const key = `${op.client}.${op.seq}`;
    if (yes.has(key)) {
      Object.assign(op, { saved: yes.get(key).revision, savedEvent: yes.get(key).event });
      if (!items.some(({ id }) => id === op.id)) sync.unread.push(op);
      if (op.sentAt) sync.ackMs.push(performance.now() - op.sentAt);
      forget(sync, op);
      if (op.before) sync.before += 1;
    } else {
      op.refused = { text: no.get(key).message, reason: no.get(key).reason };
      sync.refused.push(op);
      keep(sync, op);
      dropUndo(S, op);
    }
  }
  if (sync.before && !sync.pending.some((op) => op.before)) {
    flash(S, `${sync.before} edit${sync.before === 1 ? "" : "s"} of an earlier visit ${sync.before === 1 ? "was" : "were"} saved.`, 8000);
    sync.before = 0;
  }
  if (progress) S.progress = progress;
  takeChanged(S, items, answered);
  if (sync.pending.length) sendSoon(S, sync.note ? RETRY_MS : 0);
}

export function syncStatus(S) {
  const { sync } = S;
  const n = sync.pending.length;
  const slow = n && performance.now() - Math.min(...sync.pending.map((op) => op.sentAt ?? Infinity)) > 5000;
  if (!n && S.offline) return { word: "offline", text: "Offline: edits will be kept in this browser" };
  if (!n) return { word: "saved", text: "All edits saved" };
  const kept = sync.full ? "kept in this tab only: the browser's storage is full" : "kept in this browser";
  const many = `${n} edit${n === 1 ? "" : "s"}`;
  if (!navigator.onLine || S.offline) return { word: "offline", text: `Offline: ${many} ${kept}` };
  if (sync.note) return { word: "waiting", text: `${many} ${kept}. ${sync.note[0].toUpperCase()}${sync.note.slice(1)}` };
  if (slow) return { word: "waiting", text: `The server is slow: ${many} ${kept}` };
  return { word: "pending", text: `Saving ${many}` };
}

// Requests to the studio's API. S.offline: the last one reached no server.

const PATIENCE_MS = 20000;

// What came: {status, data, why}; status 0: no answer, or none in time.
export async function request(S, method, path, body = null, patience = PATIENCE_MS) {
  const headers = { "Synthstudio-User": encodeURIComponent(S.user) };
  if (body) headers["Content-Type"] = "application/json";
  try {
    const answer = await fetch(S.api + path, { method, headers, body: body && JSON.stringify(body), cache: "no-store", signal: AbortSignal.timeout(patience) });
    const data = await answer.json().catch((error) => (answer.ok ? Promise.reject(error) : {})); // cut off: no answer
    S.offline = false;
    return { status: answer.status, data, why: data.error?.message ?? `The server answers ${answer.status}.` };
  } catch (error) {
    S.offline = error.name !== "TimeoutError";
    return { status: 0, data: {}, why: S.offline ? "The server does not answer." : "The server is slow." };
  }
}

export function dropRefused(S, ops) {
  for (const op of ops) forget(S.sync, op);
  S.sync.refused = S.sync.refused.filter((op) => !ops.includes(op));
  S.changed();
}

// What cannot be said again from here stays refused, with the reason.
export function tryAgain(S, shown) {
  const apart = []; // of a stroke that this tab knows no more: made in another one, or taken back
  const left = [];
  for (const op of refusedOf(S, shown.id)) {
    const item = op.id === shown.id ? shown : peopleOf(S, op.frame).find((other) => other.id === op.id);
    if (op.kind === "revert" && op.id !== shown.id) {
      left.push(`Open person ${op.instance} of frame ${op.frame} to try its undo again.`);
    } else if (!item) {
      left.push(`Person ${op.instance} is not in this frame any more.`);
    } else {
      const again = rebase(S, item, op);
      dropRefused(S, [op]);
      const stays = op.kind === "revert" && "masks" in op.patch && !("masks" in (again?.patch ?? {}));
      if (stays) flash(S, "The mask cannot be undone: later edits would leave it empty. Draw over it instead.", 8000);
      else if (!again) flash(S, "Nothing left to apply: those joints are now outside the picture, or have no label.", 8000);
      if (!again) continue;
      if (again.kind === "revert") record(S, again);
      if (op.kind === "revert") continue;
      if (S.groups.has(op.group)) again.group = op.group;
      else if (op.from) apart.push({ item, op: again });
    }
  }
  if (apart.length) asGroup(S, apart, "edits of");
  if (left.length) flash(S, `${left.join(" ")} Alt+T discards the refused edits.`, 8000);
  S.changed();
}

// Commit a refused op anew; null where nothing of it is left to do.
function rebase(S, item, op) {
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
  if (kind !== "revert") return commit(S, item, { kind, joints, box: op.box, masks: over?.masks, status, text, event, joint, track: op.track, keyframe: op.keyframe, from: op.from }, patch);
  if (patch.rejected_models || "keyframe" in patch || "track" in patch || "exists" in patch || ("masks" in patch && !over) || patch.resolved || patch.comments) return commit(S, item, { kind, event: op.event, undoes: op.undoes }, patch);
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

export function stackOf(S, id) {
  if (!S.stacks.has(id)) S.stacks.set(id, { undo: [], redo: [] });
  return S.stacks.get(id);
}

export function record(S, op) {
  const stack = stackOf(S, op.id);
  stack.undo.push(op);
  stack.redo = [];
}

// A group of edits of which no undo is left leaves no mark where it was made.
function dropUndo(S, op) {
  dropFromStacks(S, (one) => one === op);
  const left = [...S.stacks.values()].flatMap(({ undo, redo }) => [...undo, ...redo]);
  if (left.some(({ group, mark }) => group === op.group && !mark) || !S.groups.delete(op.group)) return;
  dropFromStacks(S, ({ group }) => group === op.group);
}

function dropFromStacks(S, isDropped) {
  for (const stack of S.stacks.values()) {
    for (const way of ["undo", "redo"]) stack[way] = stack[way].filter((op) => !isDropped(op));
  }
}

export function takeBack(S, item, from, to, more = {}) {
  const stack = stackOf(S, item.id);
  const [op] = stack[from].splice(stack[from].findLastIndex((one) => !one.mark), 1);
  const what = op.savedEvent === undefined ? { undoes: [op.client, op.seq] } : { event: op.savedEvent };
  stack[to].push(commit(S, item, { kind: "revert", ...what, ...more }, op.was));
  return op;
}

// Edits of several people that one undo takes back. `made`: {item, op} of each; `what` they were.
// Where the shown person is none of them, its own undo knows of them too.
export function asGroup(S, made, what) {
  const group = `${made[0].op.client}.${made[0].op.seq}`;
  for (const { op } of made) op.group = group;
  S.groups.set(group, { members: made.map(({ item }) => item), what, at: S.item.id });
  if (made.some(({ item }) => item.id === S.item.id)) return;
  record(S, { id: S.item.id, group, mark: true });
}

// Undo or redo a group: all of it that nothing was done to since, wherever those people are now.
export function groupBack(S, group, from, to, word) {
  const { members, what, at } = S.groups.get(group);
  let count = 0;
  atOnce(S, () => {
    for (const old of members) {
      const op = stackOf(S, old.id)[from].findLast((one) => !one.mark);
      if (op?.group !== group || refusedOf(S, old.id).length) continue;
      takeBack(S, S.list.find((item) => item.id === old.id) ?? peopleOf(S, old.frame).find((item) => item.id === old.id) ?? afterOp(old, op), from, to, { from: S.item.id });
      stackOf(S, old.id)[to].at(-1).group = group;
      count += 1;
    }
  });
  const stack = stackOf(S, at);
  const marks = stack[from].filter((op) => op.mark && op.group === group);
  stack[from] = stack[from].filter((op) => !marks.includes(op));
  if (count) stack[to].push(...marks);
  fillPanel(S);
  const left = members.length - count;
  flash(S, `${word}: ${what} ${count} ${count === 1 ? "person" : "people"}${left ? `; ${left} changed since and stay` : ""}`);
}

// An item that this browser holds no more, as an op of its own left it.
function afterOp(item, op) {
  const state = { ...item.state, revision: op.revision + 1, joints: { ...item.state.joints, ...op.patch.joints } };
  if ("masks" in op.patch) state.masks = op.patch.masks;
  return { ...item, state };
}
