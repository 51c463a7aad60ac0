// The strip below the picture: the frames of a clip in which the shown person is, with what was
// done there, and what can be done over all of them. Nothing of it is there where a set has no clips.

// Each with its key, as the browser names it.
const CLIP_BUTTONS = [
  ["clip back", "‹ Frame", "Q", "The same person in the frame before"], ["clip next", "Frame ›", "R", "The same person in the frame after"],
  ["copy back", "Copy before", "V", "Copy the labels of the frame before"], ["copy next", "Copy after", "S", "Copy the labels of the frame after"],
  ["clip key", "Key frame", "K", "A key frame, or not"], ["clip fill", "Fill in…", "U", "Fill in between key frames"],
  ["clip split", "Split here", "D", "From here on it is somebody else"], ["clip join", "Join…", "&", "Join with another track"],
  ["clip rename", "Rename…", "#", "Give the track another number"], ["clip log", "Log", "Y", "What became of the track"],
];
const MARKS = { approved: "✓", rejected: "✗", flagged: "⚑", deleted: "−" };
const MARK_WORD = { key: "key frame", filled: "filled in" };

function buildClips(S, root) {
  const ui = S.ui;
  ui.clips = el("section", "clips", null, root);
  ui.clips.setAttribute("aria-label", "Clip");
  const head = el("div", "cliphead", null, ui.clips);
  ui.clipWhere = el("span", "where", "", head);
  ui.clipDo = Object.fromEntries(CLIP_BUTTONS.map(([action, text, key, title]) => [action, button(head, text, key.replace(/[A-Z]/, (k) => `Shift+${k.toLowerCase()}`), title, asKey(S, action))]));
  ui.clipAsk = el("div", "clipask", null, ui.clips);
  ui.clipAsk.hidden = true;
  ui.clipAsk.addEventListener("keydown", (event) => clipFormKey(S, event));
  ui.strip = el("div", "strip", null, ui.clips);
  ui.strip.setAttribute("role", "group");
  ui.strip.setAttribute("aria-label", "Frames of the clip");
  ui.strip.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    runKey(S, by > 0 ? "clip next" : "clip back");
  });
  ui.clipLog = el("ol", "events cliplog", null, ui.clips);
}

// What the strip says of the shown frame; undefined while the strip is that of somebody else.
function entryOf(S) {
  const entry = S.clip?.frames?.find(({ frame }) => frame === S.item.frame);
  return entry && (entry.instance === S.item.instance || !entry.there) ? entry : undefined;
}

function fillClips(S) {
  const { ui } = S;
  ui.clips.hidden = !(S.clip && S.item.clip);
  if (ui.clips.hidden) return;
  const entry = entryOf(S);
  const { clip } = S;
  const track = clip.track === null ? "no track" : `Track ${clip.track}`;
  const at = entry ? clip.start + clip.frames.indexOf(entry) + 1 : 0;
  ui.clipWhere.textContent = entry ? `${track} · frame ${at} of ${clip.total} · ${clip.keys.length} key frame${clip.keys.length === 1 ? "" : "s"}` : "…";
  ui.clips.dataset.track = entry ? String(clip.track ?? "") : "";
  const closed = !S.can.edit || S.item.veiled || !entry;
  for (const [action, node] of Object.entries(ui.clipDo)) {
    node.disabled = !entry || (closed && !["clip back", "clip next", "clip log"].includes(action));
    if (!S.item.instance && !/^(clip (back|next)|copy)/.test(action)) node.disabled = true;
  }
  ui.clipDo["clip key"].setAttribute("aria-pressed", String(entry ? isKey(S, entry) : false));
  ui.clipDo["clip log"].setAttribute("aria-pressed", String(S.clipLog));
  fillStrip(S, entry);
  fillLog(S);
  pumpClip(S);
}

// A mark that is on its way counts already.
function isKey(S, entry) {
  const op = pendingOf(S, S.item.id).findLast((one) => "keyed" in one.patch);
  return op ? op.patch.keyed : entry.mark === "key";
}

function fillStrip(S, entry) {
  const { strip } = S.ui;
  const frames = entry ? S.clip.frames : [];
  const look = JSON.stringify([frames, S.item.frame]);
  if (strip.dataset.look === look) return;
  strip.dataset.look = look;
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
  const node = el("button", "thumb", null, strip);
  node.type = "button";
  const picture = el("img", "", null, node);
  picture.alt = "";
  picture.draggable = false;
  el("span", "where", null, node);
  el("span", "mark", null, node);
  el("span", "number", null, node);
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
  const words = [MARK_WORD[entry.mark], entry.edited && !entry.mark ? "edited" : "", STATUS_WORD[entry.status] ?? entry.status, entry.there ? "" : "not in this frame"];
  node.setAttribute("aria-label", [`Frame ${entry.frame}`, ...words.filter((word) => word && word !== "to review")].join(", "));
  node.title = node.getAttribute("aria-label");
  node.setAttribute("aria-current", String(shown));
  node.tabIndex = shown ? 0 : -1;
  node.dataset.frame = entry.frame;
  node.dataset.mark = entry.mark;
  node.classList.toggle("none", !entry.there);
}

function fillLog(S) {
  const { clipLog } = S.ui;
  const log = S.clipLog ? S.clip.log ?? null : null;
  clipLog.hidden = log === null;
  const look = JSON.stringify(log);
  if (log === null || clipLog.dataset.look === look) return;
  clipLog.dataset.look = look;
  clipLog.replaceChildren();
  if (!log.length) el("li", "", "Nobody has changed who this is over time.", clipLog);
  for (const { who, when, what } of log) {
    const li = el("li", "", null, clipLog);
    el("span", "when", when, li);
    el("span", "", ` ${who}: ${what}`, li);
  }
}

// What is asked before something is done: `fields` makes its inputs, `answers` are its buttons.
function openClipForm(S, text, answers, fields) {
  const box = S.ui.clipAsk;
  box.replaceChildren();
  box.hidden = false;
  S.ui.flash.classList.remove("on");
  el("p", "", text, box);
  const field = fields?.(box);
  for (const [word, title, done] of answers) {
    button(box, word, "", title, () => {
      closeClipForm(S);
      done(field?.value);
    }, "good");
  }
  button(box, "Cancel", "Esc", "Cancel", () => closeClipForm(S), "flat");
  (field ?? box.querySelector("button")).focus({ preventScroll: true });
}

function closeClipForm(S) {
  S.ui.clipAsk.hidden = true;
  S.ui.clipAsk.replaceChildren();
  S.ui.stage.focus({ preventScroll: true });
}

// Keys here are those of a form: none of them is the editor's.
function clipFormKey(S, event) {
  event.stopPropagation();
  if (event.key === "Escape") closeClipForm(S);
  else if (event.key === "Enter" && event.target.tagName !== "BUTTON") S.ui.clipAsk.querySelector("button").click();
  else return;
  event.preventDefault();
}
