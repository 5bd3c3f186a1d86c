"""Read recorded frames into a work folder and find the hits."""

from __future__ import annotations

import argparse

HELP = "read recorded frames into a work folder and find the hits; called again, it adds what is new"
EXAMPLE = """\
  shotsort ingest run42.h5 -w run42/
  shotsort ingest r0042/ -w run42/ --center 511.5,498 --distance 0.37 --pixel-size 75e-6 --wavelength 13.5e-9
  shotsort ingest raw.h5 -w run/ --dataset /entry_1/data_1/data --dark dark.npy --gain 26.5 --common-mode row
  shotsort ingest a.cxi b.cxi -w run/ --mask bad.npy --mask-convention bad --bin 2 --hits all"""


def add_ingest_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say what files do not; shared with ``shotsort sort``."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="recorded files, folders of images, run directories")
    parser.add_argument("-w", "--work", required=True, metavar="WORK", help="work folder; made where there is none")
    group = parser.add_argument_group("what the files do not say")
    group.add_argument(
        "--dataset", metavar="PATH", help="dataset of the frames in HDF5 files (found by itself if there is one)"
    )
    group.add_argument("--mask", metavar="FILE", help="mask to add: .npy, .npz, an image, or HDF5 as FILE:/DATASET")
    group.add_argument(
        "--mask-convention",
        metavar="NAME",
        help="of --mask, or without it of the masks in the files: cxi, good (1 = good), bad (0 = good), nexus, euxfel"
        " (default: by their place, cxi)",
    )
    group.add_argument("--center", type=_center, metavar="Y,X", help="beam centre in recorded pixels (else estimated)")
    group.add_argument("--distance", type=float, metavar="M", help="sample to detector, metres")
    group.add_argument("--pixel-size", type=float, metavar="M", help="side of a recorded pixel, metres")
    group.add_argument("--wavelength", type=float, metavar="M", help="metres")
    group.add_argument(
        "--unit", metavar="NAME", help="of the values: photon, adu or arbitrary (default: by their looks)"
    )
    group.add_argument("--dark", metavar="X", help="file or number to subtract, ADU")
    group.add_argument("--gain", metavar="X", help="file or number, ADU per photon: values become whole photons")
    group.add_argument("--common-mode", metavar="NAME", help="median to subtract: frame, row or column (default none)")
    group.add_argument(
        "--bin", type=int, metavar="N", help="sum N x N pixels (default: until the long side is at most 256)"
    )
    group.add_argument("--hits", default="auto", metavar="X",
                       help="auto (default), all, or a number: the threshold on the score")  # fmt: skip


def _center(text: str) -> tuple[float, float]:
    try:
        y, x = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}': give two numbers, Y,X in pixels") from None
    return y, x


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    from apps.cli.output import add_json
    from apps.cli.workers import add_workers

    add_ingest_arguments(parser)
    parser.add_argument("--force", action="store_true", help="score the frames again, even where nothing is new")
    add_workers(parser)
    add_json(parser)


def configs(args: argparse.Namespace) -> tuple:
    """IngestConfig and HitsConfig of parsed arguments. Raises InputError for values that cannot be used."""
    from sorter.stages.hits import HitsConfig
    from sorter.stages.ingest import IngestConfig

    config = IngestConfig(
        dataset=args.dataset, mask=args.mask, mask_convention=args.mask_convention, center_px=args.center,
        distance_m=args.distance, pixel_size_m=args.pixel_size, wavelength_m=args.wavelength, dark=args.dark,
        gain=args.gain, common_mode=args.common_mode, unit=args.unit, bin=args.bin,
    )  # fmt: skip
    return config, HitsConfig(args.hits)


def main(args: argparse.Namespace) -> int:
    """Run the command."""
    from apps.cli.output import print_json, print_text
    from apps.cli.workers import workers_of
    from sorter.stages.hits import find_hits
    from sorter.stages.ingest import ingest
    from sorter.stages.workers import open_pool

    (ingest_config, hits_config), workers = configs(args), workers_of(args)
    store = ingest(args.files, args.work, ingest_config)
    with open_pool(workers) as pool:
        hits = find_hits(args.work, hits_config, args.force, pool)
    geometry, fit = store.geometry, hits.meta["fit"]
    result = {
        "frames": len(store),
        "hits": int(hits.is_hit.sum()),
        "populations": fit["populations"],
        "threshold": fit["threshold"],
        "shape_px": list(store.shape_px),
        "binning": store.info.binning,
        "unit": store.unit,
        "beam_center_px": geometry.beam_center_px,
        "beam_center_source": geometry.beam_center_source,
        "beam_center_error_px": geometry.beam_center_error_px,
        "bad_pixels": int(store.bad_pixels.sum()),
    }
    if args.json:
        print_json(result)
        return 0
    size = "{} x {}".format(*store.shape_px)
    binned = f" (binned {store.info.binning} x {store.info.binning})" if store.info.binning > 1 else ""
    print_text(f"{args.work}: {len(store)} frames of {size} pixels{binned}, unit {store.unit}; {result['hits']} hits")
    print_text(fit["statement"])
    return 0
