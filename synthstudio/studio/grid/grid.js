// A grid of people. Everything that comes from data is set as text or as an attribute, never as
// HTML. Called again on every run of the page with the same root; listeners are attached once.
const states = new WeakMap();

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function picture(source, alt) {
  if (!source) return make("span", "none", "no clean variant");
  const image = make("img");
  image.alt = alt;
  image.loading = "lazy";
  image.decoding = "async";
  image.src = source;
  return image;
}

function caption(cell) {
  const box = make("span", "caption");
  box.style.display = "block";
  const first = make("span", "row");
  first.append(make("span", "name", cell.name), make("span", "value", cell.value));
  const second = make("span", "row");
  const status = make("span", "status");
  const dot = make("span", "dot");
  dot.style.setProperty("--mark", cell.colour);
  status.append(dot, make("span", "", cell.status));
  second.append(status, make("span", "name", ""), make("span", "value", cell.extra));
  box.append(first, second);
  for (const note of cell.notes) {
    const line = make("span", "note", note);
    line.title = note;
    box.append(line);
  }
  return box;
}

function card(cell, state) {
  const item = make("li");
  item.dataset.id = cell.id;
  const link = make("a", "card");
  link.href = cell.href;
  link.dataset.id = cell.id;
  const pictures = make("span", "pictures");
  for (const [source, alt] of cell.pictures) pictures.append(picture(source, alt));
  link.append(pictures, caption(cell));
  item.append(link);
  if (state.data.pick) {
    const label = make("label", "pick");
    const box = make("input");
    box.type = "checkbox";
    box.dataset.id = cell.id;
    box.checked = state.picked.has(cell.id);
    box.setAttribute("aria-label", `select ${cell.name}`);
    label.append(box);
    item.append(label);
    item.classList.toggle("picked", box.checked);
  }
  return item;
}

function columnsOf(grid) {
  return getComputedStyle(grid).gridTemplateColumns.split(" ").length;
}

function onKey(event, state) {
  const link = event.target.closest("a.card");
  if (!link || event.ctrlKey || event.metaKey || event.altKey) return;
  const links = [...state.grid.querySelectorAll("a.card")];
  const wide = columnsOf(state.grid);
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
  if (focused) {
    [...state.grid.querySelectorAll("a.card")].find((l) => l.dataset.id === focused)?.focus();
  }
}
