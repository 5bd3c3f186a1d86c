"""The page of one reconstruction from a 3-D Bragg pattern."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from matplotlib.figure import Figure

from apps.report.html import count, facts, plate, quantity, section, text
from apps.report.page import page
from recon.phase import figures
from recon.phase.result import PhaseResult
from sorter.core.manifest import package_version
from sorter.io.whole import write_text_whole


def write_phase_report(folder: Path, result: PhaseResult) -> list[Path]:
    """report.html, which needs nothing from outside, and its pictures as PNG. Returns what was written."""
    steps_nm = result.lab.direct_nm if result.lab else None
    pictures = {
        "orthoslices": figures.orthoslice_figure([("answer", result.object, result.support)]),
        "surface": figures.surface_figure([("answer", result.object, result.support)], steps_nm),
        "pattern": figures.pattern_figure(result),
    }
    if result.in_lab is not None:
        pictures["strain"] = figures.strain_figure(result.in_lab)
    if result.curves:
        pictures["curves"] = figures.curves_figure(result)
    images = {}
    for name, figure in pictures.items():
        images[name] = _png(figure)
        (folder / f"{name}.png").write_bytes(images[name])
    write_text_whole(folder / "report.html", _page(result, images))
    return [folder / "report.html", *(folder / f"{name}.png" for name in pictures)]


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _plate(image: bytes, caption: str) -> str:
    data = base64.b64encode(image).decode()
    return plate(
        f'<img style="max-width:100%" alt="{text(caption)}" src="data:image/png;base64,{data}">', text(caption)
    )


def _page(result: PhaseResult, images: dict[str, bytes]) -> str:
    summary = result.summary()
    captions = {
        "orthoslices": ("Orthoslices", "Modulus above, phase below, through the middle of the object; voxels of the "
        "scan's own axes."),
        "surface": ("Surface", "Where the modulus is 0.4 of its largest, coloured by phase; the same from the other side."),
        "pattern": ("Pattern", "Through the peak: what was measured, and what this object scatters. Bad pixels are white."),
        "strain": ("Strain", "Displacement along Q above, its slope along Q below, in the laboratory: z along the beam, y up."),
        "curves": ("Agreement", "Of independent starts, from the middle (0) to the rim (1) of the pattern; dashed: 1/e."),
    }  # fmt: skip
    sections = [section(name, captions[name][0], _plate(image, captions[name][1])) for name, image in images.items()]
    sections.insert(1, section("figures", "Figures", facts(_figures(summary))))
    sections.append(section("settings", "Settings", facts((text(k), text(v)) for k, v in result.made_by.items())))
    sections.append(section("recorded", "Scan", _scan(result)))
    tiles = "".join(
        f"<div><b>{value}</b><span>{name}</span></div>"
        for name, value in (
            ("chi²", f"{summary['chi2']:.4f}"),
            ("free log-likelihood", quantity(summary["free_llk"])),
            ("voxels in the support", count(summary["support_voxels"])),
            ("rms phase / rad", f"{summary['phase_rms_rad']:.2f}"),
            ("seconds", quantity(summary["seconds"])),
        )
    )
    return page(
        result.pattern.name, f"3-D Bragg pattern, {result.pattern.side}³ voxels: {result.made_by['method']}",
        f'<div class="tiles">{tiles}</div>', sections, (1, 1), f"shotsort {package_version('shotsort')}",
    )  # fmt: skip


def _figures(summary: dict) -> list[tuple[str, str]]:
    shown = {
        "chi2": "chi², sum (|F| - sqrt I)² / sum I",
        "free_llk": "free log-likelihood per pixel kept out",
        "counts": "counts in the cube",
        "plane_spacing_nm": "spacing of the reflecting planes / nm",
        "strain_rms": "strain along Q, rms",
        "volume_nm3": "volume / nm³",
    }
    return [(text(label), f"{summary[key]:.3g}") for key, label in shown.items() if summary.get(key) is not None]


def _scan(result: PhaseResult) -> str:
    geometry = result.pattern.geometry
    rows = [(text(name), text(value)) for name, value in vars(geometry).items() if value is not None]
    notes = "".join(f"<li>{text(remark)}</li>" for remark in result.pattern.remarks)
    missing = ""
    if geometry.missing:
        missing = f"<p>No laboratory frame: the scan does not give {text(', '.join(geometry.missing))}.</p>"
    return facts(rows) + missing + f"<ul>{notes}</ul>"
