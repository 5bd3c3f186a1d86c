"""Figures on standard output: for people, or one JSON object for programs."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from typing import Any


def add_json(parser: argparse.ArgumentParser) -> None:
    """The option --json."""
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def strict(value: Any) -> Any:
    """``value`` with what JSON cannot hold (NaN, infinity) as None."""
    if isinstance(value, dict):
        return {str(k): strict(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [strict(v) for v in value]
    if hasattr(value, "tolist"):
        return strict(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def print_json(value: Any) -> None:
    """One strict JSON object on standard output."""
    sys.stdout.write(json.dumps(strict(value), allow_nan=False) + "\n")


def print_text(text: str) -> None:
    """Text for a person on standard output."""
    sys.stdout.write(text + "\n")


def print_result(result: Any, as_json: bool, text: Callable[[Any], str]) -> None:
    """A result as one JSON object, or as what ``text`` makes of it for a person."""
    if as_json:
        print_json(result)
    else:
        print_text(text(result))
