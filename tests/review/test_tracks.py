"""Clips in a review: key frames, what lies between them, and who is who over time."""

import dataclasses

import pytest
from clip_sets import TIMES, make_clips
from review_ops import ANNA, BEN, GUEST, Desk, hidden, op, seen

from synthstudio.cli.review import _line
from synthstudio.core.errors import Refused
from synthstudio.review import clip_edits, edits, history, leases
from synthstudio.review.reviewed import reviewed, reviewed_dataset
from synthstudio.review.risk.table import people_table
from synthstudio.review.tracks import clip_of, clip_order, has_clips, interpolated, track_log
from synthstudio.review.values import JointLabel, Person


@pytest.fixture(scope="session")
def clip_set(tmp_path_factory):
    return make_clips(tmp_path_factory.mktemp("clips") / "set")


@pytest.fixture
def scene(empty_store, clip_set):
    desk = Desk(empty_store, clip_set)
    table = dataclasses.replace(people_table(clip_set), key=desk.key)
    of = {"store": empty_store, "table": table, "clip": clip_of(table, 0)}
    return clip_edits.Scene(**of, base_of=desk.base)


def at(scene, frame, instance=1):
    return Person(dataset=scene.clip.dataset, frame=frame, instance=instance)


def edit(scene, person, *, kind="edit", **more):
    revision = history.state(scene.store, person).revision
    asked = op(kind, revision, person=person, **more)
    return edits.apply(scene.store, asked, who=ANNA, base=scene.base_of(person))


def tracks(scene):
    return {(m.person.frame, m.person.instance): m.track for m in scene.members() if m.exists}


def test_a_clip_is_its_frames_by_time(scene):
    assert has_clips(scene.table) and scene.clip.frames == {t: t for t in range(TIMES)}
    assert clip_of(scene.table, TIMES + 1).frames[1] == TIMES + 1
    assert clip_of(scene.table, 99) is None
    order = scene.table.ids(clip_order(scene.table, range(scene.table.people)))
    assert order[: TIMES + 1] == [*((t, 1) for t in range(TIMES)), (0, 2)]


def test_between_key_frames_places_are_linear_and_the_nearer_one_says_what_is_seen(scene):
    for frame, label in ((1, seen(10, 20)), (5, hidden(50, 60))):
        edit(scene, at(scene, frame), joints={"nose": label})
    found = clip_edits.interpolation(scene, at(scene, 3), around=True)
    assert found.keys == (1, 5) and [f.person.frame for f in found.fills] == [2, 3, 4]
    done = clip_edits.interpolate(scene, found, "clipfill1", who=ANNA)
    assert done == clip_edits.Result(people=3)
    noses = [history.state(scene.store, at(scene, k)).joints["nose"] for k in (2, 3, 4)]
    assert [(n.x_px, n.y_px, n.state, n.cause) for n in noses] == [
        (20, 30, 2, "visible"), (30, 40, 2, "visible"), (40, 50, 1, "object"),
    ]  # fmt: skip
    assert clip_edits.interpolate(scene, found, "clipfill1", who=ANNA).people == 3, "said twice"
    # What was filled in is no key frame until somebody moves a joint of it.
    said = edit(scene, at(scene, 4), joints={"nose": hidden(40.004, 50, "person")})
    keys = [m.person.frame for m in scene.members() if m.is_key]
    assert keys == [1, 5]
    edit(scene, at(scene, 4), kind="revert", event=said.id)
    edit(scene, at(scene, 3), joints={"nose": seen(0, 0)})
    assert [m.person.frame for m in scene.members() if m.is_key] == [1, 3, 5]
    back = clip_edits.undo(scene, "clipfill1", "clipundo1", who=ANNA)
    assert back.people == 2 and "frame 3, person 1" in back.left[0]
    assert "nose" not in history.state(scene.store, at(scene, 2)).joints
    again = clip_edits.undo(scene, "clipundo1", "clipredo1", who=ANNA)
    assert again.people == 2
    assert history.state(scene.store, at(scene, 2)).joints["nose"].x_px == 20
    assert history.check_replay(scene.store, scene.clip.dataset) == []


def test_who_is_held_decided_or_changed_since_stays_and_is_named(scene):
    for frame in (0, 5):
        edit(scene, at(scene, frame), joints={"nose": seen(10 + frame, 20)})
    edit(scene, at(scene, 1), kind="status", status="flagged")
    leases.claim(scene.store, [at(scene, 2)], who=BEN)
    found = clip_edits.interpolation(scene, at(scene, 0), around=False)
    edit(scene, at(scene, 3), kind="comment", text="?")
    done = clip_edits.interpolate(scene, found, "clipfill2", who=ANNA)
    assert done.people == 1
    assert sorted(done.left) == [
        "frame 1, person 1: flagged",
        "frame 2, person 1: claimed by another reviewer",
        "frame 3, person 1: changed meanwhile",
    ]
    with pytest.raises(Refused, match="role"):
        clip_edits.interpolate(scene, found, "clipfill3", who=GUEST)


def test_somebody_is_added_where_nobody_of_the_track_is(scene):
    """As in a video that is labelled from nothing."""
    nobody = scene.base_of(at(scene, 0, 7))
    assert not nobody.exists
    for frame in (0, 3):
        edit(scene, at(scene, frame, 7), kind="add", joints={"nose": seen(10 * frame, 9)}, track=9)
    found = clip_edits.interpolation(scene, at(scene, 0, 7), around=True)
    assert [f.kind for f in found.fills] == ["add", "add"]
    assert clip_edits.interpolate(scene, found, "clipfill4", who=ANNA).people == 2
    assert tracks(scene)[1, 3] == tracks(scene)[2, 3] == 9
    assert clip_edits.undo(scene, "clipfill4", "clipundo4", who=ANNA).people == 2
    assert (1, 3) not in tracks(scene)


def test_tracks_are_split_joined_and_renamed_and_exported_so(scene, clip_set, tmp_path):
    me = at(scene, 4)
    assert clip_edits.split(scene, me, "clipsplit1", who=ANNA).people == 4
    assert [tracks(scene)[k, 1] for k in range(TIMES)] == [1] * 4 + [3] * 4
    with pytest.raises(Refused, match="both tracks are in some frames"):
        clip_edits.join(scene, me, 2, "clipjoin1", who=ANNA)
    with pytest.raises(Refused, match="begins here"):
        clip_edits.split(scene, me, "clipsplit2", who=ANNA)
    with pytest.raises(Refused, match="is a track of the clip"):
        clip_edits.rename(scene, me, 2, "cliprename1", who=ANNA)
    assert clip_edits.rename(scene, me, 12, "cliprename1", who=ANNA).people == 4
    made = reviewed_dataset(scene.store, clip_set, tmp_path / "out", only="all").iter_instances()
    exported = [row["track_id"] for row in made if row["instance"] == 1]
    assert exported == [1] * 4 + [12] * 4 + [1] * TIMES
    digest = reviewed(scene.store, clip_set, only="all").identity.derived
    assert clip_edits.join(scene, me, 1, "clipjoin2", who=ANNA).people == 4
    assert reviewed(scene.store, clip_set, only="all").identity.derived != digest
    log = track_log(scene.store, scene.table, scene.clip, 1)
    assert [line["what"] for line in log] == [
        "frames 4 to 7 (4): track 12 to track 1",
        "frames 4 to 7 (4): track 3 to track 12",
        "frames 4 to 7 (4): track 1 to track 3",
    ]
    for client in ("clipjoin2", "cliprename1", "clipsplit1"):
        assert clip_edits.undo(scene, client, f"{client}undo", who=ANNA).people == 4
    assert set(tracks(scene).values()) == {1, 2}
    told = [_line(event) for event in history.events(scene.store, scene.clip.dataset, person=me)]
    assert told[0].endswith("frame 4 person 1  edit track 3"), "review history says so, too"
    assert history.check_replay(scene.store, scene.clip.dataset) == []


def test_nobody_is_in_a_frame_twice(scene):
    with pytest.raises(Refused, match="with one track"):
        edit(scene, at(scene, 0), joints={}, track=2)
    edit(scene, at(scene, 0, 2), kind="delete")
    edit(scene, at(scene, 0), joints={}, track=2)
    with pytest.raises(Refused, match="with one track"):
        edit(scene, at(scene, 0, 2), kind="restore")


def test_what_is_outside_at_one_end_has_no_place_between():
    known = {"nose": JointLabel(x_px=10, y_px=10, state=2, cause="visible")}
    gone = {"nose": JointLabel(x_px=None, y_px=None, state=0, cause="truncated")}
    far = {"nose": JointLabel(x_px=-90, y_px=10, state=0, cause="truncated")}
    size = (320, 240)
    assert interpolated(known, gone, 0.4, size) == known
    assert interpolated(known, gone, 0.6, size) == gone
    assert interpolated(known, far, 0.4, size)["nose"].state == 0, "already over the edge"
    assert interpolated(known, far, 0.05, size)["nose"].x_px == 5
