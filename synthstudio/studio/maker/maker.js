// A skeleton drawn on an empty figure or over a photo, which never leaves the browser.
// `data`: start (which one was chosen), definition, coco (joint -> sigma), usual, message.
// What is kept is the definition as core/own_skeletons.py reads it; all text is set as text.
const states = new WeakMap();
const SVG = "http://www.w3.org/2000/svg";
const MODES = [["add", "Add joints"], ["limb", "Limbs"], ["pair", "Pairs"], ["move", "Move"]];
const HINTS = {
  add: "Click the figure to add a joint.",
  limb: "Drag from one joint to another, or choose two: adds the limb, or removes it.",
  pair: "Choose the left joint, then the right one: mirroring swaps them.",
  move: "Drag a joint. By keys: Tab to a joint, then arrows (Shift: further), Enter chooses it.",
};

function put(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function make(parent, tag, className, text, attributes = {}) {
  const node = drawn(parent, tag, attributes, document.createElement(tag));
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

function drawn(parent, tag, attributes, node = document.createElementNS(SVG, tag)) {
  parent.append(put(node, attributes));
  return node;
}

function button(parent, text, act, className) {
  const node = make(parent, "button", className, text, {type: "button"});
  node.addEventListener("click", act);
  return node;
}

// Every field is there, every joint has a place: those without one stand on a ring.
function whole(found) {
  const joints = found.joints ?? [];
  const figure = {...found.figure};
  joints.forEach((name, j) => {
    const turn = (2 * Math.PI * j) / Math.max(joints.length, 1);
    figure[name] ??= [0.5 + 0.38 * Math.sin(turn), 0.5 - 0.38 * Math.cos(turn)];
  });
  return {name: "", limbs: [], pairs: [], sigmas: {}, same_as: {}, places: {}, sigma_source: "",
    category: "", ...structuredClone(found), joints: [...joints], figure};
}

function build(parent) {
  const S = {mode: "add", chosen: "", undo: [], drag: null, opened: "", now: whole({})};
  S.clean = JSON.stringify(S.now);
  const root = make(parent, "div", "mk");
  const left = make(root, "div", "left");
  S.modes = make(left, "div", "row", "", {role: "group", "aria-label": "What a click in the figure does"});
  for (const [mode, text] of MODES) button(S.modes, text, () => setMode(S, mode)).dataset.mode = mode;
  S.back = button(S.modes, "Undo", () => undo(S));
  S.hint = make(left, "p", "hint");
  S.svg = drawn(left, "svg", {viewBox: "0 0 1 1", class: "figure", role: "group", "aria-label": "The figure; the table beside it has the same data"});
  const label = make(make(left, "div", "row"), "label", "", "A photo behind it (it stays in this browser)");
  const photo = make(label, "input", "", "", {type: "file", accept: "image/*"});
  photo.addEventListener("change", () => {
    if (S.photo) URL.revokeObjectURL(S.photo);
    S.photo = photo.files[0] ? URL.createObjectURL(photo.files[0]) : null;
    show(S);
  });
  S.right = make(root, "div", "right");
  S.note = make(S.right, "p", "note", "", {role: "status"});
  S.form = make(S.right, "div");
  const heard = {pointerdown: down, pointermove: move, pointerup: up, pointercancel: cancel, keydown: key};
  for (const [name, act] of Object.entries(heard)) S.svg.addEventListener(name, (event) => act(S, event));
  return S;
}

function setMode(S, mode) {
  Object.assign(S, {mode, chosen: ""});
  show(S);
}

// What was drawn, to go back to; `more`: whose file it was, where another is begun with.
function keep(S, more = {}) {
  S.undo = [...S.undo, {now: structuredClone(S.now), ...more}].slice(-100);
  S.back.disabled = false;
}

function undo(S) {
  Object.assign(S, S.undo.pop(), {chosen: ""});
  show(S);
}

function change(S, act) {
  set(S, act);
  show(S);
}

// A value of a field: the form is not drawn anew, for the focus is on its way to another field.
function set(S, act) {
  keep(S);
  act(S.now);
}

function at(S, event) {
  const box = S.svg.getBoundingClientRect();
  const share = (value) => Math.min(Math.max(value, 0), 1);
  return [share((event.clientX - box.left) / box.width), share((event.clientY - box.top) / box.height)];
}

function jointAt(S, [x, y]) {
  const away = (name) => Math.hypot(S.now.figure[name][0] - x, S.now.figure[name][1] - y);
  const near = S.now.joints.filter((name) => away(name) < 0.045);
  return near.sort((a, b) => away(a) - away(b))[0] ?? "";
}

function down(S, event) {
  if (event.button) return;
  const place = at(S, event);
  const joint = jointAt(S, place);
  if (S.mode === "add" && !joint) return addJoint(S, place);
  if (!joint) return;
  event.preventDefault();
  S.svg.setPointerCapture(event.pointerId);
  S.drag = {joint, before: structuredClone(S.now), moved: false};
}

function move(S, event) {
  if (!S.drag || S.mode === "limb" || S.mode === "pair") return;
  S.drag.moved = true;
  S.now.figure[S.drag.joint] = at(S, event);
  drawFigure(S);
}

function up(S, event) {
  const drag = S.drag;
  S.drag = null;
  if (!drag) return;
  if (drag.moved) {
    S.undo.push({now: drag.before});
    return show(S);
  }
  const other = jointAt(S, at(S, event));
  if (S.mode === "limb" && other && other !== drag.joint) return join(S, "limbs", drag.joint, other);
  choose(S, drag.joint);
}

function cancel(S) {
  if (S.drag?.moved) S.now = S.drag.before;
  S.drag = null;
  show(S);
}

function choose(S, joint) {
  const first = S.chosen;
  if (first && first !== joint && (S.mode === "limb" || S.mode === "pair")) return join(S, `${S.mode}s`, first, joint);
  S.chosen = first === joint ? "" : joint;
  show(S);
}

// A limb or a pair between two joints; none where there was one.
function join(S, field, a, b) {
  S.chosen = "";
  change(S, (now) => {
    const same = (one) => one.includes(a) && one.includes(b);
    const had = now[field].some(same);
    const others = now[field].filter((one) =>
      field === "pairs" ? !one.includes(a) && !one.includes(b) : !same(one));
    now[field] = had ? others : [...others, [a, b]];
  });
}

function key(S, event) {
  const joint = event.target.dataset?.joint;
  if (!joint) return;
  const step = event.shiftKey ? 0.05 : 0.01;
  const by = {ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step]}[event.key];
  if (!by && event.key !== "Enter" && event.key !== " " && event.key !== "Delete") return;
  event.preventDefault();
  if (event.key === "Delete") removeJoint(S, joint);
  else if (!by) choose(S, joint);
  else change(S, (now) => {
    now.figure[joint] = now.figure[joint].map((v, k) => Math.min(Math.max(v + by[k], 0), 1));
  });
  S.svg.querySelector(`g[data-joint="${CSS.escape(joint)}"]`)?.focus();
}

function addJoint(S, place) {
  let n = S.now.joints.length + 1;
  while (S.now.joints.includes(`joint_${n}`)) n += 1;
  const name = `joint_${n}`;
  change(S, (now) => {
    now.joints.push(name);
    now.sigma_source = "";
    now.figure[name] = place;
  });
}

// `other`: another name of a joint, null to remove it.
function renameAll(S, other) {
  S.chosen = "";
  change(S, (now) => {
    now.joints = now.joints.map(other).filter(Boolean);
    now.sigma_source = "";
    for (const field of ["limbs", "pairs"]) {
      now[field] = now[field].map((one) => one.map(other)).filter((one) => one.every(Boolean));
    }
    for (const field of ["sigmas", "same_as", "places", "figure"]) {
      const named = Object.entries(now[field]).map(([one, v]) => [other(one), v]);
      now[field] = Object.fromEntries(named.filter(([one]) => one));
    }
  });
}

const removeJoint = (S, name) => renameAll(S, (one) => (one === name ? null : one));

function rename(S, old, name) {
  if (name === old) return;
  if (!name || S.now.joints.includes(name)) {
    show(S);
    return say(S, {good: false, text: name ? `There is a joint ${name} already.` : "A joint needs a name."});
  }
  return renameAll(S, (one) => (one === old ? name : one));
}

function say(S, message) {
  S.note.className = message ? `note ${message.good ? "good" : "bad"}` : "note";
  S.note.textContent = message?.text ?? "";
}

function show(S) {
  say(S, null);
  for (const one of S.modes.querySelectorAll("[data-mode]")) put(one, {"aria-pressed": one.dataset.mode === S.mode});
  S.back.disabled = !S.undo.length;
  S.hint.textContent = HINTS[S.mode];
  drawFigure(S);
  drawForm(S);
}

function drawFigure(S) {
  const {joints, figure, limbs, pairs} = S.now;
  S.svg.replaceChildren();
  if (S.photo) drawn(S.svg, "image", {href: S.photo, x: 0, y: 0, width: 1, height: 1});
  for (const [kind, list] of [["limb", limbs], ["pair", pairs]]) {
    for (const [a, b] of list) {
      const [[x1, y1], [x2, y2]] = [figure[a], figure[b]];
      drawn(S.svg, "line", {class: kind, x1, y1, x2, y2});
    }
  }
  for (const name of joints) {
    const [cx, cy] = figure[name];
    const side = pairs.some((one) => one[0] === name) ? "left" : pairs.some((one) => one[1] === name) ? "right" : "middle";
    const group = drawn(S.svg, "g", {tabindex: 0, role: "button", "aria-label": `${name}, ${side}`, "aria-pressed": name === S.chosen});
    group.dataset.joint = name;
    drawn(group, "circle", {class: `${side} ${name === S.chosen ? "chosen" : ""}`, cx, cy, r: 0.018});
    // Names stand outside, but below joints near the side's edge, and higher at the top.
    const [before, edge] = [cx < 0.5 ? -1 : 1, Math.abs(cx - 0.5) > 0.28];
    const place = edge ? {x: cx, y: cy + 0.055} : {x: cx + before * 0.024, y: cy + (cy < 0.1 ? -0.02 : 0.01)};
    drawn(group, "text", {...place, "text-anchor": edge ? "middle" : before < 0 ? "end" : "start"}).textContent = name;
  }
}

function drawForm(S) {
  const focus = S.form.getRootNode().activeElement?.dataset?.field;
  S.form.replaceChildren();
  const head = make(S.form, "div", "row");
  for (const [field, text, longest] of [["name", "Name", 40], ["category", "Category in COCO files", 80]]) {
    const label = make(head, "label", "", text);
    const input = field_(make(label, "input", "", "", {maxlength: longest}), field, S.now[field]);
    input.addEventListener("change", () => set(S, (now) => (now[field] = input.value.trim())));
  }
  button(head, "Save", () => save(S), "save");
  if (S.now.joints.length) drawJoints(S);
  const row = make(S.form, "div", "row");
  button(row, "Add a joint", () => addJoint(S, [0.5, 0.5])).dataset.field = "add";
  if (S.now.joints.length > 1) {
    drawTwo(S, "limb", "Limb from", "to");
    drawTwo(S, "pair", "Left joint", "right joint");
  }
  if (focus) S.form.querySelector(`[data-field="${CSS.escape(focus)}"]`)?.focus();
}

function field_(node, name, value) {
  node.dataset.field = name;
  node.value = value ?? "";
  return node;
}

function drawJoints(S) {
  const table = make(S.form, "table");
  const names = make(table, "tr");
  for (const text of ["Joint", "Sigma", "Same as COCO's", ""]) make(names, "th", "", text).scope = "col";
  S.now.joints.forEach((joint, j) => {
    const row = make(table, "tr");
    const named = {maxlength: 40, "aria-label": `Name of joint ${j + 1}`};
    const name = field_(make(make(row, "td"), "input", "name", "", named), `name ${j}`, joint);
    name.addEventListener("change", () => setTimeout(() => rename(S, joint, name.value.trim())));
    const placeholder = S.coco[S.now.same_as[joint]] ?? S.usual;
    const range = {type: "number", min: 0.001, max: 1, step: 0.001, placeholder, "aria-label": `Sigma of ${joint}; by default ${placeholder}`};
    const sigma = field_(make(make(row, "td"), "input", "sigma", "", range), `sigma ${j}`, S.now.sigmas[joint]);
    sigma.addEventListener("change", () => set(S, (now) => {
      now.sigma_source = "";  // it was that of other sigmas
      if (sigma.value === "") delete now.sigmas[joint];
      else now.sigmas[joint] = Number(sigma.value);
    }));
    const same = make(make(row, "td"), "select", "", "", {"aria-label": `Joint of COCO that ${joint} is the same as`});
    for (const one of ["", ...Object.keys(S.coco)]) make(same, "option", "", one || "none of them").value = one;
    field_(same, `same ${j}`, S.now.same_as[joint]);
    same.addEventListener("change", () => set(S, (now) => {
      now.sigma_source = "";
      if (same.value) now.same_as[joint] = same.value;
      else delete now.same_as[joint];
      sigma.placeholder = String(S.coco[same.value] ?? S.usual);
    }));
    put(button(make(row, "td"), "Remove", () => removeJoint(S, joint)), {"aria-label": `Remove ${joint}`});
  });
  make(S.form, "p", "hint", `Sigma: how far people who click this joint differ, as a share of the `
    + `person's size. Empty: COCO's where the joint is one of COCO's, else ${S.usual}, the median of COCO's 17.`);
}

function drawTwo(S, mode, from, to) {
  const field = `${mode}s`;
  const row = make(S.form, "div", "row");
  const ends = [from, to].map((text, k) => {
    const choice = make(make(row, "label", "", text), "select");
    for (const joint of S.now.joints) make(choice, "option", "", joint).value = joint;
    return field_(choice, `${field} ${k}`, S.now.joints[k]);
  });
  button(row, `Add ${mode}`, () => {
    const [a, b] = ends.map((end) => end.value);
    if (a === b) return say(S, {good: false, text: "Choose two different joints."});
    if (S.now[field].some((one) => one.includes(a) && one.includes(b))) return show(S);
    return join(S, field, a, b);
  }).dataset.field = `add ${field}`;
  const list = make(S.form, "ul");
  for (const [a, b] of S.now[field]) {
    const text = field === "pairs" ? `${a} | ${b}` : `${a} – ${b}`;
    button(make(list, "li"), `${text} ✕`, () => change(S, (now) => {
      now[field] = now[field].filter((one) => !(one.includes(a) && one.includes(b)));
    })).setAttribute("aria-label", `Remove the ${mode} of ${a} and ${b}`);
  }
}

function save(S) {
  const after = S.sent ? S.n : null; // not answered yet: it wrote what this one replaces
  Object.assign(S, {n: Date.now(), sent: JSON.stringify(S.now)});
  S.setStateValue("saved", {n: S.n, after, definition: S.sent, opened: S.opened});
}

export default function ({data, parentElement, setStateValue}) {
  let S = states.get(parentElement);
  if (!S) states.set(parentElement, (S = build(parentElement)));
  Object.assign(S, {setStateValue, coco: data.coco, usual: data.usual});
  const {opened: saved, n} = data.message ?? {};
  if (saved && S.sent) S.opened = saved;
  if (S.sent && n === S.n) Object.assign(S, {clean: saved ? S.sent : S.clean, sent: null});
  const unsaved = JSON.stringify(S.now) !== S.clean;
  if (S.start !== data.start && !(saved && unsaved)) begin(S, data, unsaved);
  S.start = data.start;
  if (data.message) say(S, data.message);
}

// What was drawn and not saved is not lost by beginning with another skeleton.
function begin(S, {definition, opened}, unsaved) {
  if (unsaved) keep(S, {opened: S.opened, clean: S.clean});
  else S.undo = [];
  const now = whole(definition);
  Object.assign(S, {opened, now, clean: JSON.stringify(now), chosen: "", mode: now.joints.length ? "move" : "add"});
  show(S);
  if (unsaved) say(S, {good: true, text: "Your earlier drawing is not saved. Undo restores it."});
}
