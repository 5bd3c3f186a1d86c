"""shotsort recon speckle: how many disks are there? train, evaluate, predict."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from recon.speckle.predict import Counts, Predictor

_DATA = ("most", "polydispersity", "photons", "most_photons", "coherence_length", "missing", "most_missing")
HELP = "count particles from a coherent speckle pattern (model system: disks in a box)"
EXAMPLE = """  shotsort recon speckle train --preset small --to speckle.safetensors
  shotsort recon speckle evaluate --to figures/
  shotsort recon speckle curve --patterns 400 800 1600 --to curve/
  shotsort recon speckle predict run/ --label speckle
"""


def add_verbs(verbs: Any) -> None:
    """The verbs train, evaluate, curve and predict."""
    _add_train(verbs.add_parser("train", help="train a network on patterns drawn as it goes"))
    _add_evaluate(
        verbs.add_parser("evaluate", help="measure the weights and the conventional rival on unseen patterns")
    )
    _add_curve(verbs.add_parser("curve", help="how the score grows with patterns and with the network's width"))
    _add_predict(verbs.add_parser("predict", help="count the disks in frames of a work folder or a file of patterns"))


def _add_common(parser: argparse.ArgumentParser) -> None:
    from apps.cli.output import add_json

    parser.add_argument("--device", default="auto", help="cpu, cuda or auto (default)")
    add_json(parser)


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--preset",
        default="small",
        help="small (minutes on a CPU), wide (with convolutions) or shen (the paper's ResNet-50)",
    )
    parser.add_argument(
        "--to", default="speckle.safetensors", metavar="FILE", help="weights to write (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="root of all random numbers (default 0)")
    parser.add_argument("--start", metavar="FILE", help="weights to begin with")
    parser.add_argument("--steps", type=int, help="steps of the optimiser")
    parser.add_argument("--batch", type=int, help="patterns per step")
    parser.add_argument("--patterns", type=int, help="how many different patterns there are")
    parser.add_argument("--before", type=int, help="patterns drawn before the first step (small)")
    parser.add_argument("--fresh", type=int, help="new patterns per step (small)")
    parser.add_argument("--width", type=int, help="channels of the first convolution (small; 0: none)")
    parser.add_argument("--hidden", type=int, help="units of the perceptron (small)")
    parser.add_argument("--maps", help="maps of distances that it sees, separated by commas (small; default: all)")
    parser.add_argument("--learning-rate", type=float, help="highest learning rate")
    parser.add_argument("--side", type=int, help="pixels along a side (257, 513)")
    parser.add_argument("--most", type=int, help="largest number of disks")
    parser.add_argument(
        "--polydispersity", type=float, help="sigma over mean of the radii (default: a mixture; shen: 0)"
    )
    parser.add_argument("--photons", type=float, help="photons in a pattern (default: no noise)")
    parser.add_argument("--most-photons", type=float, help="then log-uniform from --photons to this")
    parser.add_argument(
        "--coherence-length", type=float, help="of the light, in units of the box (default: full coherence)"
    )
    parser.add_argument("--missing", type=float, help="share of the columns that a dark module takes (default: none)")
    parser.add_argument("--most-missing", type=float, help="then uniform from --missing (or 0) to this")
    _add_common(parser)
    parser.set_defaults(run_verb=_train)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", metavar="FILE", help="weights (default: the shipped ones)")
    parser.add_argument("--patterns", type=int, default=1900, help="patterns in each test set (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the test patterns (default 0)")
    parser.add_argument(
        "--most", type=int, metavar="N", help="largest number of disks (default: all that the weights know)"
    )
    parser.add_argument("--no-513", action="store_true", help="leave the 513 x 513 patterns out")
    parser.add_argument("--no-rival", action="store_true", help="leave the conventional rival out")
    parser.add_argument(
        "--beyond", type=int, metavar="N", help="also curves with N patterns a point and the occlusion map"
    )
    parser.add_argument("--to", metavar="FOLDER", help="write figures, tables and evaluation.json there")
    _add_common(parser)
    parser.set_defaults(run_verb=_evaluate)


def _add_curve(parser: argparse.ArgumentParser) -> None:
    from apps.cli.output import add_json

    parser.add_argument(
        "--to", default="curve", metavar="FOLDER", help="patterns, weights and figure (default: %(default)s)"
    )
    parser.add_argument("--patterns", type=int, nargs="+", metavar="N", help="how many (default: 800 1600 3200 6400)")
    parser.add_argument("--hidden", type=int, nargs="+", metavar="N", help="units (default: 64 192 768)")
    parser.add_argument("--maps", help="maps of distances that it sees, separated by commas (default: all)")
    parser.add_argument("--steps", type=int, help="steps of each training at least (default: 800)")
    parser.add_argument("--epochs", type=float, help="how often it sees each pattern at least (default: 12.8)")
    parser.add_argument(
        "--pool", metavar="FOLDER", help="learn from patterns that a training has drawn (the folder 'pool' of its .run)"
    )
    parser.add_argument("--test-patterns", type=int, help="unseen patterns (default: 950)")
    parser.add_argument("--polydispersity", type=float, help="sigma over mean of the radii (default: 1/3)")
    parser.add_argument("--seed", type=int, default=0, help="root of all random numbers (default 0)")
    add_json(parser)
    parser.set_defaults(run_verb=_curve)


def _add_predict(parser: argparse.ArgumentParser) -> None:
    from apps.cli.choice import add_choice

    parser.add_argument("source", help="work folder, or a file of patterns: .npy, .h5, .zarr of 'shotsort sim disks'")
    add_choice(parser)
    parser.add_argument("--weights", metavar="FILE", help="weights (default: the shipped ones)")
    parser.add_argument(
        "--standardise", action="store_true", help="block the corner and standardise the patterns first"
    )
    parser.add_argument(
        "--name", default="speckle", help="name of the result in the work folder (default: %(default)s)"
    )
    parser.add_argument("--to", metavar="CSV", help="also write a table")
    _add_common(parser)
    parser.set_defaults(run_verb=_predict)


def _train(args: argparse.Namespace) -> int:
    from apps.cli.output import print_json, print_text
    from recon.speckle.config import preset
    from recon.speckle.train import train

    plain = {
        "batch": args.batch,
        "patterns": args.patterns,
        "before": args.before,
        "fresh": args.fresh,
        "width": args.width,
        "hidden": args.hidden,
        "maps": tuple(args.maps.split(",")) if args.maps else None,
    }
    data = {"side_px": args.side, **{name: getattr(args, name) for name in _DATA}}
    loop = {"steps": args.steps, "learning_rate": args.learning_rate}
    changes: dict[str, Any] = {k: v for k, v in plain.items() if v is not None}
    changes |= {k: given for k, part in (("data", data), ("loop", loop)) if (given := _given(part))}
    meta = train(args.to, preset(args.preset, **changes), args.seed, device=args.device, start=args.start)
    training = meta["training"]
    if args.json:
        print_json(
            {
                "weights": args.to,
                "parameters": meta["parameters"],
                "seconds": training["seconds"],
                "patterns_seen": training["patterns_seen"],
                "loss": training["history"][-1]["loss"],
                "seed": args.seed,
            }
        )
    else:
        print_text(f"{args.to}: {meta['parameters']} parameters, loss {training['history'][-1]['loss']:.3f}")
    return 0


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if v is not None}


def _evaluate(args: argparse.Namespace) -> int:
    from apps.cli.output import print_json, print_text
    from recon.speckle.evaluate import SpeckleEvaluateConfig, evaluate
    from recon.speckle.predict import Predictor

    predictor = Predictor(args.weights, args.device)
    config = SpeckleEvaluateConfig(
        args.patterns, min(max(args.patterns, 40), 1900), not args.no_513, not args.no_rival, args.most
    )
    found = evaluate(predictor, config, args.seed)
    beyond = _beyond(predictor, args.beyond, args.seed) if args.beyond else None
    if args.to:
        from recon.speckle.figures import write_evaluation

        write_evaluation(Path(args.to), found, beyond)
    if args.json:
        print_json(found.summary | ({"beyond": beyond} if beyond else {}))
    else:
        for name, value in found.summary.items():
            print_text(f"{name:36s} {value}")
    return 0


def _beyond(predictor: Predictor, n: int, seed: int) -> dict[str, Any]:
    from recon.speckle.data import PAPER_POLYDISPERSITY, PatternConfig
    from recon.speckle.evaluate import curves, occlusion

    base = PatternConfig(int(predictor.counts[0]), int(predictor.counts[-1]), polydispersity=PAPER_POLYDISPERSITY)
    return {
        **curves(predictor, n, seed),
        "occlusion_log_probability": occlusion(predictor, base, min(n, 95), seed).tolist(),
    }


def _curve(args: argparse.Namespace) -> int:
    from apps.cli.output import print_json, print_text
    from recon.speckle.figures import write_learning_curve
    from recon.speckle.learning_curve import LearningCurveConfig, learning_curve
    from sorter.core.config import require

    require(not (args.pool and args.maps), "--maps: the patterns of --pool have theirs; leave one of the two out")
    lists = {"patterns": args.patterns, "hidden": args.hidden, "maps": args.maps and args.maps.split(",")}
    plain = {name: getattr(args, name) for name in ("steps", "epochs", "test_patterns", "polydispersity")}
    changes = {name: tuple(values) for name, values in lists.items() if values} | _given(plain)
    rows = learning_curve(args.to, LearningCurveConfig(**changes), args.seed, args.pool)
    write_learning_curve(Path(args.to), rows)
    if args.json:
        print_json({"seed": args.seed, "rows": rows})
    else:
        for row in rows:
            print_text("{patterns:7d} patterns {hidden:5d} units: macro F1 {macro_f1:.3f}".format(**row))
    return 0


def _predict(args: argparse.Namespace) -> int:
    from apps.cli.output import print_json, print_text
    from recon.speckle.predict import Predictor
    from sorter.core.errors import InputError

    predictor = Predictor(args.weights, args.device)
    path = Path(args.source)
    if (path / "shotsort.json").exists():
        ids, found = _predict_work(args, predictor)
    elif not path.exists():
        raise InputError(f"{path}: no such work folder or file")
    else:
        found = predictor.predict_stream(_recorded(path), str(path), standardise_first=args.standardise)
        ids = list(range(len(found.best)))
    rows = [
        {"frame_id": int(i), "n_disks": int(b), "expected_disks": round(float(m), 3), "error_disks": round(float(d), 3)}
        for i, b, m, d in zip(ids, found.best, found.mean, found.deviation, strict=True)
    ]
    if args.to:
        _write_table(Path(args.to), rows)
    if args.json:
        print_json({"source": str(path), "n_frames": len(rows), **predictor.describe(), "frames": rows})
    else:
        for row in rows[:20]:
            print_text(
                "{frame_id:20d}  {n_disks:3d} disks  (expected {expected_disks:.2f} +- {error_disks:.2f})".format(**row)
            )
        if len(rows) > 20:
            print_text(f"... {len(rows)} frames; --to TABLE.csv or --json gives all")
    return 0


def _recorded(path: Path) -> Iterator[NDArray]:
    from sorter.io.adapters import open_recording

    with open_recording(path) as reader:
        for start in range(0, reader.recording.n_frames, 64):
            yield reader.read(start, min(start + 64, reader.recording.n_frames))


def _predict_work(args: argparse.Namespace, predictor: Predictor) -> tuple[Any, Counts]:
    """Predict the chosen frames at the recorded resolution and store the result in the work folder."""
    from apps.cli.choice import choice_of
    from recon.training.results import write_result
    from sorter.core.errors import InputError
    from sorter.curate.recorded import recorded_frames
    from sorter.io.workfolder import WorkFolder
    from sorter.stages.subset import choose_frames

    work = WorkFolder.open(args.source)
    subset = choose_frames(work, choice_of(args))
    if not len(subset.frame_id):
        raise InputError(f"{subset.rule}: no frames")
    frames = recorded_frames(work.frames(), subset.frame_id, work.path)
    found = predictor.predict_stream(frames.blocks(), str(args.source), standardise_first=args.standardise)
    columns = {"n_disks": found.best, "expected_disks": found.mean, "error_disks": found.deviation,
               "probability": found.probability}  # fmt: skip
    write_result(work, "speckle", args.name, subset, columns, {**predictor.describe(), "counts": found.counts.tolist()})
    return subset.frame_id, found


def _write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    import csv

    from sorter.core.errors import InputError

    try:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["frame_id", "n_disks", "expected_disks", "error_disks"])
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
