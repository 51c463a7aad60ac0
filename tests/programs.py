"""Programs run to their end, and what to do where one is missing."""

import os
import subprocess
import sys

import pytest


def here():
    """PYTHONPATH with which other processes find the modules that this one finds."""
    return os.pathsep.join(filter(None, sys.path))


def missing(what, why):
    """Skip a test for want of `what`; fail it where SYNTHSTUDIO_REQUIRE names that."""
    if what in os.environ.get("SYNTHSTUDIO_REQUIRE", "").split(","):
        pytest.fail(f"{what} is required here: {why}")
    pytest.skip(why)


def finished(*words, text=True, **options):
    return subprocess.run(words, capture_output=True, text=text, check=False, **options)


def python(*words, **options):
    return finished(sys.executable, *map(str, words), **options)
