"""Attacks on own skeletons: names, shapes, files, roles."""

import itertools
import json

import pytest
from review_ops import refused
from test_attack_cases import HOSTILE

from synthstudio.core.errors import SynthStudioError
from synthstudio.core.own_skeletons import MAX_CHARS, MAX_JOINTS, own_skeleton
from synthstudio.review.values import ROLES, User
from synthstudio.studio import skeletons

LEAD = User(name="Lea", role="lead")
NAMES = tuple(text for text in HOSTILE if text != "nose")
NAMES += ("a" * 10_000, "../../x", "..\\x", "/etc/x", "a/b", "a\0", "a\n", "\u202egnp.a", "a\u200b")
NAMES += ("\u0430", "=1+1", "@SUM(A1)", "-x", "<img src=x onerror=alert(1)>", ".hidden")
NAMES += ("__proto__", "[a](javascript:alert(1))")


WHOLE = {
    "name": "horse",
    "joints": ["nose", "left_eye", "right_eye"],
    "limbs": [["nose", "left_eye"], ["nose", "right_eye"]],
    "sigmas": {"nose": 0.05},
}


def test_names_and_what_is_large_or_deep(tmp_path):
    ring = [[f"j{k}", f"j{j}"] for k in range(40) for j in range(k)]
    definitions = [
        *({"joints": [*WHOLE["joints"], name]} for name in (*NAMES, "constructor", "nose")),
        *({"name": name} for name in (*NAMES, "a.yaml", "coco17", "coco133", "A")),
        {"places": {"nose": "x" * MAX_CHARS}},
        {"joints": [f"j{k}" for k in range(40)], "limbs": ring},
        {"joints": [f"j{k}" for k in range(MAX_JOINTS + 1)]},
    ]
    texts = [json.dumps(WHOLE | changed) for changed in definitions]
    texts += ["[" * (MAX_CHARS - 1), '{"name":' * 10_000, "\ud800"]
    texts += [json.dumps(WHOLE | {"sigmas": {"nose": 1}}).replace("1}", "1" + "0" * 5_000 + "}")]
    for text in texts:
        with pytest.raises(SynthStudioError):
            skeletons.take(tmp_path, {"definition": text, "opened": ""}, who=LEAD, used=())
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_files_that_somebody_else_put_there(tmp_path):
    """They are left out; the sound one is found, and nobody's file is replaced."""
    folder = tmp_path / skeletons.FOLDER
    assert skeletons.save(tmp_path, own_skeleton(WHOLE), opened="", used=())
    steps = itertools.pairwise("abcdefghijklmnopqrstuvwxyz")
    bombs = {
        "deep": "[" * 2_000,
        "aliases": "a: &a [x, x]\n" + "".join(f"{c}: &{c} [*{p}, *{p}]\n" for p, c in steps),
        "binary": "\0\1\2",
        "large": "x: " + "y" * 3_000_000,
        "python": "!!python/object/apply:os.system [echo]",
        "other": "name: another\njoints: [a]\n",
    }
    for name, text in bombs.items():
        (folder / f"{name}.yaml").write_text(text)
    (folder / "folder.yaml").mkdir()
    (folder / "gone.yaml").symlink_to(tmp_path / "gone")
    assert skeletons.stored(tmp_path).keys() == {"horse"}
    for name in ("other", "folder", "deep"):
        sent = {"definition": json.dumps(WHOLE | {"name": name}), "opened": ""}
        with pytest.raises(SynthStudioError):
            skeletons.take(tmp_path, sent, who=LEAD, used=())
    assert (folder / "other.yaml").read_text() == bombs["other"]


def test_who_may_save(tmp_path):
    sent = {"definition": json.dumps(WHOLE), "opened": ""}
    for role in {*ROLES, "owner", ""} - {"lead", "admin"}:
        with refused("role"):
            skeletons.take(tmp_path, sent, who=User(name="Vic", role=role), used=())
    assert not [*tmp_path.iterdir()]
    assert skeletons.take(tmp_path, sent, who=LEAD, used=())[1]
