// A person's masks, drawn by brush, by outline or by segmentation: each stroke is one edit. Keys alone do it too: arrows
// move a cursor, Enter paints there, or places a corner and, where the last one was placed, closes.
// S.masking: {which, tool, erase, at, hover, points}; S.brush: {tool, r}, kept for the next mask.

import { NO_MASKS, beginDrawing, endDrawing, isShown, open, passOn } from "./actions.js";
import { CLICK_PX, draw, make, set, toFrame, toScreen } from "./canvas.js";
import { LOOKING } from "./keys.js";
import { grownBox, inFrame, round3 } from "./labels.js";
import { bitsOf, countsOf, fillBrush, fillOutline, maskCounts, masksEdit } from "./mask_codes.js";
import { flash } from "./panel.js";
import { commit, request } from "./sync_queue.js";

const MASK_WORD = { modal: "the visible part", amodal: "the whole person" };
const MASK_HELP = {
  brush: "Paint it, or arrows and Enter; [ ] size, Shift+T outline, Shift+E erase, Esc ends.",
  outline: "Draw round it, or click corners: drag them, close at the first or by a double click. Or arrows and Enter; Enter again closes. Shift+T segments, Shift+E erase, Esc ends.",
  segment: "Click the person, or arrows and Enter: the connected region is added. Shift+T brush, Shift+E erase, Esc ends.",
};
export const NEXT_TOOL = { brush: "outline", outline: "segment", segment: "brush" };
const BRUSH_PX = [0.5, 200]; // radius in the picture
const PASS_BY = [...LOOKING, "undo", "redo", "loupe", "light", "brighter", "darker", "sharper", "flatter", "history"]; // end no drawing

export function fillMasks(S) {
  const { ui, masking } = S;
  S.root.dataset.masking = masking ? `${masking.which} ${masking.tool}${masking.erase ? " erase" : ""}` : "";
  if (!masking) return;
  ui.brush.parentElement.hidden = masking.tool !== "brush";
  ui.brush.value = String(Math.round((100 * Math.log(S.brush.r / BRUSH_PX[0])) / Math.log(BRUSH_PX[1] / BRUSH_PX[0])));
  set(ui.brush, { "aria-valuetext": `${round1(S.brush.r)} pixels` });
  ui.maskSize.textContent = `Radius ${round1(S.brush.r)} px`;
  ui.maskClose.hidden = masking.tool !== "outline";
}

export function slideBrush(S) {
  sizeBrush(S, BRUSH_PX[0] * (BRUSH_PX[1] / BRUSH_PX[0]) ** (S.ui.brush.value / 100));
}

const round1 = (value) => Math.round(value * 10) / 10;

export function startMask(S, which) {
  if (!(which in MASK_WORD)) return flash(S, "First choose the tool Mask.");
  if (!S.can.masks) return flash(S, NO_MASKS);
  if (!open(S) || !isShown(S)) return;
  const middle = toFrame(S, S.ui.stage.clientWidth / 2, S.ui.stage.clientHeight / 2);
  S.brush ??= { tool: "brush", r: Math.min(Math.max(round1(12 / S.zoom), 1), 60) };
  Object.assign(S, { placing: false, another: false });
  S.masking = { which, tool: S.brush.tool, erase: false, at: withinPicture(S, middle), hover: null, points: [] };
  S.layers[which] = true;
  beginDrawing(S, MASK_HELP[S.masking.tool]);
}

const withinPicture = (S, [x, y]) => [Math.min(Math.max(x, 0), S.item.w), Math.min(Math.max(y, 0), S.item.h)].map(round3);

export function sizeBrush(S, r) {
  S.brush.r = Math.min(Math.max(r, BRUSH_PX[0]), BRUSH_PX[1]);
  S.changed();
}

export function maskAction(S, verb, rest) {
  const { masking } = S;
  const word = verb === "mask" ? rest[0] : verb === "leave" ? "leave" : null;
  if (verb === "nudge") masking.at = withinPicture(S, masking.at.map((v, k) => v + Number(rest[k])));
  else if (verb === "accept" && rest[0] === "joint") enterMask(S);
  else if (verb === "undo" && masking.points.length) masking.points.pop();
  else if (masking.tool === "brush" && (verb === "brighter" || verb === "darker")) sizeBrush(S, S.brush.r * (verb === "brighter" ? 1.25 : 0.8));
  else if (word === "erase" || verb === "answer") masking.erase = !masking.erase;
  else if (word === "tool") takeTool(S, NEXT_TOOL[masking.tool]);
  else if (word in NEXT_TOOL) takeTool(S, word);
  else if (word === "close") closeOutline(S);
  else if (word === "leave" && masking.points.length) masking.points = [];
  else if (word === "done" || word === "leave" || word === masking.which) endDrawing(S);
  else if (verb === "mask") startMask(S, word);
  else return passOn(S, verb, PASS_BY);
  S.changed();
  return true;
}

function takeTool(S, tool) {
  S.brush.tool = tool;
  Object.assign(S.masking, { tool, points: [] });
  flash(S, MASK_HELP[tool], 6000);
}

const samePlace = (S, [ax, ay], [bx, by], reach) => Math.hypot(ax - bx, ay - by) * S.zoom <= reach;

function enterMask(S) {
  const { tool, at, points } = S.masking;
  if (tool === "brush") keepMask(S, [at]);
  else if (tool === "segment") segment(S, at);
  else if (points.length && samePlace(S, at, points.at(-1), 0.01)) closeOutline(S);
  else points.push(at);
}

export function clickMask(S, at, reach) {
  const { tool, points } = S.masking;
  S.masking.at = withinPicture(S, at);
  if (tool === "brush") return keepMask(S, [at]);
  if (tool === "segment") return segment(S, S.masking.at);
  if (points.length > 2 && samePlace(S, at, points[0], reach)) closeOutline(S);
  else if (!points.length || !samePlace(S, at, points.at(-1), CLICK_PX)) points.push(S.masking.at);
}

// A double click closes the outline; its second click alone begins none.
export function doubleClickMask(S) {
  if (S.masking?.tool !== "outline") return;
  if (S.masking.points.length > 2) closeOutline(S);
  else if (S.masking.points.length === 1) S.masking.points = [];
  draw(S);
}

// Which corner of the outline is within reach of a place, -1 for none.
export function cornerAt(S, at, reach) {
  return S.masking.tool === "outline" ? S.masking.points.findLastIndex((corner) => samePlace(S, at, corner, reach)) : -1;
}

export function moveCorner(S, k, at) {
  if (k < S.masking?.points.length) S.masking.points[k] = withinPicture(S, at);
}

export function dragMask(S, line) {
  const { tool, points } = S.masking;
  if (tool === "segment") return segment(S, withinPicture(S, line.at(-1)));
  if (tool === "brush" || !points.length) return keepMask(S, line);
  points.push(...line.map((p) => withinPicture(S, p)));
  S.masking.at = points.at(-1);
}

function closeOutline(S) {
  const { points } = S.masking;
  if (points.length < 3) return flash(S, "An outline has three corners at least: move on and press Enter, or click.");
  S.masking.points = [];
  keepMask(S, points);
}

// Have the server say what belongs to a place: in the person's box where there is one (round the
// joints a larger one), and where something is added with the joints that can be seen.
async function segment(S, at) {
  const { item, masking } = S;
  if (!open(S) || !isShown(S)) return;
  const seen = S.now.joints.filter((joint) => joint.state === 2 && inFrame(item, joint));
  const points = [at, ...(masking.erase ? [] : seen.map(({ x, y }) => [x, y]))];
  const near = S.now.box ?? item.modal?.box;
  const box = grownBox(S, near);
  if (box && !near) [box[0], box[1], box[2], box[3]] = [box[0] - 0.12 * box[2], box[1] - 0.12 * box[3], 1.24 * box[2], 1.24 * box[3]];
  flash(S, "Segmenting…", 20000);
  const { status, data, why } = await request(S, "POST", `/sets/${S.set}/frames/${item.frame}/segment`, { points, box });
  if (S.masking !== masking || S.item.id !== item.id) return;
  if (status === 200) keepBits(S, (bits, value) => bitsOf(data.counts, item).forEach((bit, k) => bit && (bits[k] = value)));
  else flash(S, why);
}

function keepMask(S, line) {
  const { item, brush } = S;
  const outline = S.masking.tool === "outline";
  keepBits(S, (bits, value) => (outline ? fillOutline(bits, item, line, value) : fillBrush(bits, item, line, brush.r, value)));
}

function keepBits(S, paint) {
  const { which, erase } = S.masking;
  if (!open(S) || !isShown(S)) return;
  const { item, now } = S;
  const bits = bitsOf(maskCounts(item, now, which), item);
  paint(bits, erase ? 0 : 1);
  const { edit: made, empty } = masksEdit(item, now, { [which]: countsOf(bits) });
  if (!made) return flash(S, empty ? "The mask would become empty: undo its strokes instead." : unchangedWhy(S, which, erase));
  commit(S, item, { kind: "edit", masks: made.masks }, made.patch);
  const grown = which === "modal" && made.masks.amodal ? " The whole mask grew with it." : "";
  flash(S, `${erase ? "Erased from" : "Added to"} the mask of ${MASK_WORD[which]}.${grown}`);
}

function unchangedWhy(S, which, erase) {
  if (!erase) return "The mask has these pixels already.";
  return which === "amodal" && maskCounts(S.item, S.now, "modal") ? "The visible part stays in the whole mask." : "The mask has no pixel there.";
}

export function drawMasking(S) {
  const { masking, drag } = S;
  if (!masking) return;
  const { points, tool, erase } = masking;
  const cls = `stroke mask ${masking.which}${erase ? " erase" : ""}`;
  const path = (line) => `M${line.map((p) => toScreen(S, ...p).map((v) => v.toFixed(1)).join(" ")).join("L")}`;
  if (drag?.kind === "mask" && tool === "brush") {
    const node = make("path", { class: `${cls} wide`, d: path([...drag.line, drag.line.at(-1)]) }, S.marks.boxes);
    node.style.strokeWidth = `${(2 * S.brush.r * S.zoom).toFixed(1)}px`;
  } else if (tool === "outline" && (drag?.kind === "mask" || points.length)) {
    const line = [...points, ...(drag?.kind === "mask" ? drag.line : masking.hover && !drag ? [masking.hover] : [])];
    make("path", { class: cls, d: path(line) }, S.marks.boxes);
  }
  for (const p of points) {
    const [cx, cy] = toScreen(S, ...p);
    make("circle", { class: "corner", cx, cy, r: 4 }, S.marks.boxes);
  }
  const [cx, cy] = toScreen(S, ...(masking.hover ?? masking.at));
  if (tool === "brush") make("circle", { class: `brush${erase ? " erase" : ""}`, cx, cy, r: Math.max(S.brush.r * S.zoom, 1) }, S.marks.boxes);
  else make("path", { class: "brush", d: `M${cx - 8} ${cy}H${cx + 8}M${cx} ${cy - 8}V${cy + 8}` }, S.marks.boxes);
}
