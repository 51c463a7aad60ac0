// Threads of comments beside the person, and the list of names while one writes @.

import { choose, open } from "./actions.js";
import { el } from "./canvas.js";
import { nice } from "./labels.js";
import { button, flash, openForm } from "./panel.js";
import { commit, pendingOf } from "./sync_queue.js";
import { record } from "./undo.js";

const MOST_NAMES = 6;

export function buildThreads(S, side) {
  S.ui.threads = el("ul", "threads", null, side);
  S.ui.threads.setAttribute("aria-label", "Comments");
}

// The threads of the shown person with what waits in this browser, those that are open first.
function threadsOf(S) {
  const waiting = pendingOf(S, S.item.id);
  const gone = new Set(waiting.filter((op) => op.kind === "revert").map((op) => op.event));
  const mine = waiting.filter((op) => op.kind === "comment");
  const shownOp = (op) => ({ who: "you", when: "", text: op.text, mentions: [], event: null });
  const stored = (S.item.threads ?? []).map((thread) => ({
    ...thread, open: !S.now.resolved[thread.id],
    comments: [...thread.comments.filter(({ event }) => !gone.has(event)), ...mine.filter((op) => op.event === thread.id).map(shownOp)],
  }));
  const fresh = mine.filter((op) => !op.event).map((op) => ({ id: null, open: true, more: 0, joint: op.joint ?? null, comments: [shownOp(op)] }));
  return [...stored.filter((thread) => thread.comments.length), ...fresh].sort((a, b) => Number(b.open) - Number(a.open));
}

export function fillThreads(S) {
  const threads = threadsOf(S);
  const may = S.can.edit && !S.item.blinded;
  const look = JSON.stringify([S.item.id, may, threads]);
  if (S.ui.threads.dataset.look === look) return;
  S.ui.threads.dataset.look = look;
  S.ui.threads.hidden = !threads.length;
  S.ui.threads.replaceChildren(...threads.map((thread) => threadNode(S, thread, may)));
}

function threadNode(S, thread, may) {
  const li = el("li", thread.open ? "open" : "resolved", null);
  const j = S.skeleton.joints.indexOf(thread.joint);
  if (j >= 0) button(li, nice(thread.joint), "", `Choose ${nice(thread.joint)}, at which this points`, () => choose(S, j), "flat");
  const shown = thread.open ? thread.comments : thread.comments.slice(0, 1);
  if (thread.more && thread.open) el("p", "settled", `${thread.more} older answer${thread.more === 1 ? "" : "s"} in the history`, li);
  for (const comment of shown) commentNode(S, li, thread, comment, may);
  if (!thread.open) el("p", "settled", thread.comments.length > 1 ? `resolved, with ${thread.comments.length - 1 + thread.more} more` : "resolved", li);
  if (!may || thread.id === null) return li;
  const row = el("div", "row", null, li);
  button(row, "Answer", "", `Answer ${thread.comments[0].who}`, () => open(S, true) && openForm(S, "comment", thread.id), "flat");
  const word = thread.open ? "Resolve" : "Reopen";
  button(row, word, "", `${word} the thread of ${thread.comments[0].who}`, () => settle(S, thread), "flat");
  return li;
}

function commentNode(S, li, thread, comment, may) {
  const line = el("p", comment.mentions.includes(S.user) ? "mine" : "", null, li);
  el("strong", "", `${comment.who}: `, line);
  textWithNames(line, comment.text, comment.mentions);
  if (comment.when) el("span", "when", ` ${comment.when}`, line);
  const last = thread.comments.at(-1) === comment;
  if (!may || !last || comment.who !== S.user || comment.event === null || !thread.open) return;
  const name = `Take back: ${comment.text.slice(0, 60)}`;
  button(line, "×", "", name, () => {
    if (!open(S, true)) return;
    commit(S, S.item, { kind: "revert", event: comment.event }, { comments: -1 });
    flash(S, "The comment is taken back.");
    S.ui.stage.focus({ preventScroll: true });
  }, "flat");
}

// A text in which the names of whom it mentions stand out.
function textWithNames(parent, text, names) {
  let rest = text;
  while (rest) {
    const low = rest.toLowerCase();
    const found = names.map((name) => [low.indexOf(`@${name.toLowerCase()}`), name.length + 1]).filter(([at]) => at >= 0);
    const [at, long] = found.sort((a, b) => a[0] - b[0] || b[1] - a[1])[0] ?? [rest.length, 0];
    if (at) el("span", "", rest.slice(0, at), parent);
    if (long) el("b", "name", rest.slice(at, at + long), parent);
    rest = rest.slice(at + long);
  }
}

export function keepComment(S, text) {
  const { thread, joint } = S.talk;
  const about = thread === null ? { joint } : { event: thread };
  commit(S, S.item, { kind: "comment", text, ...about }, { comments: 1 });
  flash(S, thread === null ? "Comment kept." : "Answer kept.");
}

function settle(S, thread) {
  if (!open(S, true)) return;
  const kind = thread.open ? "resolve" : "reopen";
  record(S, S.item, commit(S, S.item, { kind, event: thread.id }, { resolved: { [thread.id]: thread.open } }));
  flash(S, thread.open ? "Resolved. z takes that back." : "Reopened.");
  S.ui.stage.focus({ preventScroll: true });
}

// What keys do: of the open threads the newest, else the newest of all.
function newestThread(S) {
  const stored = threadsOf(S).filter((thread) => thread.id !== null);
  const some = stored.some((thread) => thread.open) ? stored.filter((thread) => thread.open) : stored;
  if (!some.length) flash(S, "There is no thread yet. Press e to comment.");
  return some.sort((a, b) => a.id - b.id).at(-1) ?? null;
}

export function answerNewest(S) {
  const thread = open(S, true) ? newestThread(S) : null;
  if (thread) openForm(S, "comment", thread.id);
}

export function settleNewest(S) {
  const thread = open(S, true) ? newestThread(S) : null;
  if (thread) settle(S, thread);
}

// Whether a new comment points at the chosen joint: a button says so and takes it off.
export function aboutComment(S) {
  const { joint, thread } = S.talk;
  if (thread !== null) {
    S.ui.formLabel.textContent = "Answer";
    return;
  }
  if (joint === null) return;
  const node = button(S.ui.quick, `at ${nice(joint)}`, "Alt+1", `The comment points at ${nice(joint)}`, () => {
    S.talk.joint = S.talk.joint ? null : joint;
    node.setAttribute("aria-pressed", String(S.talk.joint !== null));
  }, "toggle");
  node.setAttribute("aria-pressed", "true");
}

// The names that fit what stands after the last @ before the caret, as a list to choose from.
export function buildMentions(S, form) {
  const { input } = S.ui;
  const list = (S.ui.names = el("ul", "names", null, form));
  list.id = "names";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Members");
  Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-controls": "names", "aria-expanded": "false" })
    .forEach(([name, value]) => input.setAttribute(name, value));
  input.addEventListener("input", () => offerNames(S));
}

export function closeMentions(S) {
  S.names = null;
  S.ui.names.replaceChildren();
  S.ui.names.hidden = true;
  S.ui.input.setAttribute("aria-expanded", "false");
  S.ui.input.removeAttribute("aria-activedescendant");
}

function offerNames(S) {
  const { input } = S.ui;
  const before = input.value.slice(0, input.selectionStart);
  const at = before.search(/(?<![\p{L}\p{N}_])@[^@]*$/u);
  const typed = before.slice(at + 1).toLowerCase();
  const fit = at < 0 || S.ui.form.dataset.kind !== "comment" ? [] : S.members.filter((name) => name.toLowerCase().startsWith(typed)).slice(0, MOST_NAMES);
  if (!fit.length) {
    closeMentions(S);
    return;
  }
  S.names = { at, fit, k: 0 };
  showNames(S);
}

function showNames(S) {
  const { at, fit, k } = S.names;
  S.ui.names.hidden = false;
  S.ui.names.replaceChildren(...fit.map((name, n) => {
    const option = el("li", n === k ? "chosen" : "", name);
    option.id = `name-${n}`;
    option.setAttribute("role", "option");
    option.setAttribute("aria-selected", String(n === k));
    option.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // the field keeps the focus
      S.names = { at, fit, k: n };
      takeName(S);
    });
    return option;
  }));
  S.ui.input.setAttribute("aria-expanded", "true");
  S.ui.input.setAttribute("aria-activedescendant", `name-${k}`);
}

function takeName(S) {
  const { input } = S.ui;
  const { at, fit, k } = S.names;
  const rest = input.value.slice(input.selectionStart);
  const start = `${input.value.slice(0, at)}@${fit[k]} `;
  input.value = start + rest.replace(/^ /, "");
  input.setSelectionRange(start.length, start.length);
  closeMentions(S);
}

// Whether a key was meant for the list of names.
export function mentionKey(S, event) {
  if (!S.names) return false;
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const many = S.names.fit.length;
  if (by) S.names.k = (S.names.k + by + many) % many;
  if (by) showNames(S);
  else if (event.key === "Enter" || event.key === "Tab") takeName(S);
  else if (event.key === "Escape") closeMentions(S);
  else return false;
  return true;
}
