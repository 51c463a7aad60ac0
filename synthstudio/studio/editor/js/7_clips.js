// What is done over a clip: turn to another frame of the same person, copy labels, and strokes that
// the server does person by person. S.trip: {home, track}: the shown person was reached by the
// strip; n and b go on in the queue from `home`. S.asked: the question that is on its way.

const ASK_MS = 20000;

// The people of the queue, without those who are held for the strip alone.
function queued(S) {
  return S.list.filter((item) => !item.aside);
}

// Where in the queue one was before the strip was followed; undefined: there now.
function homeOf(S) {
  return S.trip?.home ?? (S.item.aside ? S.item.pos : undefined);
}

// Of whom the server shall send the strip.
function lookOf(S) {
  if (S.going) return S.going.look;
  if (!S.item?.clip) return null;
  return S.item.instance || S.trip?.track == null ? S.item.id : `${S.item.id}:${S.trip.track}`;
}

// The strip of another person is asked for when one has stayed for a moment.
function lookSoon(S) {
  clearTimeout(S.lookTimer);
  if (!S.clip || !S.item.clip) return;
  S.lookTimer = setTimeout(() => S.item && S.clip.id !== S.item.id && askView(S, { clip: true }), 120);
}

function goClip(S, by) {
  const entry = S.item.clip && entryOf(S);
  if (!entry) return flash(S, S.item.clip ? "One moment: the clip is being fetched." : "This frame is of no clip.");
  const next = S.clip.frames[S.clip.frames.indexOf(entry) + by];
  if (!next) return flash(S, by > 0 ? "This is the last frame of the clip." : "This is the first frame of the clip.");
  return goTo(S, next);
}

function goFrame(S, frame) {
  const entry = entryOf(S) && S.clip.frames.find((one) => one.frame === frame);
  return entry ? goTo(S, entry) : flash(S, "One moment: the clip is being fetched.");
}

function goTo(S, entry) {
  const id = `${entry.frame}:${entry.instance}`;
  const trip = { home: homeOf(S) ?? S.item.pos, track: S.clip.track };
  const item = S.list.find((one) => one.id === id);
  closeClips(S);
  if (item) return setItem(S, item, trip);
  leaveKeys(S);
  S.going = { id, trip, look: entry.instance || S.clip.track === null ? id : `${id}:${S.clip.track}` };
  Object.assign(S, { wanted: null, ready: false }); // what was asked for last is meant
  veil(S, "Fetching that frame…");
  return askView(S, { clip: true });
}

function closeClips(S) {
  if (!S.ui.clipAsk.hidden) closeClipForm(S);
}

// Whether the frame that was gone to has come with this answer.
function arrive(S) {
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

// The same person's labels of the frame before or after; in a frame without that person, somebody new.
function copyFrom(S, by) {
  if (!open(S, false, !S.item.instance)) return;
  const entry = entryOf(S);
  if (!entry) return flash(S, S.item.clip ? "One moment: the clip is being fetched." : "This frame is of no clip.");
  const word = by > 0 ? "after" : "before";
  const from = S.clip.frames[S.clip.frames.indexOf(entry) + by];
  if (!from?.there) return flash(S, `The frame ${word} does not have this person.`);
  const item = S.list.find((one) => one.id === `${from.frame}:${from.instance}`);
  if (!item) return flash(S, "One moment: that frame is being fetched.");
  if (item.veiled) return flash(S, VEILED);
  const joints = derive(S, item).joints.map((joint) => asPlaced(S.item, { x: joint.x, y: joint.y, state: joint.state, cause: joint.cause }));
  if (S.item.instance) {
    const before = S.box.seq;
    edit(S, [...joints.entries()]);
    return flash(S, S.box.seq > before ? `Copied from frame ${from.frame}.` : `These are the labels of frame ${from.frame} already.`);
  }
  if (S.clip.track === null) return flash(S, "First give that person a track: Split here (Shift+D) in that frame.");
  addNew(S, [...joints.entries()], { ghost: null, without: null, track: S.clip.track });
  return flash(S, `Copied from frame ${from.frame}: this person is in this frame now.`);
}

function toggleKey(S) {
  const entry = entryOf(S);
  if (!open(S) || !entry) return;
  const keyed = !isKey(S, entry);
  if (!keyed && S.now.status === "approved") return flash(S, "Who is approved is a key frame.");
  record(S, S.item, commit(S, S.item, { kind: "edit", keyed }, { keyed }));
  flash(S, keyed ? "A key frame." : "No key frame any more.");
}

function strokeName() {
  return `clip${newClient()}`;
}

// Ask the server for something over the whole clip; what is edited here is saved before.
function askClip(S, ask, more = {}) {
  if (!open(S, ask === "undo")) return false;
  if (S.asked) {
    flash(S, "One moment: the last one is being done.");
    return false;
  }
  S.asks += 1;
  const said = { v: 1, n: S.asks, tab: S.box.client, ask, id: S.item.id, client: strokeName(), ...more.say };
  S.asked = { ...more, said, sent: false, at: performance.now(), item: S.item };
  pumpClip(S);
  return true;
}

// What has no answer for long is asked once more under the same name, so it happens once at most;
// then it is given up, and an undo may be tried anew.
function askAgain(S) {
  const { asked } = S;
  if (!asked?.sent || performance.now() - asked.at < ASK_MS) return;
  if (asked.again) {
    S.asked = null;
    if (asked.entry) stackOf(S, asked.item.id)[asked.from].push(asked.entry);
    flash(S, "The server did not answer. Look whether it was done, then try again.", 8000);
    fillPanel(S);
    return;
  }
  S.asks += 1;
  Object.assign(asked, { said: { ...asked.said, n: S.asks }, sent: false, again: true });
  pumpClip(S);
}

function pumpClip(S) {
  if (!S.asked || S.asked.sent || S.box.pending.length) return;
  Object.assign(S.asked, { sent: true, at: performance.now() });
  S.host.setStateValue("clip", S.asked.said);
}

function takeClipAnswer(S) {
  const answer = S.clip?.answer;
  const { asked } = S;
  if (!asked?.sent || answer?.tab !== asked.said.tab || answer.n !== asked.said.n) return;
  S.asked = null;
  S.host.setStateValue("clip", null); // or a new session of the server would do it again
  if (answer.error) {
    if (asked.entry) stackOf(S, asked.item.id)[asked.from].push(asked.entry);
    flash(S, answer.error, 10000);
  } else if (answer.ask === "preview") showFilling(S, answer);
  else strokeDone(S, answer, asked);
  fillPanel(S);
}

function strokeDone(S, answer, asked) {
  const stack = stackOf(S, asked.item.id);
  if (answer.people) stack[asked.to ?? "undo"].push({ stroke: answer.client, mark: true });
  if (answer.people && !asked.to) stack.redo = [];
  const who = `${answer.people} ${answer.people === 1 ? "person" : "people"}`;
  const words = { fill: `${who} filled in`, split: `A new track from here on: ${who}`, join: `Joined: ${who}`, rename: `Renamed: ${who}`, undo: `${asked.to === "redo" ? "Undone" : "Done again"}: ${who}` };
  const left = answer.left.length ? ` As before: ${answer.left.join("; ")}.` : "";
  flash(S, `${words[answer.ask]}.${left}${answer.ask === "undo" ? "" : " z takes it back."}`, left ? 12000 : 4000);
}

// Undo or redo of a stroke, at the person where it was made.
function strokeBack(S, from, to) {
  const stack = stackOf(S, S.item.id);
  const entry = stack[from].pop();
  if (!askClip(S, "undo", { say: { back: entry.stroke }, entry, from, to })) stack[from].push(entry);
}

function showFilling(S, { near, whole }) {
  if (!whole.people) return flash(S, whole.keys.length < 2 ? "Two key frames are needed: edit this person in two frames of the clip, or press Shift+K there." : "Nothing lies between the key frames that would change.", 6000);
  const count = (found) => {
    const added = found.added ? `, ${found.added} of them new` : "";
    return `${found.people} ${found.people === 1 ? "frame" : "frames"}${added}, ${found.joints} joints`;
  };
  const ask = (all) => () => askClip(S, "fill", { say: { whole: all } });
  const answers = [];
  if (near.people) answers.push([`Fill in ${near.people} here`, `Between the key frames next to this one: ${count(near)}`, ask(false)]);
  if (whole.people > near.people) answers.push([`Fill in all ${whole.people}`, `Between all ${whole.keys.length} key frames: ${count(whole)}`, ask(true)]);
  const found = near.people ? near : whole;
  const stay = found.left.length ? ` ${found.left.join("; ")} ${found.left.length === 1 ? "stays" : "stay"}.` : "";
  openClipForm(S, `Between key frames ${found.keys.join(", ")}: ${count(found)} would change.${stay}`, answers);
}

function joinTracks(S) {
  if (!open(S) || !entryOf(S)) return;
  const others = S.clip.tracks.filter(({ track }) => track !== S.clip.track);
  if (!others.length) {
    flash(S, "There is no other track in this clip.");
    return;
  }
  openClipForm(S, `${S.clip.track === null ? "This person" : `Track ${S.clip.track}`} becomes part of`, [["Join", "Join", (to) => askClip(S, "join", { say: { to: Number(to) } })]], (box) => {
    const list = el("select", "", null, box);
    list.setAttribute("aria-label", "Track");
    for (const { track, people, first, last } of others) el("option", "", `Track ${track}: frames ${first} to ${last} (${people})`, list).value = track;
    return list;
  });
}

function renameTrack(S) {
  if (!open(S) || !entryOf(S)) return;
  openClipForm(S, "Another number for this track:", [["Rename", "Rename", (to) => askClip(S, "rename", { say: { to: Number(to) } })]], (box) => {
    const input = el("input", "", null, box);
    Object.assign(input, { type: "number", min: 0, max: 2147483647, step: 1, value: S.clip.free });
    input.setAttribute("aria-label", "Number");
    return input;
  });
}

Object.assign(DO, {
  "clip back": (S) => goClip(S, -1),
  "clip next": (S) => goClip(S, 1),
  "copy back": (S) => copyFrom(S, -1),
  "copy next": (S) => copyFrom(S, 1),
  "clip key": (S) => toggleKey(S),
  "clip fill": (S) => entryOf(S) && askClip(S, "preview"),
  "clip split": (S) => entryOf(S) && askClip(S, "split"),
  "clip join": (S) => joinTracks(S),
  "clip rename": (S) => renameTrack(S),
  "clip log": (S) => {
    S.clipLog = !S.clipLog;
    askView(S, { clip: true });
    fillClips(S);
  },
});
Object.assign(SIMPLE, Object.fromEntries(CLIP_BUTTONS.map(([action, , key]) => [key, action])));
