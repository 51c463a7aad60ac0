"""Orders from pages: nothing but a checked name, a valid recipe and a known root gets through."""

import dataclasses

import pytest
from job_orders import LEAD, RECIPE, REVIEWER, order, settings_in
from review_ops import refused

from synthstudio.core.errors import RecipeError, Refused
from synthstudio.recipe.schema.load import dump, parse
from synthstudio.review.models import JobRow
from synthstudio.review.store import open_store
from synthstudio.review.values import User
from synthstudio.studio.jobs import job_store, orders
from synthstudio.studio.jobs.orders import Export, Generate, check_order
from synthstudio.studio.jobs.process import clean_environment, environment_of
from synthstudio.studio.settings import Limits

HOSTILE = ("", ".", "..", "../x", "a/b", "/etc", "a\\b", "-rf", "--resume", "a b", "A", "a\n")
HOSTILE += ("a\0b", "ä", "x" * 49, "studio", "a;ls", "$(ls)", "a.yaml", "~", "con", "%2e%2e")
HOSTILE += ("\u202ea", "uploads")


@pytest.fixture
def settings(tmp_path):
    return settings_in(tmp_path)


def test_a_name_is_a_plain_word(settings):
    for name in ("a", "first-set_2", "0", "x" * 48):
        check_order(order(name), settings, LEAD)
    for wrong in (*HOSTILE, None, 7, ["a"], b"a"):
        with refused("invalid"):
            check_order(order(wrong), settings, LEAD)
    assert not settings.exports.exists()


@pytest.mark.parametrize("taken", ["first", "first.yaml", "first.zip"])
def test_nothing_is_written_over(settings, taken):
    settings.exports.mkdir()
    (settings.exports / taken).symlink_to("/nowhere")  # broken, and yet there
    with pytest.raises(Refused, match="taken"):
        check_order(order(), settings, LEAD)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"frames": 11}, "frames"),
        ({"image": {"width_px": 400, "height_px": 300}}, "image.width_px"),
        ({"occlude": {"each": 2}}, "occlude"),
    ],
)
def test_limits(tmp_path, changes, field):
    settings = settings_in(tmp_path, frames=10, pixels=100_000)
    check_order(order(), settings, LEAD)
    with pytest.raises(RecipeError, match=rf"recipe: {field}:"):
        check_order(order(**changes), settings, LEAD)


def test_the_disk(settings, monkeypatch):
    wanted = order(frames=1000)
    needed = orders.bytes_needed(parse(dict(wanted.recipe)))
    assert 1000 * 160 * 120 * 0.1 < needed < 1000 * 200_000
    monkeypatch.setattr(orders, "free_bytes", lambda _: needed + orders.SPARE_BYTES - 1)
    with pytest.raises(Refused, match="disk is too full"):
        check_order(wanted, settings, LEAD)
    monkeypatch.setattr(orders, "free_bytes", lambda _: needed + orders.SPARE_BYTES)
    check_order(wanted, settings, LEAD)


def test_who_orders_what(settings):
    """Only leads; roots, workers and formats are choices; recipes are checked again."""
    export = Export(dataset="x", form="coco", out="first")
    for wanted in (order(), export):
        check_order(wanted, settings, LEAD)
        for role in ("viewer", "reviewer", "nobody"):
            with refused("role"):
                check_order(wanted, settings, User(name="Eve", role=role))
    wrong = [("assets", bad) for bad in (2, -1, True, "/")]
    wrong += [("workers", bad) for bad in (0, 9, "2; ls")]
    bad = [dataclasses.replace(order(), **{field: value}) for field, value in wrong]
    bad += [dataclasses.replace(export, form="--help"), dataclasses.replace(export, only="-x")]
    for wanted in bad:
        with refused("invalid"):
            check_order(wanted, settings, LEAD)
    recipe = {**dump(parse(RECIPE)), "surprise": 1}
    with pytest.raises(RecipeError, match="unknown field"):
        check_order(Generate(recipe=recipe, out="first"), settings, LEAD)


def test_asset_folders_must_be_there(tmp_path):
    root = tmp_path / "assets"
    (root / "photos").mkdir(parents=True)
    settings = dataclasses.replace(settings_in(tmp_path), assets=(root,))
    wanted = order(backdrop={"kind": "photo", "folder": "photos"})
    with pytest.raises(Refused, match="asset folders are missing"):
        check_order(wanted, settings, LEAD)
    check_order(dataclasses.replace(wanted, assets=1), settings, LEAD)
    for folder in ("../assets/photos", "/etc"):
        with pytest.raises(RecipeError):
            order(backdrop={"kind": "photo", "folder": folder})


def test_arguments_are_fixed(settings):
    line = orders.command("generate", dataclasses.asdict(order()), settings)
    exports = settings.exports
    made = ["generate", str(exports / "first.yaml"), "--out", str(exports / "first")]
    more = ["--assets", str(settings.scenes), "--workers", "1", "--json"]
    assert line[1:] == ["-m", "synthstudio", *made, *more]
    spec = {**dataclasses.asdict(order()), "out": "../../etc"}
    with pytest.raises(Refused):
        orders.command("generate", spec, settings)
    with pytest.raises(Refused):
        orders.command("rm", dataclasses.asdict(order()), settings)
    export = Export(dataset="/sets/a", form="coco", out="first")
    spec = dataclasses.asdict(export)
    line = orders.command("export", spec, settings)
    assert settings.database not in " ".join(line)  # it may hold a password
    assert settings.database in orders.environment("export", spec, settings).values()
    assert orders.environment("generate", spec, settings) == {}


def test_secrets_stay_with_the_server():
    secrets = ("SYNTHSTUDIO_SECRET", "SYNTHSTUDIO_DB", "STREAMLIT_SERVER_COOKIE_SECRET")
    secrets += ("MY_TOKEN", "db_password", "AZURE_STORAGE_ACCOUNT_KEY")
    given = {"PATH": "/bin", "HOME": "/root", **dict.fromkeys(secrets, "x")}
    assert clean_environment(given) == {"PATH": "/bin", "HOME": "/root"}


def test_a_job_gets_the_credentials_of_its_own_store(monkeypatch):
    of = {"s3": ["AWS_SECRET_ACCESS_KEY", "FSSPEC_S3_ANON"], "az": ["AZURE_STORAGE_ACCOUNT_KEY"]}
    of["gs"] = ["GOOGLE_APPLICATION_CREDENTIALS"]
    every = {name for names in of.values() for name in names}
    for name in every:
        monkeypatch.setenv(name, "x")
    places = {**of, "s3a": of["s3"], "gcs": of["gs"], "file": []}
    for scheme, names in places.items():
        given = environment_of(f"{scheme}:///bucket/set" if not names else f"{scheme}://bucket/set")
        assert every & set(given) == set(names)
    assert environment_of("/sets/a") == {}
    assert not every & set(clean_environment(dict.fromkeys(every, "x")))


def test_the_queue_has_an_end(settings):
    store = open_store(settings.database)
    for k in range(job_store.MAX_QUEUED):
        job_store.add(store, order(f"set{k}"), settings, who=LEAD)
    with refused("invalid", "too many queued jobs"):
        job_store.add(store, order("more"), settings, who=LEAD)
    first = job_store.jobs(store)[-1]
    with refused("role"):
        job_store.cancel(store, first.id, who=REVIEWER)
    assert job_store.job(store, first.id).state == "queued"
    assert job_store.cancel(store, first.id, who=LEAD).state == "cancelled"
    with pytest.raises(Refused, match="another job writes to this output"):
        job_store.add(store, order("set1"), settings, who=LEAD)
    job_store.add(store, order("more"), settings, who=LEAD)
    with refused("gone"):
        job_store.job(store, 999)
    store.close()


def test_resumed_is_checked_as_new(settings, monkeypatch):
    """But what is made already needs no room again."""
    store, wanted = open_store(settings.database), order(frames=100)
    made = job_store.add(store, wanted, settings, who=LEAD)
    needed = orders.bytes_needed(parse(dict(wanted.recipe)))

    def resumed(free, settings=settings, who=LEAD):
        with store.session() as session:
            session.get_one(JobRow, made.id).state = "failed"
        monkeypatch.setattr(orders, "free_bytes", lambda _: free + orders.SPARE_BYTES)
        return job_store.resume(store, made.id, settings, who=who).state

    with refused("invalid", "disk is too full"):
        resumed(needed - 1)
    assert job_store.job(store, made.id).state == "failed"
    monkeypatch.setattr(job_store, "frames_on_disk", lambda _: 50)
    with refused("invalid", "disk is too full"):
        resumed(needed // 2 - 2)
    assert resumed(needed // 2 + 1) == "queued"
    with refused("role"):
        resumed(needed, who=REVIEWER)
    with pytest.raises(RecipeError, match="more frames than the studio allows"):
        resumed(needed, dataclasses.replace(settings, limits=Limits(frames=99)))
    store.close()
