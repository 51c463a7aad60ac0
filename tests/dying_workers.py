"""Workers that die once, for training/test_predict_command.py and test_ray_runs.py.

Workers import it.
"""

import dataclasses
import os
import signal
from pathlib import Path

from synthstudio.api.prediction_jobs import Question
from synthstudio.training import answer_jobs

DEADLY = 5


class DeadlyQuestion(Question):
    """The worker that first reads picture DEADLY dies there, and leaves a file `died` beside the
    weights."""

    def pictures(self):
        source, died = super().pictures(), Path(self.weights).parent / "died"
        read = source.part
        assert read is not None

        def part(places):
            if DEADLY in places:
                _die_once(died)
            yield from read(places)

        return dataclasses.replace(source, part=part)


def answer_people(died, asked, job, report):
    """What `answer_jobs.answer_people` does; the worker that is first asked about others than the
    first people dies, and leaves the file `died`."""
    if job.first:
        _die_once(died)
    return answer_jobs.answer_people(asked, job, report)


def _die_once(died):
    if not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
