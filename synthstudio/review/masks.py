"""Drawn masks: validation, and their effect on a person's row.

`modal` is the visible part of a person, `amodal` the whole person, both inside the picture, as
COCO run-length codes of its size. The visible part belongs to the person, so the amodal mask
grows with the modal one if both are known; if only one is, the other stays unknown.
With a drawn mask, box and area are the mask's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from synthstudio.core.masks import as_rle, check_counts, check_polygons, counts_box, runs
from synthstudio.core.visibility import occluded_fraction
from synthstudio.dataset.rows import Row
from synthstudio.formats.checked import compressed_counts
from synthstudio.review.values import invalid

WHICH = ("modal", "amodal")
MAX_CODE = 60_000
"""Maximum characters of a stored mask; a ragged person as high as a 4K picture has 21,000."""
MAX_POLYGONS = 300
MAX_CORNERS = 20_000
MAX_OUTLINE_PX = 500_000
"""Limits of all polygons of a mask together: corners and length."""
_SHORT = f"a code of at most {MAX_CODE:,} characters"
_FORMS = "a COCO code {size, counts} or polygons"
Counts = Mapping[str, str]
"""`modal` and `amodal` -> compressed counts; missing ones are unknown."""
Size = tuple[int, int]
"""Height and width of the picture."""


def drawn_masks(masks: object, size: Size) -> dict[str, str]:
    """Canonical compressed counts of the masks (codes or polygons) of an op; Refused("invalid")."""
    if not isinstance(masks, Mapping) or not masks or not set(masks) <= set(WHICH):
        invalid("unknown mask names", "masks", expected="modal, amodal or both", got=masks)
    return {which: _counts(masks[which], f"masks.{which}", size) for which in masks}


def _counts(mask: object, where: str, size: Size) -> str:
    if isinstance(mask, Mapping):
        named = mask.get("size")
        if not isinstance(named, list | tuple) or tuple(named) != size:
            expected = f"height and width {list(size)}"
            what = "mask size differs from the picture"
            invalid(what, f"{where}.size", expected=expected, got=named)
        if isinstance(mask.get("counts"), str) and len(mask["counts"]) > MAX_CODE:
            got = f"{len(mask['counts']):,}"
            invalid("this mask is too detailed", where, expected=_SHORT, got=got)
    elif not isinstance(mask, list) or not mask:
        invalid("invalid mask", where, expected=_FORMS, got=mask)
    try:
        if isinstance(mask, list):
            _check_outline(mask, where, size)
        sized = {**mask, "size": list(size)} if isinstance(mask, Mapping) else mask
        counts = compressed_counts(sized, size) or ""
        check_counts(counts, size)
        counts = _shortest(counts, size)
    except (ValueError, TypeError, KeyError) as error:
        invalid(f"invalid mask: {error}", where, expected=_FORMS)
    if len(counts) > MAX_CODE:
        invalid("this mask is too detailed", where, expected=_SHORT)
    return counts


def _shortest(counts: str, size: Size) -> str:
    """The canonical code without empty runs, as pycocotools writes it."""
    found = runs(counts)
    bits, lengths = (np.arange(len(found)) % 2)[found > 0], found[found > 0]
    starts = np.flatnonzero(np.diff(bits, prepend=-1))
    merged = np.add.reduceat(lengths, starts).tolist()
    plain = {"size": list(size), "counts": [0, *merged] if bits[0] else merged}
    return str(coco_mask.frPyObjects(plain, *size)["counts"].decode("ascii"))


def _check_outline(polygons: Sequence[Any], where: str, size: Size) -> None:
    if len(polygons) > MAX_POLYGONS:
        expected = f"at most {MAX_POLYGONS}"
        invalid("too many polygons", where, expected=expected, got=len(polygons))
    check_polygons(polygons)
    outlines = [np.array(polygon, np.float64).reshape(-1, 2) for polygon in polygons]
    corners = np.concatenate(outlines)
    outside = ((corners < 0) | (corners > size[::-1])).any(axis=1)
    if outside.any():
        expected = f"x from 0 to {size[1]}, y from 0 to {size[0]}"
        got = corners[outside][:3].tolist()
        invalid("corner outside the picture", where, expected=expected, got=got)
    length = sum(float(np.abs(one - np.roll(one, 1, axis=0)).sum()) for one in outlines)
    if len(corners) > MAX_CORNERS or length > MAX_OUTLINE_PX:
        expected = f"at most {MAX_CORNERS:,} corners and {MAX_OUTLINE_PX:,} px of outline"
        got = f"{len(corners):,}, {length:,.0f} px"
        invalid("this outline is too long", where, expected=expected, got=got)


def masks_after(drawn: Counts, old: Counts | None, on_disk: Counts, size: Size) -> dict[str, str]:
    """Drawn masks after an op; a known amodal mask grows with the modal one. Refused("invalid")."""
    found = {**(old or {}), **drawn}
    modal, amodal = (found.get(which, on_disk.get(which)) for which in WHICH)
    if modal is not None and amodal is not None:
        union = coco_mask.merge([as_rle(modal, size), as_rle(amodal, size)])
        if int(coco_mask.area(union)) > check_counts(amodal, size):
            amodal = found["amodal"] = _shortest(union["counts"].decode("ascii"), size)
    whole = modal if amodal is None else amodal
    if whole is None or check_counts(whole, size) == 0:
        invalid("empty mask", "masks", expected="at least one pixel, or an undo")
    return found


def sound_counts(row: Row, which: str, size: Size) -> str | None:
    """The counts of a mask of a data set's row; None if missing or damaged."""
    counts = row[f"{which}_counts"]
    if not counts or tuple(row["mask_size"]) != size:
        return None
    try:
        check_counts(counts, size)
    except ValueError:
        return None
    return str(counts)


def masks_on_disk(row: Row | None, size: Size) -> dict[str, str]:
    found = {} if row is None else {which: sound_counts(row, which, size) for which in WHICH}
    return {which: counts for which, counts in found.items() if counts is not None}


def put_masks(row: Row, drawn: Counts, size: Size) -> None:
    """Write drawn masks, their boxes and areas into a copied row."""
    if drawn:
        kept = masks_on_disk(row, size)
        row.update({f"{which}_counts": kept.get(which) for which in WHICH})
        row["mask_size"] = list(size)
    for which, counts in drawn.items():
        box = counts_box(counts, size)
        beyond = row["amodal_box_px"] if which == "amodal" else None
        row[f"{which}_counts"] = counts
        row[f"{which}_area_px"] = check_counts(counts, size)
        row[f"{which}_box_px"] = box if beyond is None else _with_outside(box, beyond, size)
    if drawn and all(row[f"{which}_counts"] for which in WHICH):
        fraction = occluded_fraction(row["modal_area_px"], row["amodal_area_px"])
        row["occluded_fraction"] = fraction


def hold_visible(row: Row) -> None:
    """Extend the amodal box of a copied row to contain the visible box."""
    seen, whole = row["modal_box_px"], row["amodal_box_px"]
    if whole is None or not (seen[2] > 0 and seen[3] > 0):
        return
    low = [min(a, b) for a, b in zip(seen[:2], whole[:2], strict=True)]
    high = [max(a[k] + a[k + 2] for a in (seen, whole)) for k in range(2)]
    row["amodal_box_px"] = [*low, *(b - a for a, b in zip(low, high, strict=True))]


def _with_outside(box: Sequence[float], old: Sequence[float], size: Size) -> list[float]:
    """A mask's box, extended by the old box beyond edges that the mask touches."""
    x, y, right, low = box[0], box[1], box[0] + box[2], box[1] + box[3]
    x = min(old[0], 0.0) if x == 0 else x
    y = min(old[1], 0.0) if y == 0 else y
    right = max(old[0] + old[2], right) if right == size[1] else right
    low = max(old[1] + old[3], low) if low == size[0] else low
    return [x, y, right - x, low - y]
