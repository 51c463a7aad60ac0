// Pictures fetched and decoded ahead, masks, and what a held key shows.

import { SIDE, boneSide, draw, drawLoupe, lightOf, line, make } from "./canvas.js";
import { bitsOf, maskCounts } from "./mask_codes.js";
import { fillTools, flash } from "./panel.js";

const AT_ONCE = 3;

export function pictureOf(S, url) {
  if (!S.pictures.has(url)) S.pictures.set(url, { url, bitmap: null, failed: false, loaded: null });
  return S.pictures.get(url);
}

async function load(S, picture) {
  S.loading += 1;
  try {
    const answer = await fetch(picture.url, { credentials: "same-origin" });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    picture.bitmap = await createImageBitmap(await answer.blob());
  } catch (error) {
    picture.failed = String(error.message ?? error);
  }
  S.loading -= 1;
  prefetch(S);
}

export function whenLoaded(S, picture, callback) {
  if (picture.bitmap || picture.failed) return callback();
  picture.loaded ??= load(S, picture);
  picture.loaded.then(callback);
}

// Nearest first: the next ones before those behind. What left the window is let go.
export function prefetch(S) {
  if (!S.item) return;
  const here = S.list.indexOf(S.item);
  const order = S.list.map((item, k) => [k >= here ? k - here : (here - k) * 3, item.image]).sort((a, b) => a[0] - b[0]);
  const wanted = new Set([...order.map(([, url]) => url), S.item.image, S.peeking?.url, S.item.clean, S.item.depth]);
  for (const [url, picture] of S.pictures) {
    if (wanted.has(url) || (picture.loaded && !picture.bitmap && !picture.failed)) continue;
    picture.bitmap?.close();
    S.pictures.delete(url);
  }
  for (const [, url] of order) {
    if (S.loading >= AT_ONCE) return;
    const picture = pictureOf(S, url);
    picture.loaded ??= load(S, picture);
  }
}

export function paint(canvas, bitmap, w, h) {
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  canvas.getContext("2d").drawImage(bitmap, 0, 0, w, h);
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

// `over`: what is painted already stays, and this is striped.
function fillPixels(image, { w, h }, counts, [r, g, b], over) {
  const pixels = new Uint32Array(image.data.buffer);
  const [strong, weak, plain] = [130, 60, 78].map((a) => ((a << 24) | (b << 16) | (g << 8) | r) >>> 0);
  bitsOf(counts, { w, h }).forEach((bit, k) => {
    const [x, y] = [Math.floor(k / h), k % h];
    if (!bit || (over && pixels[y * w + x])) return;
    pixels[y * w + x] = !over ? plain : (x + y) % 6 < 3 ? strong : weak;
  });
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
  if (modal) fillPixels(image, S.item, modal, MASK_RGB.modal, false);
  if (amodal) fillPixels(image, S.item, amodal, MASK_RGB.amodal, Boolean(modal));
  [S.ui.mask.width, S.ui.mask.height] = [w, h];
  S.ui.mask.getContext("2d").putImageData(image, 0, 0);
}

// What is said while it is shown, and where a frame or person does not have it.
const PEEKS = {
  hide: [""],
  clean: ["Without occluders", "No variant without occluders is stored for this frame."],
  depth: ["Depth: near is bright", "No depth is stored for this frame."],
  amodal: ["The whole person: green is visible, striped pink is hidden", "No whole mask is stored for this person."],
  "3d": ["", "This person has no 3D joints."],
};

export function startPeek(S, kind) {
  if (S.peeking || !S.item) return;
  const has = { hide: true, clean: S.item.clean, depth: S.item.depth, amodal: maskCounts(S.item, S.now, "amodal"), "3d": S.item.xyz }[kind];
  S.peeking = { kind, url: kind === "clean" || kind === "depth" ? has : null };
  S.hide = kind === "hide";
  const [word, missing] = PEEKS[kind];
  if (!has) return flash(S, missing);
  if (word) flash(S, word, 60000);
  if (kind === "amodal") drawMask(S);
  else if (kind === "3d") turn(S);
  else if (S.hide) draw(S);
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
    if (!picture.bitmap) return flash(S, "That picture could not be loaded.");
    paint(S.ui.peek, picture.bitmap, S.item.w, S.item.h);
    S.ui.peek.hidden = false;
    draw(S);
  });
}

export function endPeek(S) {
  if (!S.peeking) return;
  if (PEEKS[S.peeking.kind][0] === S.ui.flash.textContent) S.ui.flash.classList.remove("on");
  S.peeking = null;
  S.hide = false;
  S.ui.peek.hidden = true;
  S.ui.turn.style.display = "none";
  cancelAnimationFrame(S.turning);
  if (!S.item) return;
  fillTools(S);
  drawMask(S);
  draw(S);
}

// The 3D skeleton turning about the vertical through its middle; from the side, still, for those
// who asked for less motion.
function turn(S) {
  const { turn: svg, stage } = S.ui;
  const [w, h] = [stage.clientWidth, stage.clientHeight];
  svg.style.display = "";
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
      const [x, y, z] = p?.map((v, axis) => v - middle[axis]) ?? [];
      return p && [w / 2 + (x * Math.cos(angle) + z * Math.sin(angle)) * scale, h / 2 + y * scale];
    });
    svg.replaceChildren();
    for (const [a, b] of S.skeleton.bones) if (at[a] && at[b]) line(make("line", { stroke: SIDE[boneSide(S, a, b)] }, svg), at[a], at[b]);
    at.forEach((p, j) => p && make("circle", { cx: p[0], cy: p[1], r: S.joint === j ? 8 : 5, fill: SIDE[S.skeleton.sides[j]] }, svg));
    make("text", { x: 16, y: h - 18 }, svg).textContent = still ? "3D joints from the side" : "3D joints, turning";
    if (!still && S.peeking?.kind === "3d") S.turning = requestAnimationFrame(frame);
  };
  frame();
}
