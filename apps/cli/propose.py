"""shotsort propose WORK: what the labels given so far say of the other hits, and what to label next."""

from __future__ import annotations

import argparse
from typing import Any

HELP = (
    "Propose labels for all hits from the few that a person gave, say which hits are none of these and what to label next."
    " Proposals stay apart from labels until they are accepted, and can be revoked."
)
EXAMPLE = """  shotsort propose run/
  shotsort propose run/ --labels sphere rod --head linear --to proposals.csv
  shotsort propose run/ --accept 0.9
  shotsort propose run/ --revoke
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    from apps.cli.output import add_json
    from sorter.curate.heads import HEADS

    parser.add_argument("work", help="work folder")
    parser.add_argument("--embedding", default="auto", help="embedding to stand on (default: the best that is there)")
    parser.add_argument("--head", default=HEADS[0], help=f"{', '.join(HEADS)} (default: {HEADS[0]})")
    parser.add_argument(
        "--labels", nargs="+", default=[], metavar="LABEL", help="the labels that are told apart (default: all)"
    )
    parser.add_argument(
        "--next", type=int, default=10, metavar="N", help="frames to suggest for labelling (default: 10)"
    )
    parser.add_argument(
        "--clustering", default="density", help="clustering whose clusters are suggested (default: density)"
    )
    parser.add_argument("--to", metavar="FILE", help="write one row per hit as CSV")
    change = parser.add_mutually_exclusive_group()
    change.add_argument(
        "--accept", type=float, metavar="P", help="then give the proposals of at least this probability as labels"
    )
    change.add_argument("--revoke", action="store_true", help="take back all accepted proposals; nothing is proposed")
    parser.add_argument("--seed", type=int, default=0)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from apps.cli.output import print_json, print_text
    from sorter.io.workfolder import WorkFolder
    from sorter.stages.propose import revoke

    work = WorkFolder.open(args.work)
    if args.revoke:
        facts: dict[str, Any] = {"revoked": {event.label: len(event.frame_id) for event in revoke(work)}}
        text = (
            "\n".join(f"'{word}' taken from {n} frames" for word, n in facts["revoked"].items()) or "nothing to revoke"
        )
    else:
        facts = _propose(work, args)
        text = _text(facts)
    if args.json:
        print_json(facts)
    else:
        print_text(text)
    return 0


def _propose(work: Any, args: argparse.Namespace) -> dict[str, Any]:
    """Propose, write and accept as asked; what there is to tell of it."""
    from pathlib import Path

    from sorter.core.errors import MissingResultError
    from sorter.curate.proposal_table import write_proposals
    from sorter.curate.suggest import next_clusters
    from sorter.io.whole import whole_file
    from sorter.stages.propose import ProposeConfig, accept, propose

    config = ProposeConfig(args.embedding, args.head, tuple(args.labels), args.next, seed=args.seed)
    found = propose(work, config)
    sure = found.proposed(0.9).sum(axis=0).tolist()
    likely = found.proposed(0.5).sum(axis=0).tolist()
    counts = found.meta["labelled_per_class"]
    rows = [
        {"label": word, "labelled": counts[word], "proposed": n, "proposed_at_0.9": m}
        for word, n, m in zip(found.classes, likely, sure)
    ]
    facts = {"hits": len(found.frame_id), "labels": rows, "none_of_these": int(found.none_of_these.sum()), **found.meta}
    try:
        facts["next_clusters"] = next_clusters(found, work.read_clustering(args.clustering))[:5]
    except MissingResultError:
        facts["next_clusters"] = []
    if args.to is not None:
        with whole_file(Path(args.to)) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
            write_proposals(file, found)
    if args.accept is not None:
        events = accept(work, args.accept, tuple(args.labels))
        facts["accepted"] = {event.label: len(event.frame_id) for event in events}
    return facts


def _text(facts: dict[str, Any]) -> str:
    """What a person reads: the labels, how good the proposals are, what to label next."""
    width = max([5, *(len(row["label"]) for row in facts["labels"])])
    lines = (
        [f"{'label':{width}s}  labelled  proposed  at 0.9"] if facts["labels"] else ["no labels yet; begin with these:"]
    )
    for row in facts["labels"]:
        lines.append(
            f"{row['label']:{width}s}  {row['labelled']:8d}  {row['proposed']:8d}  {row['proposed_at_0.9']:6d}"
        )
    if facts["labels"]:
        lines.append(f"none of these: {facts['none_of_these']} of {facts['hits']} hits")
    if facts["left_out_accuracy"] is not None:
        figures = f"{100 * facts['left_out_accuracy']:.0f} % right, calibration error {facts['left_out_ece']:.2f}"
        lines.append(f"on labelled frames left out: {figures}")
    lines += ["label next:", *(f"  frame {frame}" for frame in facts["next_frames"])]
    for entry in facts["next_clusters"]:
        lines.append(f"  cluster {entry['cluster']}: {entry['frames']} frames, mean doubt {entry['doubt']:.2f}")
    for word, n in facts.get("accepted", {}).items():
        lines.append(f"accepted: '{word}' for {n} frames ('shotsort propose WORK --revoke' takes them back)")
    return "\n".join(lines)
