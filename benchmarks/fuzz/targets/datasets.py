"""Folders of data sets: read, counted, checked, compared, filtered, split, exported, merged."""

import hashlib
import json
import random
from pathlib import Path

from benchmarks.fuzz.cases import Case, Target
from benchmarks.fuzz.mutate import Files
from benchmarks.fuzz.targets.files import command, read_whole, tree

QUERIES = (
    "occluded > 0.2", "left_wrist hidden by object", "split = train and people > 1",
    "not (nose visible) or truncated > 0", "pose ~ stand", "area > 100 and crowd < 0.5",
)  # fmt: skip


def inputs(sound: Path) -> list[Files]:
    sticks, pairs, reviewed = (tree(sound / name) for name in ("sticks", "pairs", "reviewed"))
    return [sticks, pairs, pairs, reviewed]


def rehash(files: Files, rng: random.Random) -> Files:
    """Make hashes fit the damage, mostly: then it is met where rows are used."""
    if rng.random() < 0.2:
        return files
    files = dict(files)
    try:
        index = json.loads(files["index.json"])
        for row in index["shards"]:
            place = row["path"]
            shard = json.loads(files[f"{place}/shard.json"])
            for name in shard["files"]:
                data = files.get(f"{place}/{name}")
                if data is not None:
                    digest = hashlib.sha256(data).hexdigest()
                    shard["files"][name] = {"bytes": len(data), "sha256": digest}
            shard.pop("check", None)
            shard["check"] = hashlib.sha256(_canonical(shard)).hexdigest()
            files[f"{place}/shard.json"] = _canonical(shard)
            row["sha256"] = hashlib.sha256(files[f"{place}/shard.json"]).hexdigest()
        files["index.json"] = _canonical(index)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass  # what would hold the hashes is damaged itself
    return files


def _canonical(value: object) -> bytes:
    return (json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode()


def ask(case: Case) -> None:  # noqa: C901
    import synthstudio as ss
    from synthstudio.api import quality, selection

    folder, rng = case.input, case.rng

    def log(text: str) -> None:
        case.done.append(text)

    def read() -> None:
        log("Dataset: every frame")
        dataset = ss.Dataset(folder)
        repr(dataset), dataset.recipe
        for frame in dataset:
            assert len(frame.people) >= 0
            assert frame.image.ndim == 3
        for people in dataset.people():
            len(people)

    def count() -> None:
        log("stats")
        quality.stats_text(quality.stats(folder))

    def cover() -> None:
        log("coverage")
        quality.coverage(folder).text()

    def validate() -> None:
        page = case.out if rng.random() < 0.2 else None
        fix = case.out.with_name("out2") if rng.random() < 0.4 and page is None else None
        log(f"validate {page and 'report'} {fix and 'fix'}")
        made = quality.validate(folder, report=page, fix=fix)
        made.text(), made.as_json()
        if fix is not None:
            read_whole(fix)

    def page() -> None:
        log("report")
        quality.write_report(folder, case.out)

    def compare() -> None:
        log("diff")
        pair = [folder, case.sound / rng.choice(("sticks", "pairs"))]
        rng.shuffle(pair)
        quality.diff_text(quality.diff(*pair))

    def choose() -> None:
        query = rng.choice(QUERIES)
        log(f"filter {query!r}")
        selection.count(folder, query)
        selection.filter(folder, query, case.out, keep_people=rng.random() < 0.5)
        read_whole(case.out)

    def split() -> None:
        log("split")
        selection.split(folder, out=case.out)
        selection.leaks(folder, by=["group", "identity", "pose", "asset"])
        read_whole(case.out)

    def export() -> None:
        from synthstudio.api.arguments import FORMATS

        form = rng.choice(FORMATS)
        log(f"export {form}")
        ss.export(folder, form, case.out, polygons=form == "coco" and rng.random() < 0.5)

    def merge() -> None:
        log("merge sets")
        other = case.sound / rng.choice(("sticks", "pairs"))
        selection.merge([folder, other], case.out, sets=True, drop_duplicates=rng.random() < 0.3)
        read_whole(case.out)

    def by_command() -> None:
        words: tuple[tuple[object, ...], ...] = (
            ("stats", folder),
            ("validate", folder, "--json"),
            ("filter", folder, "occluded > 0.1", "--count"),
            ("coverage", folder, "--json"),
            ("export", folder, "--out", case.out),
        )
        command(case, *rng.choice(words))

    case.pick(
        read, read, count, cover, validate, validate, page, compare, choose, choose, split, export,
        export, merge, by_command,
    )  # fmt: skip


TARGETS = (Target(name="datasets", weight=30, inputs=inputs, ask=ask, mended=rehash),)
