// Threads of comments beside the person, and names that are offered while one writes @.

import { choose, open } from "./actions.js";
import { differs, el, set } from "./canvas.js";
import { nice } from "./labels.js";
import { button, flash, openForm, textField } from "./panel.js";
import { commit, opsOver } from "./sync_queue.js";

const MOST_NAMES = 6;

// The threads of the shown person with what waits in this browser, those that are open first.
function threadsOf(S) {
  const waiting = opsOver(S, S.item);
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
  if (!differs(S.ui.threads, S.item.id, may, threads)) return;
  S.ui.threads.replaceChildren(...threads.map((thread) => threadNode(S, thread, may)));
}

function threadNode(S, thread, may) {
  const li = el("li", thread.open ? "open" : "resolved", null);
  const j = S.skeleton.joints.indexOf(thread.joint);
  if (j >= 0) button(S, li, nice(thread.joint), `Select ${nice(thread.joint)}, the subject of this comment`, () => choose(S, j));
  const shown = thread.open ? thread.comments : thread.comments.slice(0, 1);
  if (thread.more && thread.open) el("p", "settled", `${thread.more} older answer${thread.more === 1 ? "" : "s"} in the history`, li);
  for (const comment of shown) commentNode(S, li, thread, comment, may);
  if (!thread.open) el("p", "settled", thread.comments.length > 1 ? `resolved, with ${thread.comments.length - 1 + thread.more} more` : "resolved", li);
  if (!may || thread.id === null) return li;
  const row = el("div", "row", null, li);
  button(S, row, "Answer", `Answer ${thread.comments[0].who}`, () => writeComment(S, thread.id));
  const word = thread.open ? "Resolve" : "Reopen";
  button(S, row, word, `${word} the thread of ${thread.comments[0].who}`, () => settle(S, thread));
  return li;
}

function commentNode(S, li, thread, comment, may) {
  const line = el("p", comment.mentions.includes(S.user) ? "mine" : "", null, li);
  el("strong", "", `${comment.who}: `, line);
  textWithNames(line, comment.text, comment.mentions);
  if (comment.when) el("span", "when", ` ${comment.when}`, line);
  const last = thread.comments.at(-1) === comment;
  if (!may || !last || comment.who !== S.user || comment.event === null || !thread.open) return;
  const name = `Remove: ${comment.text.slice(0, 60)}`;
  button(S, line, "×", name, () => {
    if (!open(S, true)) return;
    commit(S, S.item, { kind: "revert", event: comment.event }, { comments: -1 });
    flash(S, "Comment removed.");
  });
}

function textWithNames(parent, text, names) {
  const longest = names.toSorted((a, b) => b.length - a.length).map((name) => name.replace(/\W/g, "\\$&"));
  const parts = names.length ? text.split(new RegExp(`(@(?:${longest.join("|")}))`, "i")) : [text];
  parts.forEach((part, k) => part && el(k % 2 ? "b" : "span", k % 2 ? "name" : "", part, parent));
}

// Write a comment, or an answer in a thread. A new one points at the selected joint unless its button is taken off.
export function writeComment(S, thread = null) {
  if (!open(S, true)) return;
  let joint = thread === null && S.joint >= 0 && !S.picked.length ? S.skeleton.joints[S.joint] : null;
  const field = textField();
  const quick = openForm(S, thread === null ? "Comment" : "Answer", { field, done: (text) => {
    commit(S, S.item, { kind: "comment", text, ...(thread === null ? { joint } : { event: thread }) }, { comments: 1 });
    flash(S, thread === null ? "Comment saved." : "Answer saved.");
  } });
  field.addEventListener("input", () => offerNames(S, field, quick));
  if (joint === null) return;
  const about = joint;
  const node = button(S, quick, `at ${nice(about)}`, `The comment is about ${nice(about)} (Alt+1)`, () => {
    joint = joint ? null : about;
    set(node, { "aria-pressed": joint !== null });
    field.focus();
  });
  set(node, { "aria-pressed": true });
}

function settle(S, thread) {
  if (!open(S, true)) return;
  const kind = thread.open ? "resolve" : "reopen";
  commit(S, S.item, { kind, event: thread.id }, { resolved: { [thread.id]: thread.open } });
  flash(S, thread.open ? "Resolved. z undoes that." : "Reopened.");
}

// What keys do: of the open threads the newest, else the newest of all.
function withNewest(S, act) {
  if (!open(S, true)) return;
  const stored = threadsOf(S).filter((thread) => thread.id !== null);
  const some = stored.some((thread) => thread.open) ? stored.filter((thread) => thread.open) : stored;
  if (some.length) act(some.sort((a, b) => a.id - b.id).at(-1));
  else flash(S, "There is no thread yet. Press e to comment.");
}

export const answerNewest = (S) => withNewest(S, ({ id }) => writeComment(S, id));
export const settleNewest = (S) => withNewest(S, (thread) => settle(S, thread));

// The members whose names fit what stands after the last @ before the caret, as buttons before the others; Enter or Tab
// takes the first.
function offerNames(S, field, quick) {
  const before = field.value.slice(0, field.selectionStart);
  const at = before.search(/(?<![\p{L}\p{N}_])@[^@]*$/u);
  const typed = before.slice(at + 1).toLowerCase();
  const fit = at < 0 ? [] : S.members.filter((name) => name.toLowerCase().startsWith(typed)).slice(0, MOST_NAMES);
  for (const node of quick.querySelectorAll("[data-mention]")) node.remove();
  quick.prepend(...fit.map((name) => {
    const node = button(S, null, `@${name}`, `Mention ${name}`, () => {
      const rest = field.value.slice(before.length).replace(/^ /, "");
      field.value = `${field.value.slice(0, at)}@${name} `;
      const caret = field.value.length;
      field.value += rest;
      field.focus();
      field.setSelectionRange(caret, caret);
      offerNames(S, field, quick);
    });
    node.dataset.mention = name;
    return node;
  }));
}
