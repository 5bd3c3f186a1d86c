"""Small pieces of HTML; every text that comes from outside is escaped here."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


def text(value: object) -> str:
    """``value`` as text that is safe in HTML and in attributes; characters that do not print are shown as codes."""
    plain = "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in str(value))
    return html.escape(plain.encode("utf-8", "replace").decode(), quote=True)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table of cells that are HTML already; it scrolls in its own box where the page is narrow."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table class="{kind}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """A list of names and values (HTML already)."""
    return (
        '<dl class="facts">' + "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in pairs) + "</dl>"
    )


def plate(picture: str, caption: str, kind: str = "") -> str:
    """A picture with its caption, both HTML already."""
    return f'<figure class="{kind}">{picture}<figcaption>{caption}</figcaption></figure>'


def section(name: str, title: str, body: str, lead: str = "") -> str:
    """A section of the page that the contents can point at."""
    note = f'<p class="lead">{lead}</p>' if lead else ""
    return f'<section id="{name}"><h2>{title}</h2>{note}{body}</section>'


def swatch(color: str, word: str) -> str:
    """A colour with what it stands for (HTML already)."""
    return f'<span class="swatch"><i style="background:{color}"></i>{word}</span>'


def count(value: int) -> str:
    """A number of things, thousands apart."""
    return f"{value:,}"


def percent(share: float) -> str:
    """A share in per cent, with a digit more where it is small."""
    return f"{100 * share:.1f}\u00a0%" if 0 < share < 0.1 or 0.9 < share < 1 else f"{100 * share:.0f}\u00a0%"


def quantity(value: float) -> str:
    """A figure with three significant digits, thousands apart."""
    if value == 0 or 0.001 <= abs(value) < 1000:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) < 1e7 else f"{value:.2e}"
