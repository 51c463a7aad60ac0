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

function asKey(S, action) {
  return Object.assign(() => press(S, action), { action });
}

function buildMore(S, side) {
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

function fillMore(S) {
  const on = { another: S.another, loupe: S.loupe };
  S.ui.moreRow.hidden = !S.moreOpen;
  S.ui.moreOpen.setAttribute("aria-expanded", String(Boolean(S.moreOpen)));
  for (const { action, node } of S.ui.more) {
    const [verb, kind] = action.split(" ");
    if (action in on || verb === "peek") node.setAttribute("aria-pressed", String(Boolean(verb === "peek" ? S.peeking?.kind === kind : on[action])));
  }
}

// A look that lasts until the same button, or another one, ends it; a key shows it while it is held.
function togglePeek(S, kind) {
  const was = S.peeking?.kind;
  endPeek(S);
  if (was !== kind) startPeek(S, kind);
  fillMore(S);
}

// Arrows move the picture where no joint is chosen.
function pan(S, dx, dy) {
  S.left = false;
  S.tx -= dx;
  S.ty -= dy;
  draw(S);
  drawLoupe(S);
}
