// Several joints at once: those inside a line drawn over the picture, a limb, a side, a range.
// S.picked: the chosen joints where there are several, S.joint one of them; empty: S.joint alone.
// S.stroke: {tool, box, corner}: a line is being drawn by a drag, or a box by the keys. What the
// other tools than "lasso" make of it is in 7_occluders.js.

const CHOOSE = [
  ["place", "Place", "Shift+j", "Place the joints one after another, each by a click"],
  ["lasso", "Lasso", "Shift+l", "Choose the joints inside a line that you draw"],
  ["choose limb", "Limb", "Shift+g", "Choose the limb of the chosen joint"],
  ["choose left", "Left", "<", "Choose the person's left side"],
  ["choose right", "Right", ">", "Choose the person's right side"],
];

function buildStrokes(S, side) {
  const box = el("div", "strokes", null, side);
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Several joints at once");
  S.ui.choose = CHOOSE.map(([action, text, key, title]) => button(box, text, key, title, asKey(S, action)));
  buildPainting(S, box);
}

function fillStrokes(S) {
  const closed = !S.can.edit || S.item.veiled || !S.now.exists || S.now.deleted;
  for (const node of S.ui.choose) node.disabled = closed;
  const [place, lasso, limb] = S.ui.choose;
  limb.disabled ||= S.joint < 0;
  place.setAttribute("aria-pressed", String(Boolean(S.placing)));
  lasso.setAttribute("aria-pressed", String(S.stroke?.tool === "lasso"));
  fillPainting(S);
}

// The chosen joints.
function targets(S) {
  return S.picked.length ? S.picked : S.joint >= 0 ? [S.joint] : [];
}

function isChosen(S, j) {
  return S.joint === j || S.picked.includes(j);
}

// `lead`: where Tab and the limb's key go on from.
function chooseJoints(S, joints, lead = S.joint) {
  const picked = [...new Set(joints)].sort((a, b) => a - b);
  choose(S, picked.includes(lead) ? lead : picked[0] ?? -1, picked.length > 1 ? picked : []);
}

function toggleJoint(S, j) {
  const had = targets(S);
  if (had.includes(j)) chooseJoints(S, had.filter((k) => k !== j));
  else chooseJoints(S, [...had, j], j);
}

function chooseMany(S, which) {
  const all = [...S.skeleton.joints.keys()];
  if (which === "limb" && S.joint < 0) return flash(S, "Choose a joint of the limb first: click it, or press Tab.");
  const joints = which === "limb" ? limbOf(S) : which === "all" ? all : all.filter((j) => S.skeleton.sides[j] === which);
  if (!joints.length) return flash(S, "This skeleton has no such joints.");
  chooseJoints(S, joints);
}

// A range of joints in the order of the list: the next one more, or back over the last one.
function extend(S, by) {
  const had = targets(S);
  const next = had.length ? S.joint + by : 0;
  if (next < 0 || next >= S.skeleton.joints.length) return flash(S, "There is no joint beyond this one.");
  chooseJoints(S, had.includes(next) ? had.filter((j) => j !== S.joint) : [...had, next], next);
}

const STROKE_HELP = "Or arrows move a corner, Tab takes the other, Enter keeps, Esc drops.";

function startStroke(S, tool) {
  if (S.stroke) return endStroke(S);
  if (tool === "lasso" ? !open(S) || !isShown(S) : !mayPaint(S)) return;
  const [x, y, w, h] = extent(S.now) ?? [0, 0, S.item.w, S.item.h];
  S.stroke = { tool, corner: 0, box: insideFrame(S, [x - 3, y - 3, w + 6, h + 6]) };
  if (tool !== "lasso") setOccluder(S, tool);
  S.ui.stage.focus({ preventScroll: true });
  fillStrokes(S);
  draw(S);
  flash(S, `${tool === "lasso" ? "Draw round the joints." : PAINT_HELP} ${STROKE_HELP}`, 8000);
}

function endStroke(S) {
  S.stroke = null;
  S.drag = null;
  S.ui.flash.classList.remove("on");
  fillStrokes(S);
  draw(S);
}

// What keys mean while a line is drawn; others leave it and do what they do.
function strokeAction(S, verb, rest) {
  if (cornerAction(S, S.stroke, verb, rest) || paintAction(S, verb, rest)) return true;
  if (verb === "accept" && rest[0] === "joint") {
    const [x, y, w, h] = S.stroke.box;
    keepStroke(S, [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]);
  } else if (verb === "leave" || verb === S.stroke.tool) endStroke(S);
  else {
    if (!LOOKING.includes(verb)) endStroke(S);
    return false;
  }
  return true;
}

function keepStroke(S, line) {
  if (S.stroke.tool !== "lasso") return keepOccluder(S, line);
  endStroke(S);
  const inside = S.now.joints.flatMap((joint, j) => (known(joint) && joint.state !== null && isInside(line, joint) ? [j] : []));
  if (!inside.length) return flash(S, "No joint of this person is inside the line.");
  chooseJoints(S, inside);
  flash(S, `${inside.length} joint${inside.length === 1 ? " is" : "s are"} chosen.`);
}

// Whether a point lies inside a closed line, by counting the sides to its right.
function isInside(line, { x, y }) {
  let inside = false;
  line.forEach(([ax, ay], k) => {
    const [bx, by] = line.at(k - 1);
    if (ay > y !== by > y && x < ax + ((y - ay) / (by - ay)) * (bx - ax)) inside = !inside;
  });
  return inside;
}

function drawStroke(S) {
  if (!S.stroke) return;
  if (S.drag?.kind !== "stroke") return drawCorners(S, S.stroke);
  const at = S.drag.line.map((p) => toScreen(S, ...p).map((v) => v.toFixed(1)).join(" "));
  make("path", { class: `stroke ${S.stroke.tool}`, d: `M${at.join("L")}Z` }, S.marks.boxes);
}
