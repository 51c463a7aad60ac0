"""Review stores, what an editor sends, and corrections and audits taken into a store."""

import dataclasses
import json
import random
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from benchmarks.fuzz.cases import Case, Target
from benchmarks.fuzz.mutate import ODD, Files, as_json, damaged_tree, mutate

_DB = ("review.db",)


def store_inputs(sound: Path) -> list[Files]:
    return [{"review.db": (sound / "store" / "review.db").read_bytes()}]


def mutate_store(files: Files, rng: random.Random) -> Files:
    """Other values, tables or pragmas, as a hand at the database would leave them; or bytes."""
    if rng.random() < 0.35 or not files.get("review.db", b"").startswith(b"SQLite"):
        return mutate(files, rng)
    memory = sqlite3.connect(":memory:")
    try:
        memory.deserialize(files["review.db"])
        memory.execute("PRAGMA journal_mode=MEMORY")
        memory.execute("PRAGMA foreign_keys=OFF")
        names = "SELECT name FROM sqlite_master WHERE type='table' ORDER BY name"
        tables = [row[0] for row in memory.execute(names)]
        for _ in range(rng.choice((1, 1, 2))):
            _edit(memory, rng.choice(tables), rng)
        memory.commit()
        return {**files, "review.db": memory.serialize()}
    except (sqlite3.Error, IndexError, ValueError):
        return mutate(files, rng)
    finally:
        memory.close()


def _edit(memory: sqlite3.Connection, table: str, rng: random.Random) -> None:
    columns = [row[1] for row in memory.execute(f'PRAGMA table_info("{table}")')]
    rows = [row[0] for row in memory.execute(f'SELECT rowid FROM "{table}"')]
    how = rng.randrange(8)
    if how == 0:
        memory.execute(f'DROP TABLE "{table}"')
    elif how == 1:
        memory.execute(f'ALTER TABLE "{table}" DROP COLUMN "{rng.choice(columns)}"')
    elif how == 2 and rows:
        memory.execute(f'DELETE FROM "{table}" WHERE rowid=?', (rng.choice(rows),))
    elif rows:
        column, row = rng.choice(columns), rng.choice(rows)
        (value,) = memory.execute(
            f'SELECT "{column}" FROM "{table}" WHERE rowid=?', (row,)
        ).fetchone()
        memory.execute(
            f'UPDATE "{table}" SET "{column}"=? WHERE rowid=?', (_other(value, rng), row)
        )


def _other(value: Any, rng: random.Random) -> Any:
    if isinstance(value, str) and value[:1] in "{[" and value and rng.random() < 0.8:
        return as_json(damaged_tree(json.loads(value), rng)).decode()
    odd = rng.choice(ODD)
    if isinstance(odd, str):
        odd = odd.encode("utf-8", "replace").decode()
    if isinstance(odd, bool) or not isinstance(odd, int | float | str | bytes | None):
        odd = str(odd)
    return odd if not isinstance(odd, int) or abs(odd) < 2**63 else float(odd)


def ask_store(case: Case) -> None:
    from synthstudio.api import review

    case.changes = _DB  # opened in place
    url, data, rng = f"sqlite:///{case.input / 'review.db'}", case.sound / "reviewed", case.rng

    def look() -> None:
        case.done.append("counts, events, check_replay")
        review.counts(data, db=url)
        [dataclasses.asdict(event) for event in review.events(data, db=url)]
        review.check_replay(data, db=url)

    def export() -> None:
        only = rng.choice(("approved", "touched", "all"))
        case.done.append(f"export_reviewed {only}")
        review.export_reviewed(data, case.out, only=only, db=url)

    def derive() -> None:
        case.done.append("reviewed_dataset")
        review.reviewed_dataset(data, case.out, only=rng.choice(("approved", "all")), db=url)

    def copy() -> None:
        case.done.append("backup")
        review.backup(url, case.out)

    def people() -> None:
        case.done.append("members")
        review.members(url, role_of={"anna": "lead"} if rng.random() < 0.5 else None)

    def check() -> None:
        case.done.append("check")
        review.check(data, audit=False, db=url)

    case.pick(look, look, export, export, derive, copy, people, check)


def message_inputs(sound: Path) -> list[Files]:
    """What the editor in a browser sends: every kind of op, over existing edits."""
    client = "abcdefgh12345678"
    joints = {"nose": [30.5, 40.25, 2, "visible"], "left_ear": [9, 9, 1, "person"]}
    common = {"client": client, "text": ""}
    ops: list[dict[str, Any]] = [
        {"seq": 1, "frame": 4, "instance": 1, "revision": 0, "kind": "edit", "joints": joints},
        {"seq": 2, "frame": 4, "instance": 1, "revision": 1, "kind": "status",
         "status": "approved", "after": [client, 1]},
        {"seq": 3, "frame": 4, "instance": 2, "revision": 0, "kind": "delete"},
        {"seq": 4, "frame": 4, "instance": 2, "revision": 1, "kind": "revert",
         "undoes": [client, 3]},
        {"seq": 5, "frame": 2, "instance": 5, "revision": 0, "kind": "add", "joints": joints},
        {"seq": 6, "frame": 3, "instance": 1, "revision": 0, "kind": "comment", "text": "hello"},
        {"seq": 7, "frame": 0, "instance": 2, "revision": 1, "kind": "revert", "event": 4},
    ]  # fmt: skip
    several = [{**common, **op} for op in ops]
    return [{"a.json": as_json([several])}, {"a.json": as_json([[op] for op in several])}]


def ask_message(case: Case) -> None:
    """Send them to a copy of the store; then it must still add up to what its events say."""
    from synthstudio.api import review
    from synthstudio.core.errors import SynthStudioError
    from synthstudio.dataset.reader import Dataset
    from synthstudio.review.check import base_of
    from synthstudio.review.history import content_key
    from synthstudio.review.store import open_store
    from synthstudio.review.values import User
    from synthstudio.studio.editor import ops as editor_ops

    case.changes = _DB
    shutil.copyfile(case.sound / "store" / "review.db", case.input / "review.db")
    data = Dataset(case.sound / "reviewed")
    url, key = f"sqlite:///{case.input / 'review.db'}", content_key(data)
    try:
        sent = json.loads((case.input / "a.json").read_bytes())
    except (ValueError, RecursionError) as error:
        raise SynthStudioError("no JSON: the websocket's own check") from error
    who = User(name="anna", role=case.rng.choice(("reviewer", "lead", "viewer")))
    store = open_store(url, make=False)
    try:
        refused = None
        for payload in sent if isinstance(sent, list) else [sent]:
            case.done.append("parse_ops, apply_ops")
            try:
                some = payload if isinstance(payload, list) else [payload]
                parsed = editor_ops.parse_ops(some, dataset=key)
            except SynthStudioError as error:
                refused = error
                continue
            answer = editor_ops.apply_ops(
                store, parsed, who=who,
                base_of=lambda person: base_of(data, person.frame, person.instance),
                blinded=lambda people: (),
            )  # fmt: skip
            if answer.wait:
                raise RuntimeError(f"an edit met an unforeseen error: {answer}")
    finally:
        store.close()
    case.done.append("check_replay")
    wrong = review.check_replay(case.sound / "reviewed", db=url)
    assert not wrong, wrong
    if case.rng.random() < 0.2:
        review.export_reviewed(case.sound / "reviewed", case.out, only="all", db=url)
    elif refused is not None:
        raise refused


TARGETS = (
    Target(name="stores", weight=12, inputs=store_inputs, ask=ask_store, mutate=mutate_store),
    Target(name="editor", weight=20, inputs=message_inputs, ask=ask_message),
)
