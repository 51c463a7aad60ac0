# ruff: noqa: T201
"""What the project stands on: licences, known vulnerabilities, and the wheel with its SBOM.

    python tools/dependencies.py licences      of every locked package; status 1: one is not allowed
    python tools/dependencies.py advisories    known vulnerabilities, and what could not be had
    python tools/dependencies.py wheel         build the wheel with its SBOM (PEP 770) into dist

The last two install pip-audit and cyclonedx-bom into .tools, an environment of their own.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
TOOLS = ("pip-audit==2.10.1", "cyclonedx-bom==7.5.0", "wheel>=0.45")
PERMISSIVE = re.compile(
    r"\b(mit|bsd|freebsd|apache|isc|psf|python software foundation|zlib|0bsd|cc0|hpnd|unlicense)",
    re.I,
)
COPYLEFT = re.compile(r"\b(a?gpl|lgpl|mpl|mozilla|epl|cddl|eupl|sspl|general public)", re.I)
EXCEPTIONS = {
    "certifi": "MPL-2.0: a list of certificates, used unchanged",
    "hypothesis": "MPL-2.0: tests only",
    "pathspec": "MPL-2.0: lint only",
    "psycopg": "LGPL-3.0: a library of the extra [postgres], imported unchanged",
    "psycopg-binary": "LGPL-3.0: a library of the extra [postgres], imported unchanged",
    "tqdm": "MPL-2.0 and MIT: imported unchanged",
}
"""Not permissive in all parts; why they may stay."""


def licence(package: Distribution) -> str:
    """The licence as the metadata says it, else as the licence's text does; or ""."""
    metadata = package.metadata
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classifiers = metadata.get_all("Classifier") or []
    named = [c.rsplit(" :: ", 1)[1] for c in classifiers if c.startswith("License :: ")]
    named = [name for name in named if name not in ("OSI Approved", "DFSG approved")]
    if named:
        return " AND ".join(named)
    free_text = (metadata.get("License") or "").strip()
    if free_text and free_text.lower() != "unknown" and "\n" not in free_text:
        return str(free_text)
    texts = [file.read_text() for file in package.files or () if _is_licence(file.name)]
    return next(filter(None, map(_named_in, [free_text, *texts])), "")


def _is_licence(name: str) -> bool:
    return name.upper().startswith(("LICENSE", "LICENCE", "COPYING"))


def _named_in(text: str) -> str:
    if found := re.search(r"(GNU .*|Mozilla .*|MIT|Apache|ISC) Licen[cs]e", text, re.I):
        return found.group(0)
    bsd = "Redistribution and use in source and binary forms" in text
    return "BSD License" if bsd else ""


def refused(packages: dict[str, str]) -> list[str]:
    """A line for each of some packages (name -> licence) that may not be used as it is."""
    lines = []
    for name, found in packages.items():
        if name in EXCEPTIONS:
            continue
        if not found:
            lines.append(f"{name}: no licence is named")
        elif COPYLEFT.search(found) or not PERMISSIVE.search(found):
            lines.append(f"{name}: {found}")
    return lines


def locked() -> list[str]:
    """Names of the packages in the lock."""
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    return [line.split("==")[0] for line in lines if line and not line.startswith("#")]


def licences() -> dict[str, str]:
    """Licence by package of the lock, lower case names with dashes."""
    return {re.sub(r"[-_.]+", "-", n).lower(): licence(distribution(n)) for n in locked()}


def advisories() -> tuple[list[str], list[str]]:
    """Vulnerabilities, a line each, and the packages of which nothing could be had."""
    with tempfile.TemporaryDirectory() as folder:
        names = Path(folder) / "requirements.txt"  # a local build tag is no version of an index
        names.write_text(re.sub(r"\+\w+", "", LOCK.read_text(encoding="utf-8")))
        made = subprocess.run(
            [_tools() / "pip-audit", "--requirement", names, "--no-deps", "--disable-pip",
             "--format", "json", "--progress-spinner", "off"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    try:
        rows = json.loads(made.stdout)["dependencies"]
    except (ValueError, KeyError):
        sys.exit(f"pip-audit gave no answer:\n{made.stderr[-2000:]}")
    found = [
        f"{row['name']} {row['version']}: {v['id']}, "
        f"mended in {', '.join(v['fix_versions']) or 'no version'}"
        for row in rows
        for v in row.get("vulns", ())
    ]
    return found, [row["name"] for row in rows if "skip_reason" in row]


def sbom() -> dict[str, Any]:
    """CycloneDX of the package and all that `pip install synthstudio[all]` brings, as locked."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "sbom.json"
        subprocess.run(
            [_tools() / "cyclonedx-py", "environment", sys.executable, "--pyproject",
             ROOT / "pyproject.toml", "--output-reproducible", "--output-file", out],
            check=True, capture_output=True,
        )  # fmt: skip
        made: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return reachable(made, needed("synthstudio", "all"))


def needed(name: str, extra: str = "") -> dict[str, set[str]]:
    """For a package and all below it the names of what each needs on this machine."""
    found: dict[str, set[str]] = {}
    todo, seen = [(_plain(name), extra)], set()
    while todo:
        here = todo.pop()
        if here in seen:
            continue
        seen.add(here)
        needs = found.setdefault(here[0], set())
        for line in distribution(here[0]).requires or []:
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate({"extra": here[1]}):
                below = _plain(wanted.name)
                needs |= {below} - {here[0]}
                todo += [(below, more) for more in ("", *wanted.extras)]
    return found


def reachable(bom: dict[str, Any], needs: dict[str, set[str]]) -> dict[str, Any]:
    """The SBOM with only the packages of `needs`, each with what it really needs.

    The generator also follows requirements of extras that nobody asked for.
    """
    root = bom["metadata"]["component"]
    components = [c for c in bom["components"] if _plain(c["name"]) in needs]
    refs = {_plain(c["name"]): c["bom-ref"] for c in (*components, root)}
    rows = [
        {"ref": refs[name], "dependsOn": sorted(refs[below] for below in below_it if below in refs)}
        for name, below_it in sorted(needs.items())
        if name in refs
    ]
    return {**bom, "components": components, "dependencies": rows}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def built(folder: Path) -> Path:
    """Build a wheel of the tracked files below `folder`."""
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in files.stdout.splitlines():  # a copy: a build leaves files that the next would pack
        if (ROOT / name).exists():  # links stay links: of synthstudio/scenes
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "source" / name, follow_symlinks=False)
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q")
    subprocess.run([*pip, "-w", folder / "built", folder / "source"], check=True)
    (plain,) = (folder / "built").glob("synthstudio-*.whl")
    return plain


def wheel(out: Path) -> Path:
    """Build the wheel with the SBOM in its .dist-info/sboms; return its path."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        plain = built(Path(folder))
        pack = (_tools() / "python", "-m", "wheel")
        subprocess.run([*pack, "unpack", plain, "-d", folder], check=True, capture_output=True)
        (tree,) = (p for p in Path(folder).glob("synthstudio-*") if p.is_dir())
        (info,) = tree.glob("*.dist-info")
        (info / "sboms").mkdir()
        text = json.dumps(sbom(), indent=1, sort_keys=True) + "\n"
        (info / "sboms" / "synthstudio.cdx.json").write_text(text, encoding="utf-8")
        subprocess.run([*pack, "pack", tree, "-d", out], check=True, capture_output=True)
    return out / plain.name


def _tools() -> Path:
    """The folder of programs of .tools, made when it is missing."""
    home = ROOT / ".tools"
    ready = home / "ready.txt"
    if not ready.is_file() or ready.read_text() != "\n".join(TOOLS):
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        pip = (home / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check")
        subprocess.run([*pip, *TOOLS], check=True)
        ready.write_text("\n".join(TOOLS))
    return home / "bin"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("licences")
    commands.add_parser("advisories")
    commands.add_parser("wheel").add_argument("--out", type=Path, default=ROOT / "dist")
    options = parser.parse_args()
    if options.command == "wheel":
        print(wheel(options.out))
    elif options.command == "licences":
        found = licences()
        bad = refused(found)
        print(f"{len(found)} packages, {len(EXCEPTIONS)} exceptions, {len(bad)} not allowed")
        print("\n".join([*(f"  {name}: {why}" for name, why in EXCEPTIONS.items()), *bad]))
        sys.exit(bool(bad))
    else:
        found_lines, unknown = advisories()
        total = len(locked())
        print("\n".join(found_lines) or "no known vulnerability in those that could be looked up")
        if unknown:
            print(f"no advisories could be had here for {len(unknown)} of {total} packages")
        sys.exit(bool(found_lines))


if __name__ == "__main__":
    main()
