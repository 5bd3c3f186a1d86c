"""The verbs of ``shotsort recon phase`` that take a scan: predict and iterate."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recon.phase.prepare import Pattern
    from recon.phase.problem import Problem
    from recon.phase.result import PhaseResult

_log = logging.getLogger(__name__)


def add_common(parser: argparse.ArgumentParser) -> None:
    """Options of every verb of the stage."""
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


def add_iterate(parser: argparse.ArgumentParser) -> None:
    """Options of ``iterate``."""
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
    add_common(parser)
    parser.set_defaults(run_verb=_iterate)


def given(args: argparse.Namespace, config: type) -> dict[str, Any]:
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


def _problem(args: argparse.Namespace, pattern: Pattern) -> Problem:
    from recon.phase.problem import Problem
    from recon.training.weights import pick_device

    device = pick_device(args.device)
    return Problem.of(pattern.counts, pattern.bad_pixels, free_share=args.free_share, seed=args.seed, device=device)


def _iterate(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from recon.phase.iterate import IterateConfig, iterate
    from recon.phase.result import result_of

    config = IterateConfig(**given(args, IterateConfig))
    pattern = _pattern(args)
    problem = _problem(args, pattern)
    found = iterate(problem, config, args.seed)
    made_by = {"method": "iterative phasing", **asdict(config), "iterations": found.iterations, "seed": args.seed}
    if found.coherence_voxels:
        made_by["coherence_voxels"] = [round(v, 2) for v in found.coherence_voxels]
    return _deliver(args, result_of(pattern, problem, found, made_by))


def _deliver(args: argparse.Namespace, result: PhaseResult) -> int:
    """Write the result with its report, and print the figures."""
    from apps.cli.output import print_json, print_text
    from apps.report.phase import write_phase_report
    from recon.phase.result import write_result

    folder = _folder(args, result.pattern.name)
    write_result(folder, result)
    write_phase_report(folder, result)
    summary = result.summary() | {"to": str(folder)}
    if args.json:
        print_json(summary)
        return 0
    for key in (
        "chi2",
        "free_llk",
        "support_voxels",
        "phase_rms_rad",
        "seconds",
        "plane_spacing_nm",
        "strain_rms",
        "volume_nm3",
    ):
        if key in summary:
            print_text(f"{key:20s} {summary[key]:.5g}")
    if result.lab is None:
        print_text(f"no laboratory frame: not known are {', '.join(result.pattern.geometry.missing)}")
    print_text(f"{folder}/report.html")
    return 0


def add_predict(parser: argparse.ArgumentParser) -> None:
    """Options of ``predict``."""
    _add_scan(parser)
    parser.add_argument("--weights", metavar="FILE", help="weights (default: the shipped ones)")
    parser.add_argument("--refine", action="store_true", help="refine the network's answer on the full pattern")
    parser.add_argument(
        "--compare",
        action="store_true",
        help="also network alone and 620 iterations of ER/HIO, in compare.png and the figures",
    )
    parser.add_argument("--start", default="network", help="what is refined: network (default) or random")
    parser.add_argument("--coarse", help="recipe at half resolution (default '50RAAR 20ER'; '': none)")
    parser.add_argument("--loss", help="amplitude (default) or poisson")
    parser.add_argument("--parameters", help="complex (default) or polar")
    parser.add_argument("--rounds", type=int, help="of shrink-wrap and gradients (default 2)")
    parser.add_argument("--adam-steps", type=int, help="in each round (default 0)")
    parser.add_argument("--lbfgs-steps", type=int, help="in each round (default 8)")
    parser.add_argument("--penalty", type=float, help="weight of what lies outside the support (default: nothing may)")
    parser.add_argument("--shrink-threshold", type=float, help="share of the largest modulus (default 0.15)")
    add_common(parser)
    parser.set_defaults(run_verb=_predict)


def _predict(args: argparse.Namespace) -> int:
    from dataclasses import asdict, replace

    from recon.phase.compare import compare
    from recon.phase.iterate import IterateConfig, first_guess
    from recon.phase.predict import Predictor
    from recon.phase.problem import resized
    from recon.phase.refine import RefineConfig, refine
    from recon.phase.result import result_of

    _check_predict(args)
    config = RefineConfig(**given(args, RefineConfig))
    pattern = _pattern(args)
    problem = _problem(args, pattern)
    answers = {}
    if args.start == "network":
        predictor = Predictor(args.weights, args.device)
        found = predictor.predict(pattern.counts, pattern.bad_pixels, problem)
        answers["network"], start, seconds = found, found.objects, found.seconds
        made_by = {"method": "network", **predictor.describe(), "seed": args.seed}
    else:
        start = resized(first_guess(problem.cropped(pattern.side // 2), IterateConfig(), args.seed)[0], pattern.side)
        seconds, made_by = 0.0, {"method": "random start", "seed": args.seed}
    if args.refine:
        found = refine(problem, start, config)
        seconds += found.seconds
        made_by |= {"method": f"{made_by['method']}, refined", **asdict(config), "iterations": found.iterations}
        answers["refined"] = replace(found, seconds=seconds)
    if args.compare:
        made_by["compared"] = compare(_folder(args, pattern.name) / "compare.png", problem, answers, args.seed)
    return _deliver(args, result_of(pattern, problem, found, made_by, seconds))


def _check_predict(args: argparse.Namespace) -> None:
    from sorter.core.errors import InputError

    if args.start not in ("network", "random"):
        raise InputError(f"--start {args.start}: must be network or random")
    if args.start == "random" and not args.refine:
        raise InputError("--start random: only with --refine")
    if args.compare and not args.refine:
        raise InputError("--compare: only with --refine")


def _folder(args: argparse.Namespace, name: str) -> Path:
    return Path(args.to or f"{Path(name).stem}_phase")
