// The strip below the picture: the frames of a clip in which the shown person is, with what was
// done there, and what can be done over all of them. Nothing of it is there where a set has no clips.

import { addNew, dropKeys, edit, leaveKeys, open, press, runKey } from "./actions.js";
import { differs, el, set } from "./canvas.js";
import { fetchWindow, newest, setItem, setList } from "./editor.js";
import { actionsOf } from "./keys.js";
import { STATUS_WORD, asPlaced, derive } from "./labels.js";
import { BLINDED, actionButton, fillEvents, fillPanel, flash, openForm, part } from "./panel.js";
import { commit, newClient, opsOver, record, request, stackOf } from "./sync_queue.js";

const MARKS = { approved: "✓", rejected: "✗", flagged: "⚑", deleted: "⊘" };
const MARK_WORD = { key: "key frame", filled: "filled in" };

export function buildClips(S, root) {
  const ui = S.ui;
  ui.clips = part(root, "section", "clips", "Clip");
  const head = el("div", "cliphead", null, ui.clips);
  ui.clipWhere = el("span", "where", "", head);
  for (const action of actionsOf("Clips")) actionButton(S, head, action);
  ui.strip = part(ui.clips, "div", "strip", "Frames of the clip");
  ui.strip.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    runKey(S, by > 0 ? "clip next" : "clip back");
  });
}

// What the strip says of the shown frame; undefined while the strip is that of somebody else.
function entryOf(S) {
  const entry = S.clip?.frames?.find(({ frame }) => frame === S.item.frame);
  return entry && (entry.instance === S.item.instance || !entry.exists) ? entry : undefined;
}

export function fillClips(S) {
  const { ui } = S;
  ui.clips.hidden = !(S.clip && S.item.clip);
  if (ui.clips.hidden) return;
  const entry = entryOf(S);
  const { clip } = S;
  const track = clip.track === null ? "no track" : `Track ${clip.track}`;
  const at = entry ? clip.start + clip.frames.indexOf(entry) + 1 : 0;
  ui.clipWhere.textContent = entry ? `${track} · frame ${at} of ${clip.total} · ${clip.keys.length} key frame${clip.keys.length === 1 ? "" : "s"}` : "…";
  fillStrip(S, entry);
  fillEvents(ui.clipLog, S.clipLog ? clip.log ?? null : null, "No changes to this track yet.");
  pumpClip(S);
}

export function clipOn(S, action) {
  const entry = S.clip && entryOf(S);
  return { "clip key": Boolean(entry && isKey(S, entry)), "clip log": S.clipLog }[action];
}

export function clipOff(S, action) {
  if (!S.clip || !entryOf(S)) return true;
  if (!S.item.instance && !/^(clip (back|next)|copy)/.test(action)) return true;
  return (!S.can.edit || S.item.blinded) && !/^clip (back|next|log)$/.test(action);
}

// A mark that is on its way counts already.
function isKey(S, entry) {
  const op = opsOver(S, S.item).findLast((one) => "keyframe" in one.patch);
  return op ? op.patch.keyframe : entry.mark === "key";
}

function fillStrip(S, entry) {
  const { strip } = S.ui;
  const frames = entry ? S.clip.frames : [];
  if (!differs(strip, frames, S.item.frame)) return;
  const focused = strip.contains(S.root.getRootNode().activeElement);
  const drawn = [...strip.children];
  frames.forEach((one, k) => fillThumb(S, drawn[k] ?? newThumb(S, strip), one, one === entry));
  for (const node of drawn.slice(frames.length)) node.remove();
  const shown = strip.querySelector("[aria-current=true]");
  if (!shown) return;
  strip.scrollLeft = shown.offsetLeft - strip.offsetLeft - (strip.clientWidth - shown.offsetWidth) / 2;
  if (focused) shown.focus({ preventScroll: true });
}

function newThumb(S, strip) {
  const node = el("button", "thumb", null, strip, { type: "button" });
  el("img", "", null, node, { alt: "", draggable: false });
  for (const cls of ["where", "mark", "number"]) el("span", cls, null, node);
  node.addEventListener("click", () => press(S, `to ${node.entry.frame}`));
  return node;
}

function fillThumb(S, node, entry, shown) {
  node.entry = entry;
  const [picture, where, mark, number] = node.children;
  if (picture.getAttribute("src") !== entry.thumb) picture.src = entry.thumb;
  node.style.aspectRatio = `${S.item.w} / ${S.item.h}`;
  where.hidden = !entry.box;
  const names = ["left", "top", "width", "height"];
  (entry.box ?? []).forEach((v, k) => (where.style[names[k]] = `${v * 100}%`));
  mark.textContent = [{ key: "◆", filled: "◇" }[entry.mark], MARKS[entry.status]].filter(Boolean).join(" ");
  number.textContent = entry.frame;
  const words = [MARK_WORD[entry.mark], entry.edited && !entry.mark ? "edited" : "", STATUS_WORD[entry.status] ?? entry.status, entry.exists ? "" : "not in this frame"];
  const title = [`Frame ${entry.frame}`, ...words.filter((word) => word && word !== "to review")].join(", ");
  set(node, { title, "aria-label": title, "aria-current": shown, tabindex: shown ? 0 : -1, "data-frame": entry.frame, "data-mark": entry.mark });
  node.classList.toggle("none", !entry.exists);
}

// What is done over a clip: turn to another frame of the same person, copy labels, and edits that
// the server does person by person. S.trip: {home, track}: the shown person was reached by the
// strip; n and b go on in the queue from `home`. S.clipRequest: the edit that is on its way.

const REQUEST_MS = 20000;

// The people of the queue, without those who are held for the strip alone.
export const queued = (S) => S.list.filter((item) => !item.aside);

// Where in the queue one was before the strip was followed; undefined: there now.
export const homeOf = (S) => (S.trip?.home ?? (S.item.aside ? S.item.pos : undefined));

// Of whom the server shall send the strip.
function lookOf(S) {
  if (S.going) return S.going.look;
  if (!S.item?.clip) return null;
  return S.item.instance || S.trip?.track == null ? S.item.id : `${S.item.id}:${S.trip.track}`;
}

// The strip of another person is asked for when one has stayed for a moment.
export function lookSoon(S) {
  clearTimeout(S.lookTimer);
  if (!S.clip || !S.item.clip) return;
  S.lookTimer = setTimeout(() => S.item && S.clip.id !== S.item.id && fetchStrip(S), 120);
}

// The strip of the shown person, or of where one goes; one request at a time.
export async function fetchStrip(S) {
  const look = lookOf(S);
  if (!look || S.offline) return;
  S.stripWanted = look;
  if (S.stripPending) return;
  S.stripPending = true;
  const [frame, instance, track] = look.split(":");
  const query = `log=${S.clipLog}${track === undefined ? "" : `&track=${track}`}`;
  S.stripWanted = null;
  const { status, data, why } = await request(S, "GET", `/sets/${S.set}/clips/${frame}/${instance}?${query}`);
  S.stripPending = false;
  if (S.stopped || !S.item) return;
  if (status === 200) takeStrip(S, data);
  else if (S.going && status) {
    S.going = null;
    setItem(S, S.item, S.trip);
    flash(S, why);
  }
  if (S.stripWanted) fetchStrip(S);
}

function takeStrip(S, { clip, items }) {
  S.clip = clip;
  const here = { pos: homeOf(S) ?? S.item.pos, aside: true };
  setList(S, queued(S), items.map((item) => ({ ...newest(S, item), ...here })));
  if (arrive(S)) return;
  const same = S.list.find((item) => item.id === S.item.id);
  if (same) S.item = same;
  S.changed();
}

function goClip(S, by) {
  const entry = checkedEntry(S);
  if (!entry) return;
  const next = S.clip.frames[S.clip.frames.indexOf(entry) + by];
  if (!next) return flash(S, by > 0 ? "This is the last frame of the clip." : "This is the first frame of the clip.");
  goTo(S, next);
}

export function goFrame(S, frame) {
  if (checkedEntry(S)) goTo(S, S.clip.frames.find((one) => one.frame === frame));
}

function checkedEntry(S) {
  const entry = S.item.clip && entryOf(S);
  if (!entry) flash(S, S.item.clip ? "Loading the clip…" : "This frame is not part of a clip.");
  return entry;
}

function goTo(S, entry) {
  const id = `${entry.frame}:${entry.instance}`;
  const trip = { home: homeOf(S) ?? S.item.pos, track: S.clip.track };
  const item = S.list.find((one) => one.id === id);
  if (item) return setItem(S, item, trip);
  leaveKeys(S);
  S.going = { id, trip, look: entry.instance || S.clip.track === null ? id : `${id}:${S.clip.track}` };
  Object.assign(S, { wanted: null, ready: false }); // what was asked for last is meant
  S.ui.overlay.textContent = "Loading that frame…";
  return fetchStrip(S);
}

// Whether the frame that was gone to has come with this answer.
export function arrive(S) {
  const { going } = S;
  if (!going) return false;
  const item = S.list.find((one) => one.id === going.id);
  if (!item && S.clip?.id !== going.id) return false;
  if (!item) S.going = null;
  const last = S.list.find((one) => one.id === S.item.id) ?? S.item;
  setItem(S, item ?? last, item ? going.trip : S.trip);
  const no = "That frame cannot be shown"; // and keys that waited were meant for it
  if (!item && !dropKeys(S, no)) flash(S, `${no}.`);
  return true;
}

function copyFrom(S, by) {
  if (!open(S, false, !S.item.instance)) return;
  const entry = checkedEntry(S);
  if (!entry) return;
  const word = by > 0 ? "after" : "before";
  const from = S.clip.frames[S.clip.frames.indexOf(entry) + by];
  if (!from?.exists) return flash(S, `The frame ${word} does not have this person.`);
  const item = S.list.find((one) => one.id === `${from.frame}:${from.instance}`);
  if (!item) return flash(S, "Loading that frame…");
  if (item.blinded) return flash(S, BLINDED);
  const joints = derive(S, item).joints.map((joint) => asPlaced(S.item, { x: joint.x, y: joint.y, state: joint.state, cause: joint.cause }));
  if (S.item.instance) {
    const before = S.sync.seq;
    edit(S, [...joints.entries()]);
    return flash(S, S.sync.seq > before ? `Copied from frame ${from.frame}.` : `The labels already equal those of frame ${from.frame}.`);
  }
  if (S.clip.track === null) return flash(S, "First give that person a track: Split here in that frame.");
  addNew(S, [...joints.entries()], { prediction: null, track: S.clip.track });
  return flash(S, `Copied from frame ${from.frame}: this person is in this frame now.`);
}

function toggleKey(S) {
  const entry = entryOf(S);
  if (!open(S) || !entry) return;
  const keyframe = !isKey(S, entry);
  if (!keyframe && S.now.status === "approved") return flash(S, "An approved person is a key frame.");
  commit(S, S.item, { kind: "edit", keyframe }, { keyframe });
  flash(S, keyframe ? "Key frame set." : "Key frame removed.");
}

// Ask the server for an edit over the whole clip; what is edited here is saved before.
function requestClip(S, action, more = {}) {
  if (!open(S, action === "undo")) return false;
  if (S.clipRequest) return flash(S, "The last edit is still being applied.");
  const { frame, instance } = S.item;
  S.clipRequest = { ...more, body: { action, frame, instance, client: `clip${newClient()}`, ...more.fields }, sent: false, item: S.item };
  pumpClip(S);
  return true;
}

// An edit that got no answer is sent once more under the same name, so it happens once at most; then it
// is given up, and an undo may be tried anew.
async function pumpClip(S) {
  const pending = S.clipRequest;
  if (!pending || pending.sent || S.sync.pending.length) return;
  pending.sent = true;
  const path = `/sets/${S.set}/clips`;
  let answer = await request(S, "POST", path, pending.body, REQUEST_MS);
  if (!answer.status && !S.stopped) answer = await request(S, "POST", path, pending.body, REQUEST_MS);
  if (S.stopped) return;
  S.clipRequest = null;
  const { status, data, why } = answer;
  const error = status === 200 ? data.error : status ? why : "The server did not answer. Check whether it was applied, then try again.";
  if (error) {
    if (pending.entry) stackOf(S, pending.item.id)[pending.from].push(pending.entry);
    flash(S, error, 10000);
  } else if (data.action === "preview") showFilling(S, data);
  else batchDone(S, data, pending);
  fetchWindow(S);
  fetchStrip(S);
  fillPanel(S);
}

function batchDone(S, answer, pending) {
  const entry = { id: pending.item.id, batch: answer.client, mark: true };
  if (answer.people) pending.to ? stackOf(S, entry.id)[pending.to].push(entry) : record(S, entry);
  const who = `${answer.people} ${answer.people === 1 ? "person" : "people"}`;
  const words = { fill: `${who} filled in`, split: `A new track from here on: ${who}`, join: `Joined: ${who}`, rename: `Renamed: ${who}`, undo: `${pending.to === "redo" ? "Undone" : "Redone"}: ${who}` };
  const left = answer.unchanged.length ? ` Unchanged: ${answer.unchanged.join("; ")}.` : "";
  flash(S, `${words[answer.action]}.${left}${answer.action === "undo" ? "" : " Undo with z."}`, left ? 12000 : 4000);
}

export function undoBatch(S, from, to) {
  const stack = stackOf(S, S.item.id);
  const entry = stack[from].pop();
  if (!requestClip(S, "undo", { fields: { undoes: entry.batch }, entry, from, to })) stack[from].push(entry);
}

function showFilling(S, { near, whole }) {
  if (!whole.people) return flash(S, whole.keys.length < 2 ? "Two key frames are needed: edit this person in two frames of the clip, or mark key frames there." : "Nothing lies between the key frames that would change.", 6000);
  const count = (found) => {
    const added = found.added ? `, ${found.added} of them new` : "";
    return `${found.people} ${found.people === 1 ? "frame" : "frames"}${added}, ${found.joints} joints`;
  };
  const fill = (all) => () => requestClip(S, "fill", { fields: { whole: all } });
  const answers = [];
  if (near.people) answers.push([`Fill in ${near.people} here`, fill(false)]);
  if (whole.people > near.people) answers.push([`Fill in all ${whole.people}`, fill(true)]);
  const found = near.people ? near : whole;
  const stay = found.unchanged.length ? ` ${found.unchanged.join("; ")} ${found.unchanged.length === 1 ? "stays" : "stay"}.` : "";
  openForm(S, `Between key frames ${found.keys.join(", ")}: ${count(found)} would change.${stay}`, { answers });
}

function joinTracks(S) {
  if (!open(S) || !entryOf(S)) return;
  const others = S.clip.tracks.filter(({ track }) => track !== S.clip.track);
  if (!others.length) return flash(S, "There is no other track in this clip.");
  const field = el("select");
  for (const { track, people, first, last } of others) el("option", "", `Track ${track}: frames ${first} to ${last} (${people})`, field).value = track;
  openForm(S, `${S.clip.track === null ? "This person" : `Track ${S.clip.track}`} becomes part of`, { field, done: (to) => requestClip(S, "join", { fields: { to: Number(to) } }) });
}

function renameTrack(S) {
  if (!open(S) || !entryOf(S)) return;
  const field = Object.assign(el("input"), { type: "number", min: 0, max: 2147483647, step: 1, value: S.clip.free_track });
  openForm(S, "Another number for this track", { field, done: (to) => requestClip(S, "rename", { fields: { to: Number(to) } }) });
}

export const CLIP_DO = {
  "clip back": (S) => goClip(S, -1),
  "clip next": (S) => goClip(S, 1),
  "copy back": (S) => copyFrom(S, -1),
  "copy next": (S) => copyFrom(S, 1),
  "clip key": (S) => toggleKey(S),
  "clip fill": (S) => entryOf(S) && requestClip(S, "preview"),
  "clip split": (S) => entryOf(S) && requestClip(S, "split"),
  "clip join": (S) => joinTracks(S),
  "clip rename": (S) => renameTrack(S),
  "clip log": (S) => {
    S.clipLog = !S.clipLog;
    fetchStrip(S);
    fillPanel(S);
  },
};
