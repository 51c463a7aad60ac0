"""The docs of review name what there is: every field of a query, every command."""

import subprocess
import sys
from pathlib import Path

import pytest

from synthstudio.cli.review import app
from synthstudio.core.errors import DatasetError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.query import parse
from synthstudio.review.risk.review_fields import REVIEW_FIELDS, parse_query

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_query_docs_name_every_review_field() -> None:
    rows = [line for line in (DOCS / "query.md").read_text().splitlines() if line.startswith("| `")]
    assert [n for n in REVIEW_FIELDS if not any(f"`{n}`" in line for line in rows)] == []


def test_examples_of_review_queries_are_read_there_and_not_by_filter() -> None:
    text = (DOCS / "query.md").read_text().split("In the studio", 1)[1]
    (line,) = [line for line in text.splitlines() if line.startswith("    risk")]
    joints = get_skeleton("coco17").joints
    for query in (part.strip() for part in line.split("          ")):
        parse_query(query, joints)
        with pytest.raises(DatasetError):
            parse(query, joints)


def test_review_docs_name_every_command() -> None:
    text = (DOCS / "review.md").read_text()
    names = [(c.name or c.callback.__name__).replace("_", "-") for c in app.registered_commands]
    assert len(names) == 12
    assert [name for name in names if f"synthstudio review {name} " not in text] == []


WITHOUT_DATABASES = """
import sys
from importlib.machinery import PathFinder

class Without:
    @staticmethod
    def find_spec(name, path=None, target=None):
        hidden = name.split(".")[0] in ("sqlalchemy", "psycopg")
        return None if hidden else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
import synthstudio.cli, synthstudio.formats.export
from synthstudio.core.errors import ReviewError
try:
    import synthstudio.review.store
except ReviewError as error:
    print(error)
"""


def test_without_its_packages_it_says_what_to_install_and_the_rest_works() -> None:
    command = [sys.executable, "-c", WITHOUT_DATABASES]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 'pip install "synthstudio[studio]"' in done.stdout
