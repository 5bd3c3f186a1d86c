"""shotsort subset WORK NAME: store a named choice of frames."""

from __future__ import annotations

import argparse

HELP = "Store a named choice of frames with the rule that made it; what is stored does not follow later labels."
EXAMPLE = """  shotsort subset run/ picks --label icosahedron
  shotsort subset run/ --list
  shotsort export run/ --subset picks --to picks.cxi
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    from apps.cli.choice import add_choice
    from apps.cli.output import add_json

    parser.add_argument("work", help="work folder")
    name = parser.add_argument("name", help="name of the subset")
    name.required = False  # and not nargs="?", which an option between the two positionals would leave empty
    add_choice(parser)
    parser.add_argument("--list", action="store_true", help="list the stored subsets")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from apps.cli.choice import choice_of
    from apps.cli.output import print_json, print_text
    from sorter.core.errors import InputError
    from sorter.io.workfolder import WorkFolder
    from sorter.stages.subset import subset

    work = WorkFolder.open(args.work)
    if args.list:
        subsets = [work.read_subset(name) for name in work.result_names("subsets")]
    elif args.name is None:
        raise InputError("give the subset a name, or --list")
    else:
        subsets = [subset(work, args.name, choice_of(args))]
    rows = [
        {"name": s.name, "n_frames": len(s.frame_id), "rule": s.rule, "label_book_revision": s.label_book_revision,
         "sha256": s.sha256}
        for s in subsets
    ]  # fmt: skip
    if args.json:
        print_json({"subsets": rows})
    else:
        print_text("\n".join(f"{r['name']:20s} {r['n_frames']:8d} frames   {r['rule']}" for r in rows) or "no subsets")
    return 0
