"""Waits end with what they wait for, or say what did not come."""

from __future__ import annotations

import subprocess
import sys

import pytest
from waiting import wait_for, wait_for_line


def test_a_wait_ends_with_the_first_true_value() -> None:
    values = iter([0, None, "", 7, 8])
    assert wait_for(lambda: next(values), "a value") == 7


def test_a_wait_that_fails_names_what_did_not_happen() -> None:
    with pytest.raises(AssertionError, match="the door opens"):
        wait_for(lambda: False, "the door opens", patience_s=0.01)


@pytest.mark.parametrize("part", ["ready on", "never printed"])
def test_a_line_of_a_process(part: str) -> None:
    command = [sys.executable, "-c", "print('first'); print('ready on 80')"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        if part == "ready on":
            assert wait_for_line(process, part) == "ready on 80\n"
        else:
            with pytest.raises(AssertionError, match="first"):
                wait_for_line(process, part)
