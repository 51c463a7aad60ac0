"""Names that the package does not use for what the field has a term for: `make check`."""

from __future__ import annotations

import re
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TERMS = {
    "Ahead": "PrefetchPool",
    "Alone": "AmodalRender",
    "Answers": "PredictionColumns",
    "Asker": "RemotePredictor",
    "Both": "BoolOp",
    "Crew": "WorkerPool",
    "Drift": "VertexVelocities",
    "Filling": "Interpolation",
    "Hiding": "Occluders",
    "Meeting": "Interaction",
    "Moment": "BaseSample",
    "Numbers": "FrozenDict",
    "Pace": "Throughput",
    "Put": "GripTransform",
    "Recent": "FrameCache",
    "STRANGER": "ANONYMOUS",
    "SessionWatch": "SessionMiddleware",
    "Settle": "DrapeConstraint",
    "Solve": "GeometryQueries",
    "Stage": "FrameGenerator",
    "Stretch": "QueueWindow",
    "Thing": "Object",
    "ThingKind": "ObjectKind",
    "ThingSpec": "ObjectSpec",
    "Things": "Objects",
    "Together": "Interaction",
    "Weave": "GarmentMesh",
    "_Door": "Authenticator",
    "_Placed": "IndexedJob",
    "drifts": "velocities",
    "ghosts": "predictions",
    "glance": "quick_scan",
    "knock": "ping_server",
    "last_word": "final_fusion",
    "least": "minimum",
    "most": "maximum",
    "older": "compat",
    "outbox": "sync_queue",
    "own_depth_m": "skin_penetration_m",
    "say": "log",
    "thing": "obj",
    "things": "objects",
    "throws": "casts_shadow",
    "touches_m": "self_penetrations_m",
    "turned": "rotated",
    "uncut": "reprojected",
    "untangled": "resolve_self_intersection",
    "veil": "loading_overlay",
    "veiled": "blinded",
    "way_out": "transport",
    "way_px": "max_motion_px",
}
"""Name -> the field's term (docs/conventions.md)."""


_PARTS = {"LEAST": "MIN", "MOST": "MAX", "least": "min", "most": "max", "thing": "object"}


def current(text: str) -> str:
    """The text of old code in the names of today."""
    text = re.sub(r"\b[A-Za-z_]\w*", lambda m: TERMS.get(m[0], m[0]), text)
    return re.sub(
        r"(?<![A-Za-z])(LEAST|MOST|least(?=_)|most(?=_)|thing)(?![a-z])",
        lambda m: _PARTS[m[0]],
        text,
    )


def found(root: Path) -> list[str]:
    """Return a sentence for each such name in the Python files below `root`."""
    lines = []
    for path in sorted(root.rglob("*.py")):
        with path.open("rb") as file:
            lines += [
                f"{path}:{token.start[0]}: {token.string} (use {TERMS[token.string]})"
                for token in tokenize.tokenize(file.readline)
                if token.type == tokenize.NAME and token.string in TERMS
            ]
    return lines


if __name__ == "__main__":
    sys.exit("\n".join(found(ROOT / "synthstudio")) or None)
