"""A million people through export and import in little memory: `python -m benchmarks.scale`.

Frames are stubs (one small JPEG for all, people with masks and all columns). Each step runs in a
process of its own, whose largest resident memory and time are printed beside a plain json.dump of
the same rows, one by one, and one of them all at once as far as memory allows.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from synthstudio.core.errors import FormatError
from synthstudio.core.images import encode_jpeg
from synthstudio.core.labels import SHARES
from synthstudio.core.masks import encode, mask_box
from synthstudio.core.rng import Generator, stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.visibility import occluded_fraction
from synthstudio.dataset import manifest
from synthstudio.dataset.manifest import Identity
from synthstudio.dataset.parquet import write_parquet
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import FRAME_SCHEMA, INSTANCE_SCHEMA, Row
from synthstudio.dataset.shards import FRAMES_NAME, INSTANCES_NAME, image_name, new_temporary, seal
from synthstudio.dataset.writer import open_or_create
from synthstudio.formats import export as exporting
from synthstudio.formats.checked import complete
from synthstudio.formats.coco.file import annotation_files
from synthstudio.formats.imports import import_from

PEOPLE_A_FRAME = 50
WIDTH_PX, HEIGHT_PX = 320, 240
MOST_BYTES = 1_000_000_000
BIG_BYTES = 2_200_000_000
JOINTS = len(get_skeleton("coco23").joints)


def stub_people(index: int) -> list[Row]:
    """Return PEOPLE_A_FRAME rows with a value in every column that a rendered one has."""
    rng = stream(11, "scale", index)
    masks = [_masks(rng) for _ in range(PEOPLE_A_FRAME)]
    px = rng.random((PEOPLE_A_FRAME, JOINTS, 2)) * (WIDTH_PX, HEIGHT_PX)
    metres = rng.random((PEOPLE_A_FRAME, JOINTS, 3))
    shares = rng.dirichlet(np.ones(len(SHARES)), (PEOPLE_A_FRAME, JOINTS))
    return [
        complete(
            {
                "frame_index": index,
                "instance": k + 1,
                "identity": f"p{k}",
                "pose": "stand",
                "pose_family": "standing",
                "phenotype": [0.5] * 6,
                "joints_px": px[k].ravel().tolist(),
                "joints_camera_m": metres[k].ravel().tolist(),
                "joints_world_m": (metres[k] + 1 / 3).ravel().tolist(),
                "kinematic_joints_world_m": (metres[k] + 2 / 3).ravel().tolist(),
                "shares": shares[k].ravel().tolist(),
                "mask_size": [HEIGHT_PX, WIDTH_PX],
                "state": [1, 2] * (JOINTS // 2) + [2],
                "cause": ["object", "visible"] * (JOINTS // 2) + ["visible"],
                "ambiguous": [False] * JOINTS,
                "occluder_id": [1002] * JOINTS,
                "origin": ["rendered"] * JOINTS,
                "hidden_joint": [0, 2],
                "hidden_instance": [1002] * 2,
                "hidden_share": [0.7, 0.6],
                **masks[k],
                "truncated_fraction": 0.0,
                "depth_m": 3.0,
                "depth_rank": k,
                "stature_m": 1.7,
            },
            INSTANCE_SCHEMA,
        )
        for k in range(PEOPLE_A_FRAME)
    ]


def _masks(rng: Generator) -> Row:
    """Return the columns of masks and boxes of a ragged shape whose lower part is hidden."""
    x, y = int(rng.integers(0, WIDTH_PX - 45)), int(rng.integers(0, HEIGHT_PX - 80))
    top, bottom = rng.integers(0, 12, 45), rng.integers(60, 80, 45)
    rows = np.arange(80)[:, None]
    whole = np.zeros((HEIGHT_PX, WIDTH_PX), np.bool_)
    whole[y : y + 80, x : x + 45] = (rows >= top) & (rows < bottom)
    seen = whole.copy()
    seen[y + 50 :] = False
    boxes, areas = (mask_box(seen), mask_box(whole)), (int(seen.sum()), int(whole.sum()))
    return {
        "modal_counts": encode(seen, boxes[0])["counts"],
        "modal_box_px": list(boxes[0]),
        "amodal_counts": encode(whole, boxes[1])["counts"],
        "amodal_box_px": list(boxes[1]),
        "modal_area_px": areas[0],
        "amodal_area_px": areas[1],
        "occluded_fraction": occluded_fraction(*areas),
    }


def make(folder: Path, people: int) -> None:
    """Write the stub data set through the writer."""
    jpeg = encode_jpeg(np.full((HEIGHT_PX, WIDTH_PX, 3), 90, np.uint8), 50)
    frames = people // PEOPLE_A_FRAME
    identity = Identity(
        recipe={"name": "scale"},
        seed=1,
        skeleton="coco23",
        frames=frames,
        versions=manifest.package_versions(),
        machine=manifest.machine_kind("cpu"),
    )
    with open_or_create(folder / "set", identity) as session:
        for shard in session.todo:
            temporary = new_temporary(folder / "set", shard)
            (temporary / "images").mkdir(parents=True)
            wanted = identity.frames_of(shard)
            for index in wanted:
                (temporary / image_name(index)).write_bytes(jpeg)
            heads = [
                complete(
                    {
                        "index": index,
                        "seed": 1,
                        "file_name": image_name(index),
                        "image_sha256": hashlib.sha256(jpeg).hexdigest(),
                        "width_px": WIDTH_PX,
                        "height_px": HEIGHT_PX,
                        "skeleton": "coco23",
                        "split": "train",
                        "group_id": str(index),
                        "crowd_index": 0.1,
                        "K": [1.0] * 9,
                        "world_to_camera": [1.0] * 16,
                        "spec": "{}",
                    },
                    FRAME_SCHEMA,
                )
                for index in wanted
            ]
            bodies = [row for index in wanted for row in stub_people(index)]
            write_parquet(temporary / FRAMES_NAME, FRAME_SCHEMA, heads)
            write_parquet(temporary / INSTANCES_NAME, INSTANCE_SCHEMA, bodies)
            session.publish(
                seal(
                    temporary,
                    {
                        "shard": shard,
                        "first": wanted.start,
                        "frames": len(wanted),
                        "people": len(bodies),
                        "failed": [],
                    },
                )
            )
        session.finish()


def dump(folder: Path, people: int) -> None:
    """Write the rows by plain json.dump, a line each: what any export costs at least."""
    with (folder / "plain.json").open("w") as file:
        for row in _plain(folder):
            json.dump(row, file)
            file.write("\n")


def _plain(folder: Path) -> Iterator[Row]:
    yield from Dataset(folder / "set").iter_instances()


def export(folder: Path, people: int, form: str = "coco") -> None:
    """Export the set."""
    exporting.export(form, folder / "set", folder / form)


def take(folder: Path, people: int, form: str = "coco") -> None:
    """Import what was exported and see that nobody is missing."""
    made = import_from(form, folder / form, folder / f"{form}-back")
    if made.people != people or made.edited:
        raise SystemExit(f"{made.people} people came back, {made.edited} edited")


def again(folder: Path, people: int) -> None:
    """Export what was imported: the same bytes."""
    export("coco", folder / "coco-back", folder / "coco-again")
    one, two = (annotation_files(folder / n)[0] for n in ("coco", "coco-again"))
    with one.open("rb") as a, two.open("rb") as b:
        while chunk := a.read(1 << 20):
            if chunk != b.read(1 << 20):
                raise SystemExit("the bytes differ")


def valid(folder: Path, people: int) -> None:
    """Import a valid COCO file of two gigabytes, its annotations before its images."""
    joints = list(get_skeleton("coco17").joints)
    entry = {
        "category_id": 1, "iscrowd": 0, "area": 900, "bbox": [10, 20, 30, 30],
        "keypoints": [20, 30, 2] * 17, "caption": "x" * (BIG_BYTES // 20_000),
    }  # fmt: skip
    with (folder / "big.json").open("w") as file:
        file.write('{"annotations": [')
        for k in range(20_000):
            more = {"id": k + 1, "image_id": k // 50 + 1}
            file.write((",\n" if k else "\n") + json.dumps({**entry, **more}))
        head = {"width": WIDTH_PX, "height": HEIGHT_PX, "file_name": "stub.jpg"}
        images = [{"id": k + 1, **head} for k in range(400)]
        categories = [{"id": 1, "name": "person", "keypoints": joints}]
        file.write(f'], "images": {json.dumps(images)}, "categories": {json.dumps(categories)}}}')
    jpeg = encode_jpeg(np.full((HEIGHT_PX, WIDTH_PX, 3), 90, np.uint8), 50)
    (folder / "stub.jpg").write_bytes(jpeg)
    made = import_from("coco", folder / "big.json", folder / "big")
    if made.people != 20_000:
        raise SystemExit(f"{made.people} people came in")


def token(folder: Path, people: int) -> None:
    """Refuse a file that is one string of two gigabytes."""
    with (folder / "token.json").open("w") as file:
        file.write('{"images": ["')
        for _ in range(BIG_BYTES >> 20):
            file.write("x" * (1 << 20))
    try:
        import_from("coco", folder / "token.json", folder / "token")
    except FormatError as error:
        if "too long" in str(error):
            return
        raise
    raise SystemExit("it was taken")


STEPS = {
    "make": make,
    "json.dump": dump,
    "export": export,
    "import": take,
    "again": again,
    "2 GB valid": valid,
    "2 GB token": token,
}


def main() -> int:
    """Run each step in a process of its own; exit status 1 if one took a gigabyte or failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="kept; default: a temporary one")
    parser.add_argument("--only", choices=STEPS, nargs="+", help="these steps alone")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        STEPS[args.step](args.folder, args.people)
        return 0
    if args.folder is None:
        with tempfile.TemporaryDirectory() as place:
            return run(Path(place), args.people, args.only or list(STEPS))
    args.folder.mkdir(parents=True, exist_ok=True)
    return run(args.folder, args.people, args.only or list(STEPS))


def run(folder: Path, people: int, steps: Sequence[str]) -> int:
    """Print a line for each step; 1 if one failed or took too much."""
    worst = 0
    for step in steps:
        made = subprocess.run(
            [
                sys.executable,
                "-c",
                _TOLD,
                "--people",
                str(people),
                "--folder",
                str(folder),
                "--step",
                step,
            ],
            check=False,
            capture_output=True,
            text=True,
        )
        if made.returncode:
            print(f"{step}: {made.stderr[-500:]}")
            return 1
        took, cpu, peak = map(float, made.stdout.split()[-3:])
        worst = max(worst, peak if step not in ("make", "json.dump") else 0)
        print(
            f"{step:10} {people:>9,} people  {took:8.1f} s  processor {cpu:8.1f} s  "
            f"peak {peak / 1e6:6.0f} MB",
            flush=True,
        )
        if step == "again":
            size = annotation_files(folder / "coco")[0].stat().st_size
            print(f"annotations: {size / 1e9:.2f} GB; made again, the same bytes", flush=True)
    return int(worst > MOST_BYTES)


_TOLD = """
import resource, sys, time
sys.argv[0] = "scale"
from benchmarks import scale
began = time.perf_counter()
code = scale.main()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(time.perf_counter() - began, time.process_time(), peak)
sys.exit(code)
"""


if __name__ == "__main__":
    sys.exit(main())
