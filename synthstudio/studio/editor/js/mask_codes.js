// Masks pixel by pixel. No DOM here. A mask is a Uint8Array column by column, as COCO counts: the
// pixel (x, y) of a picture of height h is at x * h + y. A pixel belongs to a shape that holds its centre.

export const WHICH = ["modal", "amodal"];

export function bitsOf(counts, { w, h }) {
  const bits = new Uint8Array(w * h);
  let at = 0;
  rleRuns(counts ?? "").forEach((run, k) => {
    if (k % 2) bits.fill(1, at, at + run);
    at += run;
  });
  return bits;
}

// The compressed COCO code of a mask (maskApi.c, rleToString).
export function countsOf(bits) {
  const runs = [];
  let from = 0;
  for (let value = 0; from < bits.length || !runs.length; value = 1 - value) {
    const next = bits.indexOf(1 - value, from);
    const to = next < 0 ? bits.length : next;
    runs.push(to - from);
    from = to;
  }
  let text = "";
  runs.forEach((run, k) => {
    let left = k > 2 ? run - runs[k - 2] : run;
    for (let more = true; more; ) {
      const low = left & 31;
      left >>= 5;
      more = low & 16 ? left !== -1 : left !== 0;
      text += String.fromCharCode(48 + low + (more ? 32 : 0));
    }
  });
  return text;
}

// x, y, width, height of a mask's pixels; null for none.
export function boxOfCounts(counts, { h }) {
  let [at, left, top, right, low] = [0, Infinity, Infinity, 0, 0];
  rleRuns(counts).forEach((run, k) => {
    if (k % 2 && run) {
      const [first, last] = [at, at + run - 1];
      const columns = [Math.floor(first / h), Math.floor(last / h)];
      const whole = columns[0] !== columns[1];
      left = Math.min(left, columns[0]);
      right = Math.max(right, columns[1] + 1);
      top = Math.min(top, whole ? 0 : first % h);
      low = Math.max(low, whole ? h : (last % h) + 1);
    }
    at += run;
  });
  return right ? [left, top, right - left, low - top] : null;
}

// The pixels of one side whose centres lie between two places.
const pixelsIn = (low, high, size) => [Math.max(Math.ceil(low - 0.5), 0), Math.min(Math.ceil(high - 0.5), size)];

function fillColumn(bits, h, x, from, to, value) {
  const [a, b] = pixelsIn(from, to, h);
  if (a < b) bits.fill(value, x * h + a, x * h + b);
}

// Where a closed line crosses the column at x.
export function crossings(line, x) {
  return line.flatMap(([bx, by], k) => {
    const [ax, ay] = line.at(k - 1);
    return ax > x !== bx > x ? [ay + ((x - ax) / (bx - ax)) * (by - ay)] : [];
  });
}

// What lies inside a closed line, by the even-odd rule.
export function fillOutline(bits, { w, h }, line, value) {
  const xs = line.map(([x]) => x);
  const [first, end] = pixelsIn(Math.min(...xs), Math.max(...xs), w);
  for (let x = first; x < end; x += 1) {
    const cut = crossings(line, x + 0.5).sort((a, b) => a - b);
    for (let k = 0; k + 1 < cut.length; k += 2) fillColumn(bits, h, x, cut[k], cut[k + 1], value);
  }
}

export function fillBrush(bits, size, line, r, value) {
  line.forEach(([x, y], k) => {
    const [first, end] = pixelsIn(x - r, x + r, size.w);
    for (let c = first; c < end; c += 1) {
      const half = Math.sqrt(Math.max(r * r - (c + 0.5 - x) ** 2, 0));
      fillColumn(bits, size.h, c, y - half, y + half, value);
    }
    if (!k) return;
    const [px, py] = line[k - 1];
    const far = Math.hypot(x - px, y - py);
    if (!far) return;
    const [nx, ny] = [((py - y) / far) * r, ((x - px) / far) * r];
    fillOutline(bits, size, [[px + nx, py + ny], [x + nx, y + ny], [x - nx, y - ny], [px - nx, py - ny]], value);
  });
}

// A person's mask as it stands: the drawn one, else that of the data set; null where nobody knows.
export const maskCounts = (item, now, which) => now.masks?.[which] ?? item[which]?.counts ?? null;

// What an edit says that lays masks over those of a person, as the server does it: amodal has all
// that modal has. Null where nothing changes or nothing would be left: `empty` tells which.
export function masksEdit(item, now, drawn) {
  const [modal, amodal] = WHICH.map((which) => drawn[which] ?? maskCounts(item, now, which));
  const after = { modal, amodal };
  if (modal !== null && amodal !== null) {
    const [seen, whole] = [bitsOf(modal, item), bitsOf(amodal, item)];
    if (seen.some((bit, k) => bit > whole[k])) after.amodal = countsOf(whole.map((bit, k) => bit | seen[k]));
  }
  const changed = WHICH.filter((which) => after[which] !== null && after[which] !== maskCounts(item, now, which));
  const empty = !boxOfCounts(after.amodal ?? after.modal, item);
  if (!changed.length || empty) return { empty, edit: null };
  const size = [item.h, item.w];
  const masks = Object.fromEntries(changed.map((which) => [which, { size, counts: after[which] }]));
  const patch = { masks: { ...now.masks, ...Object.fromEntries(changed.map((which) => [which, after[which]])) } };
  return { empty, edit: { masks, patch } };
}

// The pixels that a refused edit or undo changed, over those that are there now; null where nothing is left to do.
export function rebasedMasks(item, now, op) {
  const drawn = {};
  for (const which of Object.keys(op.masks ?? { ...op.patch.masks, ...op.was.masks })) {
    const was = op.was.masks?.[which] ?? item[which]?.counts ?? null;
    const there = maskCounts(item, now, which);
    const wanted = op.patch.masks?.[which] ?? item[which]?.counts ?? null;
    const [old, mine, bits] = [was, wanted, there].map((counts) => bitsOf(counts, item));
    mine.forEach((bit, k) => {
      if (bit !== old[k]) bits[k] = bit;
    });
    drawn[which] = countsOf(bits);
  }
  return masksEdit(item, now, drawn).edit;
}

// Runs of a compressed COCO code, column by column, first of zeros.
export function rleRuns(counts) {
  const runs = [];
  let [value, shift] = [0, 0];
  for (const sign of counts) {
    const code = sign.charCodeAt(0) - 48;
    value |= (code & 31) << shift;
    shift += 5;
    if (code & 32) continue;
    if (code & 16) value |= -1 << shift;
    runs.push(runs.length > 2 ? value + runs.at(-2) : value);
    [value, shift] = [0, 0];
  }
  return runs;
}
