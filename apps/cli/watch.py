"""Sort frames while they are recorded."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from typing import Any

HELP = "sort frames while they are recorded, by what an earlier run has shown; Ctrl-C ends it, the same command goes on"
EXAMPLE = """\
  shotsort watch /data/run42/ -w live/ --from run41/          # a folder in which HDF5 or CXI files appear and grow
  shotsort watch /data/run42/ -w live/                        # goes on
  shotsort watch run42.zarr -w run42/ --until-idle 60         # a zarr group that grows, into a sorted work folder
  shotsort watch tcp://10.253.0.51:4501 -w live/ --from run41/ --dataset SPB_DET_AGIPD1M-1/CAL/APPEND_CORRECTED
  shotsort explore live/                                      # at the same time, in another terminal"""

log = logging.getLogger(__name__)

_LOG_EVERY_S = 15.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    from apps.cli.output import add_json

    parser.add_argument(
        "source", metavar="SOURCE", help="folder, file, zarr group, or tcp://HOST:PORT of a Karabo bridge"
    )
    parser.add_argument("-w", "--work", required=True, metavar="WORK", help="work folder that frames are added to")
    parser.add_argument(
        "--from",
        dest="start_from",
        metavar="SORTED",
        help="begin WORK from this sorted work folder (its frames stay there)",
    )
    parser.add_argument("--model", metavar="NAME", help="embedding to sort by (default: the one that was clustered)")
    parser.add_argument(
        "--clustering", default="density", metavar="NAME", help="clusters to sort into (default: density)"
    )
    parser.add_argument(
        "--dataset", metavar="PATH", help="where the frames are: path in the files, or SOURCE/KEY of a stream"
    )
    parser.add_argument(
        "--socket",
        default="REQ",
        metavar="KIND",
        help="of a stream: REQ, SUB or PULL (default: REQ, for a server that answers)",
    )
    parser.add_argument("--queue", type=int, default=2048, metavar="N", help="frames that may wait (default: 2048)")
    parser.add_argument("--until-idle", type=float, metavar="S", help="end when nothing has come for S seconds")
    parser.add_argument("--seconds", type=float, metavar="S", help="end after S seconds")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the command."""
    from apps.cli.output import print_json, print_text
    from sorter.stages.watch import WatchConfig, watch

    config = WatchConfig(
        args.start_from, args.clustering, args.model, args.dataset, args.socket, args.queue,
        seconds=args.seconds, idle_s=args.until_idle, device=args.device,
    )  # fmt: skip
    status = watch(args.source, args.work, config, Screen())
    if args.json:
        print_json(status)
    else:
        print_text("\n".join(lines(status)))
    return 0


class Screen:
    """Shows the live status: a block of lines drawn over itself on a terminal, else a log line now and then."""

    def __init__(self) -> None:
        self._drawn = 0
        self._logged = time.monotonic()
        self._terminal = sys.stderr.isatty() and log.isEnabledFor(logging.INFO)

    def __call__(self, status: dict[str, Any]) -> None:
        """Show a status."""
        if self._terminal:
            text = lines(status) if status["state"] != "stopped" else []  # the last one is printed
            up = f"\x1b[{self._drawn}F" if self._drawn else ""
            sys.stderr.write(up + "\x1b[J" + "".join(f"{line}\n" for line in text))
            sys.stderr.flush()
            self._drawn = len(text)
        elif time.monotonic() - self._logged >= _LOG_EVERY_S:
            self._logged = time.monotonic()
            log.info("%s", " | ".join(lines(status)[:3]))


def lines(status: dict[str, Any]) -> list[str]:
    """The status in a few lines for a person."""
    rate, seconds = status["frames_per_s"], status["seconds"]
    out = [
        f"{status['state']} {status['source']}: {status['frames']} frames in {seconds:.0f} s, {rate:.0f} per second now;"
        f" hits {_percent(status['hit_share'])} (all: {_percent(status['hit_share_all'])})",
        f"latency {_ms(status['latency_p50_ms'])} (99 %: {_ms(status['latency_p99_ms'])}), waiting {status['queue']},"
        f" skipped {status['skipped']}, to catch up {status['catching_up']}, refused {status['refused']}",
        "hits by cluster: " + (", ".join(_clusters(status)) or "none yet"),
        f"in no cluster {_percent(status['unassigned_share'])}, unlike anything {status['strange']}"
        + _proposals(status),
    ]
    return [*out, *([status["message"]] if status["message"] else [])]


def _clusters(status: dict[str, Any], most: int = 8) -> list[str]:
    busy = sorted((c for c in status["clusters"] if c["hits"]), key=lambda c: -c["hits"])
    shown = [f"{c['name'] or c['cluster']} {c['hits']} ({_percent(c['share'])})" for c in busy[:most]]
    return [*shown, *([f"{len(busy) - most} more"] if len(busy) > most else [])]


def _proposals(status: dict[str, Any]) -> str:
    sizes = [str(p["hits"]) for p in status["proposals"]]
    return (
        f"; new groups of {', '.join(sizes)} among them (clustering '{status['proposals'][0]['clustering']}')"
        if sizes
        else ""
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"
