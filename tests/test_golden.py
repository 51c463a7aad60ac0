"""What no refactoring may change and no processor can: tests/golden, by benchmarks/golden.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import golden, golden_digest, golden_small

RENEW = "meant? then: python -m benchmarks.golden --write-tests"


@pytest.fixture(scope="module")
def gathered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return golden_small.small(tmp_path_factory.mktemp("golden"))


def test_no_option_went(gathered: dict[str, Any]) -> None:
    for command, options in golden_small.stored()["commands"].items():
        assert set(options) <= set(gathered["commands"].get(command, ())), command


@pytest.mark.parametrize("name", ["counts", "keys", "round_trips", "verdicts"])
def test_the_same_as_stored(name: str, gathered: dict[str, Any]) -> None:
    kept, found = golden_small.stored()[name], gathered[name]
    changed = {
        k: (kept.get(k), found.get(k)) for k in {*kept, *found} if kept.get(k) != found.get(k)
    }
    assert not changed, RENEW


def test_a_traceback_is_no_verdict() -> None:
    verdicts = golden_small.stored()["verdicts"]
    assert len(verdicts) > 150
    assert not [
        name for name, output in verdicts.items() if "traceback" in output or "died" in output
    ]


def test_what_is_stored_is_small() -> None:
    assert sum(p.stat().st_size for p in golden_small.STORED.iterdir()) < 100_000


def test_a_difference_of_labels_cannot_be_meant(tmp_path: Path) -> None:
    path = tmp_path / "expected.yaml"
    for what in ("*", "frames/*", "*joints_px", "*instances.parquet:*", "*annotations*keypoints"):
        path.write_text(f"- {{what: '{what}', reason: because}}\n")
        with pytest.raises(SystemExit, match="labels"):
            golden.read_expected(path)
    path.write_text("- {what: '*dataset.json:recipe.*', reason: renamed}\n")
    assert golden.read_expected(path)[0].reason == "renamed"
    path.write_text("- {what: 'json/stats:*'}\n")
    with pytest.raises(SystemExit, match="reason"):
        golden.read_expected(path)
    assert golden.read_expected() is not None


def test_differences_are_sorted() -> None:
    labels = "frames/a/shards/00000/instances.parquet:state"
    base = {labels: "1", "frames/a/dataset.json:versions.synthstudio": "1", "frames/a/x.jpg": "1"}
    new = dict.fromkeys(base, "2") | {"commands/stats:--more": "", "wording/a:stderr": "2"}
    everything = (golden.Expected(what="*", reason="all"),)
    found = golden.compare("frames", base, new, everything)
    assert set(found.unlisted) == {labels}
    assert set(found.listed) == {"frames/a/x.jpg"}
    assert (found.program, found.wording) == (1, 1)


def test_bytes_are_explained_by_what_differs_in_them() -> None:
    base = {"s/a/f.json": "1", "s/a/f.json:rows[].x": "1", "s/a/index.json:shards[].sha256": "1"}
    new = dict.fromkeys(base, "2")
    assert set(golden_digest.differences(base, new)) == {"s/a/f.json:rows[].x"}
    alone = {**base, "s/a/f.json": "2"}
    assert set(golden_digest.differences(base, alone)) == {"s/a/f.json"}
