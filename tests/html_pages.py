"""Pages of HTML read back: tags in balance, what could be fetched, and the text."""

import re
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "hr", "line", "circle", "polygon", "polyline", "rect"}


class Page(HTMLParser):
    """A page; fails at a tag that closes another one, or a handler."""

    def __init__(self, page):
        super().__init__()
        self.open = []
        self.text = ""
        self.fetched = []
        self.pictures = []
        self.anchors, self.links, self.tags = set[str](), set[str](), set[str]()
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), f"a handler: {name}"
            value = value or ""
            if name == "id":
                self.anchors.add(value)
            elif name in ("src", "href") and value.startswith("#"):
                self.links.add(value[1:])
            elif name in ("src", "href"):
                (self.pictures if value.startswith("data:") else self.fetched).append(value)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data + " "


def words(page):
    """The text of a page in balance, with single spaces."""
    return re.sub(r"\s+", " ", Page(page.decode()).text)
