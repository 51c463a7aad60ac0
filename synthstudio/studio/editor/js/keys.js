// Every action with its key, and own keys instead; actions.js has what each does. docs/studio_keys.md has the same table.
// A row: [action, key, label, what it does]. Without an action: fixed keys; without a label: no button.

export const LOOKING = ["closer", "farther", "fit", "help", "layer", "peek"]; // actions that end nothing that is being drawn
export const ONCE = ["approve", "reject", "flag", "skip", "delete", "add", "accept found", "accept page", "reject prediction"]; // however long the key is held
export const KEYS = [
  ["Tools", [["select", "", "Select", "Select joints and drag them"], ["place", "Shift+j", "Place", "Place joint after joint, each by a click"],
    ["someone", "Shift+n", "New person", "Draw the box of a new person"], ["box", "Shift+b", "Box", "Draw this person's box"],
    ["mask modal", "Shift+m", "Mask", "Draw the mask of the visible part"], ["mask amodal", "Shift+a", "", "Draw the mask of the whole person"],
    ["mask brush", "", "Brush", "Draw by brush"], ["mask outline", "", "Outline", "Draw by outline"], ["mask segment", "", "Segment", "Draw by segmentation"], ["mask erase", "", "Erase", "Erase instead of adding"],
    ["mask close", "", "Close outline", "Close the outline"], ["mask tool", "Shift+t", "", "mask: brush, outline or segmentation"], ["answer", "Shift+e", "", "mask: erase or add"],
    ["darker", "[", "", "mask: smaller brush; else darker"], ["brighter", "]", "", "mask: larger brush; else brighter"],
    ["", "Shift+wheel", "", "mask: size of the brush"], ["paint", "Shift+o", "Occluder", "Draw an occluder: hide the joints under it"],
    ["by object", "", "Object", "The occluder is an object"], ["by person", "", "Person", "The occluder is a person"],
    ["hides", "Shift+h", "", "occluder: in front of the marked person, or behind"], ["cut", "Shift+c", "Cut masks", "Cut the occluder out of the masks behind it"],
    ["lasso", "Shift+l", "Lasso", "Select the joints inside a line"], ["", "Shift+drag", "", "lasso at once"],
    ["", "arrows · Tab · Enter", "", "while drawing: move a corner, switch corners, save"]]],
  ["State and cause", [["cause visible", "2", "Visible", "Visible"], ["cause self", "s", "Own body", "Hidden by the own body"],
    ["cause person", "p", "Person", "Hidden by another person"], ["cause object", "o", "Object", "Hidden by an object"],
    ["state 1", "1", "Hidden", "Hidden, by the likely cause"], ["cause unknown", "u", "Unknown", "Hidden, cause unknown"],
    ["cause truncated", "t", "Outside", "Outside the picture"], ["state 0", "0", "", "Outside the picture"], ["cause unlabelled", "r", "No label", "No label"]]],
  ["Select", [["", "Tab · Shift+Tab", "", "next, previous joint"], ["", "click", "", "select a joint"], ["", "Esc", "", "deselect; then leave the picture"],
    ["", "Shift+click", "", "add or remove a joint"], ["another", "", "Add by taps", "Taps add joints to the selection, or remove them"],
    ["extend -1", ",", "", "also the previous joint"], ["extend 1", ".", "", "also the next joint"],
    ["choose limb", "Shift+g", "Limb", "Select the limb of the selected joint"], ["choose left", "<", "Left side", "Select the person's left side"],
    ["choose right", ">", "Right side", "Select the person's right side"], ["choose all", "Ctrl+a", "All joints", "Select all joints"],
    ["whole", "g", "", "Select the skeleton as a whole"]]],
  ["Move", [["", "drag", "", "a joint, or all by the handle"], ["", "arrows", "", "1 px; Shift 10 px; Alt 0.1 px"], ["", "Alt+click", "", "put the selected joint here"],
    ["turn -1", "(", "", "Turn the person left; or drag the lower handle"], ["turn 1", ")", "", "Turn the person right"], ["size -1", "/", "", "Shrink the person"],
    ["size 1", "*", "", "Enlarge the person"], ["", "Shift+wheel · Alt+wheel", "", "turn, scale the skeleton that is selected as a whole"],
    ["mirror", "m", "Mirror pose", "Mirror the pose"], ["swap", "w", "Swap sides", "Swap left and right"],
    ["swap pair", "Shift+w", "Swap pair", "Swap the selected joint and its mirror joint"]]],
  ["Person", [["add", "i", "Add standing", "Add a standing person"], ["delete", "Delete", "Delete", "Delete this person, or restore it"], ["undo", "z", "Undo", "Undo"],
    ["redo", "Shift+z", "Redo", "Redo"], ["history", "y", "History", "Show the history of this person"]]],
  ["Decide", [["approve", "a", "Approve", "Approve, or mark as empty, and continue"], ["reject", "x", "Reject", "Reject with a reason"],
    ["flag", "q", "Flag", "Flag with a reason"], ["skip", "j", "Skip", "Skip"], ["next", "n", "›", "Next"], ["back", "b", "‹", "Back"]]],
  ["Comments", [["comment", "e", "Comment", "Comment"], ["answer", "Shift+e", "", "Answer the newest open thread"],
    ["settle", "Alt+e", "", "Resolve it, or reopen the newest"]]],
  ["Predictions", [["accept joint", "Enter", "Joint", "Accept the prediction of the selected joint"],
    ["accept limb", "Shift+Enter", "Limb", "Accept the prediction of the joint's limb"], ["accept person", "Ctrl+Enter", "Person", "Accept the prediction of the person"],
    ["accept found", "Shift+i", "Add", "Add a predicted person without labels"], ["accept page", "Shift+p", "Page", "Accept a page: the next untouched people"],
    ["reject prediction", "Shift+x", "Wrong", "Reject the prediction of this person"]]],
  ["Clips", [["clip back", "Shift+q", "‹ Frame", "The same person in the frame before"], ["clip next", "Shift+r", "Frame ›", "The same person in the frame after"],
    ["copy back", "Shift+v", "Copy before", "Copy the labels of the frame before"], ["copy next", "Shift+s", "Copy after", "Copy the labels of the frame after"],
    ["clip key", "Shift+k", "Key frame", "Set or remove a key frame"], ["clip fill", "Shift+u", "Fill in…", "Fill in between key frames"],
    ["clip split", "Shift+d", "Split here", "Split the track: another person from here on"], ["clip join", "&", "Join…", "Join with another track"],
    ["clip rename", "#", "Rename…", "Give the track another number"], ["clip log", "Shift+y", "Log", "Show the changes of the track"]]],
  ["Refused edits", [["keep stored", "Alt+t", "Keep theirs", "Drop my edit and keep what is stored"],
    ["try again", "Alt+r", "Apply mine", "Apply my edit again to what is stored now"]]],
  ["View", [["layer boxes", "3", "Boxes", "Show boxes"], ["layer modal", "4", "Visible mask", "Show the visible mask"],
    ["layer amodal", "5", "Amodal mask", "Show the amodal mask"], ["layer others", "6", "Other people", "Show other people"],
    ["layer names", "7", "Joint name", "Show the joint's name"], ["layer predictions", "8", "Prediction", "Show the prediction"],
    ["peek hide", "h", "No labels", "Hold: without labels"], ["peek clean", "c", "No occluders", "Hold: without occluders"],
    ["peek amodal", "v", "Whole person", "Hold: amodal mask"], ["peek 3d", "k", "3D skeleton", "Hold: 3D skeleton"], ["peek depth", "d", "Depth", "Hold: depth"],
    ["fit person", "f", "Fit person", "Fit the person"], ["fit frame", "Shift+f", "Fit picture", "Fit the whole picture"], ["closer", "+", "+", "Zoom in"],
    ["farther", "-", "−", "Zoom out"], ["", "wheel", "", "zoom; by touch: two fingers"], ["", "drag · Space · arrows", "", "pan; arrows where no joint is selected"],
    ["loupe", "l", "Magnifier", "Magnifier"], ["darker", "[", "Darker", "Darker"], ["brighter", "]", "Brighter", "Brighter"],
    ["flatter", "{", "Less contrast", "Less contrast"], ["sharper", "}", "More contrast", "More contrast"], ["light", "\\", "Original light", "Original light"],
    ["help", "?", "Keys", "Keys"]]],
];
export const FIRST = ["cause visible", "cause self", "cause person", "cause object", "someone", "place", "undo", "approve", "reject", "next"];
const ROWS = KEYS.flatMap(([group, rows]) => rows.map(([action, key, label, what]) => ({ group, action, key, label, what })));
const ALSO = { "=": "closer", PageDown: "next", PageUp: "back", "Ctrl+z": "undo", "Ctrl+Shift+z": "redo", "Ctrl+y": "redo" };
const FIXED = /(^|\+)(Enter|Tab|Escape|Arrow\w+| )$/; // what forms and buttons need
const NAMED = /^(Ctrl\+)?(Alt\+)?(Shift\+)?([^\s\p{Lu}]|F\d{1,2}|Delete|Insert|Home|End|PageUp|PageDown|Backspace)$/u;

// The row of an action: the one that has a button, where there are several.
export function rowOf(action) {
  return ROWS.find((row) => row.action === action && row.label) ?? ROWS.find((row) => row.action === action);
}

export function actionsOf(group) {
  return [...new Set(ROWS.filter((row) => row.group === group && row.label).map(({ action }) => action))];
}

export function keyName({ key, ctrlKey, metaKey, altKey, shiftKey }) {
  const lower = key.length === 1 ? key.toLowerCase() : key;
  const shifted = key.length === 1 ? lower !== key : shiftKey;
  return `${ctrlKey || metaKey ? "Ctrl+" : ""}${altKey ? "Alt+" : ""}${shifted ? "Shift+" : ""}${lower}`;
}

export const keyOf = (S, action) => S.ownKeys[action] ?? rowOf(action)?.key ?? "";

export function actionOf(S, name) {
  const own = Object.keys(S.ownKeys).find((action) => S.ownKeys[action] === name);
  return own ?? ROWS.find(({ action, key }) => action && key === name && !(action in S.ownKeys))?.action ?? ALSO[name] ?? null;
}

const storageName = (S) => `synthstudio.keys.${S.user}`;

export function loadKeys(S) {
  const found = readKeys(localStorage.getItem(storageName(S)) ?? "{}");
  if (found.wrong) console.warn(found.wrong);
  S.ownKeys = found.own ?? {};
}

export function saveKeys(S, own) {
  S.ownKeys = Object.fromEntries(Object.entries(own).filter(([action, key]) => key !== rowOf(action).key));
  localStorage.setItem(storageName(S), JSON.stringify(S.ownKeys));
}

// Bind a key to an action; an action that had it gets the old one. Returns the error, or "".
export function setKey(S, action, key) {
  const was = keyOf(S, action);
  const other = ROWS.find((row) => row.action && row.action !== action && keyOf(S, row.action) === key)?.action;
  const { own, wrong } = readKeys(JSON.stringify({ ...S.ownKeys, [action]: key, ...(other ? { [other]: was } : {}) }));
  if (own) saveKeys(S, own);
  return wrong ?? "";
}

export function keysFile(S) {
  const rows = ROWS.filter(({ action, key }) => action && key && !FIXED.test(key));
  return JSON.stringify(Object.fromEntries(rows.map(({ action }) => [action, keyOf(S, action)])), null, 1);
}

// {own} of a file, or {wrong}: why it cannot be used.
export function readKeys(text) {
  const bad = (what, expected, got) => ({ wrong: `${what} (expected ${expected}, got ${String(JSON.stringify(got)).slice(0, 60)}). Nothing was changed: correct the file, or save one here to start from.` });
  let own;
  try {
    own = JSON.parse(text);
  } catch {
    return bad("shortcuts: not JSON", '{"approve": "g"}', text);
  }
  if (typeof own !== "object" || own === null || Array.isArray(own)) return bad("shortcuts: not an object", '{"approve": "g"}', own);
  for (const [action, key] of Object.entries(own)) {
    const row = rowOf(action);
    if (!row?.key || FIXED.test(row.key)) return bad(`shortcuts: unknown action "${action.slice(0, 40)}"`, "a name of a saved file", action);
    if (typeof key !== "string" || !NAMED.test(key)) return bad(`shortcuts: ${action}: invalid key`, '"g", "Shift+g", "Alt+1" or "F2"', key);
  }
  const used = new Map();
  for (const action of new Set(ROWS.filter((row) => row.action && row.key).map((row) => row.action))) {
    const key = own[action] ?? rowOf(action).key;
    if (used.has(key)) return bad(`shortcuts: ${used.get(key)} and ${action} have the same key`, "a key of its own", key);
    used.set(key, action);
  }
  return { own };
}
