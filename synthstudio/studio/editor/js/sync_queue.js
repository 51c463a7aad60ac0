// Edits that the server has not confirmed. Each is in localStorage before anything shows it as
// done, under the data set, the user and this tab's own client name; a tab that opens later finds
// what a closed one left and sends it again with the same (client, seq), so it happens once.

import { ask } from "./api.js";
import { takeChanged } from "./editor.js";
import { derive, inverse } from "./labels.js";
import { fillStatus, flash } from "./panel.js";
import { dropUndo } from "./undo.js";

const SENT_AT_ONCE = 100;
const SENT_CODE = 1_000_000; // characters of masks
const SEND_PATIENCE_MS = [3000, 20000]; // first, then twice as long each time
const RETRY_MS = 1500;
const MERGE_MS = 500;
// One queue for a tab: what a full storage does not take is here alone, also while another page is shown.
const QUEUES = new Map();

export function newClient() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

export function openSyncQueue(set, layer, user) {
  const prefix = `synthstudio.sync.${set}.${layer}.${user}.`;
  const sync = QUEUES.get(prefix) ?? {
    prefix, client: newClient(), seq: 0, pending: [], refused: [], events: new Map(), sending: false, note: "", full: false, ackMs: [], patience: SEND_PATIENCE_MS[0],
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
  for (let k = 0; k < localStorage.length; k += 1) {
    const key = localStorage.key(k);
    if (!key.startsWith(prefix)) continue;
    try {
      const op = JSON.parse(localStorage.getItem(key));
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

export function forget(sync, op) {
  localStorage.removeItem(`${sync.prefix}${op.client}.${op.seq}`);
}

export function pendingOf(S, id) {
  return S.sync.pending.filter((op) => op.id === id);
}

// Of a person, and of the others of a group of edits (`from`: where it was made or taken back).
export function refusedOf(S, id) {
  return S.sync.refused.filter((op) => op.id === id || op.from === id);
}

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

// Add an edit. `fields`: {kind, joints?, box?, masks?, status?, text?, event?, undoes?}. Returns the op.
export function commit(S, item, fields, patch, merge) {
  const { sync } = S;
  const now = derive(S, item);
  const mine = pendingOf(S, item.id);
  const last = mine[mine.length - 1];
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
  S.changed();
  sendSoon(S, merge ? 150 : 0, merge);
  return op;
}

function wire(op) {
  const out = { client: op.client, seq: op.seq, frame: op.frame, instance: op.instance, revision: op.revision, kind: op.kind };
  for (const field of ["after", "joints", "box", "masks", "status", "text", "event", "joint", "undoes", "track", "keyed"]) {
    if (op[field] !== null && op[field] !== undefined) out[field] = op[field];
  }
  return out;
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
  if (!sync.pending.length || sync.sending || S.away || S.stopped) return;
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
  const { status, data, why } = await ask(S, "POST", "/ops", body, sync.patience);
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

// What the server says of ops: done, refused, or not now.
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
      sync.events.set(key, yes.get(key).event);
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
    flash(S, `${sync.before} edit${sync.before === 1 ? "" : "s"} from before ${sync.before === 1 ? "was" : "were"} saved.`, 8000);
    sync.before = 0;
  }
  if (progress) S.progress = progress;
  takeChanged(S, items, answered);
  if (sync.pending.length) sendSoon(S, sync.note ? RETRY_MS : 0);
}

// Whether edits are saved, being saved or kept here, with what stands in the way.
export function syncStatus(S) {
  const { sync } = S;
  const n = sync.pending.length;
  const slow = n && performance.now() - Math.min(...sync.pending.map((op) => op.sentAt ?? Infinity)) > 5000;
  if (!n && S.away) return { word: "offline", text: "Offline: edits will be kept in this browser" };
  if (!n) return { word: "saved", text: "All edits saved" };
  const kept = sync.full ? "kept in this tab only: the browser's storage is full" : "kept in this browser";
  const many = `${n} edit${n === 1 ? "" : "s"}`;
  if (!navigator.onLine || S.away) return { word: "offline", text: `Offline: ${many} ${kept}` };
  if (sync.note) return { word: "waiting", text: `${many} ${kept}. ${sync.note}` };
  if (slow) return { word: "waiting", text: `The server is slow: ${many} ${kept}` };
  return { word: "pending", text: `Saving ${many}` };
}
