"""Builds an HTML page of text, tables and pictures that needs no other file.

The standard library's ElementTree builds the elements and escapes all text.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

STYLE = """
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:1rem;color:#1c242c;background:#fff;
 font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;overflow-wrap:anywhere}
h1{font-size:1.5rem;line-height:1.25;margin:.2rem 0 .4rem}
h2{font-size:1.2rem;margin:2.2rem 0 .6rem;border-bottom:2px solid #286ebe;padding-bottom:.2rem}
p{margin:.4rem 0;max-width:46rem}
.lead{color:#56626e}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.6rem;margin:1rem 0;padding:0}
.fact{background:#f3f6f9;border-radius:.4rem;padding:.5rem .7rem}
.fact dt{font-size:.82rem;color:#56626e}
.fact dd{margin:0;font-weight:600}
.figures.wide{max-width:46rem}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1.2rem}
figure{margin:0;min-width:0;break-inside:avoid}
figure img{display:block;width:100%;height:auto}
figcaption{font-size:.9rem;color:#3c4650;margin-top:.3rem}
.warnings{list-style:none;margin:.5rem 0;padding:0}
.warnings li{background:#fff4e8;border-left:4px solid #e15f00;padding:.5rem .8rem;margin:.4rem 0}
.none{background:#eef7f0;border-left:4px solid #2a8a4a;padding:.5rem .8rem}
.scroll{overflow-x:auto}
th,td{overflow-wrap:break-word}td code{overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #e4e8ec}
td.number,th.number{text-align:right}
code{font:.92em ui-monospace,"DejaVu Sans Mono",monospace}
details{margin:.6rem 0}
summary{cursor:pointer;color:#286ebe}
footer{margin-top:2.5rem;font-size:.85rem;color:#56626e}
.figures+.scroll{margin-top:1.2rem}
@media (min-width:56rem){figure.tall{grid-row:span 2}}
@media (max-width:36rem){body{padding:.7rem}td.help,th.help{display:none}}
@media print{body{max-width:none;padding:0;font-size:10pt}h2{break-after:avoid}
 .figures{grid-template-columns:1fr 1fr}tr{break-inside:avoid}
 .figures.wide{grid-template-columns:1fr}.figures.wide img{max-height:20cm;width:auto}
 summary{color:inherit}details:not([open]){display:none}}
"""


def element(tag: str, *children: Element | str, **attributes: str) -> Element:
    """Returns an element; text among the children is escaped. An attribute's name may end in _ (class_)."""
    made = Element(tag, {name.rstrip("_"): value for name, value in attributes.items()})
    for child in children:
        if isinstance(child, Element):
            made.append(child)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + child
        else:
            made.text = (made.text or "") + child
    return made


def picture(contents: bytes, kind: str, caption: str, alternative: str, tall: bool = False) -> Element:
    """Returns a figure with its caption.

    Args:
        contents: contents of a picture file.
        kind: format of the file, png or svg+xml.
        alternative: text that a browser gives if it does not show the picture.
        tall: whether the figure is as high as two others.
    """
    source = f"data:image/{kind};base64,{base64.b64encode(contents).decode('ascii')}"
    contained = element("img", src=source, alt=alternative), element("figcaption", caption)
    return element("figure", *contained, **({"class_": "tall"} if tall else {}))


def table(heads: Sequence[tuple[str, str]], rows: Sequence[Sequence[str | Element]]) -> Element:
    """Returns a table.

    Args:
        heads: title and class (number, help or empty) of each column.
        rows: cells of each row, one for each column.
    """

    def cell(tag: str, content: str | Element, kind: str) -> Element:
        return element(tag, content, class_=kind) if kind else element(tag, content)

    head = element("tr", *(cell("th", title, kind) for title, kind in heads))
    body = [element("tr", *(cell("td", content, kind) for content, (_, kind) in zip(row, heads))) for row in rows]
    return element("div", element("table", element("thead", head), element("tbody", *body)), class_="scroll")


def facts(pairs: Sequence[tuple[str, str]]) -> Element:
    """Returns a row of small boxes, each with a name and a value."""
    boxes = [element("div", element("dt", name), element("dd", value), class_="fact") for name, value in pairs]
    return element("dl", *boxes, class_="facts")


def page(title: str, sections: Sequence[Element]) -> bytes:
    """Returns the contents of an HTML file, which forbids the browser to fetch anything."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", content=policy, **{"http-equiv": "Content-Security-Policy"}),
        element("title", title),
        element("style", STYLE),
    )
    root = element("html", head, element("body", *sections), lang="en")
    return b"<!DOCTYPE html>\n" + ElementTree.tostring(root, encoding="utf-8", method="html")
