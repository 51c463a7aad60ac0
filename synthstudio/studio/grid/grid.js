// A grid of people. Everything that comes from data is set as text or as an attribute, never as
// HTML. Called again on every run of the page with the same root; listeners are attached once.
const states = new WeakMap();

function make(tag, className, ...content) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...content);
  return node;
}

function picture(src, alt) {
  if (!src) return make("span", "none", "no clean variant");
  return Object.assign(make("img"), {alt, loading: "lazy", decoding: "async", src});
}

function caption(cell) {
  const dot = make("span", "dot");
  dot.style.setProperty("--mark", cell.colour);
  const status = make("span", "status", dot, make("span", "", cell.status));
  return make("span", "caption",
    make("span", "row", make("span", "name", cell.name), make("span", "value", cell.value)),
    make("span", "row", status, make("span", "name"), make("span", "value", cell.extra)),
    ...cell.notes.map((note) => Object.assign(make("span", "note", note), {title: note})));
}

function card(cell, state) {
  const link = make("a", "card", make("span", "pictures", ...cell.pictures.map((one) => picture(...one))), caption(cell));
  link.href = cell.href;
  link.dataset.id = cell.id;
  const item = make("li", "", link);
  if (state.data.pick) {
    const box = Object.assign(make("input"), {type: "checkbox", checked: state.picked.has(cell.id), ariaLabel: `select ${cell.name}`});
    box.dataset.id = cell.id;
    item.append(make("label", "pick", box));
    item.classList.toggle("picked", box.checked);
  }
  return item;
}

function onKey(event, state) {
  const link = event.target.closest("a.card");
  if (!link || event.ctrlKey || event.metaKey || event.altKey) return;
  const links = [...state.grid.querySelectorAll("a.card")];
  const wide = getComputedStyle(state.grid).gridTemplateColumns.split(" ").length;
  const steps = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: wide, ArrowUp: -wide};
  const at = links.indexOf(link);
  let to = null;
  if (event.key in steps) to = links[at + steps[event.key]];
  else if (event.key === "Home") to = links[0];
  else if (event.key === "End") to = links[links.length - 1];
  else if (event.key === " " && state.data.pick) {
    const box = link.parentElement.querySelector("input");
    box.checked = !box.checked;
    change(box, state);
  } else return;
  event.preventDefault();
  event.stopPropagation();
  if (to) to.focus();
}

function change(box, state) {
  state.picked[box.checked ? "add" : "delete"](box.dataset.id);
  box.closest("li").classList.toggle("picked", box.checked);
  state.setStateValue("picked", [...state.picked]);
}

function attach(state) {
  state.grid.addEventListener("keydown", (event) => onKey(event, state));
  state.grid.addEventListener("change", (event) => change(event.target, state));
  state.grid.addEventListener("click", (event) => {
    const link = event.target.closest("a.card");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    state.setTriggerValue("open", link.dataset.id);
  });
}

export default function ({data, parentElement, setStateValue, setTriggerValue}) {
  let state = states.get(parentElement);
  if (!state) {
    state = {grid: make("ul", "grid"), picked: new Set(), page: null, turn: 0};
    states.set(parentElement, state);
    parentElement.append(state.grid);
    attach(state);
  }
  // While this module loads Streamlit calls for several runs at once, in no certain order.
  if (data.turn < state.turn) return;
  Object.assign(state, {turn: data.turn, data, setStateValue, setTriggerValue});
  if (state.page !== data.page) {
    state.page = data.page;
    state.picked = new Set(data.picked);
  }
  state.grid.setAttribute("aria-label", data.label);
  state.grid.style.setProperty("--cell", `${data.wide}px`);
  const focused = parentElement.activeElement?.dataset?.id;
  state.grid.replaceChildren(...data.cells.map((cell) => card(cell, state)));
  state.grid.dataset.shown = data.cells.length;
  if (focused) [...state.grid.querySelectorAll("a.card")].find((l) => l.dataset.id === focused)?.focus();
}
