// The rail of tools, what the running tool can be told, and which buttons are pressed or off.

import { press } from "./actions.js";
import { clipOff, clipOn } from "./clips.js";
import { el, make } from "./canvas.js";
import { rowOf } from "./keys.js";
import { derive } from "./labels.js";
import { NEXT_TOOL, fillMasks, slideBrush } from "./mask_tool.js";
import { button, doer, part } from "./panel.js";
import { maskToCut, present, targets } from "./strokes.js";
import { stackOf } from "./undo.js";

const ICONS = {
  select: "M5 3L15 9.500L10.500 10.800L13 15.500L11 16.500L8.600 11.800L5 15Z",
  place: "M10 2V7M10 13V18M2 10H7M13 10H18M10 9V11M9 10H11",
  someone: "M7 9A3.200 3.200 0 1 0 7 2.600A3.200 3.200 0 0 0 7 9ZM1.500 17.500C1.500 9.500 12.500 9.500 12.500 17.500M15.500 5V11M12.500 8H18.500",
  box: "M3 4H17V16H3Z",
  "mask modal": "M4 12C1 8 5 3 10 3S18 7 17 10S13 11.500 12 13.500S9 17.500 7 16S5 14 4 12ZM7 8L12 6M7 11L11 9",
  paint: "M7 10V6.500A3 3 0 0 1 13 6.500V10M3 10H17V17H3ZM6 17L9 10M11 17L14 10",
  lasso: "M6 12.500C1 11 2 3 10 3S19 11 12 12.700C9 13.300 6 12.700 6 14.500S9 16 8 18",
};
const FRAME_WIDE = /^(someone|box|add|approve|accept found|accept page)$/; // what needs nobody in the frame
const FREE_GROUPS = ["Select", "View"];
const FREE = /^(select|next|back|history|take theirs|try again)$/;

export function buildRail(S, rail) {
  rail.setAttribute("role", "toolbar");
  for (const [action, d] of Object.entries(ICONS)) {
    const svg = make("svg", { viewBox: "0 0 20 20", width: 20, height: 20, "aria-hidden": "true" });
    make("path", { d }, svg);
    doer(S, rail, action).prepend(svg);
  }
}

// Which button of the rail is that of what is being done.
function toolOf(S) {
  if (S.boxing) return S.boxing.fresh ? "someone" : "box";
  if (S.masking) return "mask modal";
  if (S.stroke) return S.stroke.tool === "lasso" ? "lasso" : "paint";
  return S.placing ? "place" : "select";
}

// What masks and occluders can be told while they are drawn.
export function buildOptions(S, side) {
  const { ui } = S;
  ui.maskOptions = el("div", "options", null, side);
  const kinds = part(ui.maskOptions, "div", "row", "Which mask");
  ui.which = Object.entries({ modal: ["Visible part", "The mask of the visible part"], amodal: ["Whole body", "The mask of the whole person"] })
    .map(([which, [text, title]]) => ({ which, node: button(S, kinds, text, title, () => S.masking.which !== which && press(S, `mask ${which}`)) }));
  const ways = part(ui.maskOptions, "div", "row", "How it is drawn");
  for (const action of ["mask brush", "mask outline", "mask segment", "mask erase"]) doer(S, ways, action);
  const size = part(ui.maskOptions, "div", "row", "Brush");
  const label = el("label", "size", null, size);
  ui.maskSize = el("span", "", "", label);
  ui.brush = el("input", "", null, label);
  Object.assign(ui.brush, { type: "range", min: "0", max: "100", step: "1" });
  ui.brush.addEventListener("input", () => slideBrush(S));
  ui.maskClose = doer(S, size, "mask close");
  button(S, size, "Done", "End drawing masks (Esc)", () => press(S, "select"));
  ui.occluderOptions = el("div", "options", null, side);
  const by = part(ui.occluderOptions, "div", "row", "What is drawn");
  for (const action of ["by object", "by person", "cut"]) doer(S, by, action);
  ui.hides = part(ui.occluderOptions, "div", "row hides", "Whom the occluder hides");
}

// The people that an occluder may hide, each with a button.
function fillHides(S) {
  const { hides } = S.ui;
  const people = present(S);
  const names = people.map((item) => `Person ${item.instance}${derive(S, item).status === "approved" ? " (approved)" : ""}`);
  const look = people.map((item, k) => `${item.id} ${names[k]}`).join();
  if (hides.dataset.look !== look) {
    hides.dataset.look = look;
    hides.replaceChildren(el("span", "", "It hides"));
    people.forEach(({ id }, k) => {
      button(S, hides, names[k], `It hides ${names[k].replace("P", "p")}`, () => press(S, `hides ${id}`)).dataset.person = id;
    });
  }
  for (const node of hides.querySelectorAll("button")) {
    node.setAttribute("aria-pressed", String(!S.stroke.front.has(node.dataset.person)));
    node.classList.toggle("marked", S.stroke.mark === node.dataset.person);
  }
}

// Whether a button is pressed; undefined for one that is none to press in.
function isOn(S, action) {
  const [verb, what] = action.split(" ");
  const { masking, stroke } = S;
  if (action in ICONS) return toolOf(S) === action;
  if (verb === "cause") {
    const causes = new Set(targets(S).map((j) => S.now.joints[j].cause));
    return causes.size === 1 && causes.has(what);
  }
  if (verb === "clip") return clipOn(S, action);
  if (verb === "layer") return S.layers[what];
  if (verb === "peek") return S.peeking?.kind === what;
  if (verb === "mask" && what in NEXT_TOOL) return masking?.tool === what;
  if (verb === "by") return stroke?.tool === what;
  return {
    "mask erase": Boolean(masking?.erase),
    cut: Boolean(S.cut) && S.can.masks, another: Boolean(S.another), loupe: S.loupe, light: S.light.b !== 1 || S.light.c !== 1,
    history: S.past?.id === S.item.id,
  }[action];
}

// Whether a button can do nothing: why is said beside the joints, or is plain from where it stands.
function isOff(S, action) {
  const [verb] = action.split(" ");
  const { item } = S;
  if (FREE_GROUPS.includes(rowOf(action).group) || FREE.test(action)) return false;
  if (action === "undo" || action === "redo") return !stackOf(S, item.id)[action].length;
  if (verb === "clip" || verb === "copy") return clipOff(S, action);
  if (!S.can.edit || item.blinded) return true;
  if (action === "mask close") return !(S.masking?.points.length > 2);
  if (action === "cut") return !S.can.masks || !(S.stroke && present(S).some((one) => maskToCut(S, one)));
  if (verb === "mask" && !S.can.masks) return true;
  if (action === "delete" && !item.instance) return S.now.status !== "nobody";
  return !item.instance && !FRAME_WIDE.test(action);
}

export function fillTools(S) {
  const { ui, masking, stroke } = S;
  for (const node of S.root.querySelectorAll("[data-action]")) {
    const on = isOn(S, node.dataset.action);
    if (on !== undefined) node.setAttribute("aria-pressed", String(on));
    node.disabled = isOff(S, node.dataset.action);
  }
  for (const { which, node } of ui.which) node.setAttribute("aria-pressed", String(masking?.which === which));
  ui.maskOptions.hidden = !masking;
  fillMasks(S);
  ui.occluderOptions.hidden = !stroke || stroke.tool === "lasso";
  if (!ui.occluderOptions.hidden) fillHides(S);
}
