"""Jobs are real processes: they end, die, are cancelled, and outlive the server that began them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from job_orders import LEAD, drive, ended, order, settings_in
from reviewing import eventually
from waiting import wait_for

from synthstudio.core.errors import Refused, ReviewError
from synthstudio.dataset.reader import Dataset
from synthstudio.review.history import content_key, register
from synthstudio.review.models import JobRow, utc_now
from synthstudio.review.store import open_store
from synthstudio.studio.jobs import job_store, orders, process
from synthstudio.studio.jobs.process import ERR_NAME, OUT_NAME, Running
from synthstudio.studio.jobs.workers import write_archive
from synthstudio.studio.overview import HealthChecks


@pytest.fixture
def settings(tmp_path):
    return settings_in(tmp_path, jobs=1)


@pytest.fixture
def store(settings):
    opened = open_store(settings.database)
    yield opened
    with opened.reading() as session:
        pids = [row.pid for row in session.query(JobRow) if row.pid]
    for pid in pids:
        if pid in process._children and process._children[pid].poll() is None:
            os.killpg(pid, signal.SIGKILL)
            process._children.pop(pid).wait()
    opened.close()


@pytest.fixture
def instead(monkeypatch):
    """Let every job run a small program instead of generate."""

    def use(program):
        line = [sys.executable, "-c", textwrap.dedent(program)]
        monkeypatch.setattr(orders, "command", lambda *_: line)

    return use


def pid_of(store, number):
    with store.reading() as session:
        return int(session.get(JobRow, number).pid or 0)


def test_a_job_makes_a_data_set_and_the_next_one_waits(store, settings):
    first = job_store.add(store, order(frames=3), settings, who=LEAD)
    second = job_store.add(store, order("second"), settings, who=LEAD)
    assert {j.id for j in job_store.run_once(store, settings)} == {first.id}
    assert job_store.job(store, second.id).state == "queued"
    assert os.getsid(pid_of(store, first.id)) == pid_of(store, first.id) != os.getsid(0)
    seen = drive(store, settings, first.id, until=ended)
    assert (seen.state, seen.done, seen.total) == ("done", 3, 3), seen
    assert Dataset(settings.exports / "first").frames == 3
    assert (settings.exports / "first.yaml").is_file()
    assert job_store.job(store, second.id).state == "running"
    with pytest.raises(Refused, match="cannot be resumed"):
        job_store.resume(store, first.id, settings, who=LEAD)


@pytest.mark.nightly("processes are killed, or a whole data set is made")
def test_a_job_outlives_its_server(store, settings):
    made = job_store.add(store, order(), settings, who=LEAD)
    server = f"""
        import os, sys
        sys.path[:0] = {[str(at) for at in Path(__file__).parents[:2]]!r}
        from pathlib import Path
        from job_orders import settings_in
        from synthstudio.review.store import open_store
        from synthstudio.studio.jobs import job_store
        settings = settings_in(Path({str(settings.exports.parent)!r}), jobs=1)
        job_store.run_once(open_store(settings.database), settings)
        os.kill(os.getpid(), 9)
    """
    died = subprocess.run([sys.executable, "-c", textwrap.dedent(server)], check=False)
    assert died.returncode == -signal.SIGKILL
    assert job_store.job(store, made.id).state == "running"
    pid = pid_of(store, made.id)
    assert pid not in process._children and psutil.pid_exists(pid)
    seen = drive(store, settings, made.id, until=ended)
    assert seen.state == "done" and seen.done == 4
    assert Dataset(settings.exports / "first").frames == 4


@pytest.mark.nightly("processes are killed, or a whole data set is made")
def test_a_job_that_is_killed_is_lost_and_resumed(store, settings):
    made = job_store.add(store, order(frames=100), settings, who=LEAD)
    drive(store, settings, made.id, until=lambda j: j.done >= 66 or not j.active)
    pid = pid_of(store, made.id)
    os.kill(pid, signal.SIGKILL)
    seen = drive(store, settings, made.id, until=ended)
    assert seen.state == "lost" and "ended for an unknown reason" in seen.message and seen.resumable
    assert 64 <= seen.done < 100  # the first shard is whole
    assert not psutil.pid_exists(pid)
    before = (settings.exports / "first" / "shards" / "00000" / "shard.json").stat().st_mtime_ns
    again = job_store.resume(store, made.id, settings, who=LEAD)
    assert again.state == "queued" and again.message == ""
    seen = drive(store, settings, made.id, until=ended)
    assert seen.state == "done" and Dataset(settings.exports / "first").frames == 100
    after = (settings.exports / "first" / "shards" / "00000" / "shard.json").stat().st_mtime_ns
    assert before == after


@pytest.mark.nightly("processes are killed, or a whole data set is made")
def test_cancel_ends_it_and_all_that_it_started(store, settings):
    made = job_store.add(store, order(frames=5000), settings, who=LEAD)
    drive(store, settings, made.id, until=lambda j: j.done >= 1 or not j.active)
    pid = pid_of(store, made.id)
    assert job_store.cancel(store, made.id, who=LEAD).stopping
    seen = drive(store, settings, made.id, until=ended)
    assert seen.state == "cancelled" and "complete shards are kept" in seen.message
    eventually(lambda: _left(pid), [])
    assert job_store.cancel(store, made.id, who=LEAD).state == "cancelled"  # again: nothing happens


def _left(group):
    found = []
    for one in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(one.pid) == group and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
    return found


def test_a_recycled_number_is_not_taken_for_the_job(store, settings):
    line = [sys.executable, "-c", "import time; time.sleep(600)"]
    innocent = subprocess.Popen(line, start_new_session=True)
    try:
        made = job_store.add(store, order(), settings, who=LEAD)
        with store.session() as session:
            row = session.get(JobRow, made.id)
            row.state, row.pid, row.started = "running", innocent.pid, utc_now()
            row.progress = {**row.progress, "start_time": time.time() - 3600}
        job_store.cancel(store, made.id, who=LEAD)
        seen = drive(store, settings, made.id, until=ended)
        assert seen.state == "cancelled" and innocent.poll() is None
        began = psutil.Process(innocent.pid).create_time()
        assert process.is_alive(Running(pid=innocent.pid, start_time=began))
        assert not process.send_signal(
            Running(pid=innocent.pid, start_time=began - 60), signal.SIGKILL
        )
    finally:
        innocent.kill()
        innocent.wait()


@pytest.mark.nightly("processes are killed, or a whole data set is made")
def test_a_job_whose_server_died_while_beginning_it(store, settings, instead, monkeypatch):
    monkeypatch.setattr(job_store, "_CLAIM_S", 3600.0)
    instead("import time; time.sleep(600)")
    made = job_store.add(store, order(), settings, who=LEAD)
    assert job_store._claim(store, settings) == made.id  # and then the server died
    assert job_store.run_once(store, settings) == []  # it might be about to begin
    line = orders.command("generate", made.spec, settings)
    folder = job_store.log_folder(settings, made.id)
    running = process.start(line, folder)  # or just after
    wait_for(lambda: process.recorded(folder) is not None, "its pid is on disk")
    job_store.run_once(store, settings)
    assert pid_of(store, made.id) == 0  # it still might be about to
    monkeypatch.setattr(job_store, "_CLAIM_S", 0.0)
    job_store.run_once(store, settings)
    assert pid_of(store, made.id) == running.pid
    os.killpg(running.pid, signal.SIGKILL)
    assert drive(store, settings, made.id, until=ended).state == "lost"
    other = job_store.add(store, order("other"), settings, who=LEAD)
    assert job_store._claim(store, settings) == other.id
    assert drive(store, settings, other.id, until=ended).state == "lost"


def test_errors_are_told(store, settings, instead):
    programs = {
        "failed": ("import sys; sys.exit('error: the disk is full.')", "the disk is full"),
        "lost": ("print('not json')", "ended for an unknown reason"),
    }
    for state, (program, reported) in programs.items():
        instead(program)
        made = job_store.add(store, order(state), settings, who=LEAD)
        seen = drive(store, settings, made.id, until=ended)
        assert seen.state == state and reported in seen.message


@pytest.mark.nightly("processes are killed, or a whole data set is made")
def test_many_tenders_begin_a_job_once(store, settings, instead, tmp_path):
    instead(
        f"import os, time; open({str(tmp_path)!r} + f'/began-{{os.getpid()}}', 'w'); "
        "time.sleep(600)"
    )
    before = set(process._children)
    for k in range(3):
        job_store.add(store, order(f"set{k}"), settings, who=LEAD)
    threads = [
        threading.Thread(target=job_store.run_once, args=(store, settings)) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (begun,) = set(process._children) - before
    eventually(lambda: [path.name for path in tmp_path.glob("began-*")], [f"began-{begun}"])
    assert [j.state for j in job_store.jobs(store)] == ["queued", "queued", "running"]


def test_a_check_has_low_priority_and_ends_with_its_server(tmp_path, small_photo_set):
    line = [sys.executable, "-m", "synthstudio.studio.jobs.workers", "check", str(small_photo_set)]
    running = process.start([*line, "--json"], tmp_path, outlives=False)
    child = process._children[running.pid]
    eventually(lambda: psutil.Process(running.pid).nice(), 19)
    child.stdin.close()  # as when the server is killed
    assert child.wait(60) == 1 and (tmp_path / process.OUT_NAME).read_text() == ""


def test_jobs_of_another_machine_are_left_alone(store, settings):
    made = job_store.add(store, order(), settings, who=LEAD)
    with store.session() as session:
        row = session.get(JobRow, made.id)
        row.progress, row.state, row.pid = {"total": 4, "node": "elsewhere"}, "running", 1
    assert job_store.run_once(store, settings) == []
    assert job_store.job(store, made.id).state == "running"


def test_the_thread_looks_after_jobs(store, settings, instead):
    instead("print('{}')")
    thread = job_store.start(settings, store, every_s=0.05)
    assert job_store.start(settings, store) is thread
    made = job_store.add(store, order(), settings, who=LEAD)
    eventually(lambda: job_store.job(store, made.id).active, False)
    assert job_store.job(store, made.id).state == "done"


def test_an_export_is_whole_or_not_there(tmp_path, small_photo_set):
    settings = settings_in(tmp_path)
    store = open_store(settings.database)
    register(store, Dataset(small_photo_set), "crates")
    first, second = settings.exports / "first.zip", settings.exports / "second.zip"
    with pytest.raises(ReviewError):  # nobody has approved anything
        write_archive(settings.database, small_photo_set, first, form="coco", only="approved")
    assert list(settings.exports.iterdir()) == []
    found = write_archive(settings.database, small_photo_set, first, form="coco", only="all")
    assert found["zip"] == "first.zip" and found["bytes"] == first.stat().st_size
    write_archive(settings.database, small_photo_set, second, form="coco", only="all")
    with zipfile.ZipFile(first) as one, zipfile.ZipFile(second) as two:
        assert one.testzip() is None and found["files"] == len(one.namelist())
        names = {n.removeprefix("first/"): one.read(n) for n in one.namelist()}
        again = {n.removeprefix("second/"): two.read(n) for n in two.namelist()}
    files = [name for name in names if name.startswith("annotations/")]
    assert sum(len(json.loads(names[name])["images"]) for name in files) == 5
    assert names == again
    assert not any(n.startswith(("/", "..")) for n in names)
    with pytest.raises(ReviewError, match="already exists"):
        write_archive(settings.database, small_photo_set, first, form="coco", only="all")
    assert sorted(p.name for p in settings.exports.iterdir()) == ["first.zip", "second.zip"]
    store.close()


def checked(health_checks, dataset):
    key = content_key(dataset)

    def known():
        seen = health_checks.status(key, dataset, begin=True)
        return None if seen.state in ("checking", "waiting") else seen

    return wait_for(known, "the result of a check", patience_s=240)


@pytest.mark.nightly("processes of their own")
def test_a_clinic_remembers(tmp_path, studio_set):
    dataset = Dataset(studio_set)
    key = content_key(dataset)
    health_checks = HealthChecks(tmp_path)
    assert health_checks.status(key, dataset, begin=False).state == "unknown"
    assert health_checks.status(key, dataset, begin=True).state == "checking"
    other = Dataset(shutil.copytree(studio_set, tmp_path / "other"))
    assert health_checks.status("other", other, begin=True).state == "waiting"  # one at a time
    seen = checked(health_checks, dataset)
    assert (seen.state, seen.errors) == ("known", 0)
    again = HealthChecks(tmp_path)  # the server was started anew
    assert again.status(key, dataset, begin=False) == seen
    output = next((tmp_path / "health").glob(f"*/*/{OUT_NAME}"))
    output.write_text('{"errors": 1}')
    assert HealthChecks(tmp_path).status(key, dataset, begin=False).state == "failed"
    output.write_text("")  # the server died while it was checked
    (output.parent / ERR_NAME).write_text("checks: 3 of 12, 0.1/s\n")
    assert HealthChecks(tmp_path).status(key, dataset, begin=False).state == "unknown"
    assert not output.exists()
