// Below the decisions: buttons for state and cause.

import { press } from "./actions.js";
import { draw, el } from "./canvas.js";
import { button, glyph } from "./panel.js";
import { endPeek, startPeek } from "./pictures.js";
import { drawLoupe } from "./pointer.js";
import { targets } from "./strokes.js";

const PALETTE = [
  ["visible", "Visible", "2", "Visible"], ["self", "Self", "s", "Hidden by the person itself"], ["person", "Person", "p", "Hidden by another person"],
  ["object", "Object", "o", "Hidden by an object"], ["unknown", "Hidden", "u", "Hidden, cause unknown"],
  ["truncated", "Outside", "t", "Outside the picture"], ["unlabelled", "No label", "r", "No label"],
];

// State and cause by mouse or finger: each does what its key does.
export function buildPalette(S, side) {
  const palette = el("div", "palette", null, side);
  palette.setAttribute("role", "group");
  palette.setAttribute("aria-label", "What can be seen of the chosen joints");
  S.ui.palette = PALETTE.map(([cause, text, key, title]) => {
    const node = button(palette, text, key, title, asKey(S, `cause ${cause}`), "say");
    node.prepend(glyph(cause, "middle"));
    return { cause, node };
  });
}

export function fillPalette(S) {
  const causes = new Set(targets(S).map((j) => S.now.joints[j].cause));
  for (const { cause, node } of S.ui.palette) {
    node.disabled = !causes.size || !S.can.edit || S.item.blinded;
    node.setAttribute("aria-pressed", String(causes.size === 1 && causes.has(cause)));
  }
}

// In a frame without people approving says that nobody is here, and Delete takes that back.
export function fillEmpty(S, decided) {
  const { instance, blinded } = S.item;
  const [approve] = S.ui.decide;
  approve.firstChild.textContent = instance ? "Approve" : "Nobody here";
  const title = instance ? "Approve and go on" : "Nobody is in this frame: say so and go on";
  approve.title = `${title} (a)`;
  approve.setAttribute("aria-label", title);
  if (instance) return;
  approve.disabled = !S.can.edit || blinded;
  S.ui.del.disabled = approve.disabled || !decided;
}

// What else has a key, as buttons: nothing of the editor needs a keyboard. Behind "More", so that
// the others stay large.

const MORE = [
  ["another", "Add or drop", "", "Taps on joints choose one more, or one less"],
  ["choose all", "All joints", "Ctrl+a", "Choose all joints"],
  ["swap pair", "Swap pair", "Shift+w", "Swap the chosen joint and its twin"],
  ["state 1", "Hidden", "1", "Hidden, by what the labels say"],
  ["fit frame", "Whole photo", "Shift+f", "Fit the whole picture"],
  ["loupe", "Magnifier", "l", "Magnifier"],
  ["peek hide", "Bare", "h", "Without the labels"],
  ["peek clean", "Clean", "c", "Without occluders"],
  ["peek amodal", "All of it", "v", "The amodal mask"],
  ["peek 3d", "3D", "k", "The 3D skeleton"],
  ["peek depth", "Depth", "d", "Depth"],
  ["darker", "Darker", "[", "Darker"], ["brighter", "Brighter", "]", "Brighter"],
  ["flatter", "Less contrast", "{", "Less contrast"], ["sharper", "More contrast", "}", "More contrast"],
];

export function asKey(S, action) {
  return Object.assign(() => press(S, action), { action });
}

export function buildMore(S, side) {
  const box = el("div", "more strokes", null, side);
  S.ui.moreOpen = button(box, "More", "", "More buttons", () => {
    S.moreOpen = !S.moreOpen;
    fillMore(S);
  }, "flat");
  S.ui.moreRow = el("div", "strokes", null, box);
  S.ui.moreRow.setAttribute("role", "group");
  S.ui.moreRow.setAttribute("aria-label", "More buttons");
  S.ui.more = MORE.map(([action, text, key, title]) => ({ action, node: button(S.ui.moreRow, text, key, title, asKey(S, action)) }));
}

export function fillMore(S) {
  const on = { another: S.another, loupe: S.loupe };
  S.ui.moreRow.hidden = !S.moreOpen;
  S.ui.moreOpen.setAttribute("aria-expanded", String(Boolean(S.moreOpen)));
  for (const { action, node } of S.ui.more) {
    const [verb, kind] = action.split(" ");
    if (action in on || verb === "peek") node.setAttribute("aria-pressed", String(Boolean(verb === "peek" ? S.peeking?.kind === kind : on[action])));
  }
}

// A look that lasts until the same button, or another one, ends it; a key shows it while it is held.
export function togglePeek(S, kind) {
  const was = S.peeking?.kind;
  endPeek(S);
  if (was !== kind) startPeek(S, kind);
  fillMore(S);
}

// Arrows move the picture where no joint is chosen.
export function pan(S, dx, dy) {
  S.left = false;
  S.tx -= dx;
  S.ty -= dy;
  draw(S);
  drawLoupe(S);
}
