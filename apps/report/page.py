"""The page around the sections: one file that needs nothing from outside."""

from __future__ import annotations

import re
from importlib.resources import files

from apps.report.html import text

#: A page that may load nothing, whatever its text says.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_SHORT = {
    "glance": "At a glance", "detector": "Beam centre & hits", "frames": "Frames", "layout": "Layout", "clusters": "Clusters",
    "noise": "Noise", "threshold": "Threshold", "truth": "Truth", "latents": "Latents", "training": "Training",
    "orthoslices": "Orthoslices", "surface": "Surface", "figures": "Figures", "pattern": "Pattern", "curves": "Agreement",
    "strain": "Strain",
    "settings": "Settings", "recorded": "Recorded", "parameters": "Parameters", "manifests": "Manifests", "next": "Next",
}  # fmt: skip


def page(title: str, subtitle: str, top: str, sections: list[str], shape_px: tuple[int, int], foot: str) -> str:
    """The whole document. ``top`` and ``sections`` are HTML already; ``title``, ``subtitle`` and ``foot`` are text."""
    style = (files("apps.report") / "page.css").read_text(encoding="utf-8")
    names = re.findall(r'<section id="([a-z]+)"', "".join(sections))
    links = "".join(f'<a href="#{name}">{_SHORT[name]}</a>' for name in names)
    return f"""<!DOCTYPE html>
<html lang="en" style="--aspect:{shape_px[1]}/{shape_px[0]}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{text(title)} - shotsort</title>
<style>
{style}</style>
</head>
<body>
<header><h1>{text(title)}</h1><p class="sub">{text(subtitle)}</p>{top}</header>
<nav><div>{links}</div></nav>
<main>
{chr(10).join(s for s in sections if s)}
</main>
<footer>{text(foot)}</footer>
</body>
</html>
"""
