"""Build the wheel, install it without extras into an empty environment, and use it there.

    python tools/wheel_test.py [--log FILE]

Exit status 1 when something that must work does not. Needs the package index once.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools import dependencies  # noqa: E402

ABSENT = ("streamlit", "sqlalchemy", "authlib", "transformers", "tensorboard")
EXTRAS = {  # a command without what it needs -> the extra that its message names
    ("train", "config.yaml", "--out", "run"): "train",
    ("studio", "demo/dataset"): "studio",
    ("review", "stats", "demo/dataset"): "studio",
}
FIRST_FRAME = """
import time; start = time.perf_counter()
import synthstudio as ss
imported = time.perf_counter() - start
shape = ss.Dataset("demo/dataset")[0].people.joints_px.shape
print(imported, time.perf_counter() - start, shape)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", type=Path, help="Write what is printed here too.")
    target = parser.parse_args().log
    lines: list[str] = []

    def log(line: str) -> None:
        lines.append(line)
        print(line, flush=True)  # noqa: T201

    with tempfile.TemporaryDirectory(prefix="synthstudio-wheel-") as folder:
        failed = check(Path(folder), log)
    for problem in failed:
        log(f"FAILED: {problem}")
    log("passed" if not failed else f"{len(failed)} failed")
    if target is not None:
        target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.exit(bool(failed))


def check(folder: Path, log) -> list[str]:  # type: ignore[no-untyped-def]
    """What does not hold, a line each."""
    failed: list[str] = []
    wheel = dependencies.wheel(folder / "dist")
    log(f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB")
    run(sys.executable, "-m", "venv", folder / "env", cwd=folder)
    python = folder / "env" / "bin" / "python"
    empty = size_mb(folder / "env")
    start = time.monotonic()
    pip = (python, "-m", "pip", "install", "-q", "--disable-pip-version-check")
    run(*pip, "-c", ROOT / "requirements.lock", wheel, cwd=folder)
    took = time.monotonic() - start
    log(f"pip install without extras: {took:.0f} s, {size_mb(folder / 'env') - empty:,.0f} MB")
    listed = run(python, "-m", "pip", "list", "--format", "json", cwd=folder).stdout
    names = {entry["name"].lower() for entry in json.loads(listed)}
    log(f"{len(names)} packages; absent: {', '.join(sorted(set(ABSENT) - names))}")
    failed += [f"{name} is installed" for name in ABSENT if name in names]
    boms = list((folder / "env").rglob("synthstudio-*.dist-info/sboms/*.cdx.json"))
    if boms:
        listed = json.loads(boms[0].read_text(encoding="utf-8"))["components"]
        log(f"{boms[0].name}: {len(listed)} components, those of all extras too")
    else:
        failed.append("no SBOM is in the wheel")

    desk = folder / "anywhere"
    desk.mkdir()
    command = folder / "env" / "bin" / "synthstudio"
    start = time.monotonic()
    made = run(command, "demo", "--out", "demo", "--json", cwd=desk, check=False)
    if made.returncode:
        return [*failed, f"synthstudio demo: {made.stderr[-500:]}"]
    found = json.loads(made.stdout)
    log(
        f"synthstudio demo in an empty folder: {time.monotonic() - start:.0f} s, "
        f"{found['frames']} frames, {found['audit']['state_differs']} states differ"
    )
    (desk / "config.yaml").write_text("train: [{dataset: demo/dataset}]\n")
    for line, extra in EXTRAS.items():
        made = run(command, *line, cwd=desk, check=False)
        told = f"synthstudio[{extra}]" in made.stderr and "Traceback" not in made.stderr
        log(f"synthstudio {line[0]}: {made.stderr.strip().splitlines()[-1][:160]}")
        if made.returncode != 1 or not told:
            failed.append(f"synthstudio {line[0]} does not name the extra {extra}: {made.stderr}")
    run(python, "-c", FIRST_FRAME, cwd=desk)  # compiles what it imports
    imported, first, *_ = run(python, "-c", FIRST_FRAME, cwd=desk).stdout.split()
    log(f"import synthstudio: {float(imported):.3f} s; first frame: {float(first):.3f} s")
    return failed


def size_mb(folder: Path) -> float:
    return sum(p.lstat().st_size for p in folder.rglob("*") if not p.is_symlink()) / 1e6


def run(*command: str | Path, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command as on a machine that knows nothing of the checkout."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    made = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={**kept, "HOME": str(cwd)},
        capture_output=True,
        text=True,
        check=False,
    )
    if check and made.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{made.stderr[-3000:]}")
    return made


if __name__ == "__main__":
    main()
