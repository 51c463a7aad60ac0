"""What a browser may ask of a clip: checked, by role, and blind where a second review is open."""

import random
from types import SimpleNamespace

import pytest
from clip_sets import TIMES, make_clips
from pydantic import ValidationError
from review_ops import ANNA, GUEST, op, seen
from reviewing import reviewed

from synthstudio.review import edits, history
from synthstudio.review.values import Person
from synthstudio.studio.editor import clips

ODD = (None, True, -1, 2**40, 1.5, "", "x" * 500, "1:2:3:4", [], {}, "é", "clip'--", "0:0", "9:1")
RIGHT = {"action": "split", "frame": 4, "instance": 1, "client": "clipabcdefgh"}
ACTIONS = ("preview", "fill", "split", "join", "rename", "undo")


@pytest.fixture
def scene_of(tmp_path):
    review = reviewed(tmp_path / "review.db", make_clips(tmp_path / "set").folder)
    chosen = SimpleNamespace(key=review.table.key, table=review.table, frames=review.frames)

    def make(frame=0, blinded=()):
        return clips.scene_of(review.store, chosen, frame, lambda people: {*blinded} & {*people})

    yield make
    review.store.close()


def test_invalid_requests_change_nothing(scene_of):
    """Whatever a browser sends is refused in words or is a valid request; nothing else happens."""
    rng = random.Random(5)
    scene = scene_of()
    valid = 0
    for _ in range(300):
        payload = RIGHT | {"action": rng.choice(ACTIONS), "undoes": "clipnobodys1"}
        for _ in range(rng.randrange(1, 3)):
            payload[rng.choice((*RIGHT, "to", "whole", "undoes", "who", "dataset"))] = rng.choice(
                ODD
            )
        try:
            request = clips.ClipRequest.model_validate(payload)
        except ValidationError:
            continue
        valid += 1
        result = clips.answer({}, request, scene, GUEST)
        assert "people" not in result or request.action == "preview", payload
    assert valid and history.counts(scene.store, scene.clip.dataset).events == 0


def test_a_tab_is_not_taken_back_as_an_edit_of_a_clip():
    """Only strokes over clips are: not all that somebody did in a browser."""
    for undoes in ("a" * 24, None):
        with pytest.raises(ValidationError):
            clips.ClipRequest.model_validate(RIGHT | {"action": "undo", "undoes": undoes})


def test_what_is_filled_in_is_what_was_counted_last(scene_of):
    scene, previews = scene_of(), {}

    def send(what, **more):
        request = clips.ClipRequest.model_validate(RIGHT | {"action": what, "frame": 2} | more)
        return clips.answer(previews, request, scene, ANNA)

    assert "preview" in send("fill")["error"]
    for frame in (0, 6):
        person = Person(dataset=scene.clip.dataset, frame=frame, instance=1)
        request = op("edit", 0, person=person, joints={"nose": seen(10 * frame, 5)})
        edits.apply(scene.store, request, who=ANNA, base=scene.base_of(person))
    counted = send("preview")
    assert counted["near"]["people"] == counted["whole"]["people"] == 5
    assert "preview" in send("fill", frame=3)["error"], "of another person"
    assert send("fill", client="clipfilling01")["people"] == 5
    assert send("undo", client="clipundoing01", undoes="clipfilling01")["people"] == 5


def test_nothing_is_shown_or_changed_of_whom_a_second_look_is_open(scene_of):
    scene = scene_of(blinded={(2, 1)})
    first = Person(dataset=scene.clip.dataset, frame=2, instance=1)
    for kind in ({"track": 40, "joints": {}}, {"joints": {"nose": seen()}}):
        revision = history.state(scene.store, first).revision
        edit = op("edit", revision, person=first, **kind)
        edits.apply(scene.store, edit, who=ANNA, base=scene.base_of(first))
    shown, _ = clips.strip(scene, (0, 1), None, log=True)
    there = shown["frames"][2]
    assert (there["mark"], there["status"], there["edited"]) == ("", "pending", False)
    assert "40" not in str(shown["tracks"]) and shown["log"] == [] and shown["keys"] == []
    request = clips.ClipRequest.model_validate(RIGHT | {"frame": 1})
    result = clips.answer({}, request, scene, ANNA)
    assert result["people"] == TIMES - 2
    assert result["unchanged"] == ["frame 2, person 1: a second review is open"]
    assert history.state(scene.store, first).track == 40
