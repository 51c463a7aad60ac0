// Below the decisions: buttons for state and cause.

const PALETTE = [
  ["visible", "Visible", "2", "Visible"], ["self", "Self", "s", "Hidden by the person itself"], ["person", "Person", "p", "Hidden by another person"],
  ["object", "Thing", "o", "Hidden by a thing"], ["unknown", "Hidden", "u", "Hidden, nobody knows by what"],
  ["truncated", "Outside", "t", "Outside the picture"], ["unlabelled", "No label", "r", "No label"],
];

// State and cause by mouse or finger: each does what its key does.
function buildPalette(S, side) {
  const palette = el("div", "palette", null, side);
  palette.setAttribute("role", "group");
  palette.setAttribute("aria-label", "What can be seen of the chosen joints");
  S.ui.palette = PALETTE.map(([cause, text, key, title]) => {
    const node = button(palette, text, key, title, asKey(S, `cause ${cause}`), "say");
    node.prepend(glyph(cause, "middle"));
    return { cause, node };
  });
}

function fillPalette(S) {
  const causes = new Set(targets(S).map((j) => S.now.joints[j].cause));
  for (const { cause, node } of S.ui.palette) {
    node.disabled = !causes.size || !S.can.edit || S.item.veiled;
    node.setAttribute("aria-pressed", String(causes.size === 1 && causes.has(cause)));
  }
}

// In a frame without people approving says that nobody is here, and Delete takes that back.
function fillEmpty(S, decided) {
  const { instance, veiled } = S.item;
  const [approve] = S.ui.decide;
  approve.firstChild.textContent = instance ? "Approve" : "Nobody here";
  const title = instance ? "Approve and go on" : "Nobody is in this frame: say so and go on";
  approve.title = `${title} (a)`;
  approve.setAttribute("aria-label", title);
  if (instance) return;
  approve.disabled = !S.can.edit || veiled;
  S.ui.del.disabled = approve.disabled || !decided;
}
