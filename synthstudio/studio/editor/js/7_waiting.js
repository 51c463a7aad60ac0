// Keys and buttons that wait: for the picture, or for somebody who is fetched.

// All others wait for the picture: nobody edits what is not seen, and no key press is lost.
const FREE = new Set(["help", "light", "darker", "brighter", "flatter", "sharper", "closer", "farther", "leave"]);

// Somebody else was gone to, and has not come from the server yet.
function fetching(S) {
  return Boolean(S.going) || S.wanted !== null;
}

// What a button does that does what a key does: who was left is changed by neither. The button Back
// waits no longer, and what waited is not done.
function press(S, action) {
  if (fetching(S) && action !== "back") {
    runKey(S, action);
    return;
  }
  const waited = fetching(S);
  act(S, action);
  if (waited && !fetching(S)) dropKeys(S, "You went back");
}

function runKey(S, action) {
  if (!S.item) return;
  if (FREE.has(action) || (!fetching(S) && (S.ready || S.broken))) act(S, action);
  else if (S.keys.length < 200) S.keys.push(action);
}

function drainKeys(S) {
  S.draining = true;
  try {
    while (S.keys.length && S.ready && !fetching(S)) act(S, S.keys.shift());
  } finally {
    S.draining = false;
  }
}

// Keys wait for the picture of one person. Whoever comes instead, by a button or from the server,
// was not meant; but keys after one that turns to somebody are for whom it turns to.
function leaveKeys(S) {
  if (!S.draining) dropKeys(S, "The picture had not come yet");
}

// Whether any waited.
function dropKeys(S, why) {
  const any = S.keys.length > 0;
  if (any) flash(S, `${why}, so what you pressed before was not done.`, 8000);
  S.keys = [];
  return any;
}
