"""MkDocs hooks: pages that live outside docs/ join the site, and links to them follow.

README.md is the first page; links to files of the repository that are no pages go as text.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "index.md": "README.md",
    "recipes.md": "scenes/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#:\s]+)(#[^)]*)?\)")
_PICTURE = re.compile(r"!\[([^\]]*)\]\(docs/([^)]+)\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages from outside docs/."""
    for name, source in PAGES.items():
        content = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links that are right in the repository into links that are right in the site."""
    source = PAGES.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    folder = (ROOT / source).parent
    by_source = {path: name for name, path in PAGES.items()}

    def link(match: re.Match[str]) -> str:
        text, target, anchor = match[1], match[2], match[3] or ""
        path = (folder / target).resolve()
        if not path.is_relative_to(ROOT):
            return text
        inside = path.relative_to(ROOT).as_posix()
        if inside in by_source:
            return f"[{text}]({by_source[inside]}{anchor})"
        if inside.startswith("docs/") and not inside.startswith("docs/evidence"):
            return f"[{text}]({inside.removeprefix('docs/')}{anchor})"
        return f"{text} (`{inside}`)" if f"`{inside}`" not in text else text

    return _LINK.sub(link, _PICTURE.sub(r"![\1](\2)", markdown))
