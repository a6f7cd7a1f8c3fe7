"""A data scientist's sample (a polars or pandas frame) -> the signature it implies and its rows as typed values.

It takes frames as they come and imports no frame library.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from engine.errors import ModelError
from engine.models.adapter import Input
from engine.models.encode import divisor, parse_type
from engine.values import EPOCH, EPOCH_DAY, INT64_MAX, INT64_MIN, MICROSECOND, MISSING, Type, Value

_KINDS: Final = (
    ({bool}, "flag"),
    ({int}, "integer"),
    ({float}, "number"),
    ({int, float}, "number"),
    ({str}, "text"),
    ({dt.datetime}, "datetime"),
    ({dt.date}, "date"),
    ({dt.timedelta}, "duration"),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """The inputs, and a row of typed values for each row of the frame (missing ones `absent`), in the inputs' order."""

    inputs: tuple[Input, ...]
    rows: tuple[tuple[Value, ...], ...]


Declared = Mapping[str, str | Sequence[str]]
"""What the caller says of inputs: a type such as ``money USD``, or the codes of a text in their order."""


def read_sample(frame: Any, declared: Declared, may_miss: Collection[str] | None, unseen: str) -> Sample:
    """Signature and rows. Types that `declared` does not give follow from the columns; an input may be missing where the sample lacks
    it, or where `may_miss` names it. Raises `ModelError` for a column that cannot be read."""
    if not hasattr(frame, "columns"):
        raise ModelError("a sample is a polars or pandas frame with a named column for each input")
    names = [str(name) for name in frame.columns]
    _all_known("inputs", declared, names)
    _all_known("missing", may_miss or (), names)
    read = [_column(frame[name], str(name), declared.get(str(name)), may_miss, unseen) for name in frame.columns]
    return Sample(tuple(declared for declared, _ in read), tuple(zip(*(values for _, values in read), strict=True)))


def _all_known(what: str, given: Collection[str], names: Collection[str]) -> None:
    unknown = [name for name in given if name not in names]
    if unknown:
        raise ModelError(f"`{what}` names `{unknown[0]}`, which is no column of the sample")


def _column(
    series: Any, name: str, said: str | Sequence[str] | None, may_miss: Collection[str] | None, unseen: str
) -> tuple[Input, list[Value]]:
    plain = _plain(series)
    there = [value for value in plain if value is not None]
    codes = None if said is None or isinstance(said, str) else tuple(said)
    if codes is None and _is_category(series):
        codes = _categories(series)
    type_ = Type("text") if codes is not None else _type(name, said if isinstance(said, str) else None, there)
    values = [MISSING if value is None else _typed(name, value, type_) for value in plain]
    if type_.kind == "text" and codes is None:
        codes = tuple(sorted(set(there)))
    strange = sorted({value for value in there if value not in codes}) if codes is not None else []
    if strange:
        raise ModelError(f"input `{name}`: the sample holds `{strange[0]}`, which is not among its codes")
    missing = len(there) < len(plain) if may_miss is None else name in may_miss
    return Input(name, type_, missing, codes or (), unseen), values


def _plain(series: Any) -> list[Any]:
    """The column as Python's own values, None where one is missing (NaN is)."""
    if hasattr(series, "isna"):
        lost, values = series.isna().tolist(), series.astype(object).tolist()
    else:
        values = series.to_list()
        lost = [value is None or value != value for value in values]
    return [None if gone else _native(value) for value, gone in zip(values, lost, strict=True)]


def _native(value: Any) -> Any:
    value = value.item() if type(value).__module__ == "numpy" else value
    return value.to_pydatetime(warn=False) if hasattr(value, "to_pydatetime") else value


def _is_category(series: Any) -> bool:
    return str(series.dtype).startswith(("category", "Enum"))


def _categories(series: Any) -> tuple[str, ...]:
    """The texts of a category column in the order of their codes."""
    categories = series.dtype.categories.to_list()
    if any(not isinstance(text, str) for text in categories):
        raise ModelError(f"input `{series.name}`: categories must be texts")
    return tuple(categories)


def _type(name: str, said: str | None, there: list[Any]) -> Type:
    if said is not None:
        type_ = parse_type(said)
        if type_ is None:
            raise ModelError(f"input `{name}`: there is no type `{said}`")
        return type_
    kinds = {_python(value) for value in there}
    for wanted, kind in _KINDS:
        if kinds == wanted:
            return Type(kind)
    raise ModelError(f"input `{name}`: its type does not show in the sample; give it in `inputs`, like `money USD` or `number`")


def _python(value: Any) -> type:
    """The kind of a value: of several that fit the narrowest, for a datetime is a date and a flag an integer."""
    return next((cls for cls in (bool, int, float, str, dt.datetime, dt.date, dt.timedelta) if isinstance(value, cls)), type(value))


def _typed(name: str, value: Any, type_: Type) -> Value:
    try:
        typed = _READ[type_.kind](value, type_)
    except (TypeError, ValueError, OverflowError, AttributeError):
        typed = None
    if typed is None or (isinstance(typed, int) and not INT64_MIN <= typed <= INT64_MAX):
        raise ModelError(f"input `{name}`: the sample holds `{value}`, which is no {type_}" + _why(type_))
    return typed


def _why(type_: Type) -> str:
    return " (amounts are in major units, with no more decimals than the currency has)" if type_.kind == "money" else ""


def _number(value: Any, type_: Type) -> float | None:
    number = None if isinstance(value, (str, bool)) else float(value)
    return None if number is None or number - number != 0 else number


def _whole(value: Any, type_: Type) -> int | None:
    return int(value) if not isinstance(value, (str, bool)) and value == int(value) else None


def _units(value: Any, type_: Type) -> int | None:
    """Whole units of an amount; a float stands for the amount it is nearest to."""
    units = divisor(type_)
    if isinstance(value, Decimal):
        exact = Fraction(value) * units
        return exact.numerator if exact.denominator == 1 else None
    nearest = round(Fraction(value) * units)
    return nearest if nearest / units == value else None


def _date(value: Any, type_: Type) -> int | None:
    if isinstance(value, dt.datetime):
        # frames without a date type of their own keep days as midnights
        value = value.date() if value.time() == dt.time() else None
    return (value - EPOCH_DAY).days if isinstance(value, dt.date) else _whole(value, type_)


def _datetime(value: Any, type_: Type) -> int | None:
    if not isinstance(value, dt.datetime):
        return _whole(value, type_)
    aware = value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)
    return _microseconds(aware - EPOCH)


def _duration(value: Any, type_: Type) -> int | None:
    return _microseconds(value) if isinstance(value, dt.timedelta) else _whole(value, type_)


def _microseconds(span: dt.timedelta) -> int:
    return span // dt.timedelta(microseconds=MICROSECOND)


_READ: Final[dict[str, Callable[[Any, Type], Value | None]]] = {
    "number": _number,
    "integer": _whole,
    "flag": lambda value, _: bool(value) if value in (0, 1) else None,
    "text": lambda value, _: value if isinstance(value, str) else None,
    "money": _units,
    "percent": _units,
    "date": _date,
    "datetime": _datetime,
    "duration": _duration,
}
