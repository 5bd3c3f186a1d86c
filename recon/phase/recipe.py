"""The words of an iterative recipe: ``20ER 180HIO 20ER``, ``3*(20ER+180HIO)+20ER``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sorter.core.errors import InputError

ALGORITHMS = ("ER", "HIO", "RAAR")
#: 620 iterations as in Chan et al. 2020 (Methods) and in the settings of the beamline where their scan was measured.
CLASSICAL = "3*(20ER+180HIO)+20ER"
_TOKEN = re.compile(r"\s*(?:(\d+)|([A-Za-z]+)|([()*+,]))")


@dataclass(frozen=True)
class Step:
    """``count`` iterations of one algorithm."""

    algorithm: str
    count: int


def parse_recipe(text: str) -> tuple[Step, ...]:
    """The steps of a recipe. Parts stand one after the other (blank, + or ,); ``3*(...)`` repeats.

    Raises InputError for anything else.
    """
    tokens = _tokens(text)
    steps, rest = _sequence(tokens, text)
    if rest:
        raise _error(text, "a bracket is closed that was never opened")
    if not steps:
        raise _error(text, "it is empty")
    return tuple(steps)


def n_iterations(steps: tuple[Step, ...]) -> int:
    """Number of iterations in all."""
    return sum(step.count for step in steps)


def _error(text: str, reason: str) -> InputError:
    return InputError(f"recipe {text!r}: {reason}; write it like '20ER 180HIO 20ER' or '3*(20ER+180HIO)+20ER'")


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            raise _error(text, f"{text[at:].strip()[0]!r} is not understood")
        found.append(match[match.lastindex or 0])
        at = match.end()
    return found


def _sequence(tokens: list[str], text: str) -> tuple[list[Step], list[str]]:
    """Steps up to the end or a closing bracket, and the tokens from there on."""
    steps: list[Step] = []
    while tokens and tokens[0] != ")":
        if tokens[0] in "+,":
            tokens = tokens[1:]
            continue
        count, tokens = (int(tokens[0]), tokens[1:]) if tokens[0].isdigit() else (1, tokens)
        if tokens and tokens[0] == "*":
            tokens = tokens[1:]
        if count < 1 or not tokens:
            raise _error(text, "a number without an algorithm" if count else "0 iterations")
        if tokens[0] == "(":
            inner, tokens = _sequence(tokens[1:], text)
            if not tokens:
                raise _error(text, "a bracket is not closed")
            steps += inner * count
        elif tokens[0].upper() in ALGORITHMS:
            steps.append(Step(tokens[0].upper(), count))
        else:
            raise _error(text, f"{tokens[0]!r} is none of {', '.join(ALGORITHMS)}")
        tokens = tokens[1:]
    return steps, tokens
