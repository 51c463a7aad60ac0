"""PostgreSQL's own programs, and a server of them for tests alone."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from programs import missing

NEEDED = ("initdb", "pg_ctl", "psql")


def programs():
    on_path = shutil.which("initdb")
    found = [Path(on_path).parent] if on_path else []
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in found:
        if all((folder / name).is_file() for name in NEEDED):
            return folder
    missing("postgres", "no initdb, pg_ctl and psql on PATH or in /usr/lib/postgresql")


@dataclass(frozen=True)
class Server:
    """A server with its data, socket and log in `home`, an empty folder at first."""

    home: Path

    def create(self):
        programs()
        if os.geteuid() == 0:  # the server refuses to run as root
            if shutil.which("runuser") is None:
                missing("postgres", "PostgreSQL does not run as root, and there is no runuser")
            shutil.chown(self.home, "postgres")
        how = ("-U", "tester", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        self._run("initdb", "-D", self._data, *how)
        return self

    def start(self):
        place = f"-c listen_addresses= -c port=54329 -c unix_socket_directories={self.home}"
        # Its output goes to a file: whoever waits for a pipe would wait for the server's end.
        words = ("-w", "-t", "240", "-D", self._data, "-l", str(self.home / "log"))
        self._run("pg_ctl", "start", *words, "-o", f"{place} -c fsync=off")
        return self

    def kill(self):
        self._run("pg_ctl", "stop", "-D", self._data, "-m", "immediate")

    def runs(self):
        return self._done("pg_ctl", "status", "-D", self._data).returncode == 0

    def url(self, name):
        return f"postgresql+psycopg://tester@/{name}?host={self.home}&port=54329"

    @property
    def _data(self):
        return str(self.home / "data")

    def _run(self, program, *arguments):
        done = self._done(program, *arguments)
        log = self.home / "log"
        output = log.read_text() if log.is_file() else ""
        assert done.returncode == 0, f"{program}: {done.stderr}\n{output}"

    def _done(self, program, *arguments):
        prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*prefix, str(programs() / program), *arguments]
        return subprocess.run(command, cwd=self.home, capture_output=True, text=True, check=False)
