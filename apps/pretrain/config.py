"""How pre-training is set; starts without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sorter.core.config import require

#: Patterns are computed and kept in blocks of so many.
BLOCK_PATTERNS = 256
#: Share of each recipe among the patterns.
SHARES = {"clusters": 0.35, "families": 0.45, "droplets": 0.1, "spi": 0.1}
#: What other recipes call the same bodies: whoever leaves a kind out leaves these out with it.
ALSO_CALLED = {
    "sphere": ("round", "droplet"),
    "oblate": ("elliptical", "asymmetric"),
    "rod": ("streak", "bent"),
    "dimer": ("two_lobed", "newton_rings"),
    "multi": ("double_rings", "newton_rings"),
}


@dataclass(frozen=True)
class FieldsConfig:
    """fields: patterns in all, shared between the recipes by ``SHARES``; seed: the recipes' own seeds are derived from it and
    are 63-bit numbers, which nobody gives by hand: no run of ``shotsort sim --seed N`` is in here."""

    fields: int = 24_576
    seed: int = 0
    shares: dict[str, float] = field(default_factory=lambda: dict(SHARES))

    def __post_init__(self) -> None:
        require(self.fields >= BLOCK_PATTERNS, f"fields = {self.fields}: need at least {BLOCK_PATTERNS}")

    def blocks(self) -> list[tuple[str, int]]:
        """(recipe, number) of every block of 256 patterns; a longer list begins with a shorter one of each recipe."""
        counts = {name: max(1, round(share * self.fields / BLOCK_PATTERNS)) for name, share in self.shares.items()}
        return [(name, number) for name, count in counts.items() for number in range(count)]


def also_called(kinds: Sequence[str]) -> tuple[str, ...]:
    """What other recipes call the bodies of these kinds."""
    return tuple(dict.fromkeys(name for kind in kinds for name in ALSO_CALLED.get(kind, ())))
