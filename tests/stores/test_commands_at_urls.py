"""Commands and calls with a URL where a folder stands."""

import json

import pytest
from command_line import run, run_json

import synthstudio as ss
from synthstudio.api.inference import predict_to_folder
from synthstudio.core.errors import SynthStudioError

RECIPE = {"name": "tiny", "frames": 3, "seed": 7, "people": {"count": 1}}
RECIPE["image"] = {"width_px": 96, "height_px": 72}
NO_URL = r"a URL is not supported here; got s3:/"


@pytest.fixture
def scene(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(json.dumps(RECIPE))
    return path


def test_generated_read_checked_predicted_and_exported(s3, scene, tmp_path):
    assert run_json("generate", scene, "--out", s3.url())["folder"] == s3.url()
    local = ss.generate(scene, tmp_path / "local", progress=False)
    empty = run("generate", scene, "--part", "2/2", "--out", s3.url("part"))
    assert "note: part 2/2 holds no frames" in empty.stderr
    there = ss.Dataset(s3.url())
    assert str(there.path) == s3.url() and len(there) == 3
    assert [frame.encoded for frame in there] == [frame.encoded for frame in local]
    assert run_json("validate", s3.url())["errors"] == 0
    assert run_json("stats", s3.url()) == run_json("stats", tmp_path / "local")
    assert ss.audit(s3.url(), progress=False).passed
    assert run_json("frame", s3.url(), 1)["held"] == "same bytes"
    out, into = tmp_path / "out", f"sqlite:///{tmp_path}/review.db"
    predict_to_folder("default", s3.url(), out, into=into, layer="net")
    found = run_json("review", "stats", s3.url(), "--db", into)
    assert found["people"] == there.num_people
    predict_to_folder("default", tmp_path / "local", tmp_path / "here")
    assert (out / "results.json").read_bytes() == (tmp_path / "here/results.json").read_bytes()
    with pytest.raises(SynthStudioError, match=NO_URL):
        run("export", s3.url(), "--out", s3.url("coco"))
    run("export", s3.url(), "--out", tmp_path / "coco")
    ss.export(local, "coco", tmp_path / "same")
    for path in (tmp_path / "same").rglob("*.*"):
        other = tmp_path / "coco" / path.relative_to(tmp_path / "same")
        assert other.read_bytes() == path.read_bytes()


def test_what_takes_no_url_says_so(s3, scene):
    for words in (("demo",), ("preview", scene)):
        with pytest.raises(SynthStudioError, match=NO_URL):
            run(*words, "--out", s3.url("a.png"))
    assert s3.objects("") == {}
