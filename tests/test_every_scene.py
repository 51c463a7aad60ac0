"""The promises hold on a scene: `make scenes` in small, and each that does not is told."""

import dataclasses

import pytest

from benchmarks import every_scene, physics
from synthstudio.recipe.schema.load import load

GOOD = every_scene.Outcome(
    scene="a",
    frames=2,
    same=True,
    alone=0,
    audited={"passed": True, "people": 3, "joints": 69, "state_differs": 0},
    posed=physics.Report(frames=2, people=3, standing=3),
    findings=(),
)

OTHER = dataclasses.replace(GOOD, same=False)


def test_every_scene_is_asked_but_those_that_draw_nobody():
    known = every_scene.scenes()
    assert {"wild", "everyday", "quickstart", "challenges/dark", "systems/walks"} <= set(known)
    files = {p.relative_to(every_scene.SCENES) for p in every_scene.SCENES.rglob("*.yaml")}
    names = {p.with_suffix("").as_posix() for p in files}
    assert names - set(known) == {n for n in names if n.startswith("training/")} | {"occlude"}
    for path in known.values():
        load(path)


def test_a_small_run_holds_leaves_a_log_and_is_kept(tmp_path, monkeypatch):
    log = tmp_path / "scenes.log"
    sizes = ["--frames", "2", "--posed", "2", "--people", "3"]
    words = [*sizes, "--log", str(log), "--cache", str(tmp_path / "kept"), "challenges/plain"]
    assert every_scene.main(words) == 0, log.read_text()
    lines = log.read_text().splitlines()
    assert lines[0] == f"$ python -m benchmarks.every_scene {' '.join(sizes)} challenges/plain"
    assert lines[2].split()[:4] == ["challenges/plain", "2", "same", "same"]
    assert int(lines[2].split()[5]) >= 17  # joints were audited
    assert lines[2].split()[7:9] == ["3", "3"]  # one person a frame: posed until there are three
    assert lines[-1] == "not held: nothing"

    with monkeypatch.context() as patch:
        patch.delattr(every_scene, "outcome")  # a second run makes nothing
        log.unlink()
        assert every_scene.main(words) == 0
        assert log.read_text().splitlines() == lines
    monkeypatch.setattr(every_scene, "outcome", lambda name, *_, **__: OTHER)
    assert every_scene.main([*words, "--frames", "3"]) == 1  # another size is made


@pytest.mark.parametrize(
    "fault",
    [
        {"same": False},
        {"alone": 1},
        {"audited": GOOD.audited | {"passed": False}},
        {"posed": dataclasses.replace(GOOD.posed, through=1)},
        {"posed": dataclasses.replace(GOOD.posed, beyond=1)},
    ],
)
def test_what_does_not_hold_is_told(fault):
    assert GOOD.passed
    wrong = dataclasses.replace(GOOD, **fault)
    assert not wrong.passed
    assert wrong.row() != GOOD.row() or "audited" in fault


def test_an_unknown_scene_is_refused(capsys):
    with pytest.raises(SystemExit):
        every_scene.main(["wlid"])
    assert "no such scene: wlid" in capsys.readouterr().err
