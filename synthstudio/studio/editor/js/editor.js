// Which person is shown, and the life of the component. It is given {api, set, user, queue}, fetches
// windows of that queue, and sends edits; Streamlit gets no messages.

import { announce, drainKeys, dropKeys, fetching, keyAction, keyDown, leaveKeys, refit } from "./actions.js";
import { buildMarks, draw, fit } from "./canvas.js";
import { arrive, fetchStrip, homeOf, lookSoon, queued } from "./clips.js";
import { keyOf } from "./keys.js";
import { derive } from "./labels.js";
import { buildPage, buildTable, closeForm, fillPanel, fillStatus, flash } from "./panel.js";
import { drawMask, endPeek, paint, pictureOf, prefetch, whenLoaded } from "./pictures.js";
import { listenPointer } from "./pointer.js";
import { isUnread, openSyncQueue, pendingOf, refusedOf, request, send, sendSoon } from "./sync_queue.js";

const LOW = 5; // fewer than this many people ahead: ask for more
const STAY_MS = 240000; // so often the server hears from an editor that is in use: leases end otherwise
const EDITORS = new WeakMap(); // by the element that Streamlit gives

export function step(S, by) {
  const line = queued(S);
  const home = homeOf(S);
  const pos = home === undefined ? S.item.pos + by : home + Math.max(by, 0);
  const next = home === undefined ? line[line.indexOf(S.item) + by] : line.find((item) => item.pos === pos);
  if (next) return setItem(S, next);
  const end = by > 0 ? "That was the last one in this queue." : "This is the first one in this queue.";
  if (pos < 0 || pos >= S.queue.total) return flash(S, end);
  leaveKeys(S);
  Object.assign(S, { wanted: pos, going: null, ready: false });
  S.ui.overlay.textContent = "Loading the next person…";
  fetchWindow(S);
}

export function setItem(S, item, trip = null) {
  endPeek(S);
  if (!S.ui.form.hidden) closeForm(S);
  S.ui.flash.classList.remove("on"); // it spoke of the person before
  if (fetching(S) === (item.id === S.item?.id)) leaveKeys(S); // another comes, or the one who was left
  const sameFrame = S.item && S.item.frame === item.frame && S.fitting === "frame";
  Object.assign(S, { item, joint: -1, picked: [], hover: null, drag: null, stroke: null, masking: null, placing: false, wanted: null, going: null, trip, ready: false, now: derive(S, item) });
  S.root.dataset.item = item.id;
  if (!sameFrame) fit(S, S.fitting);
  rememberPlace(S, item);
  showPicture(S);
  fillPanel(S);
  announce(S);
  fillStatus(S);
  lookAhead(S);
  lookSoon(S);
}

function rememberPlace(S, item) {
  const url = new URL(location.href);
  sessionStorage.setItem(placeKey(S), JSON.stringify([S.given, item.frame, item.instance]));
  const { id, query } = S.queue;
  for (const [name, value] of Object.entries({ set: S.set, queue: id, q: query, frame: item.frame, instance: item.instance })) {
    if (value === "" || value === undefined) url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  history.replaceState(history.state, "", url);
}

const placeKey = (S) => `synthstudio.at.${S.set}.${S.layer}`;

function showPicture(S) {
  const { item } = S;
  const pressed = S.pressedAt ?? performance.now();
  const picture = pictureOf(S, item.image);
  S.broken = false;
  if (!picture.bitmap) S.ui.overlay.textContent = "Loading the picture…";
  whenLoaded(S, picture, () => {
    if (S.item?.id !== item.id || S.ready || fetching(S)) return;
    if (!picture.bitmap) return brokenPicture(S, picture);
    S.ui.overlay.textContent = "";
    paint(S.ui.picture, picture.bitmap, item.w, item.h);
    S.ready = true;
    drawMask(S);
    draw(S);
    requestAnimationFrame(() => setTimeout(() => {
      S.root.dataset.shown = item.id;
      S.root.dataset.paintMs = (performance.now() - pressed).toFixed(2);
    }, 0));
    prefetch(S);
    queueMicrotask(() => drainKeys(S));
  });
}

function brokenPicture(S, picture) {
  S.broken = true;
  dropKeys(S, "The picture could not be loaded");
  S.ui.picture.width = 1;
  S.ui.overlay.textContent = `The picture could not be loaded (${picture.failed}).`;
  draw(S);
  S.pictures.delete(picture.url); // tried again when somebody comes back to it
}

// More people before the window runs out, so that going on never waits.
function lookAhead(S) {
  const line = queued(S);
  const at = homeOf(S) ?? S.item.pos;
  const [first, last] = [line[0].pos, line[line.length - 1].pos];
  const ahead = last < S.queue.total - 1 && last - at < LOW;
  const behind = first > 0 && at - first < 2;
  prefetch(S);
  if (!(ahead || behind) || S.lookedAt === at) return;
  S.lookedAt = at; // once a place: a frame that cannot be read is left out of every window
  fetchWindow(S);
}

// One request at a time; where the place that is wanted has changed meanwhile, it follows.
export async function fetchWindow(S) {
  if (S.fetchingWindow) S.fetchAgain = true;
  if (S.fetchingWindow || S.opening || S.offline || !S.queue) return;
  const pos = S.wanted ?? (S.item ? homeOf(S) ?? S.item.pos : 0);
  const { key } = S.queue;
  Object.assign(S, { fetchingWindow: true, fetchAgain: false });
  const { status, data, why } = await request(S, "GET", `/sets/${S.set}/queues/${key}?at=${pos}`);
  S.fetchingWindow = false;
  if (S.stopped || S.opening || S.queue.key !== key) return;
  if (status === 404) openQueue(S, placeOf(S)); // a new server does not know the queue
  else if (status === 200) takeWindow(S, data, pos);
  else if (fetching(S)) S.ui.overlay.textContent = `${why} Trying again…`;
  fillStatus(S);
  if (S.fetchAgain) fetchWindow(S);
}

const placeOf = (S) => (S.item ? { frame: S.item.frame, instance: S.item.instance } : {});

// Open the queue that the page gives; `place`: of the person at whom it begins.
async function openQueue(S, place = {}) {
  const { given } = S;
  S.opening = true;
  const { status, data, why } = await request(S, "POST", `/sets/${S.set}/queues`, { ...JSON.parse(given), ...place });
  S.opening = false;
  if (S.stopped) return;
  if (S.given !== given) return openQueue(S);
  S.closed = status !== 200;
  if (!S.closed) return takeQueue(S, data);
  S.ui.overlay.textContent = why;
  return fillStatus(S);
}

function takeQueue(S, data) {
  const { queue, members, skeleton, person } = data;
  Object.assign(S, { queue, members, skeleton, model: queue.model, lookedAt: null });
  if (!S.marks) {
    buildMarks(S);
    buildTable(S);
    if (S.sync.pending.length) sendSoon(S, 0);
  }
  S.ui.stage.focus({ preventScroll: true }); // a queue was chosen beside the editor: keys are the picture's again
  if (!data.clips) S.clip = null;
  else S.clip ??= {};
  takeWindow(S, data, null, person);
  if (S.clip && S.item?.clip) fetchStrip(S);
  S.root.dataset.ready = "1";
}

// People round a place. `requested`: the place that was requested; `begin`: at whom a queue begins that was just
// opened, null for its place.
function takeWindow(S, { at, can, items, progress }, requested, begin) {
  const opened = begin !== undefined;
  Object.assign(S, { can, progress, heard: performance.now() });
  const last = S.item;
  const mine = opened ? [] : S.list.filter((item) => item.local && !items.some((other) => other.id === item.id));
  const list = items.map((item) => newest(S, item));
  for (const item of mine) {
    const k = list.findLastIndex((other) => other.frame === item.frame && other.pos === item.pos);
    if (k >= 0 && (pendingOf(S, item.id).length || refusedOf(S, item.id).length || item === last)) list.splice(k + 1, 0, item);
  }
  setList(S, list, opened && !S.trip ? [] : S.aside);
  S.root.dataset.windows = S.windows += 1;
  if (!S.list.length) return showEmpty(S, S.queue.empty);
  const there = S.wanted === null || opened ? null : S.list.find((item) => item.pos === S.wanted);
  const same = last && S.list.find((item) => item.id === last.id);
  const first = S.list.find((item) => item.id === begin) ?? S.list.find((item) => item.pos === at) ?? S.list[0];
  if (opened && first.id !== last?.id) setItem(S, first);
  else if (there && there.id !== last?.id) setItem(S, there);
  else if (S.wanted !== null && !there && S.wanted !== requested) fetchWindow(S);
  else if (S.going && same) {
    if (!arrive(S)) sameItem(S, same);
  } else {
    if (S.wanted !== null && !there) flash(S, "That person cannot be shown.");
    S.wanted = null;
    if (same) sameItem(S, same);
    else setItem(S, first);
  }
  S.changed();
}

// An item as the server gave it, but never older than what was acknowledged here meanwhile.
export function newest(S, item) {
  const old = S.list.find((other) => other.id === item.id);
  const beside = S.list.find((other) => other.frame === item.frame && other.people)?.people ?? [];
  const people = item.people?.map((one) => {
    const was = beside.find(({ instance }) => instance === one.instance);
    return was?.revision > one.revision && one.closed === was.closed ? was : one;
  }) ?? null;
  if (item.blinded || !(old?.state.revision > item.state.revision)) return { ...item, people };
  return { ...item, people, state: old.state, threads: old.threads };
}

// `aside`: people of the strip whom the window does not hold.
export function setList(S, window, aside) {
  const held = new Set(window.map((item) => item.id));
  S.aside = aside;
  S.list = [...window, ...aside.filter((item) => !held.has(item.id))];
  S.sync.unread = S.sync.unread.filter((op) => S.list.some((item) => isUnread(op, item)));
}

// People as they are after edits. Whom the server left out is fetched with the window.
export function takeChanged(S, items, answered) {
  const fresh = new Map(items.map((item) => [item.id, item]));
  const changed = (old) => {
    const item = fresh.get(old.id) ?? old;
    const people = old.people && (items.find((other) => other.frame === old.frame && other.people)?.people ?? old.people);
    const { pos, risk, aside } = old;
    const local = old.local && !item.state.added;
    return item === old ? { ...old, people } : { ...old, ...item, people, pos, risk, aside, local };
  };
  const aside = S.aside.map(changed);
  setList(S, queued(S).map(changed), aside);
  const here = S.item && S.list.find((item) => item.id === S.item.id);
  if (here) Object.assign(S, { item: here, now: derive(S, here) });
  if (answered.some((op) => !fresh.has(op.id))) fetchWindow(S);
  if (S.past) fetchPast(S, S.past.id);
  if (S.clip && S.item?.clip) fetchStrip(S);
}

function sameItem(S, item) {
  S.item = item;
  S.now = derive(S, item);
  rememberPlace(S, item);
  if (!S.ready && !fetching(S)) showPicture(S);
  lookAhead(S);
}

function showEmpty(S, text) {
  dropKeys(S, "The queue is empty");
  Object.assign(S, { item: null, wanted: null, going: null, ready: false });
  S.ui.overlay.textContent = text;
  S.ui.place.textContent = "0 of 0";
  S.root.dataset.item = "";
  fillStatus(S);
}

async function fetchPast(S, id) {
  const [frame, instance] = id.split(":");
  const { status, data } = await request(S, "GET", `/sets/${S.set}/people/${frame}/${instance}/events?layer=${S.layer}`);
  if (S.stopped || S.past?.id !== id || status !== 200) return;
  S.past = { id, events: data.events };
  S.changed();
}

export function togglePast(S) {
  S.past = S.past?.id === S.item.id ? null : { id: S.item.id, events: null };
  if (S.past) fetchPast(S, S.past.id);
  S.changed();
}

async function pingServer(S) {
  if (S.pinging) return;
  S.pinging = true;
  await request(S, "GET", "/me");
  S.pinging = false;
  if (S.offline || S.stopped) return;
  send(S);
  if (S.closed) openQueue(S, placeOf(S));
  else fetchWindow(S);
}

function tick(S) {
  if (S.offline) pingServer(S);
  else if (S.closed && !S.opening) openQueue(S, placeOf(S));
  else if (S.wanted !== null || (S.item && S.used > S.heard && performance.now() - S.heard > STAY_MS)) fetchWindow(S);
  if (S.going) fetchStrip(S);
  if (!S.sendTimer) send(S); // what waited for a server that another request has found again
  fillStatus(S);
}

function start(parent, { api, set, user, queue }) {
  const layer = queue.queue === "second" ? "second" : "main";
  const S = {
    api, set, user, layer, given: null, item: null, list: [], aside: [], joint: -1, picked: [], hover: null, drag: null, zoom: 1, tx: 0, ty: 0, pictures: new Map(),
    loading: 0, stacks: new Map(), groups: new Map(), fingers: new Map(), places: new Map(), keys: [], windows: 0, decided: 0, began: Date.now(), light: { b: 1, c: 1 },
    layers: { boxes: false, modal: false, amodal: false, others: true, names: true, predictions: true }, fitting: "person", loupe: false,
    ready: false, broken: false, sendTimer: 0, used: 0, heard: 0, wanted: null, can: {}, members: [], queue: null, model: "", past: null, progress: null,
    clip: null, clipLog: false, clipRequest: null, trip: null, going: null, offline: false, fetchingWindow: false, fetchAgain: false, lookedAt: null, opening: false, closed: false, stopped: false,
    sync: openSyncQueue(set, layer, user),
  };
  buildPage(S, parent);
  listenPointer(S);
  S.changed = () => {
    if (S.item) S.now = derive(S, S.item);
    if (S.batch) return;
    if (S.item) {
      fillPanel(S);
      if (S.ready) drawMask(S);
      draw(S);
    }
    fillStatus(S);
  };
  S.root.addEventListener("keydown", (event) => keyDown(S, event));
  S.root.addEventListener("keyup", (event) => {
    if (event.key === " ") S.space = false;
    if (S.peeking && keyOf(S, `peek ${S.peeking.kind}`).split("+").at(-1) === event.key.toLowerCase()) endPeek(S);
  });
  S.ui.stage.addEventListener("blur", () => {
    S.space = false;
    endPeek(S);
  });
  S.ui.stage.addEventListener("focus", () => (S.left = false));
  const timer = setInterval(() => tick(S), 1000);
  let size = "";
  const watch = new ResizeObserver(() => {
    const now = `${S.ui.stage.clientWidth} x ${S.ui.stage.clientHeight}`;
    if (S.item && size && now !== size) refit(S, S.fitting);
    size = now;
  });
  watch.observe(S.ui.stage);
  const life = new AbortController();
  window.addEventListener("beforeunload", (event) => S.sync.pending.length && event.preventDefault(), { signal: life.signal });
  window.addEventListener("keydown", (event) => catchKey(S, event), { capture: true, signal: life.signal });
  for (const kind of ["pointerdown", "keydown"]) S.root.addEventListener(kind, () => (S.used = performance.now()), true);
  S.stop = () => {
    S.stopped = true;
    clearInterval(timer);
    clearTimeout(S.sendTimer);
    clearTimeout(S.lookTimer);
    watch.disconnect();
    life.abort();
    for (const picture of S.pictures.values()) picture.bitmap?.close();
    S.root.remove();
  };
  S.ui.overlay.textContent = "Loading…";
  fillStatus(S);
  return S;
}

// A key of the picture that is pressed where the page beside the editor has the focus, and nothing is written.
function catchKey(S, event) {
  const at = document.activeElement;
  const beside = at === document.body || at.matches("button, input[type=checkbox]");
  if (!beside || S.root.getRootNode().contains(at) || document.querySelector("[role=dialog]")) return;
  if (/^(Tab|Enter|Escape|Arrow\w*| )$/.test(event.key) || !keyAction(S, event)) return;
  S.ui.stage.focus({ preventScroll: true });
  keyDown(S, event);
}

// A queue that the page gives: another one begins anew, the same is looked at again. Where only the
// predictions change, and where this session was on the page before, it begins at that person.
function giveQueue(S, queue) {
  const text = JSON.stringify(queue);
  const before = S.given && JSON.parse(S.given);
  const same = before && ["queue", "query", "todo"].every((name) => before[name] === queue[name]) && before.model !== queue.model;
  if (S.given === text) return fetchWindow(S);
  S.given = text;
  if (S.opening) return;
  const [stored, frame, instance] = JSON.parse(sessionStorage.getItem(placeKey(S)) ?? "[]");
  openQueue(S, same ? placeOf(S) : !before && stored === text ? { frame, instance } : {});
}

export default function editor({ data, parentElement }) {
  const S = EDITORS.get(parentElement) ?? start(parentElement, data);
  EDITORS.set(parentElement, S);
  giveQueue(S, data.queue);
  return () => {
    S.stop();
    EDITORS.delete(parentElement);
  };
}
