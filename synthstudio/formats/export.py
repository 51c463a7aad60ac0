"""Export of a data set as another tool's folder."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from synthstudio.core.errors import FormatError
from synthstudio.core.progress import first_names, people_text
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.durable import whole_folder
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import KINEMATIC, Row, pair_rows
from synthstudio.formats import FORMATS, Format, get_format
from synthstudio.formats.coco.entries import annotation_id
from synthstudio.formats.exchange import Contents, Labelled, Picture, Target, exportable
from synthstudio.formats.joints import as_exported, convert_row, lost_joints, rules
from synthstudio.formats.sidecar import FOLDER, write_sidecar

_SHOWN = 20  # names of joints in a note


@dataclass(kw_only=True)
class Exported:
    """Result of an export. `left_out`: people too little visible for the format."""

    annotations: Path
    images: int = 0
    people: int = 0
    left_out: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def files(self) -> list[Path]:
        """The annotation files by name: COCO has one for each split."""
        if self.annotations.is_dir():
            return sorted(path for path in self.annotations.iterdir() if path.is_file())
        return [self.annotations]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "annotations": str(self.annotations)}

    def text(self) -> str:
        head = f"{self.images} images and {self.people} people in {self.annotations}"
        return "\n".join([head, *self.notes])


def export(
    format_name: str,
    source: Path | Labelled,
    out: Path,
    *,
    polygons: bool = False,
    skeleton: str | None = None,
    hidden_faces: bool = True,
    boxes: str | None = None,
    joints: str = "all",
) -> Exported:
    """Write a data set (its path or a reader) as another tool's folder.

    `format_name`: a key of formats.FORMATS. The folder is created atomically. `polygons`: COCO
    masks as polygons; `skeleton`: convert to this one (formats/joints.py); without `hidden_faces`
    eyes, ears and noses that the person's own body hides are unlabelled, as they mostly are in
    COCO. `boxes`: "visible" or "amodal", by default amodal for formats that pose networks learn
    from; `joints`: "all", or only "visible" ones. Other data go to OUT/synthstudio/, see the notes.
    DatasetError when the data set is damaged; FormatError for incompatible skeletons; DiskError
    when `out` is not free.
    """
    to = get_format(format_name)
    dataset = Dataset(source) if isinstance(source, Path) else source
    if skeleton is not None and to.skeleton not in (None, skeleton):
        raise FormatError(
            "the format has a fixed skeleton",
            where=format_name,
            expected=str(to.skeleton),
            got=get_skeleton(skeleton).title,
        )
    if boxes == "amodal" and not to.trains:
        raise FormatError(
            "the format only has visible boxes",
            where=format_name,
            expected=f"boxes of {', '.join(n for n, f in FORMATS.items() if f.trains)}",
            got="boxes: amodal",
        )
    contents = Contents(
        boxes=boxes or ("amodal" if to.trains else "visible"),
        joints=joints,
        hidden_faces=hidden_faces,
    )
    into = get_skeleton(to.skeleton or skeleton or dataset.identity.skeleton)
    target = Target(
        skeleton=into, contents=contents, assets=dataset.identity.assets, polygons=polygons
    )
    exported = Exported(annotations=out)
    with whole_folder(out) as unfinished:
        if to.missing:
            (unfinished / "images").mkdir()
        pictures = _pictures(dataset, to, target, unfinished, exported)
        path = to.write(pictures, unfinished, target)
        if to.missing:
            write_sidecar(unfinished, dataset, contents, to.image_name)
    exported.annotations = out / path.relative_to(unfinished)
    exported.notes = [*_notes(to, exported, dataset, into), *target.notes]
    if to.trains:
        exported.notes += [f"{k.capitalize()}: {v}." for k, v in contents.notes().items()]
    return exported


def _pictures(
    dataset: Labelled, to: Format, target: Target, out: Path, exported: Exported
) -> Iterator[Picture]:
    """Yield each frame for the format, its image checked and saved, and count it."""
    skeleton = target.skeleton
    frame_ids, person_ids = (_own_ids(dataset, name) for name in ("source_ids", "person_ids"))
    for frame, people in pair_rows(dataset.iter_frames(), dataset.iter_instances()):
        data = dataset.image_bytes_of(frame)
        kept = exportable(people) if to.missing else people
        exported.images += 1
        exported.people += len(kept)
        exported.left_out += len(people) - len(kept)
        size = (frame["height_px"], frame["width_px"])
        converted = []
        for row in kept:
            at = (row["frame_index"], row["instance"])
            own = _named(convert_row(row, frame, skeleton), person_ids, at, annotation_id(*at))
            converted.append(as_exported(own, size, skeleton, target.contents))
        name = to.image_name(frame)
        if to.missing:
            (out / name).parent.mkdir(exist_ok=True)
            (out / name).write_bytes(data)
        picture = {**frame, "file_name": name, "skeleton": skeleton.name}
        yield _named(picture, frame_ids, frame["index"], frame["index"]), converted, data


def _own_ids(dataset: Labelled, name: str) -> tuple[Mapping[Any, Any], int]:
    """Ids in the imported file, without duplicates, and a number above all."""
    ids: Mapping[Any, Any] = getattr(dataset, name, dict)()
    times = Counter(map(repr, ids.values()))
    own = {key: one for key, one in ids.items() if times[repr(one)] == 1}
    return own, max((n for n in own.values() if isinstance(n, int)), default=0) + 1


def _named(row: Row, ids: tuple[Mapping[Any, Any], int], key: Any, number: int) -> Row:
    """A row with its id in the imported file, else a free number, as `source_id`."""
    return {**row, "source_id": ids[0].get(key, ids[1] + number)} if ids[0] else row


def _notes(to: Format, exported: Exported, dataset: Labelled, target: Skeleton) -> list[str]:
    notes = []
    if exported.left_out:
        people = people_text(exported.left_out)
        notes.append(f"{people} under 16 visible pixels left out: in {FOLDER}/ alone.")
    if to.missing:
        notes.append(f"The format holds no {to.missing}: these are in {FOLDER}/.")
    source = get_skeleton(dataset.identity.skeleton)
    if source.name != target.name:
        table = rules(source, target)
        near = [
            f"{j} (mean of {', '.join(r.parts)}; {r.deviation})"
            for j, r in table.items()
            if r.kind == "approximation"
        ]
        missing = [j for j, r in table.items() if r.kind == "missing"]
        lost = lost_joints(source, target)
        titled = {"Approximated": near, "Left empty": missing, "Not in the format": lost}
        shown = {title: first_names(names, _SHOWN, "; ") for title, names in titled.items()}
        notes += [f"{title}: {names}." for title, names in shown.items() if names]
    if to.has_centres and (unknown := _without_centres(dataset)):
        notes.append(
            f"3D joints of {unknown} people are NaN: the set has no {KINEMATIC} of them. Make it "
            "again to have them."
        )
    layers = {name for row in dataset.iter_frames(["layers"]) for name in row["layers"]}
    if layers:
        notes.append(f"Layers stay in the data set: {', '.join(sorted(layers))}.")
    return notes


def _without_centres(dataset: Labelled) -> int:
    batches = (
        batch.select(["joints_camera_m", KINEMATIC]) for batch in dataset.iter_batches("instances")
    )
    return sum(
        int((batch[0].is_valid().to_numpy(False) & batch[1].is_null().to_numpy(False)).sum())
        for batch in batches
    )
