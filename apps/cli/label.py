"""shotsort label WORK: give labels to clusters or frames, undo, list."""

from __future__ import annotations

import argparse
from typing import Any

HELP = "Give a label to a cluster or to frames, take it away, undo, redo, list; the same label book as the explorer's."
EXAMPLE = """  shotsort label run/ --cluster 3 icosahedron
  shotsort label run/ --frames 4611686018427387904 77 icosahedron
  shotsort label run/ --ids-file ids.txt bright
  shotsort label run/ --cluster 3 --remove icosahedron
  shotsort label run/ --import labels.csv           # columns frame_id and label
  shotsort label run/ --undo
  shotsort label run/ --list
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the subcommand."""
    from apps.cli.choice import add_choice
    from apps.cli.output import add_json

    parser.add_argument("work", help="work folder")
    word = parser.add_argument("word", help="the label")
    word.required = False  # and not nargs="?", which an option between the two positionals would leave empty
    add_choice(parser, with_label=False)
    parser.add_argument(
        "--frames", nargs="+", metavar="ID", help="frames by their frame_id (before or after the label)"
    )
    parser.add_argument("--ids-file", metavar="FILE", help="the frames listed in it: one id per line, or a CSV")
    parser.add_argument("--import", dest="csv", metavar="CSV", help="give the labels of a CSV file: frame_id, label")
    parser.add_argument(
        "--new-classes", action="store_true", help="with --import: labels that are no defined class, too"
    )
    parser.add_argument("--remove", action="store_true", help="take the label away")
    parser.add_argument("--undo", action="store_true", help="take back the last change of the book")
    parser.add_argument("--redo", action="store_true", help="bring back what was undone last")
    parser.add_argument("--list", action="store_true", help="list the labels and how many frames carry each")
    parser.add_argument("--author", help="who gives the label (default: the system's user)")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    from apps.cli.output import print_json, print_text
    from sorter.curate.label_book import LabelBook
    from sorter.io.workfolder import WorkFolder

    work = WorkFolder.open(args.work)
    if args.csv is not None:
        return _import(work, args)
    event = None if args.list else _change(work, args)
    book = LabelBook(work.labels_path)
    counts = book.counts()
    if args.json:
        print_json({"revision": book.revision, "labels": counts, "event": _facts(event)})
    elif args.list:
        print_text("\n".join(f"{n:8d}  {word}" for word, n in counts.items()) or "no labels yet")
    else:
        print_text(_sentence(event))
    return 0


def _import(work: Any, args: argparse.Namespace) -> int:
    from apps.cli.output import print_json, print_text
    from sorter.stages.label import import_labels

    events = import_labels(work, args.csv, args.new_classes, args.author)
    if args.json:
        print_json({"events": [_facts(event) for event in events]})
    else:
        print_text("\n".join(_sentence(event) for event in events) or "nothing changed")
    return 0


def _change(work: Any, args: argparse.Namespace) -> Any:
    from sorter.core.errors import InputError
    from sorter.curate.label_book import LabelBook
    from sorter.stages.label import label, label_frames
    from sorter.stages.subset import SubsetConfig

    if args.undo or args.redo:
        book = LabelBook(work.labels_path, args.author)
        return book.undo() if args.undo else book.redo()
    ids, word = list(args.frames or []), args.word
    if ids and word is None and not ids[-1].isdigit():
        word = ids.pop()  # "--frames 1 2 sphere": the list took the label along
    if word is None:
        raise InputError("give the label as a word, e.g. 'shotsort label WORK --cluster 3 icosahedron'")
    if args.frames is not None:
        return label_frames(work, ids, word, args.remove, args.author)
    what = SubsetConfig(None, args.cluster, args.ids_file, args.subset, args.clustering)
    return label(work, what, word, args.remove, args.author)


def _facts(event: Any) -> dict[str, Any] | None:
    if event is None:
        return None
    names = ("revision", "kind", "label", "author", "when", "reason", "target")
    return {name: getattr(event, name) for name in names} | {"n_frames": len(event.frame_id)}


def _sentence(event: Any) -> str:
    if event is None:
        return "nothing changed"
    if event.kind in ("undo", "redo"):
        return f"{event.kind}: {event.reason} ('{event.label}'), revision {event.revision}"
    verb = "given to" if event.kind == "add" else "taken from"
    return f"'{event.label}' {verb} {len(event.frame_id)} frames ({event.reason}), revision {event.revision}"
