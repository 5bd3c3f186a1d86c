"""shotsort recon shape: size and orientation from one wide-angle frame. predict, refine, train, evaluate."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sorter.core.subset import Subset

HELP = "size, orientation and kind of a particle from one wide-angle frame"
EXAMPLE = """  shotsort recon shape predict run/ --label icosahedron
  shotsort recon shape refine run/ --label icosahedron
  shotsort recon shape evaluate --frames 500 --to figures/
"""


def add_verbs(verbs: Any) -> None:
    """The verbs predict, refine, train and evaluate."""
    _add_reconstruct(verbs.add_parser("predict", help="size and orientation of frames, by the network"), False)
    _add_reconstruct(verbs.add_parser("refine", help="the same, refined through the forward model"), True)
    _add_train(verbs.add_parser("train", help="train a network on simulated frames"))
    _add_evaluate(verbs.add_parser("evaluate", help="measure network, refinement and the simplex on unseen frames"))


def _add_common(parser: argparse.ArgumentParser) -> None:
    from apps.cli.output import add_json

    parser.add_argument("--device", default="cpu", help="cpu, cuda or auto (default: cpu)")
    add_json(parser)


def _add_reconstruct(parser: argparse.ArgumentParser, refine: bool) -> None:
    from apps.cli.choice import add_choice

    parser.add_argument("work", help="work folder")
    add_choice(parser)
    parser.add_argument(
        "--solid", help="what all frames show (default: the label, where it is a solid; else the network says)"
    )
    parser.add_argument(
        "--weights", metavar="FILE",
        help="weights, or shipped: small (icosahedra), augmented (the same, spoiled frames), solids (default: those that fit)",
    )  # fmt: skip
    parser.add_argument("--name", default="shape", help="name of the result in the work folder (default: %(default)s)")
    parser.add_argument("--to", metavar="CSV", help="also write a table")
    parser.add_argument("--sheet", metavar="PNG", help="picture sheet (default: NAME.png in the work folder)")
    if refine:
        parser.add_argument("--rung", default="auto", help="far field: auto, multislice, sliced, absorption ...")
        parser.add_argument("--fit-center", action="store_true", help="let the beam centre move")
        parser.add_argument("--model-error", type=float, default=0.02, help="trust in the model (default: %(default)s)")
    _add_common(parser)
    parser.set_defaults(run_verb=_reconstruct, refine=refine)


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--preset", default="small", help="small, augmented, solids (an hour on a CPU) or stielow2020 (the paper's)"
    )
    parser.add_argument("--to", default="shape.safetensors", metavar="FILE", help="weights to write (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="root of all random numbers (default 0)")
    parser.add_argument("--steps", type=int, help="steps of the optimiser")
    parser.add_argument("--stop-at", type=int, metavar="STEP", help="stop early, at this step of the schedule")
    parser.add_argument("--checkpoint-steps", type=int, metavar="N", help="steps between checkpoints")
    parser.add_argument("--batch", type=int, help="frames per step")
    parser.add_argument("--frames", type=int, help="simulated frames without noise (stielow2020: frames)")
    parser.add_argument("--augmented", type=float, metavar="SHARE",
                        help="frames under one of the paper's eleven filters (not stielow2020)")  # fmt: skip
    parser.add_argument("--width", type=int, help="channels of the first layer (small)")
    parser.add_argument("--learning-rate", type=float, help="highest learning rate")
    parser.add_argument("--representation", help="harmonics, fundamental (the paper's) or nearest: of the orientation")
    parser.add_argument("--bank", metavar="FOLDER", help="keep the noise-free frames there, for several trainings")
    _add_common(parser)
    parser.set_defaults(run_verb=_train)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights", metavar="FILE", help="weights, or shipped ones: small (default), augmented, solids"
    )
    parser.add_argument("--frames", type=int, default=500, help="frames (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the frames (default: %(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                        help="option of 'sim icosahedra' (augment=any, fluence.min_photons=1e5 ...); repeat")  # fmt: skip
    parser.add_argument("--refined", type=int, default=100, metavar="N", help="refine at most N (default: %(default)s)")
    parser.add_argument("--rung", default="auto", help="far field that the refinement fits with (default: auto)")
    parser.add_argument("--msft", type=float, nargs="?", const=1e6, metavar="PHOTONS",
                        help="frames by the 192-slice transform instead (default photons: 1e6)")  # fmt: skip
    parser.add_argument(
        "--rival", type=int, nargs="?", const=30, default=0, metavar="N", help="also the simplex, on N frames (30)"
    )
    parser.add_argument(
        "--subsets", nargs="+", metavar="FILE", help="further weights (trained on fewer frames) in the same figure"
    )
    parser.add_argument("--curves", type=int, metavar="N", help="robustness and photon curves, N frames a point")
    parser.add_argument(
        "--solids", type=int, metavar="N", help="which solid? N frames of 'sim clusters' (solids weights)"
    )
    parser.add_argument("--to", metavar="FOLDER", help="write figures and evaluation.json there")
    _add_common(parser)
    parser.set_defaults(run_verb=_evaluate)


# -- frames of a work folder ---------------------------------------------------------------------------------------------


def _reconstruct(args: argparse.Namespace) -> int:
    from apps.cli.choice import choice_of
    from recon.shape.predict import Predictor
    from recon.shape.refine import RefineConfig
    from recon.shape.sheet import write_sheet
    from recon.shape.stage import reconstruct
    from recon.training.results import write_result
    from sorter.core.errors import InputError
    from sorter.curate.recorded import binned_frames
    from sorter.io.workfolder import WorkFolder
    from sorter.stages.subset import choose_frames

    work = WorkFolder.open(args.work)
    subset = choose_frames(work, choice_of(args))
    if not len(subset.frame_id):
        raise InputError(f"{subset.rule}: no frames")
    known = _known_solid(args)
    predictor = Predictor(_weights_for(args, known), args.device)
    config = (
        RefineConfig(rung=args.rung, fit_center=args.fit_center, model_error=args.model_error) if args.refine else None
    )
    frames = binned_frames(work.frames(), subset.frame_id)
    good = frames.mask_bits == 0
    found = reconstruct(
        predictor, frames.blocks(), len(subset.frame_id), good, frames.geometry, frames.unit, known=known,
        refine=config, where=f"{args.work}, {subset.rule}",
    )  # fmt: skip
    made_by = {
        **predictor.describe(),
        "solids": predictor.meta["solids"],
        "refined": args.refine,
        "remarks": found.remarks,
    }
    write_result(work, "shape", args.name, subset, found.columns, made_by)
    sheet = Path(args.sheet) if args.sheet else work.path / f"{args.name}.png"
    if found.sheet:
        write_sheet(sheet, found.sheet, good, frames.geometry, config.rung if config else "auto")
    rows = _rows(subset, found.columns, predictor.meta["solids"])
    if args.to:
        _write_table(Path(args.to), rows)
    _print_rows(args, rows, made_by, str(sheet) if found.sheet else None)
    return 0


def _known_solid(args: argparse.Namespace) -> str | None:
    from recon.shape.solids import ALL_SOLIDS, solid

    if args.solid:
        return solid(args.solid).name
    return args.label if args.label in ALL_SOLIDS else None


def _weights_for(args: argparse.Namespace, known: str | None) -> str:
    return args.weights or ("small" if known == "icosahedron" else "solids")


def _rows(subset: Subset, columns: dict[str, Any], names: list[str]) -> list[dict[str, Any]]:
    """One JSON-ready row per frame; vectors become several columns."""
    rows: list[dict[str, Any]] = [{"frame_id": int(i)} for i in subset.frame_id]
    for name, values in columns.items():
        if name == "solid":
            named = [(name, [names[v] for v in values])]
        elif name == "quaternion":
            named = [(f"q{c}", values[:, k]) for k, c in enumerate("wxyz")]
        elif name == "offset_px":
            named = [(f"offset_{c}_px", values[:, k]) for k, c in enumerate("yx")]
        else:
            named = [(name, values)]
        for key, column in named:
            for row, value in zip(rows, column, strict=True):
                row[key] = value.item() if hasattr(value, "item") else value
    return rows


def _write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    import csv

    from sorter.core.errors import InputError

    try:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def _print_rows(args: argparse.Namespace, rows: list[dict[str, Any]], made_by: dict, sheet: str | None) -> None:
    from apps.cli.output import print_json, print_text

    if args.json:
        print_json({"work": str(args.work), "n_frames": len(rows), **made_by, "sheet": sheet, "frames": rows})
        return
    for row in rows[:20]:
        flag = "  not explained" if row.get("unexplained") else ""
        print_text(
            "{frame_id:20d}  {solid} {radius_nm:7.2f} +- {radius_error_nm:.2f} nm  q ({qw:+.4f} {qx:+.4f} {qy:+.4f} {qz:+.4f}) "
            "+- {orientation_error_deg:.2f} deg  chi2 {chi2:.2f}".format(**row)
            + flag
        )
    if len(rows) > 20:
        print_text(f"... {len(rows)} frames; --to TABLE.csv or --json gives all")
    if sheet:
        print_text(f"{sheet}: picture sheet")


# -- training and measuring ----------------------------------------------------------------------------------------------


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if v is not None}


def _train(args: argparse.Namespace) -> int:
    from apps.cli.output import print_json, print_text
    from recon.shape.train import preset, train

    changes = _given({"batch": args.batch, "width": args.width, "representation": args.representation})
    parts = {
        "data": {"frames": args.frames, "augmented": args.augmented},
        "loop": {
            "steps": args.steps,
            "learning_rate": args.learning_rate,
            "checkpoint_steps": args.checkpoint_steps,
        },
    }
    changes |= {name: given for name, part in parts.items() if (given := _given(part))}
    config = preset(args.preset, **changes)
    meta = train(
        args.to, config, args.seed, device=args.device, preset_name=args.preset, bank=args.bank, stop_at=args.stop_at
    )
    training = meta["training"]
    if args.json:
        figures = {k: training[k] for k in ("seconds", "frames_seen")} | {"loss": training["history"][-1]["loss"]}
        print_json({"weights": args.to, "parameters": meta["parameters"], "seed": args.seed, **figures})
    else:
        print_text(f"{args.to}: {meta['parameters']} parameters, loss {training['history'][-1]['loss']:.4f}")
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    from apps.cli.output import print_json, print_text
    from apps.cli.sim import options_of
    from recon.shape.evaluate import ShapeEvaluateConfig, evaluate
    from recon.shape.predict import Predictor
    from recon.shape.refine import RefineConfig

    options = options_of(args.set)
    if args.solids:
        return _evaluate_solids(args, options)
    model, photons = ("msft", args.msft) if args.msft else ("recipe", 1e6)
    config = ShapeEvaluateConfig(
        args.frames, args.refined, args.rival, model, photons, options, RefineConfig(rung=args.rung)
    )
    predictor = Predictor(args.weights or "small", args.device)
    found = evaluate(predictor, config, args.seed, Path(args.to) / "simplex.json" if args.to else None)
    further: dict[str, Any] = {}
    if args.curves:
        from recon.shape.curves import curves

        further["curves"] = curves(predictor, args.curves, min(args.curves, args.refined), args.seed)
    if args.subsets:
        further["subsets"] = [_subset(path, args.device, found.test) for path in args.subsets]
    if args.to:
        from recon.shape.figures import write_evaluation

        write_evaluation(Path(args.to), found, predictor, further)
    if args.json:
        print_json(found.summary | further)
    else:
        for name, value in (found.summary | further).items():
            print_text(f"{name:48s} {value}")
    return 0


def _subset(weights: str, device: str, test: Any) -> dict[str, Any]:
    from recon.shape.evaluate import errors_of
    from recon.shape.predict import Predictor

    return errors_of(Predictor(weights, device), test)


def _evaluate_solids(args: argparse.Namespace, options: dict[str, Any]) -> int:
    from apps.cli.output import print_json, print_text
    from recon.shape.evaluate_solids import evaluate_solids
    from recon.shape.predict import Predictor

    predictor = Predictor(args.weights or "solids", args.device)
    found = evaluate_solids(predictor, args.solids, args.seed, options)
    if args.to:
        from recon.shape.figures import write_solids

        write_solids(Path(args.to), found, predictor)
    if args.json:
        print_json(found.summary)
    else:
        for name, value in found.summary.items():
            print_text(f"{name:24s} {value}")
    return 0
