"""Say what is in a recorded file, or in a work folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

HELP = "say what is in a file: datasets, shapes, geometry, mask, anything odd"
EXAMPLE = """\
  shotsort info run42.h5
  shotsort info run42.cxi --dataset /entry_1/data_1/data --json
  shotsort info run42/"""

_QUANTITIES = (("pixel_size_m", 1e6, "um"), ("distance_m", 1e3, "mm"), ("wavelength_m", 1e9, "nm"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    from apps.cli.output import add_json

    parser.add_argument("files", nargs="+", metavar="FILE", help="recorded files, run directories, or work folders")
    parser.add_argument("--dataset", metavar="PATH", help="dataset of the frames, where there are several")
    parser.add_argument(
        "--mask-convention", metavar="NAME", help="of the mask in the file: cxi, good, bad, nexus, euxfel"
    )
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the command."""
    from apps.cli.output import print_json, print_text
    from sorter.io.adapters import expand_sources
    from sorter.io.describe import describe
    from sorter.io.recording import ReadOptions

    options = ReadOptions(args.dataset, args.mask_convention)
    folders = [f for f in args.files if (Path(f) / "shotsort.json").exists()]
    files = expand_sources([f for f in args.files if f not in folders])
    found = [_work_folder(f) for f in folders] + [describe(f, options) for f in files]
    if args.json:
        print_json(found[0] if len(found) == 1 else {"files": found})
    else:
        for one in found:
            print_text("\n".join(_folder_lines(one) if "frames_ingested" in one else _file_lines(one)))
    return 0


def _work_folder(path: str) -> dict[str, Any]:
    from sorter.io.workfolder import WorkFolder

    work = WorkFolder.open(path)
    out: dict[str, Any] = {"file": path, "reader": "work folder", "frames_ingested": 0}
    if work.frames_path.exists():
        store = work.frames()
        out |= {
            "frames_ingested": len(store),
            "complete": store.info.complete,
            "shape_px": list(store.shape_px),
            "binning": store.info.binning,
            "unit": store.unit,
            "sources": [{"path": s.path, "dataset": s.dataset, "n": s.n_frames} for s in store.info.sources],
            "geometry": {k: v for k, v in store.geometry.to_dict().items() if k != "shape_px"},
            "bad_pixels": int(store.bad_pixels.sum()),
        }
    if "default" in work.result_names("hits"):
        hits = work.read_hits()
        out |= {"hits": int(hits.is_hit.sum()), "hits_statement": hits.meta.get("fit", {}).get("statement")}
    out["results"] = {kind: work.result_names(kind) for kind in ("embeddings", "layouts", "clusters")}
    out["models"] = work.model_names()
    return out


def _folder_lines(one: dict[str, Any]) -> list[str]:
    lines = [f"{one['file']}: a work folder, {one['frames_ingested']} frames"]
    if one["frames_ingested"]:
        size = "{} x {}".format(*one["shape_px"])
        lines.append(
            f"  frames     {size} pixels, binned {one['binning']} x, unit {one['unit']}, {one['bad_pixels']} bad pixels"
        )
        lines += [f"  source     {s['path']} {s['dataset']}: {s['n']} frames" for s in one["sources"][:10]]
        if len(one["sources"]) > 10:
            lines.append(f"             and {len(one['sources']) - 10} more")
        lines.append(f"  geometry   {_geometry(one['geometry'])}")
        if not one["complete"]:
            lines.append("  odd        ingest was interrupted; call it again")
    if "hits" in one:
        lines.append(f"  hits       {one['hits']}: {one['hits_statement']}")
    lines += [f"  {kind:<10} {', '.join(names)}" for kind, names in one["results"].items() if names]
    if one["models"]:
        lines.append(f"  models     {', '.join(one['models'])}")
    return lines


def _file_lines(one: dict[str, Any]) -> list[str]:
    lines = [f"{one['file']}: read as {one['reader']}"]
    frames = one["frames"]
    if frames is not None:
        size = "{} x {}".format(*frames["shape_px"])
        unit = frames["unit"] or "not said"
        lines.append(
            f"  frames     {frames['n']} of {size} pixels, {frames['dtype']}, unit {unit}, in {frames['dataset']}"
        )
        lines.append(f"  run id     {frames['run_id']}")
        lines.append(f"  geometry   {_geometry(one['geometry'])}")
        mask = one["mask"]
        text = "none" if mask is None else f"{mask['bad_pixels']} bad pixels ({mask['share']:.1%})"
        lines.append(f"  mask       {text}{', and one per frame' if one['mask_per_frame'] else ''}")
        for kind in ("columns", "truth"):
            if one[kind]:
                lines.append(f"  {kind:<10} {', '.join(one[kind])}")
    values = one.get("values")
    if values:
        lines.append(
            f"  values     {values['min']:g} to {values['max']:g}, mean {values['mean']:.4g}; a frame's sum"
            f" {values['sum_per_frame_min']:.4g} to {values['sum_per_frame_max']:.4g} ({values['frames_looked_at']} frames)"
        )
    lines += [f"  odd        {line}" for line in one["odd"]]
    if "datasets" in one:
        lines.append(f"  datasets   {one['n_datasets']}")
        lines += [f"    {_dataset(d)}" for d in one["datasets"][:40]]
        if one["n_datasets"] > 40:
            lines.append(f"    and {one['n_datasets'] - 40} more (all of them: --json)")
    return lines


def _geometry(geometry: dict[str, Any]) -> str:
    parts = []
    center = geometry["beam_center_px"]
    if center is not None:
        error = geometry["beam_center_error_px"]
        spread = "" if error is None else f" +- {error:.1f}"
        parts.append(f"centre ({center[0]:.2f}, {center[1]:.2f}){spread} px ({geometry['beam_center_source']})")
    for name, scale, unit in _QUANTITIES:
        if geometry[name] is not None:
            parts.append(f"{name.removesuffix('_m').replace('_', ' ')} {geometry[name] * scale:.6g} {unit}")
    return ", ".join(parts) or "not known"


def _dataset(dataset: dict[str, Any]) -> str:
    shape = " x ".join(map(str, dataset["shape"])) or "scalar"
    filters = f", {dataset['filters']}" if dataset["filters"] else ""
    links = f", also {', '.join(dataset['links'])}" if dataset["links"] else ""
    return f"{dataset['path']}  {shape}  {dataset['dtype']}{filters}{links}"
