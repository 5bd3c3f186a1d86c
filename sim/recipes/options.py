"""Options of recipes from plain values: dotted names, texts from a command line, unknown ones refused."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from typing import Any, TypeVar

from sorter.core.errors import InputError

T = TypeVar("T")


def options_from(cls: type[T], values: dict[str, Any] | None) -> T:
    """Build the options dataclass ``cls``; values may nest or use dotted names ({"detector.blur_px": 1}).

    Raises InputError for an unknown name (the known ones are listed) or a value of the wrong type.
    """
    nested: dict[str, Any] = {}
    for name, value in (values or {}).items():
        head, _, rest = name.partition(".")
        if rest:
            nested.setdefault(head, {})
            if not isinstance(nested[head], dict):
                raise InputError(f"option {name}: {head} is given as a whole as well; give one or the other")
            nested[head][rest] = value
        elif isinstance(value, dict) and isinstance(nested.get(head), dict):
            nested[head] |= value
        else:
            nested[head] = value
    return _build(cls, nested, "")


def _build(cls: type[T], values: dict[str, Any], prefix: str) -> T:
    hints = typing.get_type_hints(cls)
    known = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise InputError(
                f"option {prefix}{name}: unknown; known are {', '.join(prefix + k for k in sorted(known))}"
            )
    made = {}
    for name, value in values.items():
        hint = hints[name]
        if dataclasses.is_dataclass(hint) and isinstance(value, dict):
            base = _default(known[name])
            changed = {f.name: getattr(base, f.name) for f in dataclasses.fields(hint)} if base is not None else {}
            flat = options_from_dict_over(hint, changed, value, f"{prefix}{name}.")
            made[name] = flat
        else:
            made[name] = _convert(value, hint, prefix + name)
    return cls(**made)


def options_from_dict_over(cls: type[T], base: dict[str, Any], values: dict[str, Any], prefix: str) -> T:
    """``cls`` with ``values`` over the defaults ``base`` of the place where it stands."""
    nested = {}
    for name, value in values.items():
        head, _, rest = name.partition(".")
        if rest:
            raise InputError(f"option {prefix}{name}: nothing lies below {prefix}{head}")
        nested[head] = value
    hints = typing.get_type_hints(cls)
    for name in nested:
        if name not in hints:
            raise InputError(
                f"option {prefix}{name}: unknown; known are {', '.join(prefix + k for k in sorted(hints))}"
            )
    return cls(**{**base, **{n: _convert(v, hints[n], prefix + n) for n, v in nested.items()}})


def _default(field: dataclasses.Field) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else None


def _convert(value: Any, hint: Any, name: str) -> Any:
    """``value`` (a text is read as JSON unless a text is wanted) as the type that the option has."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None or value in ("none", "null"):
            return None
        return _convert(value, next(a for a in arguments if a is not type(None)), name)
    if origin is typing.Literal or hint is str:
        return str(value)
    if isinstance(value, str):
        value = _parse(value, origin, name)
    try:
        if origin is tuple:
            wanted = (
                [arguments[0]] * len(value) if len(arguments) == 2 and arguments[1] is Ellipsis else list(arguments)
            )
            if len(value) != len(wanted):
                raise InputError(f"option {name} = {value}: need {len(wanted)} values, separated by commas")
            return tuple(_convert(v, a, name) for v, a in zip(value, wanted, strict=True))
        if origin is dict:
            return {str(k): _convert(v, arguments[1], f"{name}.{k}") for k, v in value.items()}
        if hint is bool and isinstance(value, bool):
            return value
        if hint is int and int(value) == value and not isinstance(value, bool):
            return int(value)
        if hint is float and not isinstance(value, bool):
            return float(value)
    except (TypeError, ValueError, AttributeError):
        pass
    raise InputError(f"option {name} = {value!r}: must be {getattr(hint, '__name__', hint)}")


def _parse(text: str, origin: Any, name: str) -> Any:
    if origin is tuple:
        text = f"[{text.strip('[]()')}]"
    if origin is dict and not text.lstrip().startswith("{"):
        pairs = [part.split("=", 1) for part in text.split(",")]
        if any(len(p) != 2 for p in pairs):
            raise InputError(f"option {name} = {text!r}: give NAME=SHARE,NAME=SHARE")
        return {k.strip(): json.loads(v) if _is_number(v) else v for k, v in pairs}
    try:
        return json.loads(text)
    except ValueError:
        return text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def flat_options(options: Any, prefix: str = "") -> dict[str, Any]:
    """All options with their values under dotted names."""
    out: dict[str, Any] = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if dataclasses.is_dataclass(value):
            out |= flat_options(value, f"{prefix}{field.name}.")
        else:
            out[prefix + field.name] = value
    return out
