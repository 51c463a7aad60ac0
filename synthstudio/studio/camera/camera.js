// The browser's camera with the joints that the server finds. One picture is on its way at a time;
// the next is sent when the answer is there. All text is set as text.
const states = new WeakMap();
const WIDE = 320;

function make(tag, className, attributes = {}) {
  const node = Object.assign(document.createElement(tag), {className});
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function build(parent) {
  const state = {n: 0, waiting: false, stream: null};
  state.button = Object.assign(make("button", "start", {type: "button"}), {textContent: "Start the camera"});
  state.video = Object.assign(make("video", "", {"aria-label": "what the camera sees", playsinline: ""}), {muted: true});
  state.over = make("canvas", "over", {role: "img", "aria-label": "detected joints; the list names the hidden ones"});
  state.stage = make("div", "stage", {hidden: ""});
  state.stage.append(state.video, state.over);
  state.note = make("p", "note", {role: "status"});
  state.list = make("ul", "hidden");
  state.sheet = make("canvas", "");
  parent.append(state.button, state.note, state.stage, state.list);
  state.button.addEventListener("click", () => (state.stream ? stop(state) : start(state)));
  return state;
}

async function start(state) {
  state.note.textContent = "";
  if (!navigator.mediaDevices?.getUserMedia) {
    state.note.textContent = "This page may use a camera on this machine or over https only.";
    return;
  }
  try {
    state.stream = await navigator.mediaDevices.getUserMedia({video: {width: 640}, audio: false});
  } catch (error) {
    state.note.textContent = `The camera cannot be used (${error.name}).`;
    return;
  }
  state.allowed = performance.now();
  state.first = null;
  state.video.srcObject = state.stream;
  state.stream.getVideoTracks()[0].addEventListener("ended", () => {
    stop(state);
    state.note.textContent = "The camera was disconnected.";
  });
  await state.video.play();
  state.stage.hidden = false;
  state.button.textContent = "Stop the camera";
  state.waiting = false;
  send(state);
}

function stop(state) {
  for (const track of state.stream?.getTracks() ?? []) track.stop();
  state.stream = null;
  state.video.srcObject = null;
  state.stage.hidden = true;
  state.list.replaceChildren();
  state.button.textContent = "Start the camera";
}

function send(state) {
  if (!state.stream || state.waiting || !state.video.videoWidth) return;
  const {videoWidth: wide, videoHeight: high} = state.video;
  state.sheet.width = WIDE;
  state.sheet.height = Math.max(1, Math.round((WIDE * high) / wide));
  state.sheet.getContext("2d").drawImage(state.video, 0, 0, state.sheet.width, state.sheet.height);
  state.n += 1;
  state.waiting = true;
  state.setStateValue("frame", {n: state.n, image: state.sheet.toDataURL("image/jpeg", 0.8)});
}

function answer(state, said) {
  if (!said || said.n !== state.n || !state.waiting) return;
  state.waiting = false;
  if (!state.stream) return;
  draw(state, said);
  if (said.people.length && state.first === null) {
    state.first = performance.now() - state.allowed;
    state.stage.dataset.firstMs = Math.round(state.first);
  }
  state.list.replaceChildren(...said.hidden.slice(0, 40).map((textContent) => Object.assign(make("li", ""), {textContent})));
  requestAnimationFrame(() => send(state));
}

function draw(state, said) {
  const {over, video} = state;
  over.width = video.videoWidth;
  over.height = video.videoHeight;
  const pen = over.getContext("2d");
  const unit = Math.max(1, over.height / 240);
  const at = ([x, y]) => [x * over.width, y * over.height];
  const visible = (joint) => joint[2] === "visible";
  for (const person of said.people) {
    for (const [a, b] of said.edges) {
      const [from, to] = [person.joints[a], person.joints[b]];
      if (from[2] === "truncated" || to[2] === "truncated") continue;
      pen.beginPath();
      pen.setLineDash(visible(from) && visible(to) ? [] : [5 * unit, 4 * unit]);
      pen.moveTo(...at(from));
      pen.lineTo(...at(to));
      pen.lineWidth = 1.5 * unit;
      pen.strokeStyle = said.bone;
      pen.stroke();
    }
    pen.setLineDash([]);
    for (const joint of person.joints) {
      pen.beginPath();
      pen.arc(...at(joint), 3.2 * unit, 0, 2 * Math.PI);
      pen.lineWidth = 1.8 * unit;
      pen.strokeStyle = pen.fillStyle = said.colours[joint[2]];
      if (visible(joint)) pen.fill();
      else pen.stroke();
    }
    name(pen, person, at, unit);
  }
  over.dataset.answers = Number(over.dataset.answers ?? 0) + 1;
  over.dataset.joints = said.people.reduce((sum, person) => sum + person.joints.length, 0);
}

function name(pen, person, at, unit) {
  const top = person.joints.reduce((best, joint) => (joint[1] < best[1] ? joint : best));
  const [x, y] = at(top);
  pen.font = `600 ${12 * unit}px sans-serif`;
  pen.lineWidth = 3 * unit;
  pen.strokeStyle = "#12141a";
  pen.fillStyle = "#ffffff";
  const place = [Math.max(0, x - 24 * unit), Math.max(12 * unit, y - 8 * unit)];
  pen.strokeText(person.name, ...place);
  pen.fillText(person.name, ...place);
}

export default function ({data, parentElement, setStateValue}) {
  const state = states.get(parentElement) ?? build(parentElement);
  states.set(parentElement, state);
  state.setStateValue = setStateValue;
  answer(state, data.answer);
  return () => stop(state);
}
