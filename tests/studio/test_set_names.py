"""Two data sets whose folders have one name: each address opens the one that it means."""

from pathlib import Path
from types import SimpleNamespace

from synthstudio.core.places import Url
from synthstudio.studio.set_names import meant, titles

KEYS = "a" * 64, "b" * 64, "c" * 64


def opened(*places):
    named = [(p.parent if p.name == "dataset" else p).name for p in places]
    return {
        key: SimpleNamespace(key=key, name=name, dataset=SimpleNamespace(place=place))
        for key, name, place in zip(KEYS, named, places, strict=False)
    }


def test_sets_of_one_name_differ():
    def shown(*places):
        return list(titles(opened(*places).values()).values())

    assert shown(Path("/x/people"), Path("/y/dogs")) == ["people", "dogs"]
    assert shown(Path("/x/people"), Path("/y/people/dataset")) == ["people (x)", "people (y)"]
    assert shown(Path("/people"), Url("s3", "bucket/people")) == ["people", "people (bucket)"]
    same = shown(Path("/1/x/people"), Path("/2/x/people"), Path("/y/people"))
    assert same == ["people (x) (aaaaaaaa)", "people (x) (bbbbbbbb)", "people (y)"]
    assert len(set(shown(Path("/x/a"), Path("/y/a"), Path("/z/a (x)")))) == 3


def test_what_an_address_means():
    sets = opened(Path("/x/people"), Path("/y/people"), Path("/y/dogs"))
    assert meant(sets, KEYS[1]) == [KEYS[1]]
    assert meant(sets, "people (y)") == [KEYS[1]] and meant(sets, "dogs") == [KEYS[2]]
    assert meant(sets, "people") == [KEYS[0], KEYS[1]]
    assert meant(sets, "") == meant(sets, "../people") == meant(sets, KEYS[1][:8]) == []
