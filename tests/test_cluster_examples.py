"""What examples/cluster starts: commands that exist, with as many workers as there are cores."""

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import yaml
from printed import ROOT, command_of

EXAMPLES = ROOT / "examples" / "cluster"
# Stand-ins: the launchers run what follows on this machine, the program says how it was called.
PROGRAMS = {
    "scontrol": "echo first; echo second",
    "srun": 'exec "$@"',
    "ray": 'echo "$@" > launched; while [ "$1" != -- ]; do shift; done; shift; exec "$@"',
    "synthstudio": 'echo "$@" > called; echo "${RAY_ADDRESS:-none}" > address; '
    'mkdir -p out; touch out/index.json',
}  # fmt: skip
CPUS = {"SLURM_CPUS_PER_TASK": "16"}


def started(name: str, folder: Path, **slurm: str) -> dict[str, Any]:
    """Run a script as SLURM would; return what it asks of `synthstudio generate`."""
    for program, text in PROGRAMS.items():
        (folder / program).write_text(f"#!/bin/sh\n{text}\n")
        (folder / program).chmod(0o755)
    subprocess.run(
        ["sh", EXAMPLES / name, "recipe.yaml", "out"],
        cwd=folder,
        env={**os.environ, **slurm, "PATH": f"{folder}:{os.environ['PATH']}"},
        check=True,
    )
    return parsed("synthstudio " + (folder / "called").read_text())


def parsed(called: str) -> dict[str, Any]:
    words = shlex.split(called)
    command, arguments = command_of(words)
    assert words[:2] == ["synthstudio", "generate"]
    return command.make_context("generate", arguments).params


def test_slurm_uses_all_cores_of_all_nodes(tmp_path: Path) -> None:
    slurm = {"SLURM_NNODES": "4", "SLURM_JOB_NODELIST": "n[1-4]", **CPUS}
    asked = started("slurm.sh", tmp_path, **slurm)
    assert asked["engine"] == "ray" and asked["workers"] == 64 and asked["resume"]
    assert str(asked["scene"]) == "recipe.yaml" and str(asked["out"]) == "out"
    launched = (tmp_path / "launched").read_text()
    assert "--address first:6379 --min-nodes 4 --num-cpus 16 --" in launched
    assert (tmp_path / "address").read_text() == "auto\n"


def test_an_array_job_makes_a_part_a_task(tmp_path: Path) -> None:
    slurm = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8", **CPUS}
    asked = started("array.sh", tmp_path, **slurm)
    assert asked["part"] == "3/8" and asked["workers"] == 16 and asked["resume"]
    assert str(asked["out"]) == "out/part-3" and asked["engine"] == "local"


def test_a_ray_job_on_kubernetes_uses_all_cores_of_its_workers() -> None:
    job = yaml.safe_load((EXAMPLES / "rayjob.yaml").read_text(encoding="utf-8"))
    asked = parsed(job["spec"]["entrypoint"])
    assert asked["engine"] == "ray" and asked["resume"]
    cluster = job["spec"]["rayClusterSpec"]
    (workers,) = cluster["workerGroupSpecs"]
    (container,) = workers["template"]["spec"]["containers"]
    assert asked["workers"] == workers["replicas"] * int(container["resources"]["limits"]["cpu"])
    (head,) = cluster["headGroupSpec"]["template"]["spec"]["containers"]
    assert head["image"] == container["image"]
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert f"ray=={cluster['rayVersion']}\n" in lock
