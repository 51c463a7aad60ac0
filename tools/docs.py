"""Write what comes from code: docs/cli.md, scenes/schema.json, fields of recipes and trainings,
the table of labels.

With --check nothing is written; the exit status is 1 if a file on disk is not what the code says.
"""

import json
import os
import sys
from pathlib import Path

os.environ.update(COLUMNS="100", TERM="dumb", NO_COLOR="1")

import typer.main
from typer.testing import CliRunner

from synthstudio.cli import app
from synthstudio.core.labels import label_list
from synthstudio.recipe.schema.load import json_schema
from synthstudio.training.config import Config

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools.fields import field_reference  # noqa: E402

FIELDS = "## Fields\n\nWritten by `make docs` from the recipe's model."
TRAINING = """# Fields of a training config

Every field with its default and limits, written by `make docs` from synthstudio/training/config.py.
[training.md](training.md) says how to use them; scenes/training has configs to begin with.

"""


def cli_reference() -> str:
    """Return every command's --help as Markdown."""
    parts = [
        "# Commands",
        "",
        "Every command with its options. `synthstudio COMMAND --help` prints the same; this page "
        "is written by `make docs` from it.",
        "",
    ]
    for words in command_words():
        call = [*words, "--help"]
        text = CliRunner().invoke(app, call, prog_name="synthstudio").output
        lines = "\n".join(line.rstrip() for line in text.strip().splitlines())
        parts += [f"## {' '.join(words)}", "", "```text", lines, "```", ""]
    return "\n".join(parts)


def command_words() -> list[tuple[str, ...]]:
    """Return every command as its words: ("stats",), ("review",), ("review", "export"), ..."""
    found: list[tuple[str, ...]] = []
    for name, command in sorted(typer.main.get_group(app).commands.items()):
        found.append((name,))
        found += [(name, below) for below in sorted(getattr(command, "commands", {}))]
    return found


def schema() -> str:
    """Return the JSON Schema of recipes, for editors."""
    return json.dumps(json_schema(), indent=2, sort_keys=True) + "\n"


def scenes_readme() -> str:
    """Return scenes/README.md with its field reference as the recipe's model has it."""
    text = (ROOT / "scenes/README.md").read_text(encoding="utf-8")
    return (
        text[: text.index(FIELDS)]
        + FIELDS
        + "\n\n"
        + field_reference(json_schema(), "The recipe itself")
    )


def training_fields() -> str:
    """Return the page of a training config's fields."""
    return TRAINING + field_reference(Config.model_json_schema(), "The config itself")


def conventions() -> str:
    """docs/conventions.md with the table of labels as core/labels.py has it."""
    text = (ROOT / "docs/conventions.md").read_text(encoding="utf-8")
    start = text.index("| column | shape |")
    return text[:start] + label_list() + text[text.index("\n\n", start) + 1 :]


def main() -> int:
    """Write or check the files; return the exit status."""
    stale = 0
    made = {
        ROOT / "docs/cli.md": cli_reference(),
        ROOT / "docs/conventions.md": conventions(),
        ROOT / "scenes/schema.json": schema(),
        ROOT / "scenes/README.md": scenes_readme(),
        ROOT / "docs/training_fields.md": training_fields(),
    }
    for path, text in made.items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if "--check" in sys.argv[1:]:
            name = path.relative_to(ROOT)
            sys.stderr.write(f"{name} is not what the code says; run: make docs\n")
        else:
            path.write_text(text, encoding="utf-8")
            sys.stderr.write(f"wrote {path.relative_to(ROOT)}\n")
    return 1 if stale and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
