"""run.lock: one run at a time, freed by the kernel when its holder dies."""

import os
import subprocess
import sys

import pytest
from waiting import wait_for_line

from synthstudio.core.errors import DatasetError, DiskError
from synthstudio.dataset.durable import hold_lock

HOLDER = """
import sys
from pathlib import Path
from synthstudio.dataset.durable import hold_lock
with hold_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_is_kept_out_and_told_by_whom(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        wait_for_line(other, "held")
        refused = pytest.raises(DatasetError, match=rf"another run .* process {other.pid}\.")
        with refused, hold_lock(tmp_path):
            pass
        other.kill()
        other.wait()
        with hold_lock(tmp_path):
            assert (tmp_path / "run.lock").read_text() == f"{os.getpid()}\n"


def test_the_same_process_is_kept_out_too_and_let_in_afterwards_and_after_an_error(tmp_path):
    refused = pytest.raises(DatasetError, match=str(os.getpid()))
    with hold_lock(tmp_path), refused, hold_lock(tmp_path):
        pass
    with pytest.raises(ZeroDivisionError), hold_lock(tmp_path):
        raise ZeroDivisionError
    with hold_lock(tmp_path):
        pass


def test_children_do_not_keep_it(tmp_path):
    with hold_lock(tmp_path):
        child = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False
        )
    with child:
        with hold_lock(tmp_path):
            pass
        child.kill()


def test_a_missing_folder_and_a_link_are_disk_errors(tmp_path):
    with pytest.raises(DiskError), hold_lock(tmp_path / "absent"):
        pass
    (tmp_path / "run.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DiskError), hold_lock(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()
