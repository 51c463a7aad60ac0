"""Names that the package does not use for what the field has a term for: `make check`."""

from __future__ import annotations

import io
import re
import sys
import tokenize
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "synthstudio"
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
anybody:any_person ask_causes:target_causes ask_fraction:target_fraction ask_hidden:target_hidden
ask_met:target_met ask_network:network_predictor ask_row:target_row ask_shown:target_shown
ask_workers:predict_in_workers asks_for_bodies:has_body_quotas crowd_ask:crowd_target
distrust:reject_prediction distrusts:rejected_models draw_asks:draw_targets drifts:velocities
ghosts:predictions glance:quick_scan hides_nobody:clear_of_people knock:ping_server
last_word:final_fusion least:minimum look_alike:confusable_name made_up:synthetic
makes_sense:is_plausible meant:matching_keys most:maximum nobody_visible:no_person_visible
older:compat outbox:sync_queue own_depth_m:skin_penetration_m say:log says:implied
shares:visibility_fractions second_look:find_one somebody:person
somebody_in_sight:any_person_visible still_holding:valid_sessions surely_seen:tracking_weights
surer:refined surest:most_confident take_turn:advisory_lock talk_of:thread_events taught:loss_mask
tells:shows thing:obj things:objects throws:casts_shadow told_apart:classifier_summary
told_of:described touches_m:self_penetrations_m turned:rotated uncut:reprojected
untangled:resolve_self_intersection veil:loading_overlay veiled:blinded waits_until:blocked_until
way_out:transport way_px:max_motion_px
"""
TERMS = dict(pair.split(":", 1) for pair in _TABLE.split())
"""Name -> the field's term (docs/conventions.md)."""
_UNCLEAR = ("ask", "asked", "asks", "begun", "keyed", "mend", "nobody", "ours", "theirs", "told")
"""Names whose term depends on what they hold: requested, initial, keyframe, baseline, given."""
_PARTS = {"LEAST": "MIN", "MOST": "MAX", "least": "min", "most": "max", "thing": "object"}


def current(text: str) -> str:
    """The text of old code in the names of today."""
    text = re.sub(r"\b[A-Za-z_]\w*", lambda m: TERMS.get(m[0], m[0]), text)
    part = r"(?<![A-Za-z])(LEAST|MOST|least(?=_)|most(?=_)|thing)(?![a-z])"
    return re.sub(part, lambda m: _PARTS[m[0]], text)


def found(root: Path) -> list[str]:
    """Return a sentence for each such name or key in the Python files below `root`."""
    terms = TERMS | dict.fromkeys(_UNCLEAR, "the term of what it holds")
    terms |= {f'"{name}"': terms[name] for name in terms if "_" in name or name in _UNCLEAR}
    return [
        f"{path}:{token.start[0]}: {token.string} (use {terms[token.string]})"
        for path in sorted(root.rglob("*.py"))
        for token in tokenize.tokenize(io.BytesIO(path.read_bytes()).readline)
        if token.string in terms
    ]


if __name__ == "__main__":
    sys.exit("\n".join(found(PACKAGE)) or None)
