"""Names that the package does not use for what the field has a term for: `make check`."""

from __future__ import annotations

import re
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_TABLE = """
ASKED:TARGET_VARIANTS Ahead:PrefetchPool Alone:AmodalRender Answers:PredictionColumns
Asked:SkeletonPredictor Asker:RemotePredictor Both:BoolOp Crew:WorkerPool Drift:VertexVelocities
Filling:Interpolation Hiding:Occluders MAX_ASKED:MAX_RATIO MAX_TOLD:MAX_LISTED Meeting:Interaction
Moment:BaseSample NOBODY_S:NO_WORKER_S Numbers:FrozenDict Pace:Throughput Put:GripTransform
Recent:FrameCache STRANGER:ANONYMOUS SessionWatch:SessionMiddleware Settle:DrapeConstraint
Solve:GeometryQueries Stage:FrameGenerator Stretch:QueueWindow Thing:Object ThingKind:ObjectKind
ThingSpec:ObjectSpec Things:Objects Together:Interaction Weave:GarmentMesh _Door:Authenticator
_MAX_ASKED:_MAX_BOXES _NOBODY:_NO_BOX _Placed:IndexedJob _SURE_PX:_TOLERANCE_PX
_SURE_SIN:_CERTAIN_SIN _TOLD:_DRIVER_ENVIRONMENT _TOLD_APART:_MIN_CONTRAST
_check_nobody:_check_frame_status _lies:_picture_box _nobody:_no_people _told:_run_error
anybody:any_person draw_asks:draw_targets drifts:velocities ghosts:predictions glance:quick_scan
hides_nobody:clear_of_people knock:ping_server last_word:final_fusion least:minimum
meant:matching_keys most:maximum older:compat outbox:sync_queue own_depth_m:skin_penetration_m
say:log says:implied somebody:person somebody_in_sight:any_person_visible surer:refined
surest:most_confident tells:shows thing:obj things:objects throws:casts_shadow
told_apart:classifier_summary told_of:described touches_m:self_penetrations_m turned:rotated
uncut:reprojected untangled:resolve_self_intersection veil:loading_overlay veiled:blinded
way_out:transport way_px:max_motion_px
"""
TERMS = dict(pair.split(":", 1) for pair in _TABLE.split())
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
