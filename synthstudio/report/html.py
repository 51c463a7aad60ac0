"""The frame of a page: head, style and the small pieces that all pages are made of."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from synthstudio.core.labels import U8

STYLE = """
:root{color-scheme:light dark;--paper:#fbfaf7;--card:#ffffff;--ink:#1d2126;--soft:#646b74;
--line:#e3e0d8;--accent:#0b6e6e;--warn:#9a5b00;--bad:#b3261e;--good:#1b7f4b;--track:#efece5;
--shade:11,110,110}
@media (prefers-color-scheme:dark){:root{--paper:#14171b;--card:#1c2026;--ink:#e6e8eb;
--soft:#9aa3ad;--line:#2c323a;--accent:#5cc8c0;--warn:#e5b25d;--bad:#ff8f85;--good:#67d39b;
--track:#262b32;--shade:92,200,192}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main{max-width:1120px;margin:0 auto;padding:28px 20px 80px}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 6px;letter-spacing:-.01em}
h1,h3,.lead,figcaption,dd,li{overflow-wrap:anywhere}
h2{font-size:1.3rem;margin:52px 0 10px;padding-top:14px;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:0 0 10px}
p{margin:0 0 12px;max-width:74ch}
.lead{color:var(--soft);font-size:1.05rem}.soft{color:var(--soft)}.small{font-size:.86rem}
.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}
nav{display:flex;flex-wrap:wrap;gap:4px 16px;margin:18px 0 0;font-size:.9rem}
a{color:var(--accent);text-decoration:none}a:hover{text-decoration:underline}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(112px,1fr));gap:10px;margin:22px 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 14px}
.tile b{display:block;font-size:1.45rem;line-height:1.2;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:.85rem}
.cards{columns:3 310px;column-gap:14px}
.cards.wide{columns:auto;display:grid;gap:0 14px;align-items:start;
grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr))}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px;
min-width:0;margin:0 0 14px}
.cards .card{display:inline-block;width:100%}
.bars{display:grid;grid-template-columns:minmax(70px,max-content) 1fr max-content;gap:5px 10px;
align-items:center;font-size:.88rem}
.bars .name{white-space:nowrap;overflow:hidden;text-overflow:ellipsis;max-width:150px}
.bars .n{text-align:right;color:var(--soft);font-variant-numeric:tabular-nums}
.track{display:flex;height:13px;border-radius:3px;background:var(--track);overflow:hidden}
.track i{display:block;height:100%;background:var(--accent)}
.columns{display:flex;align-items:flex-end;gap:3px;height:120px;margin-top:4px}
.columns div{flex:1;min-width:0;height:100%;display:flex;flex-direction:column;
justify-content:flex-end}
.columns i{display:block;background:var(--accent);border-radius:3px 3px 0 0;min-height:1px}
.axis{display:flex;gap:3px;font-size:.72rem;color:var(--soft);margin-top:4px}
.axis span{flex:1;text-align:center;min-width:0}
.legend{display:flex;flex-wrap:wrap;gap:4px 14px;font-size:.84rem;margin:0 0 10px}
.legend i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px;
vertical-align:-1px}
.scroll{overflow-x:auto;-webkit-overflow-scrolling:touch}
table{border-collapse:collapse;font-size:.86rem;width:100%}
th,td{padding:5px 8px;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
th{font-weight:600;color:var(--soft)}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
table.heat{width:auto;min-width:min(100%,420px)}
table.heat td{text-align:right;font-variant-numeric:tabular-nums;border:1px solid var(--paper);
border-radius:4px}
table.heat th{white-space:nowrap}
.shots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,240px),1fr));gap:14px}
.shots.large{grid-template-columns:repeat(auto-fill,minmax(min(100%,400px),1fr))}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:10px;
overflow:hidden}
figure img{display:block;width:100%;height:auto;background:var(--track)}
figcaption{padding:8px 12px 10px;font-size:.86rem}
details{background:var(--card);border:1px solid var(--line);border-radius:10px;margin:0 0 10px}
summary{cursor:pointer;padding:12px 16px;font-weight:600}
details>div{padding:0 16px 14px}
pre{overflow-x:auto;font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;
background:var(--track);padding:12px;border-radius:8px;margin:0}
code{font:.92em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
dt{font-weight:600;margin-top:12px}dd{margin:2px 0 0;max-width:80ch}
ul{margin:0 0 12px;padding-left:20px;max-width:80ch}
.swatch{display:inline-block;width:1.1em;height:1.1em;border-radius:50%;vertical-align:-.2em;
margin-right:6px;border:1px solid var(--line)}
@media (max-width:560px){main{padding:18px 14px 60px}h1{font-size:1.5rem}h2{margin-top:38px}
.bars{grid-template-columns:minmax(60px,96px) 1fr max-content;gap:5px 8px}
th,td{padding:5px 6px}.shots{grid-template-columns:1fr 1fr;gap:8px}
figcaption{padding:6px 8px 8px;font-size:.78rem}
.tiles{grid-template-columns:repeat(4,1fr);gap:8px}.tile{padding:8px;overflow-wrap:anywhere}
.tile b{font-size:1.05rem}.tile span{font-size:.75rem;line-height:1.3;display:block}}
@media print{details>div{display:block}}
"""


def escape(value: object) -> str:
    """Return a value as text that HTML does not read as markup."""
    return html.escape(str(value), quote=True)


def page(title: str, body: Iterable[str]) -> bytes:
    """Return a whole page; nothing in it is fetched from anywhere."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><main>\n"
        + "\n".join(body)
        + "\n</main></body></html>\n"
    ).encode()


def section(anchor: str, title: str, *parts: str) -> str:
    """Return a section with a heading that links can reach."""
    told = escape(title[:1].upper() + title[1:])
    return f'<section id="{anchor}"><h2>{told}</h2>\n' + "\n".join(parts) + "</section>"


def card(title: str, *parts: str, note: str = "") -> str:
    """Return a boxed part with a small heading."""
    told = f'<p class="soft small">{escape(note)}</p>' if note else ""
    return f'<div class="card"><h3>{escape(title)}</h3>{told}' + "".join(parts) + "</div>"


def cards(*parts: str, wide: bool = False) -> str:
    """Return boxed parts beside each other where there is room."""
    return f'<div class="cards{" wide" if wide else ""}">{"".join(parts)}</div>'


def tiles(values: Mapping[str, object]) -> str:
    """Return large figures with what they are."""
    each = (
        f'<div class="tile"><b>{escape(v)}</b><span>{escape(k)}</span></div>'
        for k, v in values.items()
    )
    return f'<div class="tiles">{"".join(each)}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers: bool = True) -> str:
    """Return a table that scrolls sideways on a phone; numbers stand to the right."""

    def cell(tag: str, value: Any) -> str:
        right = numbers and isinstance(value, int | float)
        text = f"{value:,}" if isinstance(value, int) else escape(value)
        return f'<{tag} class="n">{text}</{tag}>' if right else f"<{tag}>{text}</{tag}>"

    named = "".join(f"<th>{escape(name)}</th>" for name in head)
    top = f"<thead><tr>{named}</tr></thead>" if any(head) else ""
    lines = "".join("<tr>" + "".join(cell("td", v) for v in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table>{top}<tbody>{lines}</tbody></table></div>'


def details(title: str, *parts: str, is_open: bool = False) -> str:
    """Return a part that is folded away."""
    state = " open" if is_open else ""
    return (
        f"<details{state}><summary>{escape(title)}</summary><div>{''.join(parts)}</div></details>"
    )


def picture(rgb: U8, caption: str, *, alt: str, width: int = 640, quality: int = 80) -> str:
    """Return a figure with the picture (h, w, 3) inside the page, at most `width` pixels wide."""
    if rgb.shape[1] > width:
        size = (width, max(1, round(rgb.shape[0] * width / rgb.shape[1])))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    flags = [int(cv2.IMWRITE_JPEG_QUALITY), quality]
    data = cv2.imencode(".jpg", rgb[..., ::-1], flags)[1].tobytes()
    code = base64.b64encode(data).decode("ascii")
    return (
        f'<figure><img loading="lazy" width="{rgb.shape[1]}" height="{rgb.shape[0]}" '
        f'alt="{escape(alt)}" src="data:image/jpeg;base64,{code}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def shots(figures: Iterable[str], *, large: bool = False) -> str:
    """Return figures in a grid."""
    return f'<div class="shots{" large" if large else ""}">{"".join(figures)}</div>'
