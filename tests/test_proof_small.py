"""The proof from end to end in a few steps, what it holds out, what it compares, how it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import proof, proof_arms, proof_table, pruning
from benchmarks.proof_arms import ARMS, FULL, HELD_FAMILIES, HELD_OCCLUDERS, SMALL, held_poses
from synthstudio.body import pose_library
from synthstudio.core.spec import RoomBackdrop
from synthstudio.dataset.reader import Dataset
from synthstudio.inference import compress
from synthstudio.props import procedural
from synthstudio.recipe.schema.load import parse
from synthstudio.training import checkpoint
from synthstudio.training.loop import train

WORDS = ["--small", "--arms", "b,g,c,attention", "--workers", "1"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the cache and the docs of a small proof; killed once on the way."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("proof")
    one = proof.Proof(SMALL, out / "cache")
    proof.make_data(one, 1, print)
    # As if the first training had been killed after a step.
    train(one.config("b", 0), one.made / "runs" / "b-0", cache=one.crops, steps=1)
    words = [*WORDS, "--cache", str(out / "cache"), "--docs", str(out / "docs")]
    assert proof.main(words) == 0
    return out


def _folder(made: Path) -> Path:
    (folder,) = (made / "cache").iterdir()
    return folder


def _made(made: Path) -> Path:
    (folder,) = _folder(made).glob("by-*")
    return folder


def test_it_ends_with_a_table_and_a_log(made: Path) -> None:
    page = (made / "docs" / "proof.md").read_text()
    assert "| (b) KPE, occlusion |" in page
    assert "| (g) (b) decoded by expected hits and a pose bank |" in page
    assert "(c) beats (b) by 5 points" in page
    assert "(a)" not in page.split("| aim |")[1]  # it was not run
    assert "`python -m benchmarks.proof --small --arms b,g,c,attention`" in page
    log = (made / "docs" / "evidence" / "proof.log").read_text()
    assert "h in all" in log
    results = {p.name: json.loads(p.read_text()) for p in (_made(made) / "results").iterdir()}
    assert set(results) == {"b-0.json", "g-0.json", "c-0.json", "attention-0.json"}
    counts = {name: r["hits"]["hidden"]["counts"] for name, r in results.items()}
    assert counts["b-0.json"] == counts["g-0.json"] == counts["c-0.json"]  # the same joints
    assert sum(counts["b-0.json"]) > 0
    assert results["b-0.json"]["words"] == {}  # KPE says nothing of visibility
    words = results["c-0.json"]["words"]
    assert f"| (c) | 0 | {words['AUROC']['value']:.3f} (" in page
    assert "attention" not in words  # the default looks nowhere by learnt weights
    assert results["attention-0.json"]["words"]["attention"]["people"] > 0


def test_a_killed_training_goes_on_and_a_finished_proof_does_nothing_twice(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _made(made)
    state = folder / "runs" / "b-0" / "state.safetensors"
    assert json.loads(checkpoint.read(state)[1]["place"])["step"] == SMALL.steps
    monkeypatch.setattr("benchmarks.ready.train", lambda *a, **k: pytest.fail("trained again"))
    one = proof.Proof(SMALL, made / "cache")
    for arm in ("b", "c"):
        proof.run_job(one, arm, 0, ("b", "g", "c"))
    (folder / "results" / "c-0.json").unlink()
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        proof.run_job(one, "c", 0, ("b", "g", "c"))
    monkeypatch.undo()
    proof.run_job(one, "c", 0, ("b", "g", "c"))  # the network is there: asked again, not trained
    assert (folder / "results" / "c-0.json").is_file()


def test_the_test_frames_show_only_what_no_training_frame_shows(made: Path) -> None:
    seen: dict[str, dict[str, set[str]]] = {}
    for name in ("train", "test"):
        dataset = Dataset(_folder(made) / name)
        kinds, floors, poses = set(), set(), set()
        for frame in dataset.iter_frames():
            spec = dataset.spec(frame["index"])
            kinds |= {thing.kind for thing in spec.things if thing.held_by is None}
            if isinstance(spec.backdrop, RoomBackdrop):
                floors.add(spec.backdrop.floor.pattern)
            poses |= {n for person in spec.people for n in person.pose.name.split("+")}
        families = {row["pose_family"] for row in dataset.iter_instances()}
        seen[name] = {"kinds": kinds, "families": families, "floors": floors, "poses": poses}
    held = {p.name for p in pose_library.library() if p.family in HELD_FAMILIES} | set(held_poses())
    assert seen["test"]["kinds"]
    assert seen["test"]["kinds"] <= set(HELD_OCCLUDERS)
    assert seen["test"]["poses"] <= held
    assert not seen["train"]["families"] & set(HELD_FAMILIES)
    for what in ("kinds", "poses", "floors"):
        assert not seen["train"][what] & seen["test"][what]


def test_what_is_held_out_exists_and_leaves_enough_to_learn_from() -> None:
    kinds = {k.kind for k in procedural.kinds() if "occluder" in k.roles}
    families = {pose.family for pose in pose_library.library()}
    assert set(HELD_OCCLUDERS) < kinds
    assert set(HELD_FAMILIES) < families
    assert not set(held_poses()) & families  # it would hold out the whole family
    assert len(HELD_OCCLUDERS) < len(kinds) / 3
    assert len(HELD_FAMILIES) < len(families) / 3
    left = [p for p in pose_library.library() if p.family not in HELD_FAMILIES]
    assert len(left) / 5 < len(held_poses()) < len(left) / 3
    assert families - set(HELD_FAMILIES) == {p.family for p in left if p.name not in held_poses()}
    for size in (FULL, SMALL):
        train_scene, test_scene = (parse(proof_arms.recipe(size, test=t)) for t in (False, True))
        assert train_scene.targets == test_scene.targets
        assert train_scene.seed != test_scene.seed


def test_kpe_costs_as_much_as_orn_and_the_proof_refuses_anything_else(tmp_path: Path) -> None:
    one = proof.Proof(SMALL, tmp_path)
    arms = tuple(ARMS)
    found = proof.costs(one, arms)
    assert found["b"] == found["a"]
    assert abs(found["b"] / found["c"] - 1) <= proof_arms.WITHIN
    assert found["no-refinement"] < found["c"]
    one.width *= 2
    with pytest.raises(AssertionError, match="apart"):
        proof.costs(one, arms)


def test_all_arms_see_the_same_samples_steps_and_augmentations(tmp_path: Path) -> None:
    one = proof.Proof(SMALL, tmp_path)
    reported = {}
    for name in proof_arms.trained(tuple(ARMS)):
        config = one.config(name, 3)
        reported[name] = config.model_dump(
            exclude={
                "name": True,
                "network": True,
                "losses": True,
                "train": True,
                "augment": {"dropout"},
            }
        )
    assert all(value == reported["a"] for value in reported.values())
    assert proof_arms.trained(("g",)) == ("b",)
    assert one.config("a'", 0).augment.dropout > 0
    assert one.config("a", 0).train[0].variants == ("clean",)
    assert one.config("d", 0).losses.agreement > one.config("c", 0).losses.agreement == 0


def test_every_arm_has_all_seeds_and_ablations_fewer() -> None:
    jobs = proof_arms.jobs(tuple(ARMS), 5)
    assert len(jobs) == len(set(jobs))
    seeds = {arm: sorted(seed for name, seed in jobs if name == arm) for arm, _ in jobs}
    assert set(seeds) == set(proof_arms.trained(tuple(ARMS)))
    for arm, found in seeds.items():
        assert found == list(range(3 if arm in ("attention", "no-refinement") else 5))
    assert [seed for _, seed in jobs] == sorted(seed for _, seed in jobs)
    assert len(proof_arms.jobs(("c", "attention"), 2)) == 4


def _results(rates: dict[str, float], *, seeds: int = 5, groups: int = 60) -> proof_table.Found:
    counts = np.full(groups, 20.0)
    made = {}
    for arm, rate in rates.items():
        for seed in range(seeds):
            wave = np.sin(np.arange(groups) + seed)  # moments and seeds differ, alike for all arms
            hits = (counts * (rate + 0.05 * wave)).tolist()
            row = {"hits": hits, "counts": counts.tolist()}
            made[arm, seed] = {
                "hits": dict.fromkeys(proof_table.HITS, row),
                "rate": 100.0,
                "step_gflops": 1.0,
                "AP": {"AP": 0.5 + seed / 100, "AP hidden": None},
            }
    return proof_table.Found(results=made)


def test_the_table_says_which_aims_hold() -> None:
    text = proof_table.tables(_results({"a": 0.30, "b": 0.37, "g": 0.41, "c": 0.41, "d": 0.43}))
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if "|" in line}
    assert lines["(c) beats (a) by 10 points, hidden"].endswith("| yes |")
    assert "+11.0 (+11.0 to +11.0)" in lines["(c) beats (a) by 10 points, hidden"]
    assert lines["(c) beats (b) by 5 points, hidden"].endswith("| **no** |")
    assert lines["(c) beats (g), the interval excludes zero, hidden"].endswith("| **no** |")
    assert lines["(d) beats (c), the interval excludes zero, hidden"].endswith("| yes |")
    assert "(c) beats (a') by 10 points, hidden" not in lines
    assert "52.0 (50.0 to 54.0) | - | 5 |" in text
    assert "| 30." in lines["(a) KPE, no occlusion in training"]


def test_arms_that_do_not_exist_and_a_page_of_a_trial_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words, why in ((["--docs", "x", "--arms", "a,z"], "no such arm: z"), ([], "needs --docs")):
        with pytest.raises(SystemExit):
            proof.main(["--small", *words])
        assert why in capsys.readouterr().err


def test_other_code_takes_up_no_result(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = proof.Proof(SMALL, made / "cache")
    assert one.result("c", 0).is_file()
    with pytest.raises(SystemExit, match="the code has changed"):
        proof.main(["--small", "--cache", str(tmp_path), "--job", "c:0", "--code", "before"])
    monkeypatch.setattr(proof, "code", lambda: "other")
    assert not proof.Proof(SMALL, made / "cache").result("c", 0).exists()
    assert proof.Proof(SMALL, made / "cache").data(test=True) == one.data(test=True)


def test_the_table_tells_the_arms_and_seeds_that_were_asked_for(made: Path) -> None:
    folder = _made(made) / "results"
    assert proof_table.read(folder, ("b", "c"), 1).arms == ("b", "c")
    assert not proof_table.read(folder, ("b",), 0).results


def test_its_network_is_pruned_and_put_into_8_bits(
    made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compress, "WIDTHS", (0.5,))  # the others cost the test its time
    words = ["--small", "--cache", str(made / "cache"), "--seeds", "1", "--steps", "2"]
    assert pruning.main([*words, "--people", "2", "--rounds", "2"]) == 0
    _, *rows = capsys.readouterr().out.split("| candidate |")[1].splitlines()
    cells = {row.split("|")[1].strip(): row.split("|")[2:-1] for row in rows[1:]}
    assert cells["as it is"][6:] == [" +0.0 (+0.0 to +0.0) "] * 3
    megabytes, operations = (
        [float(cells[name][k]) for name in ("as it is", "50% of the channels")] for k in (0, 1)
    )
    assert megabytes[1] < 0.7 * megabytes[0] and operations[1] < 0.7 * operations[0]
    assert float(cells["as it is, int8"][0]) < 0.9 * megabytes[0]
    with pytest.raises(SystemExit, match=r"\(c\) seed 1 of the proof is not trained yet"):
        pruning.main([*words[:3], "--seeds", "2", "--steps", "1", "--rounds", "1"])
