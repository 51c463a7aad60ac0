// Which person is shown, and the life of the component.

const LOW = 5; // fewer than this many people ahead: ask for more
const STAY_MS = 240000; // so often the server hears from an editor that is in use: leases end otherwise
const STATES = new WeakMap();
// The page may take the editor down and put it up again at any time. What it knew of a data set is
// kept beside it until then: undo, edits on their way, zoom, layers.
const KEPT = (globalThis.synthstudioEditors ??= new Map());
const KEPT_FIELDS = ["box", "stacks", "groups", "places", "layers", "fitting", "loupe", "light", "decided", "began", "views", "zoom", "tx", "ty", "joint", "picked", "brush", "cut", "placing", "another", "moreOpen", "clipLog", "asks", "asked", "trip"];

function step(S, by) {
  const line = queued(S);
  const home = homeOf(S);
  const pos = home === undefined ? S.item.pos + by : home + Math.max(by, 0);
  const next = home === undefined ? line[line.indexOf(S.item) + by] : line.find((item) => item.pos === pos);
  if (next) {
    setItem(S, next);
    return;
  }
  if (pos < 0 || pos >= S.queue.total) {
    flash(S, by > 0 ? "That was the last one in this queue." : "This is the first one in this queue.");
    return;
  }
  leaveKeys(S);
  Object.assign(S, { wanted: pos, going: null, ready: false });
  veil(S, "Fetching the next people…");
  askView(S, { pos });
}

function setItem(S, item, trip = null) {
  endPeek(S);
  S.ui.flash.classList.remove("on"); // it spoke of the person before
  if (fetching(S) === (item.id === S.item?.id)) leaveKeys(S); // another comes, or the one who was left
  const sameFrame = S.item && S.item.frame === item.frame && S.fitting === "frame";
  Object.assign(S, { item, joint: -1, picked: [], hover: null, drag: null, boxing: null, stroke: null, masking: null, placing: false, wanted: null, going: null, trip, now: derive(S, item) });
  S.ready = false;
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

// Where this is, for the address and for whoever comes back to the page.
function rememberPlace(S, item) {
  const url = new URL(location.href);
  sessionStorage.setItem(`synthstudio.at.${S.dataset}`, JSON.stringify([S.goto, item.id]));
  const { id, query } = S.queue;
  for (const [name, value] of Object.entries({ set: S.dataset.split(".")[0], queue: id, q: query, frame: item.frame, instance: item.instance })) {
    if (value === "" || value === undefined) url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  history.replaceState(history.state, "", url);
}

function showPicture(S) {
  const { item } = S;
  const pressed = S.pressedAt ?? performance.now();
  const picture = pictureOf(S, item.image);
  S.broken = false;
  if (!picture.bitmap) veil(S, "Loading the picture…");
  whenLoaded(S, picture, () => {
    if (S.item?.id !== item.id || S.ready || fetching(S)) return;
    if (!picture.bitmap) {
      brokenPicture(S, picture);
      return;
    }
    veil(S, "");
    paint(S.ui.picture, picture.bitmap, item.w, item.h);
    S.ready = true;
    drawMask(S);
    draw(S);
    drawLoupe(S);
    requestAnimationFrame(() => setTimeout(() => {
      S.root.dataset.shown = item.id;
      S.paints.push(performance.now() - pressed);
      S.root.dataset.paintMs = S.paints[S.paints.length - 1].toFixed(2);
    }, 0));
    prefetch(S);
    queueMicrotask(() => drainKeys(S));
  });
}

function brokenPicture(S, picture) {
  S.broken = true;
  dropKeys(S, "The picture could not be loaded");
  S.ui.picture.width = 1;
  veil(S, `The picture could not be loaded (${picture.failed}).`);
  draw(S);
  S.pictures.delete(picture.url);
  if (performance.now() - (S.freshAt ?? -1e9) < 8000) return;
  S.freshAt = performance.now(); // its address may have expired: ask for new ones
  askView(S, {});
}

function veil(S, text) {
  S.ui.veil.textContent = text;
  S.ui.veil.classList.toggle("on", Boolean(text));
}

// More people before the window runs out, so that going on never waits.
function lookAhead(S) {
  const line = queued(S);
  const at = homeOf(S) ?? S.item.pos;
  const [first, last] = [line[0].pos, line[line.length - 1].pos];
  const ahead = last < S.queue.total - 1 && last - at < LOW;
  const behind = first > 0 && at - first < 2;
  if (ahead || behind) askView(S, {});
  else prefetch(S);
}

function askView(S, extra) {
  const now = performance.now();
  const pos = extra.pos ?? S.wanted ?? homeOf(S) ?? S.item.pos;
  // A request ends the server's work on the one before it. So one is open at a time, and each
  // waits twice as long for its answer: a slow server would only hear requests.
  const open = S.request && now - S.request.at < S.request.patience;
  if (open && !("history" in extra || "clip" in extra)) return;
  const patience = S.request ? Math.min(2 * S.request.patience, 60000) : RETRY_MS;
  S.views += 1;
  S.request = { pos, at: now, n: S.views, patience };
  if ("history" in extra) S.history = extra.history;
  S.host.setStateValue("view", { v: 1, n: S.views, tab: S.box.client, pos, history: S.history ?? null, ...(S.clip ? { clip: lookOf(S), log: S.clipLog } : {}) });
}

function start(parent, data) {
  const S = {
    dataset: data.dataset, item: null, list: [], joint: -1, picked: [], hover: null, drag: null, zoom: 1, tx: 0, ty: 0, pictures: new Map(),
    loading: 0, stacks: new Map(), groups: new Map(), fingers: new Map(), places: new Map(), keys: [], paints: [], views: 0, decided: 0, began: Date.now(), light: { b: 1, c: 1 },
    layers: { boxes: false, modal: false, amodal: false, others: true, names: true, ghosts: true }, fitting: "person", loupe: false,
    ready: false, broken: false, sendTimer: 0, used: 0, heard: 0, wanted: null, can: data.can, skeleton: data.skeleton, goto: null, queue: data.queue,
    clip: data.clip ?? null, clipLog: false, asks: 0, asked: null, trip: null, going: null,
  };
  const name = `${data.dataset} ${data.user}`;
  const kept = KEPT.get(name);
  if (kept) Object.assign(S, kept.fields);
  else S.box = openBox(data.dataset, data.user);
  if (kept) takeStored(S.box);
  S.again = kept?.item ?? null;
  buildPage(S, parent);
  buildMarks(S);
  buildTable(S);
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
    if (S.peeking && PEEKS[event.key.toLowerCase()] === S.peeking.kind) endPeek(S);
  });
  S.ui.stage.addEventListener("blur", () => {
    S.space = false;
    endPeek(S);
  });
  S.ui.stage.addEventListener("focus", () => (S.left = false));
  const warn = (event) => {
    if (S.box.pending.length) event.preventDefault();
  };
  const timer = setInterval(() => {
    tick(S);
    if (S.item) askAgain(S);
    if (S.item && S.used > S.heard && performance.now() - S.heard > STAY_MS) askView(S, {});
    if ((S.wanted !== null || S.going) && S.item) askView(S, {});
    // A dialog of the page (about a lost connection) took the focus away and is gone again.
    if (S.mine && !S.left && document.activeElement === document.body) S.ui.stage.focus({ preventScroll: true });
  }, 1000);
  const cover = new MutationObserver(() => uncover(S));
  cover.observe(document.body, { childList: true, subtree: true });
  let size = "";
  const watch = new ResizeObserver(() => {
    const now = `${S.ui.stage.clientWidth} x ${S.ui.stage.clientHeight}`;
    if (S.item && size && now !== size) refit(S, S.fitting);
    size = now;
  });
  watch.observe(S.ui.stage);
  window.addEventListener("beforeunload", warn);
  const elsewhere = (event) => {
    if (!event.composedPath().includes(S.root)) S.mine = false;
  };
  window.addEventListener("pointerdown", elsewhere, true);
  for (const kind of ["pointerdown", "keydown"]) S.root.addEventListener(kind, () => (S.used = performance.now()), true);
  S.root.addEventListener("focusin", () => (S.mine = true));
  // While a dialog of the page goes, keys reach nobody: they are meant for the editor.
  const astray = (event) => {
    if (event.target !== document.body || !S.mine || S.left || !S.item) return;
    S.ui.stage.focus({ preventScroll: true });
    const { key, code, repeat, shiftKey, ctrlKey, altKey, metaKey } = event;
    const again = new KeyboardEvent("keydown", { key, code, repeat, shiftKey, ctrlKey, altKey, metaKey, bubbles: true, cancelable: true });
    if (!S.ui.stage.dispatchEvent(again)) event.preventDefault();
    event.stopPropagation();
  };
  window.addEventListener("keydown", astray, true);
  S.stop = () => {
    const fields = Object.fromEntries(KEPT_FIELDS.map((field) => [field, S[field]]));
    KEPT.set(name, { fields, item: S.item?.id ?? null });
    cover.disconnect();
    clearInterval(timer);
    clearTimeout(S.sendTimer);
    watch.disconnect();
    window.removeEventListener("beforeunload", warn);
    window.removeEventListener("pointerdown", elsewhere, true);
    window.removeEventListener("keydown", astray, true);
    for (const picture of S.pictures.values()) picture.bitmap?.close();
    S.root.remove();
  };
  return S;
}

// The framework lays a message over the page when the server is lost. Edits are kept here and the
// status line says so, so the message goes and no key is lost to it.
function uncover(S) {
  const dialogs = [...document.querySelectorAll("[role=dialog]")];
  const message = dialogs.find((node) => node.textContent.includes("Connection error"));
  if (!message) return;
  S.box.away = true;
  message.querySelector("[aria-label=Close]")?.click();
  fillStatus(S);
  if (S.mine && !S.left) S.ui.stage.focus({ preventScroll: true });
}

// The server's word: people, what it made of the edits, who may do what.
function update(S, data) {
  Object.assign(S, { can: data.can, user: data.user, members: data.members ?? [], queue: data.queue, progress: data.progress, model: data.predictions, past: data.history, clip: data.clip ?? null });
  const last = S.item;
  const mine = S.list.filter((item) => item.local && S.goto === data.goto && !data.items.some((other) => other.id === item.id));
  S.heard = performance.now();
  receive(S, data.results);
  S.list = data.items.slice();
  for (const item of mine) {
    const k = S.list.findLastIndex((other) => other.frame === item.frame && other.pos === item.pos);
    if (k >= 0 && (pendingOf(S, item.id).length || refusedOf(S, item.id).length || item === last)) S.list.splice(k + 1, 0, item);
  }
  S.request = null;
  if (!S.list.length) {
    nobody(S, data.queue.empty);
    return;
  }
  const jump = S.goto !== data.goto;
  takeClipAnswer(S);
  S.goto = data.goto;
  const here = jump ? null : S.list.find((item) => S.wanted === null && last && item.id === last.id);
  const there = S.wanted !== null && !jump ? S.list.find((item) => item.pos === S.wanted) : null;
  if (!jump && arrive(S)) return;
  const next = there ?? (jump || !last ? begin(S, data, last) : null);
  if (here) sameItem(S, here);
  else if (next && next.id === last?.id && !fetching(S)) {
    sameItem(S, next); // the server is new, the person is not: the chosen joints stay
    rememberPlace(S, next);
  } else if (next) {
    if (jump && next.id !== last?.id) Object.assign(S, { wanted: null, going: null }); // another queue: who was gone to is not meant
    setItem(S, next);
  } else askView(S, {}); // a window for somewhere else: say again where this is
  S.changed();
}

// Where to begin: where this session was before it left the page, else where the address leads.
function begin(S, data, last) {
  const [goto, id] = JSON.parse(sessionStorage.getItem(`synthstudio.at.${S.dataset}`) ?? "[]");
  const wanted = !last && goto === data.goto ? id : data.person;
  return S.list.find((item) => item.id === wanted) ?? S.list.find((item) => item.pos === data.at) ?? S.list[0];
}

function sameItem(S, item) {
  const picture = S.pictures.get(S.item.image);
  if (picture && item.image !== S.item.image && picture.bitmap) {
    S.pictures.delete(S.item.image);
    S.pictures.set(item.image, Object.assign(picture, { url: item.image }));
  }
  S.item = item;
  S.now = derive(S, item);
  if (S.broken && !fetching(S)) showPicture(S);
  lookAhead(S);
}

function nobody(S, text) {
  dropKeys(S, "Nobody is left in this queue");
  Object.assign(S, { item: null, wanted: null, going: null, ready: false });
  veil(S, text);
  S.ui.place.textContent = "0 of 0";
  S.root.dataset.item = "";
  fillStatus(S);
}

export default function editor(host) {
  const data = JSON.parse(host.data.json);
  let S = STATES.get(host.parentElement);
  if (!S) {
    S = start(host.parentElement, data);
    STATES.set(host.parentElement, S);
    S.host = host;
    const { zoom, tx, ty, joint, picked, placing } = S;
    update(S, data);
    if (S.again && S.item?.id === S.again) {
      Object.assign(S, { zoom, tx, ty, placing });
      choose(S, joint, picked);
    }
    setLight(S, S.light.b, S.light.c);
    S.ui.flash.classList.remove("on");
    S.ui.stage.focus({ preventScroll: true });
    if (S.box.pending.length) sendSoon(S, 0);
  } else if (!(host.data.turn < S.host.data.turn)) {
    // Calls of two runs may come in either order: what is older says nothing new.
    S.host = host;
    update(S, data);
  }
  S.root.dataset.ready = "1";
  const mine = S;
  return () => {
    mine.stop();
    STATES.delete(host.parentElement);
  };
}
