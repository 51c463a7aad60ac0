// Mouse, pen and touch on the stage.

import { choose, edit, endDrawing, jointAt, placeJoint, turn } from "./actions.js";
import { CLICK_PX, HANDLE, REACH_PX, draw, drawLoupe, toFrame, toScreen, zoomBy } from "./canvas.js";
import { known, middleOf, moveJoints, turnJoints } from "./labels.js";
import { clickMask, cornerAt, doubleClickMask, dragMask, moveCorner, sizeBrush } from "./mask_tool.js";
import { BOXES, boxCorners, clickStroke, endPlacing, isChosen, keepStroke, placeNext, startStroke, targets, toggleJoint } from "./strokes.js";

const TOUCH_PX = 24; // a fingertip's reach

function stagePoint(S, event) {
  const box = S.ui.stage.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

// The nearest joint within reach; one that has no label only when it is the chosen one.
function pick(S, sx, sy, reach = REACH_PX) {
  let best = null;
  let least = reach;
  S.now.joints.forEach((joint, j) => {
    if (!known(joint) || (joint.state === null && !isChosen(S, j))) return;
    const [x, y] = toScreen(S, joint.x, joint.y);
    const far = Math.hypot(x - sx, y - sy) - (j === S.joint ? 3 : 0);
    if (far < least) [best, least] = [j, far];
  });
  return best;
}

const isAt = (handle, sx, sy, reach = REACH_PX) => handle && Math.hypot(handle[0] - sx, handle[1] - sy) <= reach;

const reachOf = (event) => (event.pointerType === "touch" ? TOUCH_PX : REACH_PX);

export function listenPointer(S) {
  const stage = S.ui.stage;
  const heard = { pointerdown: pressed, pointermove: moved, pointerup: released, dblclick: doubleClickMask };
  for (const [name, act] of Object.entries(heard)) stage.addEventListener(name, (event) => act(S, event));
  stage.addEventListener("pointercancel", (event) => {
    S.fingers.delete(event.pointerId);
    dropDrag(S);
    draw(S);
  });
  stage.addEventListener("pointerleave", () => {
    S.pointer = null;
    if (S.masking) S.masking.hover = null;
    setHover(S, null);
    drawLoupe(S);
  });
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const unit = event.deltaMode === 1 ? 30 : 1;
    const by = (event.deltaY || event.deltaX) * unit; // with Shift some browsers turn the one into the other
    if (S.masking?.tool === "brush" && event.shiftKey) return sizeBrush(S, S.brush.r * Math.exp(-by * 0.002));
    if (S.joint === HANDLE && event.shiftKey) return turn(S, by * 0.0005, 1);
    if (S.joint === HANDLE && event.altKey) return turn(S, 0, Math.exp(-by * 0.0005));
    zoomBy(S, Math.exp(-event.deltaY * unit * 0.0016), ...stagePoint(S, event));
  }, { passive: false });
  // A line that a finger draws is no swipe of the page: after one the browser would swallow a tap.
  stage.addEventListener("touchmove", (event) => event.preventDefault(), { passive: false });
  stage.addEventListener("contextmenu", (event) => event.preventDefault());
}

// Leave a drag undone, and the line with it that was to be one drag.
function dropDrag(S) {
  if (S.drag?.once) endDrawing(S);
  S.drag = null;
}

// Two fingers zoom and move the picture; whatever the first had begun to drag stays where it was.
function pinch(S) {
  const [[ax, ay], [bx, by]] = [...S.fingers.values()];
  const middle = [(ax + bx) / 2, (ay + by) / 2];
  const far = Math.max(Math.hypot(ax - bx, ay - by), 1);
  const last = S.drag?.kind === "pinch" ? S.drag : { middle, far };
  dropDrag(S);
  S.drag = { kind: "pinch", middle, far, moved: true, changed: [] };
  S.tx += middle[0] - last.middle[0];
  S.ty += middle[1] - last.middle[1];
  zoomBy(S, far / last.far, ...middle);
}

function pressed(S, event) {
  if (!S.item) return;
  const [sx, sy] = stagePoint(S, event);
  if (event.pointerType === "touch") {
    S.fingers.set(event.pointerId, [sx, sy]);
    S.ui.stage.setPointerCapture(event.pointerId);
    if (S.fingers.size === 2) pinch(S);
  }
  if (S.drag) return;
  S.ui.stage.focus({ preventScroll: true });
  const free = event.button === 0 && S.ready && !S.space && S.can.edit && !S.now.deleted && S.now.exists;
  if (free && event.altKey && S.joint >= 0 && !S.masking) return placeJoint(S, S.joint, ...toFrame(S, sx, sy));
  S.ui.stage.setPointerCapture(event.pointerId);
  S.drag = { kind: "pan", sx, sy, tx: S.tx, ty: S.ty, changed: [], moved: false };
  const drawing = (S.stroke || S.masking) && S.can.edit && S.ready;
  if ((!free && !drawing) || S.hide || event.button !== 0 || S.space) return;
  if (S.stroke) return Object.assign(S.drag, { kind: BOXES.includes(S.stroke.tool) ? "box" : "stroke", line: [toFrame(S, sx, sy)] });
  if (S.masking) {
    const corner = cornerAt(S, toFrame(S, sx, sy), reachOf(event) / 2);
    Object.assign(S.drag, { kind: corner < 0 ? "mask" : "corner", corner, line: [toFrame(S, sx, sy)] });
    S.masking.hover = event.pointerType === "touch" ? null : toFrame(S, sx, sy);
    return;
  }
  const j = pick(S, sx, sy, reachOf(event));
  if (event.shiftKey || S.another) {
    if (S.placing) endPlacing(S);
    if (j !== null) {
      S.drag = null;
      return toggleJoint(S, j);
    }
    if (event.shiftKey) {
      startStroke(S, "lasso");
      S.drag.once = true;
    }
  }
  if (S.stroke) Object.assign(S.drag, { kind: "stroke", line: [toFrame(S, sx, sy)] });
  else if (j !== null) {
    const joint = S.now.joints[j];
    const [x, y] = toScreen(S, joint.x, joint.y);
    Object.assign(S.drag, { kind: "joint", j, gx: x - sx, gy: y - sy });
    if (!S.placing) choose(S, j, S.picked.includes(j) ? S.picked : []);
  } else if (isAt(S.turnAt, sx, sy, reachOf(event))) {
    Object.assign(S.drag, { kind: "turn", middle: toScreen(S, ...middleOf(S.now)) });
  } else if (isAt(S.handleAt, sx, sy, reachOf(event))) {
    Object.assign(S.drag, { kind: "all", from: S.handleAt });
    choose(S, HANDLE);
  }
}

function moved(S, event) {
  const [sx, sy] = stagePoint(S, event);
  S.pointer = [sx, sy];
  if (S.fingers.has(event.pointerId)) S.fingers.set(event.pointerId, [sx, sy]);
  if (S.drag?.kind === "pinch") return S.fingers.size === 2 && pinch(S);
  const drag = S.drag;
  if (S.masking && event.pointerType !== "touch") {
    S.masking.hover = toFrame(S, sx, sy);
    if (!drag) draw(S);
  }
  if (!drag) {
    if (S.item && S.ready) setHover(S, S.masking || S.placing ? null : pick(S, sx, sy));
    if (S.placing) draw(S); // the name of the joint goes with the pointer
    S.ui.stage.style.cursor = S.masking || S.placing ? "crosshair" : S.hover !== null ? "grab" : isAt(S.turnAt, sx, sy) ? "alias" : isAt(S.handleAt, sx, sy) ? "move" : "";
    return drawLoupe(S);
  }
  if (!drag.moved && Math.hypot(sx - drag.sx, sy - drag.sy) < CLICK_PX) return;
  drag.moved = true;
  if (drag.kind === "pan") {
    S.tx = drag.tx + sx - drag.sx;
    S.ty = drag.ty + sy - drag.sy;
  } else if (drag.kind === "box") {
    boxCorners(S, toFrame(S, drag.sx, drag.sy), toFrame(S, sx, sy));
  } else if (drag.kind === "stroke" || drag.kind === "mask") {
    drag.line.push(toFrame(S, sx, sy));
  } else if (drag.kind === "corner") {
    moveCorner(S, drag.corner, toFrame(S, sx, sy));
  } else if (drag.kind === "turn") {
    const [[ax, ay], [bx, by]] = [[drag.sx, drag.sy], [sx, sy]].map(([x, y]) => [x - drag.middle[0], y - drag.middle[1]]);
    drag.changed = turnJoints(S.item, S.now, Math.atan2(by, bx) - Math.atan2(ay, ax), Math.hypot(bx, by) / Math.hypot(ax, ay));
    drag.turnAt = [sx, sy];
  } else if (drag.kind === "joint") {
    const [x, y] = toFrame(S, sx + drag.gx, sy + drag.gy);
    const joint = S.now.joints[drag.j];
    drag.changed = S.placing ? [[drag.j, jointAt(S, drag.j, x, y)]] : moveJoints(S.item, S.now, x - joint.x, y - joint.y, targets(S));
  } else {
    drag.changed = moveJoints(S.item, S.now, (sx - drag.sx) / S.zoom, (sy - drag.sy) / S.zoom);
    drag.handleAt = [drag.from[0] + sx - drag.sx, drag.from[1] + sy - drag.sy];
  }
  draw(S);
}

function released(S, event) {
  moved(S, event);
  S.fingers.delete(event.pointerId);
  const drag = S.drag;
  if (drag?.kind === "pinch" && S.fingers.size) return; // the last finger ends it
  S.drag = null;
  if (drag?.kind === "box" || drag?.kind === "stroke") drag.moved ? keepStroke(S, drag.line) : drag.once ? endDrawing(S) : clickStroke(S);
  else if (drag?.kind === "corner" && S.masking && !drag.moved) clickMask(S, drag.line[0], reachOf(event) / 2);
  else if (drag?.kind === "mask" && S.masking) drag.moved ? dragMask(S, drag.line) : clickMask(S, drag.line[0], reachOf(event) / 2);
  else if (drag?.moved && drag.changed.length) edit(S, drag.changed);
  else if (drag && !drag.moved && S.placing && !S.space && event.button === 0) placeNext(S, ...stagePoint(S, event));
  else if (drag && !drag.moved && drag.kind === "joint") choose(S, drag.j);
  else if (drag && !drag.moved && drag.kind === "pan" && !S.space && !S.another) choose(S, -1);
  draw(S);
}

function setHover(S, j) {
  if (S.hover === j) return;
  S.hover = j;
  draw(S);
}
