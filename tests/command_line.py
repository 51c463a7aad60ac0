"""Commands in the test's own process."""

import json

from typer.testing import CliRunner

from synthstudio.cli import app
from synthstudio.core.errors import SynthStudioError


def run(*words, code=0):
    """Return what a command did; what ends it is raised, a message where `code` is not 1."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    meant = (SystemExit, SynthStudioError) if code else SystemExit
    if done.exception and not isinstance(done.exception, meant):
        raise done.exception
    assert done.exit_code == code, done.output
    return done


def run_json(*words, code=0):
    return json.loads(run(*words, "--json", code=code).stdout.strip().splitlines()[-1])


def refusal(*words):
    return str(run(*words, code=1).exception)
