"""shotsort recon phase: shape and strain from a 3-D Bragg pattern: predict, iterate, train, evaluate."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recon.phase.prepare import Pattern
    from recon.phase.result import PhaseResult

_log = logging.getLogger(__name__)

HELP = "shape and strain of a crystal from a 3-D Bragg pattern"
EXAMPLE = """  shotsort recon phase predict scan54/ --refine
  shotsort recon phase iterate scan54/ --recipe "20ER 180HIO 20ER" --starts 4
  shotsort recon phase train --preset small --to phase.safetensors
  shotsort recon phase evaluate --to figures/
"""


def add_verbs(verbs: Any) -> None:
    """The verbs predict, iterate, train and evaluate."""
    _add_iterate(verbs.add_parser("iterate", help="the classical way: ER, HIO, RAAR with shrink-wrap, several starts"))


def _add_common(parser: argparse.ArgumentParser) -> None:
    from apps.cli.output import add_json

    parser.add_argument("--seed", type=int, default=0, help="root of all random numbers (default 0)")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto (default)")
    add_json(parser)


def _add_scan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scan", help="HDF5 file or .npy with a 3-D array, or folder of TIFFs with its SPEC header")
    parser.add_argument("--dataset", metavar="NAME", help="array in the HDF5 file")
    parser.add_argument("--index", type=int, metavar="I", help="which volume of an array of several")
    parser.add_argument("--spec-scan", type=int, metavar="N", help="number of the scan in the SPEC file")
    parser.add_argument("--side", type=int, metavar="N", help="cube about the peak (default: up to 128)")
    parser.add_argument(
        "--center", type=int, nargs=3, metavar=("Z", "Y", "X"), help="the peak's voxel (default: looked for)"
    )
    parser.add_argument("--threshold", type=float, default=0.0, metavar="N", help="smaller counts are background")
    parser.add_argument("--saturation", type=float, metavar="N", help="counts from here on are bad pixels")
    parser.add_argument("--negative-bad", action="store_true", help="negative counts are bad pixels")
    parser.add_argument(
        "--free-share", type=float, default=0.03, metavar="X", help="pixels kept out to judge (default: %(default)s)"
    )
    geometry = parser.add_argument_group("geometry", "where the scan does not tell (see docs/phase.md)")
    for name, text in (
        ("energy-kev", "photon energy"), ("distance-m", "to the detector"), ("pixel-m", "side of a pixel"),
        ("delta-deg", "turn of the detector"), ("gamma-deg", "its elevation"), ("step-deg", "between frames"),
    ):  # fmt: skip
        geometry.add_argument(f"--{name}", type=float, metavar="X", help=text)
    geometry.add_argument("--lab", action="store_true", help="insist on the laboratory frame")
    parser.add_argument("--to", metavar="FOLDER", help="results and report (default: NAME_phase)")


def _add_iterate(parser: argparse.ArgumentParser) -> None:
    _add_scan(parser)
    parser.add_argument("--recipe", help="e.g. '20ER 180HIO 20ER' (default: '3*(20ER+180HIO)+20ER')")
    parser.add_argument("--starts", type=int, default=3, help="random starts side by side (default: %(default)s)")
    parser.add_argument("--generations", type=int, help="the best guides the others (default 1)")
    parser.add_argument("--beta", type=float, help="of HIO and RAAR (default 0.9)")
    parser.add_argument("--support", help="first one: box or autocorrelation (default box)")
    parser.add_argument("--shrink-every", type=int, help="iterations (default 20; 0: never)")
    parser.add_argument("--shrink-threshold", type=float, help="share of the largest modulus (default 0.2)")
    parser.add_argument("--shrink-sigma", type=float, dest="shrink_sigma_voxels", help="blur in voxels (default 1)")
    parser.add_argument("--coherence", action="store_true", help="fit the coherence of the beam, too")
    _add_common(parser)
    parser.set_defaults(run_verb=_iterate)


def _given(args: argparse.Namespace, config: type) -> dict[str, Any]:
    """The options that are fields of ``config`` and were given."""
    return {name: value for name in config.__dataclass_fields__ if (value := getattr(args, name, None)) is not None}


def _pattern(args: argparse.Namespace) -> Pattern:
    """The prepared pattern of the scan that was named."""
    from dataclasses import replace

    from recon.phase.lab import lab_frame
    from recon.phase.prepare import PrepareConfig, prepare
    from recon.phase.scan import read_scan

    scan = read_scan(args.scan, dataset=args.dataset, index=args.index, scan=args.spec_scan)
    geometry = scan.geometry.with_values(
        energy_keV=args.energy_kev, distance_m=args.distance_m, pixel_m=args.pixel_m, delta_deg=args.delta_deg,
        gamma_deg=args.gamma_deg, step_deg=args.step_deg,
    )  # fmt: skip
    center = tuple(args.center) if args.center else None
    config = PrepareConfig(args.side, args.saturation, args.negative_bad, args.threshold, center)
    pattern = prepare(replace(scan, geometry=geometry), config)
    for remark in pattern.remarks:
        _log.info(remark)
    if args.lab:
        lab_frame(geometry, pattern.side, scan.name)
    return pattern


def _iterate(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from recon.phase.iterate import IterateConfig, iterate
    from recon.phase.problem import Problem
    from recon.phase.result import result_of
    from recon.training.weights import pick_device

    config = IterateConfig(**_given(args, IterateConfig))
    pattern = _pattern(args)
    device = pick_device(args.device)
    problem = Problem.of(pattern.counts, pattern.bad_pixels, free_share=args.free_share, seed=args.seed, device=device)
    found = iterate(problem, config, args.seed)
    made_by = {"method": "iterative phasing", **asdict(config), "iterations": found.iterations, "seed": args.seed}
    if found.coherence_voxels:
        made_by["coherence_voxels"] = [round(v, 2) for v in found.coherence_voxels]
    result = result_of(
        pattern,
        problem,
        found.objects,
        found.supports,
        float(found.chi2[0]),
        float(found.free_llk[0]),
        found.seconds,
        made_by,
    )
    return _deliver(args, result)


def _deliver(args: argparse.Namespace, result: PhaseResult) -> int:
    """Write the result with its report, and print the figures."""
    from apps.cli.output import print_json, print_text
    from apps.report.phase import write_phase_report
    from recon.phase.result import write_result

    folder = Path(args.to or f"{Path(result.pattern.name).stem}_phase")
    write_result(folder, result)
    write_phase_report(folder, result)
    summary = result.summary() | {"to": str(folder)}
    if args.json:
        print_json(summary)
        return 0
    for key in ("chi2", "free_llk", "support_voxels", "phase_rms_rad", "seconds", "plane_spacing_nm", "volume_nm3"):
        if key in summary:
            print_text(f"{key:20s} {summary[key]:.5g}")
    if result.lab is None:
        print_text(f"no laboratory frame: not known are {', '.join(result.pattern.geometry.missing)}")
    print_text(f"{folder}/report.html")
    return 0
