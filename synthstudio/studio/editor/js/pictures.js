// Pictures fetched and decoded ahead, masks, and what a held key shows.

import { SIDE, boneSide, draw } from "./canvas.js";
import { maskCounts, rleRuns } from "./mask_codes.js";
import { flash } from "./panel.js";
import { drawLoupe } from "./pointer.js";
import { fillTools } from "./tools.js";

const AT_ONCE = 3;

export function pictureOf(S, url) {
  let found = S.pictures.get(url);
  if (!found) {
    found = { url, bitmap: null, failed: false, waiters: [], started: false };
    S.pictures.set(url, found);
  }
  return found;
}

async function load(S, picture) {
  picture.started = true;
  S.loading += 1;
  try {
    const answer = await fetch(picture.url, { credentials: "same-origin" });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    picture.bitmap = await createImageBitmap(await answer.blob());
  } catch (error) {
    picture.failed = String(error.message ?? error);
  }
  S.loading -= 1;
  const waiters = picture.waiters.splice(0);
  for (const tell of waiters) tell();
  prefetch(S);
}

export function whenLoaded(S, picture, tell) {
  if (picture.bitmap || picture.failed) {
    tell();
    return;
  }
  picture.waiters.push(tell);
  if (!picture.started) load(S, picture);
}

// Nearest first: the next ones before those behind. What left the window is let go.
export function prefetch(S) {
  if (!S.item) return;
  const here = S.list.indexOf(S.item);
  const order = S.list.map((item, k) => [k >= here ? k - here : (here - k) * 3, item.image]).sort((a, b) => a[0] - b[0]);
  const wanted = new Set(order.map(([, url]) => url));
  for (const url of [S.peeking?.url, S.item.clean, S.item.depth]) if (url) wanted.add(url);
  for (const [url, picture] of S.pictures) {
    if (wanted.has(url) || picture.waiters.length || (picture.started && !picture.bitmap && !picture.failed)) continue;
    picture.bitmap?.close();
    S.pictures.delete(url);
  }
  const left = [...new Set(order.map(([, url]) => url))].filter((url) => !pictureOf(S, url).bitmap);
  S.root.dataset.fetching = String(left.length);
  for (const url of left) {
    if (S.loading >= AT_ONCE) return;
    const picture = pictureOf(S, url);
    if (!picture.started) load(S, picture);
  }
}

export function paint(canvas, bitmap, w, h) {
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  canvas.getContext("2d").drawImage(bitmap, 0, 0, w, h);
}

export function lightOf(S) {
  return `brightness(${S.light.b}) contrast(${S.light.c})`;
}

export function setLight(S, b, c) {
  S.light = { b: Math.min(Math.max(b, 0.4), 6), c: Math.min(Math.max(c, 0.4), 4) };
  const plain = S.light.b === 1 && S.light.c === 1;
  for (const layer of [S.ui.picture, S.ui.peek]) layer.style.filter = plain ? "" : lightOf(S);
  fillTools(S);
  flash(S, plain ? "Original light" : `Brightness ${Math.round(S.light.b * 100)}%, contrast ${Math.round(S.light.c * 100)}%`);
  drawLoupe(S);
}

const MASK_RGB = { modal: [64, 224, 170], amodal: [255, 92, 214] };

function fillRuns(pixels, item, counts, rgb, skip) {
  const { w, h } = item;
  let at = 0;
  let on = false;
  for (const run of rleRuns(counts)) {
    if (on) {
      for (let k = at; k < at + run; k += 1) {
        const y = k % h;
        const x = (k - y) / h;
        const p = (y * w + x) * 4;
        if (skip && pixels[p + 3]) continue;
        const stripe = skip && (x + y) % 6 < 3;
        pixels[p] = rgb[0];
        pixels[p + 1] = rgb[1];
        pixels[p + 2] = rgb[2];
        pixels[p + 3] = stripe ? 130 : skip ? 60 : 78;
      }
    }
    at += run;
    on = !on;
  }
}

export function drawMask(S) {
  const peek = S.peeking?.kind === "amodal";
  const modal = (S.layers.modal || peek) && maskCounts(S.item, S.now, "modal");
  const amodal = (S.layers.amodal || peek) && maskCounts(S.item, S.now, "amodal");
  const look = [S.item.id, modal, amodal];
  if (look.every((part, k) => part === S.maskLook?.[k])) return;
  S.maskLook = look;
  S.ui.mask.hidden = !(modal || amodal);
  if (S.ui.mask.hidden) return;
  const { w, h } = S.item;
  const image = new ImageData(w, h);
  if (modal) fillRuns(image.data, S.item, modal, MASK_RGB.modal, false);
  if (amodal) fillRuns(image.data, S.item, amodal, MASK_RGB.amodal, Boolean(modal));
  [S.ui.mask.width, S.ui.mask.height] = [w, h];
  S.ui.mask.getContext("2d").putImageData(image, 0, 0);
}

const MISSING = {
  clean: "No variant without occluders is stored for this frame.",
  depth: "No depth is stored for this frame.",
  amodal: "No whole mask is stored for this person.",
  "3d": "This person has no 3D joints.",
};

const PEEK_WORD = {
  clean: "Without occluders", depth: "Depth: near is bright",
  amodal: "The whole person: green is seen, striped pink is hidden",
};

export function startPeek(S, kind) {
  if (S.peeking || !S.item) return;
  S.root.dataset.peek = kind;
  if (kind === "hide") {
    S.peeking = { kind };
    S.hide = true;
    draw(S);
    return;
  }
  const has = { clean: S.item.clean, depth: S.item.depth, amodal: maskCounts(S.item, S.now, "amodal"), "3d": S.item.xyz }[kind];
  S.peeking = { kind, url: kind === "clean" || kind === "depth" ? has : null };
  if (!has) {
    flash(S, MISSING[kind]);
    return;
  }
  if (kind in PEEK_WORD) flash(S, PEEK_WORD[kind], 60000);
  if (kind === "amodal") drawMask(S);
  else if (kind === "3d") turn(S);
  else peekPicture(S, has);
}

// A look that lasts until the same button, or another one, ends it; a key shows it while it is held.
export function togglePeek(S, kind) {
  const was = S.peeking?.kind;
  endPeek(S);
  if (was !== kind) startPeek(S, kind);
  fillTools(S);
}

function peekPicture(S, url) {
  const mine = S.peeking;
  const picture = pictureOf(S, url);
  whenLoaded(S, picture, () => {
    if (S.peeking !== mine) return;
    if (!picture.bitmap) {
      flash(S, "That picture could not be loaded.");
      return;
    }
    paint(S.ui.peek, picture.bitmap, S.item.w, S.item.h);
    S.ui.peek.hidden = false;
    draw(S);
  });
}

export function endPeek(S) {
  if (!S.peeking) return;
  if (PEEK_WORD[S.peeking.kind] === S.ui.flash.textContent) S.ui.flash.classList.remove("on");
  S.peeking = null;
  S.hide = false;
  if (S.item) fillTools(S);
  S.root.dataset.peek = "";
  S.ui.peek.hidden = true;
  S.ui.turn.hidden = true;
  cancelAnimationFrame(S.turning);
  if (S.item) {
    drawMask(S);
    draw(S);
  }
}

// The 3D skeleton turning about the vertical through its middle; from the side, still, for those
// who asked for less motion.
function turn(S) {
  const canvas = S.ui.turn;
  const [w, h] = [S.ui.stage.clientWidth, S.ui.stage.clientHeight];
  [canvas.width, canvas.height] = [w, h];
  canvas.hidden = false;
  const points = S.item.xyz;
  const ends = (axis, pickOne) => pickOne(...points.filter((p) => p).map((p) => p[axis]));
  const middle = [0, 1, 2].map((axis) => (ends(axis, Math.min) + ends(axis, Math.max)) / 2);
  const size = Math.max(...[0, 1, 2].map((axis) => ends(axis, Math.max) - ends(axis, Math.min)), 0.3);
  const scale = (Math.min(w, h) * 0.72) / size;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const began = performance.now();
  const frame = () => {
    const angle = still ? Math.PI / 2 : ((performance.now() - began) / 1000) * 0.9;
    const at = points.map((p) => {
      if (!p) return null;
      const [x, y, z] = p.map((v, axis) => v - middle[axis]);
      return [w / 2 + (x * Math.cos(angle) + z * Math.sin(angle)) * scale, h / 2 + y * scale];
    });
    turnFrame(S, canvas.getContext("2d"), at, w, h, still);
    if (!still && S.peeking?.kind === "3d") S.turning = requestAnimationFrame(frame);
  };
  frame();
}

function turnFrame(S, context, at, w, h, still) {
  context.clearRect(0, 0, w, h);
  context.fillStyle = "rgba(16, 18, 22, .93)";
  context.fillRect(0, 0, w, h);
  context.lineCap = "round";
  for (const [a, b] of S.skeleton.bones) {
    if (!at[a] || !at[b]) continue;
    context.strokeStyle = SIDE[boneSide(S, a, b)];
    context.lineWidth = 4;
    context.beginPath();
    context.moveTo(...at[a]);
    context.lineTo(...at[b]);
    context.stroke();
  }
  at.forEach((p, j) => {
    if (!p) return;
    context.fillStyle = SIDE[S.skeleton.sides[j]];
    context.beginPath();
    context.arc(p[0], p[1], S.joint === j ? 8 : 5, 0, 7);
    context.fill();
  });
  context.fillStyle = "#d8dbe2";
  context.font = "13px system-ui, sans-serif";
  context.fillText(still ? "3D joints from the side" : "3D joints, turning", 16, h - 18);
}
