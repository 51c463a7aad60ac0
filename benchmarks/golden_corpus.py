"""Hostile files, always the same: recipes, assets, annotations, data sets, configs, networks.

A case is a small folder and the commands that are asked about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.golden_case import Case
from benchmarks.golden_case_assets import assets
from benchmarks.golden_case_sets import annotations, configs, exchanged, networks, occlusions, sets


def cases(inputs: Path) -> list[Case]:
    """Return all cases; `inputs` is the folder of golden_inputs.make_inputs."""
    found = [*cases_of_files(), *cases_of_sets(inputs), *assets(inputs)]
    found += [*networks(inputs), *occlusions(inputs)]
    names = [case.name for case in found]
    assert len(set(names)) == len(names), "names of cases"
    return found


def cases_of_files() -> list[Case]:
    """Return the cases that need no inputs and draw nothing: recipes, configs, others' files."""
    return [*recipes(), *exchanged(), *configs()]


def cases_of_sets(inputs: Path) -> list[Case]:
    """Return the cases made of the data set `pairs` and of its export `coco`."""
    return [*annotations(inputs), *sets(inputs)]


_BOMB = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + k)}: &{chr(98 + k)} [{', '.join(['*' + chr(97 + k)] * 9)}]\n" for k in range(9)
)
RECIPES: dict[str, str | bytes] = {
    "none": "",
    "comment": "# nothing\n",
    "list": "- name: a\n",
    "word": "just text\n",
    "unclosed": "name: [unclosed\n",
    "tab": "\tname: a\n",
    "two-documents": "name: a\n---\nname: b\n",
    "python-object": "name: !!python/object/apply:os.system ['true']\n",
    "anchor": "name: a\nbase: &x {frames: 3}\n",
    "bomb": _BOMB,
    "nul": "name: a\0\n",
    "not-utf8": b"name: \xff\xfe\n",
    "too-deep": "name: " + "[" * 5000,
    "too-large": "name: a\ndescription: " + "x" * 3_000_000,
    "twice": "name: a\nname: b\n",
    "no-name": "frames: 3\n",
    "bad-name": "name: A B\n",
    "unknown-field": "name: a\nsead: 3\n",
    "zero-frames": "name: a\nframes: 0\n",
    "real-frames": "name: a\nframes: 1.5\n",
    "true-frames": "name: a\nframes: yes\n",
    "low-above-high": "name: a\npeople: {count: [3, 1]}\n",
    "nan": "name: a\ncamera: {height_m: .nan}\n",
    "infinite": "name: a\ncamera: {height_m: .inf}\n",
    "far": "name: a\ncamera: {distance_m: [1, 500]}\n",
    "text-number": "name: a\ncamera: {height_m: '3'}\n",
    "narrow": "name: a\nimage: {width_px: 63}\n",
    "wide": "name: a\nimage: {width_px: 99999}\n",
    "splits": "name: a\nsplits: {train: 0.5}\n",
    "skeleton": "name: a\nskeleton: coco18\n",
    "layer": "name: a\nlayers: [depht]\n",
    "layer-twice": "name: a\nlayers: [depth, depth]\n",
    "no-folder": "name: a\nbackdrop: {kind: photo}\n",
    "kind": "name: a\nbackdrop: {kind: foto, folder: x}\n",
    "no-choices": "name: a\nbackdrop: {kind: mix, choices: []}\n",
    "few-identities": "name: a\npeople: {count: 9, identities: 3}\n",
    "photo-view": "name: a\nbackdrop: {kind: photo, folder: x}\nvariants: {view: 2}\n",
    "joint": "name: a\ntargets: {joints: {left_wrst: 0.5}}\n",
    "weights": "name: a\nlight: {warmth: {choice: {0.1: 0}}}\n",
    "climbs": "name: a\ncutouts: {folder: '../x'}\n",
    "absolute": "name: a\ncutouts: {folder: '/etc'}\n",
    "home": "name: a\nbackdrop: {kind: photo, folder: '~/x'}\n",
    "backslash": "name: a\nbackdrop: {kind: photo, folder: 'a\\b'}\n",
    "pose": "name: a\npeople: {poses: {names: {no_such_pose: 1}}}\n",
    "thing": "name: a\nthings: [{kind: procedural, kinds: {no_such_thing: 1}}]\n",
    "quota": "name: a\nquotas: {family: {stand: 1}}\npeople: {hold: {share: 0.5}}\n",
    "clip-photo": "name: a\nclip: {frames: 4}\nbackdrop: {kind: photo, folder: x}\n",
    "good": "name: a\nframes: 1\nimage: {width_px: 64, height_px: 64}\npeople: {count: 1}\n",
}


def recipes() -> Iterator[Case]:
    for name, text in RECIPES.items():
        data = text if isinstance(text, bytes) else text.encode()
        command = ("generate", "{here}/a.yaml", "--plan", "--json")
        if name != "good":
            command = ("generate", "{here}/a.yaml", "--frames", "1", "--out", "{out}")
        yield Case(name=f"recipe-{name}", files={"a.yaml": data}, commands=(command,))
    for name, words in {
        "absent": ("generate", "{here}/no.yaml", "--out", "{out}"),
        "folder": ("generate", "{here}", "--out", "{out}"),
        "part": ("generate", "{here}/a.yaml", "--part", "5/3", "--out", "{out}"),
        "part-text": ("generate", "{here}/a.yaml", "--part", "x", "--out", "{out}"),
        "workers": ("generate", "{here}/a.yaml", "--workers", "0", "--out", "{out}"),
        "option": ("generate", "{here}/a.yaml", "--colour", "red", "--out", "{out}"),
        "picture-name": ("preview", "{here}/a.yaml", "--out", "{out}.tiff"),
        "command": ("nonsense", "{here}"),
        "taken": ("generate", "{here}/a.yaml", "--out", "{here}"),
    }.items():
        good = RECIPES["good"]
        assert isinstance(good, str)
        yield Case(name=f"call-{name}", files={"a.yaml": good.encode()}, commands=(words,))
