"""People are followed by their joints, looked for when it is time, named once and held steady."""

import dancers
import numpy as np
import pytest

from synthstudio.core.errors import FormatError
from synthstudio.core.rng import stream
from synthstudio.inference.live import Follower, LiveOptions, OneEuro, filtered
from synthstudio.inference.sources import Boxes
from synthstudio.inference.stream import LiveFrame


def frames(places, fps=30):
    return [
        LiveFrame(number=k, time_s=k / fps, arrived_s=k / fps, rgb=dancers.picture(those))
        for k, those in enumerate(places)
    ]


class Finder:
    """Finds all sticks of a picture, and counts how often it is asked."""

    def __init__(self, places):
        self.places, self.asked = places, []

    def __call__(self, image):
        self.asked.append(image.number)
        xywh = [[x, y, *dancers.STICK] for x, y in self.places[image.number]]
        return Boxes(xywh=np.array(xywh, float).reshape(-1, 4), score=np.ones(len(xywh)))


def follow(pictures, find, options=None):
    follower = Follower(dancers.ask, find, size=dancers.SIZE, options=options)
    return [follower.step(frame) for frame in pictures]


def run(places, **options):
    find = Finder(places)
    how = LiveOptions(**{"euro": None} | options)
    return follow(frames(places), find, how), find


def test_people_are_looked_for_once_and_then_followed_by_their_joints():
    two = [[(20 + 3 * k, 40 + k), (250 - 2 * k, 100)] for k in range(30)]
    seen, find = run(two, every=0)
    assert find.asked == [0]
    assert [s.searched for s in seen] == [True] + [False] * 29
    for s, places in zip(seen, two, strict=True):
        assert [p.track for p in s.people] == [1, 2]
        for person, place in zip(s.people, places, strict=True):
            middle = np.add(place, np.array(dancers.STICK) / 2)
            assert np.abs(person.xy.mean(0) - middle).max() < 4  # pixels of a crop are 2 px


def test_every_so_many_pictures_others_are_looked_for():
    later = [[(30.0, 60.0)] + [(200.0, 60.0)] * (k >= 5) for k in range(25)]
    seen, find = run(later, every=10)
    assert find.asked == [0, 10, 20]
    assert [len(s.people) for s in seen] == [1] * 10 + [2] * 15
    assert {p.track for s in seen for p in s.people} == {1, 2}


def test_who_is_lost_is_looked_for_at_once_and_has_the_same_track_again():
    away = [[(100.0, 60.0)] if k < 5 or k > 12 else [] for k in range(20)]
    seen, find = run(away, every=0)
    assert find.asked == [0, *range(6, 14)]
    assert [len(s.people) for s in seen] == [1] * 5 + [0] * 8 + [1] * 7
    assert {p.track for s in seen for p in s.people} == {1}


def test_who_is_found_twice_is_one_and_who_leaves_is_lost():
    seen, _ = run([[(100.0, 60.0), (101.0, 60.0)]] * 3)
    assert [len(s.people) for s in seen] == [1, 1, 1]
    leaving = [[(240.0 + 8 * k, 60.0)] for k in range(14)]
    find = Finder([leaving[0], *[[]] * 13])
    seen = follow(frames(leaving), find)
    assert [len(s.people) for s in seen[:6]] == [1] * 6 and not seen[-1].people
    with pytest.raises(FormatError):
        run([[(900.0, 60.0)]])


def through(xy, euro, fps=30, size_px=100):
    """A joint's places (T, 2) through the filter."""
    state, out = None, []
    for k, place in enumerate(xy):
        state = filtered(euro, state, place[None], time_s=k / fps, size_px=size_px)
        out.append(state.xy[0])
    return np.array(out)


def test_the_filter_is_that_of_its_formula():
    """With beta 0 it is an exponential filter of that cutoff."""
    fps, cutoff = 30.0, 2.0
    step = np.concatenate([np.zeros((1, 2)), np.full((20, 2), 10.0)])
    share = 1 / (1 + fps / (2 * np.pi * cutoff))
    expected = 10 * (1 - (1 - share) ** np.arange(21))
    found = through(step, OneEuro(min_cutoff_hz=cutoff, beta=0), fps)
    assert np.allclose(found, expected[:, None])
    same = through(step, OneEuro(min_cutoff_hz=cutoff, beta=0), 2 * fps)
    assert (same[1:] < found[1:]).all()  # half the time, less of the way


def test_the_filter_holds_what_stands_and_follows_what_moves():
    """Noise of 0.7 % of a person: less than half is left; a walk of one size a second lags less
    than two pictures."""
    euro = OneEuro()
    noise = stream(0, "one euro").normal(0, 0.7, (600, 2))
    still = through(noise, euro)[30:]
    assert still.std() < 0.5 * noise.std()
    walk = np.stack([np.arange(90) * 100 / 30, np.zeros(90)], 1)
    lag = (walk - through(walk, euro))[60:, 0] / (100 / 30)
    assert 0 < lag.max() < 2


def test_the_filter_begins_anew_after_a_gap_and_when_time_stands():
    state = filtered(OneEuro(), None, np.zeros((3, 2)), time_s=0, size_px=50)
    for time_s in (0.0, -1.0, 1.5):
        later = filtered(OneEuro(), state, np.full((3, 2), 40.0), time_s=time_s, size_px=50)
        assert (later.xy == 40).all() and (later.velocity == 0).all()
