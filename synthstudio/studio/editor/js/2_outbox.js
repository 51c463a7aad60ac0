// Edits that the server has not confirmed. Each is in localStorage before anything shows it as
// done, under the data set, the user and this tab's own client name; a tab that opens later finds
// what a closed one left and sends it again with the same (client, seq), so it happens once.

const SENT_AT_ONCE = 100;
const SENT_CODE = 1_000_000; // characters of masks
const RETRY_MS = 3000; // then twice as long each time, or a slow server would only hear retries
const RETRY_MOST_MS = 20000;
const MERGE_MS = 500;

function newClient() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

function openBox(dataset, user) {
  const box = {
    prefix: `synthstudio.outbox.${dataset}.${user}.`,
    client: newClient(), seq: 0, pending: [], refused: [], events: new Map(),
    n: 0, answered: 0, sentAt: 0, note: "", full: false, ackMs: [], patience: RETRY_MS, away: false,
    before: 0, // edits that this tab found and that were saved since
  };
  for (const op of storedOps(box.prefix)) (op.refused ? box.refused : box.pending).push(op);
  return box;
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

// What another tab has left in the storage since this box was opened.
function takeStored(box) {
  const mine = new Set([...box.pending, ...box.refused].map((op) => `${op.client}.${op.seq}`));
  for (const op of storedOps(box.prefix)) {
    if (!mine.has(`${op.client}.${op.seq}`)) (op.refused ? box.refused : box.pending).push(op);
  }
}

function keep(box, op) {
  try {
    localStorage.setItem(`${box.prefix}${op.client}.${op.seq}`, JSON.stringify(op));
    box.full = false;
  } catch {
    box.full = true; // shown in the status line; the edit is still in this tab and is sent
  }
}

function forget(box, op) {
  localStorage.removeItem(`${box.prefix}${op.client}.${op.seq}`);
}

function pendingOf(S, id) {
  return S.box.pending.filter((op) => op.id === id);
}

// Of a person, and of the others of a group of edits (`from`: where it was made or taken back).
function refusedOf(S, id) {
  return S.box.refused.filter((op) => op.id === id || op.from === id);
}

// Do edits of many people, which are drawn once: each of 500 would draw all the others anew.
function atOnce(S, act) {
  S.batch = true;
  try {
    return act();
  } finally {
    S.batch = false;
    S.changed();
  }
}

// Take an edit in. `say`: {kind, joints?, box?, masks?, status?, text?, event?, undoes?}. Returns the op.
function commit(S, item, say_, patch, merge) {
  const box = S.box;
  const now = derive(S, item);
  const mine = pendingOf(S, item.id);
  const last = mine[mine.length - 1];
  if (merge && last && !last.sent && last.merge === merge && performance.now() - last.at < MERGE_MS) {
    Object.assign(last, say_, { patch, at: performance.now() });
    keep(box, last);
    S.changed();
    if (performance.now() - last.began < 1000) sendSoon(S, 150, merge);
    return last;
  }
  box.seq += 1;
  const op = {
    client: box.client, seq: box.seq, dataset: S.dataset, id: item.id, frame: item.frame,
    instance: item.instance, revision: now.revision, after: last ? [last.client, last.seq] : null,
    ...say_, patch, was: inverse(S, now, patch), merge: merge ?? null, sent: false,
    at: performance.now(), began: performance.now(), made: Date.now(),
  };
  box.pending.push(op);
  keep(box, op);
  S.changed();
  sendSoon(S, merge ? 150 : 0, merge);
  return op;
}

function wire(op) {
  const out = {
    client: op.client, seq: op.seq, dataset: op.dataset, frame: op.frame, instance: op.instance,
    revision: op.revision, kind: op.kind,
  };
  for (const field of ["after", "joints", "box", "masks", "status", "text", "event", "joint", "undoes", "track", "keyed"]) {
    if (op[field] !== null && op[field] !== undefined) out[field] = op[field];
  }
  return out;
}

// The earliest time that was asked for counts, but one nudge puts off what the last one asked.
function sendSoon(S, wait, nudge) {
  const when = performance.now() + wait;
  if (S.sendTimer && !(nudge && S.sendNudge === nudge) && when >= S.sendAt) return;
  clearTimeout(S.sendTimer);
  Object.assign(S, { sendAt: when, sendNudge: nudge ?? null });
  S.sendTimer = setTimeout(() => {
    S.sendTimer = 0;
    send(S, false);
  }, wait);
}

// One message at a time: the next waits for the answer, or for the retry.
function send(S, again) {
  const box = S.box;
  if (!box.pending.length) return;
  if (!again && box.n > box.answered && performance.now() - box.sentAt < box.patience) return;
  let size = 0;
  const ops = box.pending.slice(0, SENT_AT_ONCE).filter((op, k) => {
    size += Object.values(op.masks ?? {}).reduce((sum, { counts }) => sum + counts.length, 0);
    return !k || size < SENT_CODE;
  });
  for (const op of ops) {
    if (!op.sent) op.sentAt = performance.now();
    op.sent = true;
  }
  box.n += 1;
  box.sentAt = performance.now();
  S.host.setStateValue("outbox", { v: 1, n: box.n, tab: box.client, ops: ops.map(wire) });
  S.changed();
}

// What the server said about ops: done, refused, or not now.
function receive(S, results) {
  const box = S.box;
  if (results.tab === box.client && results.n > box.answered) {
    Object.assign(box, { answered: results.n, patience: RETRY_MS, away: false });
  }
  const answers = new Map(results.done.map((d) => [`${d[0]}.${d[1]}`, d]));
  const no = new Map(results.refused.map((d) => [`${d[0]}.${d[1]}`, d]));
  box.note = results.wait;
  const left = [];
  for (const op of box.pending) {
    const key = `${op.client}.${op.seq}`;
    if (answers.has(key)) {
      box.events.set(key, answers.get(key)[2]);
      if (op.sentAt) box.ackMs.push(performance.now() - op.sentAt);
      forget(box, op);
      if (op.before) box.before += 1;
    } else if (no.has(key)) {
      op.refused = { reason: no.get(key)[2], text: no.get(key)[3] };
      box.refused.push(op);
      keep(box, op);
      dropUndo(S, op);
    } else {
      left.push(op);
    }
  }
  box.pending = left;
  if (box.before && !left.some((op) => op.before)) {
    flash(S, `${box.before} edit${box.before === 1 ? "" : "s"} from before ${box.before === 1 ? "was" : "were"} saved.`, 8000);
    box.before = 0;
  }
  if (left.length) sendSoon(S, box.note ? 1500 : 0);
}

function tick(S) {
  const box = S.box;
  const late = performance.now() - box.sentAt;
  if (box.pending.length && late > box.patience) {
    box.patience = Math.min(box.patience * 2, RETRY_MOST_MS);
    send(S, true);
  } else if (box.away || (box.pending.length && late > RETRY_MS / 2 && box.n > box.answered)) knock(S);
  fillStatus(S);
}

// Whether the server is there at all: when it comes back, say everything at once.
async function knock(S) {
  const box = S.box;
  if (box.knocking) return;
  box.knocking = true;
  const was = box.away;
  try {
    box.away = !(await fetch("/_stcore/health", { cache: "no-store" })).ok;
  } catch {
    box.away = true;
  }
  box.knocking = false;
  if (was && !box.away) {
    box.patience = RETRY_MS;
    setTimeout(() => send(S, true), 300);
  }
}

// "saved", "n pending" or "offline", with what stands in the way.
function standing_of(S) {
  const box = S.box;
  const n = box.pending.length;
  const slow = n && performance.now() - Math.min(...box.pending.map((op) => op.sentAt ?? Infinity)) > 5000;
  if (!n && box.away) return { word: "offline", text: "Offline: edits will be kept in this browser" };
  if (!n) return { word: "saved", text: "All edits saved" };
  const kept = box.full ? "kept in this tab only: the browser's storage is full" : "kept in this browser";
  const many = `${n} edit${n === 1 ? "" : "s"}`;
  if (box.note) return { word: "waiting", text: `${many} ${kept}. ${box.note}` };
  if (!navigator.onLine || box.away) return { word: "offline", text: `Offline: ${many} ${kept}` };
  if (slow) return { word: "waiting", text: `The server is slow: ${many} ${kept}` };
  return { word: "pending", text: `${n} pending` };
}

// A refused item: drop mine, or say it again over what is there now.
function takeTheirs(S, id) {
  dropRefused(S, refusedOf(S, id));
  S.changed();
}

function dropRefused(S, ops) {
  for (const op of ops) forget(S.box, op);
  S.box.refused = S.box.refused.filter((op) => !ops.includes(op));
}

// What cannot be said again from here stays refused, with the reason.
function tryAgain(S, shown) {
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
function stackOf(S, id) {
  if (!S.stacks.has(id)) S.stacks.set(id, { undo: [], redo: [] });
  return S.stacks.get(id);
}

function record(S, item, op) {
  if (op.kind === "comment") return op;
  const stack = stackOf(S, item.id);
  if (stack.undo[stack.undo.length - 1] !== op) stack.undo.push(op);
  stack.redo = [];
  return op;
}

function dropUndo(S, op) {
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
function takeBack(S, item, from, to, more = {}) {
  const stack = stackOf(S, item.id);
  const [op] = stack[from].splice(stack[from].findLastIndex((one) => !one.mark), 1);
  const event = S.box.events.get(`${op.client}.${op.seq}`);
  const what = event === undefined ? { undoes: [op.client, op.seq] } : { event };
  stack[to].push(commit(S, item, { kind: "revert", ...what, ...more }, op.was));
  return op;
}
