"""Stage configurations: frozen dataclasses, defaults in one place, unknown keys refused."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any, ClassVar, Protocol, TypeVar

from sorter.core.errors import InputError


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


C = TypeVar("C", bound=_Dataclass)


def config_from_dict(cls: type[C], values: dict[str, Any]) -> C:
    """Build the config dataclass ``cls`` from plain values.

    Raises InputError that lists the known keys when ``values`` holds another one.
    """
    known = {f.name for f in fields(cls)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise InputError(f"{cls.__name__}: unknown option {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    return cls(**values)


def config_to_dict(config: _Dataclass) -> dict[str, Any]:
    """Plain, JSON-ready values of a config dataclass."""
    return asdict(config)


def require(condition: bool, message: str) -> None:
    """Raise InputError(message) unless ``condition``; for validating configs in ``__post_init__``."""
    if not condition:
        raise InputError(message)
