// Everything that is drawn over the picture. Sizes are in screen pixels whatever the zoom.
// A joint's marker tells its cause by shape (dot visible, ring self, triangle person, square object,
// cross outside, diamond unknown). Left is orange and single; right is blue and drawn double.

import { around, drawn, extent, grownBox, isGuide, known, neighbours, nice, occluderOf, describeJoint } from "./labels.js";
import { boxOfCounts } from "./mask_codes.js";
import { drawMasking } from "./mask_tool.js";
import { drawPredictionOverlay } from "./predictions.js";
import { drawStroke, isChosen, placingText } from "./strokes.js";

const SVG = "http://www.w3.org/2000/svg";
const INK = "#12141a";
export const SIDE = { left: "#ff9a3d", right: "#4da3ff", middle: "#f2f2f2" };
export const REACH_PX = 13; // pick radius on the screen
export const HANDLE = -2; // S.joint when the whole skeleton is chosen; -1: nothing
export const CLICK_PX = 3; // a press that moves less is a click

export function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

export function make(tag, attributes, parent) {
  const node = set(document.createElementNS(SVG, tag), attributes);
  parent?.append(node);
  return node;
}

export function el(tag, cls, text, parent, attributes = {}) {
  const node = set(document.createElement(tag), attributes);
  if (cls) node.className = cls;
  if (text !== undefined && text !== null) node.textContent = text;
  parent?.append(node);
  return node;
}

// Whether what a node shows is another than last time.
export function differs(node, ...shown) {
  const look = JSON.stringify(shown);
  const other = node.dataset.look !== look;
  node.dataset.look = look;
  return other;
}

function polygon(r, sides, turn) {
  const angles = Array.from({ length: sides }, (_, k) => ((turn + (k * 360) / sides) * Math.PI) / 180);
  return `M${angles.map((a) => `${(r * Math.cos(a)).toFixed(2)} ${(r * Math.sin(a)).toFixed(2)}`).join("L")}Z`;
}

const disc = (r) => `M${-r} 0A${r} ${r} 0 1 0 ${r} 0A${r} ${r} 0 1 0 ${-r} 0Z`;

// The outline of a marker of radius r, and whether it is filled.
export function shapeOf(cause, r) {
  if (cause === "visible") return [disc(r), true];
  if (cause === "self") return [disc(r), false];
  if (cause === "person") return [polygon(r * 1.3, 3, -90), false];
  if (cause === "object") return [polygon(r * 1.25, 4, 45), false];
  if (cause === "truncated") return [`M${-r} ${-r}L${r} ${r}M${r} ${-r}L${-r} ${r}`, false];
  if (cause === "unlabelled") return [`M${-r} 0L${r} 0`, false];
  return [polygon(r * 1.25, 4, 0), false];
}

export function boneSide(S, a, b) {
  const sides = new Set([S.skeleton.sides[a], S.skeleton.sides[b]]);
  sides.delete("middle");
  return sides.size === 1 ? [...sides][0] : "middle";
}

export function buildMarks(S) {
  const svg = S.ui.marks;
  svg.replaceChildren();
  const layer = (cls) => make("g", { class: cls }, svg);
  S.marks = { others: layer("others"), predictions: layer("predictions"), boxes: layer("boxes"), bones: [], joints: [] };
  const bones = layer("bones");
  for (const [a, b] of S.skeleton.bones) {
    const side = boneSide(S, a, b);
    const under = make("line", { stroke: INK, "stroke-linecap": "round" }, bones);
    const over = make("line", { stroke: SIDE[side], "stroke-linecap": "round" }, bones);
    const groove = side === "right" ? make("line", { stroke: INK, "stroke-width": 1 }, bones) : null;
    S.marks.bones.push({ a, b, under, over, groove, lines: [under, over, groove].filter(Boolean) });
  }
  const joints = layer("joints");
  S.skeleton.joints.forEach((name, j) => {
    const group = make("g", { class: "joint", "data-joint": name }, joints);
    make("circle", { class: "ring", r: 11 }, group);
    const outer = make("path", { fill: "none", "stroke-width": 1.2 }, group);
    const under = make("path", { fill: "none", stroke: INK }, group);
    const over = make("path", {}, group);
    S.marks.joints.push({ j, group, outer, under, over });
  });
  S.marks.tag = make("text", { class: "tag" }, svg);
  S.marks.handles = [[MOVE, "handle"], [TURN, "handle turn"]].map(([d, cls]) => {
    const node = make("g", { class: cls }, svg);
    make("rect", { x: -11, y: -11, width: 22, height: 22, rx: 5 }, node);
    make("path", { d }, node);
    return node;
  });
}

const MOVE = "M0 -7V7M-7 0H7M-2.4 -4.8L0 -7.4L2.4 -4.8M-2.4 4.8L0 7.4L2.4 4.8M-4.8 -2.4L-7.4 0L-4.8 2.4M4.8 -2.4L7.4 0L4.8 2.4";
const TURN = "M5.6 -3.4A6.6 6.6 0 1 0 6.6 1M6.4 -7V-3H2.4";

export const toScreen = (S, x, y) => [x * S.zoom + S.tx, y * S.zoom + S.ty];

export const toFrame = (S, sx, sy) => [(sx - S.tx) / S.zoom, (sy - S.ty) / S.zoom];

export const line = (node, [x1, y1], [x2, y2]) => set(node, { x1, y1, x2, y2 });

function show(node, yes) {
  node?.style.setProperty("display", yes ? "" : "none");
}

// A skeleton of thin lines, of joints on the screen or null; `name` stands over its first joint.
export function drawThin(S, group, places, cls, name) {
  for (const [a, b] of S.skeleton.bones) if (places[a] && places[b]) line(make("line", { class: cls }, group), places[a], places[b]);
  const first = name && places.find((p) => p);
  if (first) make("text", { class: "who", x: first[0].toFixed(1), y: (first[1] - 12).toFixed(1) }, group).textContent = name;
}

export function draw(S) {
  if (!S.item) return;
  const joints = drawn(S);
  const place = joints.map((joint) => (known(joint) ? toScreen(S, joint.x, joint.y) : null));
  const shown = !S.hide && !S.now.deleted && S.now.exists;
  const guide = (j) => (S.placing || S.joint === HANDLE) && isGuide(S, joints[j]);
  for (const bone of S.marks.bones) drawBone(bone, joints, place, shown, guide(bone.a) || guide(bone.b));
  for (const mark of S.marks.joints) drawJoint(S, mark, joints[mark.j], place[mark.j], shown, guide(mark.j));
  drawTag(S, joints, place, shown);
  drawHandles(S, place, shown);
  drawBoxes(S);
  drawOthers(S);
  drawPredictionOverlay(S);
  const shift = `translate(${S.tx}px, ${S.ty}px) scale(${S.zoom})`;
  for (const layer of [S.ui.picture, S.ui.mask, S.ui.peek]) layer.style.transform = shift;
  for (const layer of [S.ui.picture, S.ui.mask, S.ui.peek]) layer.classList.toggle("crisp", S.zoom >= 3);
  S.ui.zoom.textContent = `${Math.round(S.zoom * 100)}%`;
  Object.assign(S.root.dataset, { zoom: S.zoom, tx: S.tx, ty: S.ty });
  drawLoupe(S);
}

// `guide`: faint, for one of its joints has no label yet.
function drawBone(bone, joints, place, shown, guide) {
  const [p, q] = [place[bone.a], place[bone.b]];
  const states = [joints[bone.a].state, joints[bone.b].state];
  const yes = shown && p && q && (guide || (states.every((s) => s !== null) && Math.max(...states) > 0));
  for (const node of bone.lines) show(node, yes);
  if (!yes) return;
  const hidden = Math.min(...states) < 2;
  for (const node of bone.lines) set(line(node, p, q), { opacity: guide ? 0.4 : 1 });
  set(bone.under, { "stroke-width": hidden ? 4 : 6 });
  set(bone.over, { "stroke-width": hidden ? 2 : 3.6, "stroke-dasharray": hidden ? "5 5" : "none" });
  show(bone.groove, bone.groove && !hidden);
}

function drawJoint(S, mark, joint, p, shown, guide) {
  const chosen = isChosen(S, mark.j);
  show(mark.group, shown && p && (joint.state !== null || chosen || guide));
  if (!p) return;
  set(mark.group, { opacity: guide && !chosen ? 0.5 : 1, transform: `translate(${p[0].toFixed(2)} ${p[1].toFixed(2)})` });
  mark.group.classList.toggle("chosen", chosen);
  const side = S.skeleton.sides[mark.j];
  const r = S.hover === mark.j ? 6.2 : 5;
  const [d, filled] = shapeOf(joint.cause, r);
  set(mark.under, { d, "stroke-width": filled ? 3 : 5.4, fill: filled ? "none" : "rgba(18,20,26,.55)" });
  set(mark.over, { d, fill: filled ? SIDE[side] : "none", stroke: filled ? "none" : SIDE[side], "stroke-width": filled ? 0 : 2.4 });
  set(mark.outer, { d: side === "right" ? shapeOf(joint.cause, r + 3.6)[0] : "", stroke: SIDE[side] });
}

function drawTag(S, joints, place, shown) {
  const turn = S.placing && S.pointer && S.joint >= 0;
  const j = turn ? S.joint : S.hover ?? (S.joint >= 0 ? S.joint : null);
  const at = turn ? S.pointer : j === null ? null : place[j];
  const yes = shown && at && (turn || S.layers.names);
  show(S.marks.tag, yes);
  if (!yes) return;
  const occluder = occluderOf(S, j) && ` (${occluderOf(S, j)})`;
  S.marks.tag.textContent = turn ? placingText(S) : `${nice(S.skeleton.joints[j])} · ${describeJoint(joints[j])}${occluder}`;
  const left = at[0] > S.ui.stage.clientWidth - 220;
  set(S.marks.tag, { "text-anchor": left ? "end" : "start", x: at[0] + (left ? -15 : 15), y: at[1] - 10 });
}

// One that moves the person; for who is chosen as a whole another one that turns and scales.
function drawHandles(S, place, shown) {
  const seen = shown && S.can.edit && !S.placing ? place.filter((p) => p) : [];
  const [xs, ys] = [0, 1].map((axis) => seen.map((p) => p[axis]));
  const inside = (v, size) => Math.min(Math.max(v, 18), size - 18);
  const beside = (y) => [inside(Math.max(...xs) + 30, S.ui.stage.clientWidth), inside(y, S.ui.stage.clientHeight)];
  S.handleAt = seen.length ? S.drag?.handleAt ?? beside(Math.min(...ys) - 22) : null;
  S.turnAt = seen.length > 1 && S.joint === HANDLE ? S.drag?.turnAt ?? beside(Math.max(...ys) + 22) : null;
  S.marks.handles.forEach((node, k) => {
    const at = [S.handleAt, S.turnAt][k];
    show(node, at);
    if (at) set(node, { transform: `translate(${at[0].toFixed(1)} ${at[1].toFixed(1)})` });
    node.classList.toggle("chosen", S.joint === HANDLE);
  });
}

export function boxNode(S, parent, box, cls) {
  if (!box || box[2] <= 0 || box[3] <= 0) return;
  const [x, y] = toScreen(S, box[0], box[1]);
  make("rect", { class: cls, x, y, width: box[2] * S.zoom, height: box[3] * S.zoom }, parent);
}

function drawBoxes(S) {
  S.marks.boxes.replaceChildren();
  boxNode(S, S.marks.boxes, [0, 0, S.item.w, S.item.h], "edge");
  drawStroke(S);
  drawMasking(S);
  if (!S.layers.boxes) return;
  const drawnBox = (which) => S.now.masks?.[which] && boxOfCounts(S.now.masks[which], S.item);
  const box = (mask) => (!mask || mask.counts ? mask?.box : grownBox(S, mask.box));
  boxNode(S, S.marks.boxes, drawnBox("amodal") ?? box(S.item.amodal?.box ? S.item.amodal : null), "box amodal");
  boxNode(S, S.marks.boxes, drawnBox("modal") ?? box(S.item.modal ?? { box: null }), "box modal");
}

function drawOthers(S) {
  S.marks.others.replaceChildren();
  if (!S.layers.others || S.hide) return;
  for (const { item, now } of neighbours(S)) {
    const places = now.joints.map((joint) => (known(joint) && joint.state ? toScreen(S, joint.x, joint.y) : null));
    drawThin(S, S.marks.others, places, "other", `person ${item.instance}`);
  }
}

export function fit(S, how) {
  const joints = extent(S.now);
  const own = joints && S.now.box ? around(joints, S.now.box) : joints ?? S.now.box;
  const near = how === "person" ? own ?? S.item.amodal?.box ?? S.item.modal?.box : null;
  const [[x, y, wide, high], room] = near && (near[2] > 0 || near[3] > 0) ? [near, 1.5] : [[0, 0, S.item.w, S.item.h], 1.04];
  const { clientWidth: w, clientHeight: h } = S.ui.stage;
  const zoom = Math.min(w / Math.max(wide * room, 24), h / Math.max(high * room, 24));
  S.zoom = Math.min(Math.max(zoom, 0.05), 12);
  S.tx = w / 2 - (x + wide / 2) * S.zoom;
  S.ty = h / 2 - (y + high / 2) * S.zoom;
}

export function zoomBy(S, factor, x = S.ui.stage.clientWidth / 2, y = S.ui.stage.clientHeight / 2) {
  const next = Math.min(Math.max(S.zoom * factor, 0.05), 40);
  S.tx = x - ((x - S.tx) * next) / S.zoom;
  S.ty = y - ((y - S.ty) * next) / S.zoom;
  S.zoom = next;
  draw(S);
}

export const lightOf = (S) => `brightness(${S.light.b}) contrast(${S.light.c})`;

export function drawLoupe(S) {
  const loupe = S.ui.loupe;
  const at = S.drag?.kind === "joint" || !S.pointer ? loupeJoint(S) : S.pointer;
  loupe.hidden = !(S.loupe && S.ready && at);
  if (loupe.hidden) return;
  const size = 168;
  const scale = Math.max(S.zoom * 3, 4);
  const [x, y] = toFrame(S, ...at);
  const context = loupe.getContext("2d");
  const ratio = loupe.width / size;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.fillStyle = "#000";
  context.fillRect(0, 0, size, size);
  context.imageSmoothingEnabled = scale < 6;
  context.filter = lightOf(S);
  context.drawImage(S.ui.picture, size / 2 - x * scale, size / 2 - y * scale, S.item.w * scale, S.item.h * scale);
  context.filter = "none";
  context.fillStyle = "#ffe066"; // where the pointer is, or the joint
  for (const [w, h] of [[15, 1.5], [1.5, 15]]) context.fillRect((size - w) / 2, (size - h) / 2, w, h);
  loupe.classList.toggle("far", at[0] < 230 && at[1] < 230);
}

function loupeJoint(S) {
  const joint = S.joint >= 0 ? drawn(S)[S.joint] : null;
  return joint && known(joint) ? toScreen(S, joint.x, joint.y) : null;
}
