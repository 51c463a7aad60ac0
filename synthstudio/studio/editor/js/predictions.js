// Predictions of a network: drawn under the labels, and taken by a joint, a limb or a person.
// A prediction: {n, score, joints: [[x, y, sure, cause] or null], oks, off}; S.item.prediction is that of the
// shown person, S.item.found those of people whom nobody labelled.

import { addNew, edit, emptied, fetching, insertNew, open } from "./actions.js";
import { drawThin, el, line, make, toScreen } from "./canvas.js";
import { setItem } from "./editor.js";
import { actionsOf } from "./keys.js";
import { asPlaced, derive, drawn, extent, isGuide, jointsPatch, known } from "./labels.js";
import { actionButton, flash, part } from "./panel.js";
import { targets } from "./strokes.js";
import { asGroup, atOnce, commit, refusedOf } from "./sync_queue.js";

export function buildPredictions(S, side) {
  const box = (S.ui.predictions = part(side, "div", "predicted", "Prediction"));
  S.ui.predictionText = el("p", "", "", box);
  const row = el("div", "row", null, box);
  for (const action of actionsOf("Predictions")) actionButton(S, row, action);
}

export function fillPredictions(S) {
  const { predictions, predictionText } = S.ui;
  const { found } = S.item;
  const prediction = validPrediction(S);
  const page = pageOf(S).length;
  predictions.hidden = !S.model;
  predictions.querySelector("[data-action='accept page']").firstChild.textContent = page ? `Page: ${page}` : "Page";
  predictionText.textContent = [`Predicted by ${S.model}`, prediction ? howFar(prediction) : S.item.prediction ? "rejected" : "no prediction", ...(found?.length ? [`${found.length} not labelled`] : [])].join(" · ");
}

export const validPrediction = (S) => (S.now.rejected_models.includes(S.model) ? null : S.item.prediction);

export function rejectPrediction(S) {
  if (!S.item.prediction || !S.model) return flash(S, S.model ? "No prediction of this person." : NO_MODEL);
  if (!open(S) || !validPrediction(S)) return;
  const rejected_models = [...S.now.rejected_models, S.model].sort();
  commit(S, S.item, { kind: "reject_prediction", text: S.model }, { rejected_models });
  flash(S, "Prediction rejected: it is no longer offered, and the person comes earlier in the risk queue until decided.");
}

function howFar(prediction) {
  return prediction.oks === null ? "nothing to compare" : `OKS ${prediction.oks.toFixed(2)}${prediction.off === null ? "" : `, ${prediction.off.toFixed(1)} px off`}`;
}

export const limbOf = (S) => S.skeleton.limbs.find((limb) => limb.includes(S.joint)) ?? [];

function asPredicted(item, old, point) {
  const [x, y, , cause] = point;
  const kept = old.state ? { state: old.state, cause: old.cause } : { state: 2, cause: "visible" };
  const labels = cause ? { state: cause === "visible" ? 2 : 1, cause } : kept;
  return { ...asPlaced(item, { x, y, ...labels }), origin: "predicted", taken: true };
}

function takenFrom(item, prediction, joints, labels) {
  return joints.flatMap((j) => (prediction.joints[j] ? [[j, asPredicted(item, labels[j], prediction.joints[j])]] : []));
}

export function accept(S, which) {
  if (which === "found") return acceptFound(S);
  if (which === "page") return acceptPage(S);
  const prediction = validPrediction(S);
  if (which !== "person" && S.joint < 0) return flash(S, "Select a joint first: click it, or press Tab.");
  const joints = { joint: targets(S), limb: limbOf(S), person: [...S.skeleton.joints.keys()] }[which];
  const guide = (j) => (isGuide(S, S.now.joints[j]) ? [[j, { ...S.now.joints[j], state: 2, cause: "visible" }]] : []);
  const changed = prediction ? takenFrom(S.item, prediction, joints, S.now.joints) : joints.flatMap(guide);
  if (!changed.length) return flash(S, S.model ? "No prediction for it." : NO_MODEL);
  edit(S, changed);
}

const ALIKE = 0.4; // of a drawn box and one round the joints, which is smaller
export const NO_MODEL = "No predictions are stored for this data set (synthstudio review predictions).";

function acceptFound(S) {
  const [prediction] = S.item.found ?? [];
  if (!prediction) return flash(S, S.model ? "All predicted people here are labelled." : NO_MODEL);
  if (fetching(S) || !S.can.edit || S.item.blinded) return open(S);
  addNew(S, asNew(S, S.item, prediction), { prediction });
  flash(S, "A predicted person was added. Check each joint.");
}

// Whoever is predicted and not labelled whose joints fill a box best; null where nobody's do, or
// where predictions are not shown.
export function predictionIn(S, box) {
  if (!S.layers.predictions || !S.model) return null;
  const overlaps = (S.item.found ?? []).map((prediction) => [overlap(box, boxRound(prediction.joints)), prediction]);
  const [share, best] = overlaps.reduce((most, one) => (one[0] > most[0] ? one : most), [0, null]);
  return share >= ALIKE ? best : null;
}

const boxRound = (joints) => extent({ joints: joints.filter(Boolean).map(([x, y]) => ({ x, y, state: 2 })) });

// Intersection over union of two boxes.
function overlap(a, b) {
  if (!b) return 0;
  const side = (k) => Math.max(Math.min(a[k] + a[k + 2], b[k] + b[k + 2]) - Math.max(a[k], b[k]), 0);
  const both = side(0) * side(1);
  return both / (a[2] * a[3] + b[2] * b[3] - both);
}

export function asNew(S, item, prediction) {
  const blank = S.skeleton.joints.map(() => ({ state: null, cause: "unlabelled" }));
  return takenFrom(item, prediction, [...blank.keys()], blank);
}

export function drawPredictionOverlay(S) {
  const group = S.marks.predictions;
  group.replaceChildren();
  if (!S.layers.predictions || S.hide || !S.model) return;
  const mine = validPrediction(S);
  for (const prediction of [mine, ...(S.item.found ?? [])]) if (prediction) drawPrediction(S, group, prediction, prediction !== mine);
  const point = S.joint >= 0 && S.now.exists ? mine?.joints[S.joint] : null;
  const joint = point ? drawn(S)[S.joint] : null;
  if (joint && known(joint)) line(make("line", { class: "apart" }, group), toScreen(S, joint.x, joint.y), toScreen(S, point[0], point[1]));
}

function drawPrediction(S, group, prediction, unlabelled) {
  const at = prediction.joints.map((point) => (point ? toScreen(S, point[0], point[1]) : null));
  drawThin(S, group, at, "prediction", unlabelled && "not labelled");
  at.forEach((p, j) => {
    if (p) make("circle", { class: "prediction", "data-joint": S.skeleton.joints[j], cx: p[0].toFixed(2), cy: p[1].toFixed(2), r: 3 }, group);
  });
}

// A page of predictions taken at once, from the shown person on: of people whom nobody has edited
// or decided on, and in the same pictures whoever is predicted and not labelled. One undo takes all
// of it back.

const PAGE = 12;

// Whom a page takes: {item, prediction, fresh}; `fresh`: somebody new in the item's frame.
function pageOf(S) {
  const page = [];
  if (!S.model || !S.can.edit) return page;
  const frames = new Set();
  for (const item of S.list.slice(S.list.indexOf(S.item)).filter((one) => !one.aside || one === S.item)) {
    if (item.blinded || refusedOf(S, item.id).length) continue;
    if (untouched(S, item) && item.prediction?.joints.some(Boolean)) page.push({ item, prediction: item.prediction });
    if (!frames.has(item.frame) && !emptied(S, item)) {
      for (const prediction of item.found ?? []) page.push({ item, prediction, fresh: true });
    }
    frames.add(item.frame);
  }
  return page.slice(0, PAGE);
}

function untouched(S, item) {
  const now = derive(S, item);
  const open = now.status === "pending" || now.status === "skipped";
  return item.instance && !item.lease && now.exists && !now.deleted && open && !now.edited.size && !now.box && !now.masks && !now.rejected_models.includes(S.model);
}

function acceptPage(S) {
  const page = pageOf(S);
  if (!page.length) return flash(S, S.model ? "No predictions of unreviewed people from here on." : NO_MODEL);
  const made = atOnce(S, () => page.map(({ item, prediction, fresh }) => (fresh ? insertNew(S, item, asNew(S, item, prediction), { prediction }) : takeWhole(S, item, prediction))));
  asGroup(S, made, "predictions of");
  if (!made.some(({ item }) => item.id === S.item.id)) setItem(S, made[0].item);
  const added = page.filter(({ fresh }) => fresh).length;
  const many = `${made.length} ${made.length === 1 ? "person" : "people"} accepted as predicted`;
  flash(S, `${many}${added ? `, ${added} of them new` : ""}. z undoes all of it.`, 8000);
}

function takeWhole(S, item, prediction) {
  const patch = jointsPatch(S, takenFrom(item, prediction, [...S.skeleton.joints.keys()], derive(S, item).joints));
  return { item, op: commit(S, item, { kind: "edit", joints: patch.joints }, patch) };
}
