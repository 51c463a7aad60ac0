// A page of predictions taken at once, from the shown person on: of people whom nobody has edited
// or decided on, and in the same pictures whoever is predicted and not labelled. One undo takes all
// of it back.

const PAGE = 12;

// Whom a page takes: {item, ghost, fresh}; `fresh`: somebody new in the item's frame.
function pageOf(S) {
  const page = [];
  if (!S.model || !S.can.edit) return page;
  const frames = new Set();
  for (const item of S.list.slice(S.list.indexOf(S.item)).filter((one) => !one.aside || one === S.item)) {
    if (item.veiled || refusedOf(S, item.id).length) continue;
    if (untouched(S, item) && item.ghost?.joints.some(Boolean)) page.push({ item, ghost: item.ghost });
    if (!frames.has(item.frame) && !emptied(S, item)) {
      for (const ghost of item.found ?? []) page.push({ item, ghost, fresh: true });
    }
    frames.add(item.frame);
  }
  return page.slice(0, PAGE);
}

function untouched(S, item) {
  const now = derive(S, item);
  const open = now.status === "pending" || now.status === "skipped";
  return item.instance && !item.lease && now.exists && !now.deleted && open && !now.edited.size && !now.box && !now.masks && !now.distrusts.includes(S.model);
}

function acceptPage(S) {
  const page = pageOf(S);
  if (!page.length) return flash(S, S.model ? "Nothing is predicted from here on of people whom nobody has touched." : NO_MODEL);
  const made = atOnce(S, () => page.map(({ item, ghost, fresh }) => (fresh ? takeNew(S, item, ghost) : takeWhole(S, item, ghost))));
  asGroup(S, made, "predictions of");
  if (!made.some(({ item }) => item.id === S.item.id)) setItem(S, made[0].item);
  const added = page.filter(({ fresh }) => fresh).length;
  const many = `${made.length} ${made.length === 1 ? "person is" : "people are"} as predicted`;
  flash(S, `${many}${added ? `, ${added} of them new` : ""}. z takes all of it back.`, 8000);
}

function takeWhole(S, item, ghost) {
  const patch = jointsPatch(S, takenFrom(item, ghost, [...S.skeleton.joints.keys()], derive(S, item).joints));
  return { item, op: record(S, item, commit(S, item, { kind: "edit", joints: patch.joints }, patch)) };
}

function takeNew(S, item, ghost) {
  const { added, op } = insertNew(S, item, asNew(S, item, ghost), { ghost, without: ghost.n });
  return { item: added, op };
}

// Edits of several people that one undo takes back. `made`: {item, op} of each; `what` they were.
// Where the shown person is none of them, its own undo knows of them too.
function asGroup(S, made, what) {
  const group = `${made[0].op.client}.${made[0].op.seq}`;
  for (const { op } of made) op.group = group;
  S.groups.set(group, { members: made.map(({ item }) => item), what, at: S.item.id });
  if (made.some(({ item }) => item.id === S.item.id)) return;
  const stack = stackOf(S, S.item.id);
  stack.undo.push({ group, mark: true });
  stack.redo = [];
}

// Undo or redo a group: all of it that nothing was done to since, wherever those people are now.
function groupBack(S, group, from, to, word) {
  const { members, what, at } = S.groups.get(group);
  let count = 0;
  atOnce(S, () => {
    for (const old of members) {
      const op = stackOf(S, old.id)[from].findLast((one) => !one.mark);
      if (op?.group !== group || refusedOf(S, old.id).length) continue;
      takeBack(S, S.list.find((item) => item.id === old.id) ?? everybody(S, old.frame).find((item) => item.id === old.id) ?? afterOp(old, op), from, to, { from: S.item.id });
      stackOf(S, old.id)[to].at(-1).group = group;
      count += 1;
    }
  });
  const stack = stackOf(S, at);
  const marks = stack[from].filter((op) => op.mark && op.group === group);
  stack[from] = stack[from].filter((op) => !marks.includes(op));
  if (count) stack[to].push(...marks);
  fillPanel(S);
  const left = members.length - count;
  flash(S, `${word}: ${what} ${count} ${count === 1 ? "person" : "people"}${left ? `; ${left} changed since and stay` : ""}`);
}

// An item that this browser holds no more, as an op of its own left it.
function afterOp(item, op) {
  const state = { ...item.state, revision: op.revision + 1, joints: { ...item.state.joints, ...op.patch.joints } };
  if ("masks" in op.patch) state.masks = op.patch.masks;
  return { ...item, state };
}
