"""From raw data to typed values: one function per type, used for one event and for the distinct values of a column alike.

Trouble in the data never raises here: what cannot be read is missing with its cause, and nothing is guessed.
It knows no record and no frame.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from engine import zones
from engine.currencies import DIGITS
from engine.values import (
    DAY,
    EPOCH,
    EPOCH_DAY,
    HOUR,
    INT64_MAX,
    INT64_MIN,
    MINUTE,
    MISSING,
    SECOND,
    TEXT,
    WEEK,
    Missing,
    Money,
    Type,
    Value,
    integer,
    missing,
    number,
    percent,
)

if TYPE_CHECKING:
    from collections.abc import Callable

DAMAGED: Final = missing("damaged")
OVERFLOW: Final = missing("overflow")
MAX_DEPTH: Final = 100
"""How deep JSON may be nested."""

SAFE_TIME: Final = (-62_135_000_000 * SECOND, 253_402_000_000 * SECOND)
"""Moments that lie in the calendar of every zone."""
_NATIVE: Final = frozenset({str, int, float, bool, Decimal, list, tuple, dict, dt.date, dt.datetime, dt.timedelta})


class _Mark:
    """Something that arrived and is no value of any type."""


BEYOND: Final = _Mark()
"""A date, datetime or duration that a frame can hold and the calendar cannot: read as `overflow`."""
CLASH: Final = _Mark()
"""A field that arrived nested and dotted at once: read as damage."""


def read_value(type_: Type, raw: Any, *, zone: str = "UTC", not_negative: bool = False, currency: Value = MISSING) -> Value:
    """The value of `raw` as `type_`, or missing: `absent` for nothing, `overflow` out of range, else `damaged`.

    `zone` is the zone of times without offset. `currency` is the value of the field that ``money by FIELD`` names.

    >>> read_value(Type("money", currency="USD"), "9700.00"), read_value(Type("money", currency="USD"), "12,5")
    (970000, missing (damaged))
    >>> read_value(Type("date"), "31/02/2016"), read_value(Type("integer"), 2**63)
    (missing (damaged), missing (overflow))
    """
    if raw.__class__ not in _NATIVE:
        raw = _plain(raw)
    if raw is None:
        return MISSING
    kind = type_.kind
    value = _money(raw, type_, currency) if kind == "money" else _READERS[kind](raw, type_, zone)
    if not_negative and value.__class__ is not Missing and (value.units if value.__class__ is Money else value) < 0:
        return DAMAGED
    return value


def shown(raw: Any, width: int = 60) -> str:
    """A raw value for a message: one line, shortened.

    >>> shown("31/02/2016"), shown([1, 2]), shown("x" * 99, 5)
    ('31/02/2016', 'a list', 'xxxx…')
    """
    if isinstance(raw, list | tuple):
        return "a list"
    if isinstance(raw, dict):
        return "a nested value"
    if isinstance(raw, _Mark):
        return "out of range" if raw is BEYOND else "given twice"
    if isinstance(raw, int) and raw.bit_length() > 1_000:
        return "a very long number"
    text = str(raw).lower() if isinstance(raw, bool) else str(raw)
    # half of a surrogate pair cannot be printed: its number can
    text = " ".join(text[: 4 * width].split()).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= width else text[: width - 1] + "…"


def _plain(raw: Any) -> Any:
    """A scalar of another library as Python's own; its mark for a missing value as none."""
    if raw is None or raw.__class__.__name__ in ("NaTType", "NAType"):
        return None
    if isinstance(raw, dt.datetime):
        return dt.datetime.combine(
            dt.date(raw.year, raw.month, raw.day), dt.time(raw.hour, raw.minute, raw.second, raw.microsecond), raw.tzinfo
        )
    if isinstance(raw, dt.timedelta):
        return dt.timedelta(raw.days, raw.seconds, raw.microseconds)
    if raw.__class__.__module__.split(".")[0] == "numpy" and hasattr(raw, "tolist"):
        return raw.tolist()
    return str.__str__(raw) if isinstance(raw, str) else raw


# --- text, numbers, flags --------------------------------------------------------------------------------------------

_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_FLAGS: Final = {"true": True, "false": False, "1": True, "0": False}


def _text(raw: Any, type_: Type, zone: str) -> Value:
    if raw.__class__ is int:
        raw = str(raw) if raw.bit_length() <= 1_000 else None
    if raw.__class__ is not str or (type_.choices is not None and raw not in type_.choices):
        return DAMAGED
    if not raw.isascii():
        try:
            raw.encode()
        except UnicodeEncodeError:  # half a character, which no file can hold
            return DAMAGED
    return raw


def _integer(raw: Any, type_: Type, zone: str) -> Value:
    if raw.__class__ is int:
        return integer(raw)
    if raw.__class__ is str:
        text = raw.strip()
        if not _INTEGER.fullmatch(text):
            return DAMAGED
        return integer(int(text)) if len(text) <= 60 else _long_integer(text)
    if raw.__class__ is float:
        return integer(int(raw)) if raw.is_integer() else DAMAGED
    if raw.__class__ is Decimal and raw.is_finite():
        return _scaled(*_parts(raw), 0)
    return DAMAGED


def _long_integer(text: str) -> Value:
    digits = text.lstrip("+-").lstrip("0")
    return OVERFLOW if len(digits) > 19 else integer(int(text[0] + digits if text[0] == "-" else digits or "0"))


def _number(raw: Any, type_: Type, zone: str) -> Value:
    cls = raw.__class__
    if cls is float:
        return raw + 0.0 if raw - raw == 0.0 else DAMAGED
    if cls is int or (cls is Decimal and raw.is_finite()):
        try:
            return number(float(raw))
        except OverflowError:
            return OVERFLOW
    if cls is str and _NUMBER.fullmatch(raw.strip()):
        return number(float(raw))
    return DAMAGED


def _flag(raw: Any, type_: Type, zone: str) -> Value:
    if raw.__class__ is bool:
        return raw
    if raw.__class__ is int and raw in (0, 1):
        return raw == 1
    return _FLAGS.get(raw.strip().lower(), DAMAGED) if raw.__class__ is str else DAMAGED


# --- exact decimals --------------------------------------------------------------------------------------------------

_MONEY = re.compile(r"([+-]?)(?:([0-9]+)(?:\.([0-9]+))?|\.([0-9]+))(?:\s*([A-Z]{3}))?")
_PERCENT = re.compile(r"([+-]?)(?:([0-9]+)(?:\.([0-9]+))?|\.([0-9]+))\s*(%?)")

_Parts = tuple[str, str, str]
"""Sign, whole digits, fraction digits."""


def _scaled(sign: str, whole: str, fraction: str, digits: int) -> Value:
    """The decimal times ``10**digits`` within 64 bits; damaged where that is no whole number."""
    if fraction[digits:].strip("0"):
        return DAMAGED
    if len(whole) > 40:
        whole = whole.lstrip("0")
        if len(whole) > 40:
            return OVERFLOW
    units = int("0" + whole + fraction[:digits].ljust(digits, "0"))
    return integer(-units if sign == "-" else units)


def _parts(value: Decimal) -> _Parts:
    """A finite decimal, written out; what is far outside of every type is cut to what still reads the same."""
    if value and value.adjusted() > 400:
        return "-" if value < 0 else "", "9" * 400, ""
    if value and value.adjusted() < -400:
        return "", "", "0" * 400 + "1"
    whole, _, fraction = format(value.copy_abs() if value else Decimal(0), "f").partition(".")
    return "-" if value < 0 else "", whole, fraction


def _money(raw: Any, type_: Type, by: Value) -> Value:
    currency = type_.currency
    if currency is None:
        if by.__class__ is Missing:
            return by
        currency = by
    digits = DIGITS.get(currency)
    units: Value = DAMAGED if digits is None else _units(raw, digits, currency)
    return units if units.__class__ is Missing or type_.currency else Money(units, currency)


def _units(raw: Any, digits: int, currency: str) -> Value:
    cls = raw.__class__
    if cls is int:
        return integer(raw * 10**digits)
    if cls is float and raw - raw == 0.0:
        return _scaled(*_parts(Decimal(repr(raw))), digits)
    if cls is Decimal and raw.is_finite():
        return _scaled(*_parts(raw), digits)
    match = _MONEY.fullmatch(raw.strip()) if cls is str else None
    if match is None:
        return DAMAGED
    sign, whole, fraction, bare, code = match.groups()
    fraction = fraction or bare or ""
    if code is not None and code != currency:
        return missing("currency") if code in DIGITS else DAMAGED
    if len(fraction) == 3 > digits:  # 1.000 may be a grouped thousand: never guessed
        return DAMAGED
    return _scaled(sign, whole or "", fraction, digits)


def _percent(raw: Any, type_: Type, zone: str) -> Value:
    cls = raw.__class__
    if cls is str:
        match = _PERCENT.fullmatch(raw.strip())
        if match is None:
            return DAMAGED
        sign, whole, fraction, bare, mark = match.groups()
        units = _scaled(sign, whole or "", fraction or bare or "", 6 if mark else 8)
    elif cls is int:
        units = integer(raw * 10**8)
    elif (cls is float and raw - raw == 0.0) or (cls is Decimal and raw.is_finite()):
        units = _scaled(*_parts(Decimal(repr(raw)) if cls is float else raw), 8)
    else:
        return DAMAGED
    return units if units.__class__ is Missing else percent(units)


# --- time ------------------------------------------------------------------------------------------------------------

_DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]00:00(?::00(?:\.0+)?)?)?")
_DATETIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_FAR = re.compile(r"(?:0000|[+-][0-9]{5,})-[0-9]{2}-[0-9]{2}(?:[T ].*)?")
_ISO_DURATION = re.compile(
    r"([+-]?)P(?=[0-9T])(?:([0-9]+)W)?(?:([0-9]+)D)?(?:T(?=[0-9])(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+)(?:[.,]([0-9]+))?S)?)?"
)
_WORDS = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))? +(microsecond|millisecond|second|minute|hour|day|week)s?")
_ISO_MONTHS = re.compile(r"([+-]?)P(?=[0-9])(?:([0-9]+)Y)?(?:([0-9]+)M)?")
_MONTHS = re.compile(r"([+-]?)([0-9]+) +(month|quarter|year)s?")
_UNITS: Final = {
    "microsecond": 1,
    "millisecond": 1_000,
    "second": SECOND,
    "minute": MINUTE,
    "hour": HOUR,
    "day": DAY,
    "week": WEEK,
    "month": 1,
    "quarter": 3,
    "year": 12,
}


def _date(raw: Any, type_: Type, zone: str) -> Value:
    cls = raw.__class__
    if cls is str:
        text = raw.strip()
        match = _DATE.fullmatch(text)
        if match is None or text.startswith("0000"):
            return OVERFLOW if _FAR.fullmatch(text) else DAMAGED
        try:
            return (dt.date.fromisoformat(match[1]) - EPOCH_DAY).days
        except ValueError:
            return DAMAGED
    if cls is dt.datetime:  # a spreadsheet's form of a date
        bare = raw.tzinfo is None and raw.time() == dt.time()
        return (raw.date() - EPOCH_DAY).days if bare else DAMAGED
    if cls is dt.date:
        return (raw - EPOCH_DAY).days
    return OVERFLOW if raw is BEYOND else DAMAGED


def _datetime(raw: Any, type_: Type, zone: str) -> Value:
    moment = raw
    if raw.__class__ is str:
        text = raw.strip()
        if not _DATETIME.fullmatch(text) or text.startswith("0000"):
            return OVERFLOW if _FAR.fullmatch(text) else DAMAGED
        try:
            moment = dt.datetime.fromisoformat(text)
        except ValueError:
            return DAMAGED
    if moment.__class__ is not dt.datetime:
        return OVERFLOW if raw is BEYOND else DAMAGED
    if moment.utcoffset() is None:
        micros = zones.utc(moment.replace(tzinfo=None), zone)
        if micros is None:
            return OVERFLOW if moment.year in (1, 9999) else DAMAGED
    else:
        micros = (moment - EPOCH) // dt.timedelta(microseconds=1)
    return micros if in_calendar(micros, zone) else OVERFLOW


def instant(text: str) -> Any:
    """A moment written in the commonest form, in UTC and without fractions, as a datetime; any other text as it is.

    >>> instant("2026-03-31T14:30:00Z").isoformat(), instant("31/03/2026")
    ('2026-03-31T14:30:00+00:00', '31/03/2026')
    """
    if len(text) == 20 and text[4] == text[7] == "-" and text[10] == "T" and text[13] == text[16] == ":" and text[19] == "Z":
        try:
            return dt.datetime.fromisoformat(text)
        except ValueError:
            return text
    return text


def in_calendar(microseconds: int, zone: str) -> bool:
    """Whether a moment lies in the years 1 to 9999, in UTC and in the zone."""
    return SAFE_TIME[0] <= microseconds <= SAFE_TIME[1] or zones.local(microseconds, zone) is not None


def _duration(raw: Any, type_: Type, zone: str) -> Value:
    if raw.__class__ is dt.timedelta:
        return integer((raw.days * 86_400 + raw.seconds) * SECOND + raw.microseconds)
    if raw is BEYOND:
        return OVERFLOW
    text = raw.strip() if raw.__class__ is str and len(raw) < 200 else ""
    match = _WORDS.fullmatch(text)
    if match is not None:
        sign, whole, fraction, unit = match.groups()
        return _span(sign, int(whole) * _UNITS[unit], fraction or "", _UNITS[unit])
    match = _ISO_DURATION.fullmatch(text)
    if match is None:
        return DAMAGED
    sign, *counts, fraction = match.groups()
    whole = sum(int(count or 0) * unit for count, unit in zip(counts, (WEEK, DAY, HOUR, MINUTE, SECOND), strict=True))
    return _span(sign, whole, fraction or "", SECOND)


def _span(sign: str, micros: int, fraction: str, unit: int) -> Value:
    more, rest = divmod(int("0" + fraction) * unit, 10 ** len(fraction))
    if rest:
        return DAMAGED
    return integer(-(micros + more) if sign == "-" else micros + more)


def _months(raw: Any, type_: Type, zone: str) -> Value:
    if raw.__class__ is int:
        return integer(raw)
    text = raw.strip() if raw.__class__ is str and len(raw) < 200 else ""
    words, iso = _MONTHS.fullmatch(text), _ISO_MONTHS.fullmatch(text)
    if words is not None:
        count = int(words[2]) * _UNITS[words[3]]
    elif iso is not None:
        count = 12 * int(iso[2] or 0) + int(iso[3] or 0)
    else:
        return DAMAGED
    return integer(-count if text.startswith("-") else count)


# --- lists, JSON -----------------------------------------------------------------------------------------------------


def _list(raw: Any, type_: Type, zone: str) -> Value:
    if raw.__class__ is str and raw.lstrip().startswith("["):
        try:
            raw = parse_json(raw)
        except ValueError:
            return DAMAGED
    if raw.__class__ not in (list, tuple):
        return DAMAGED
    values = (read_value(type_.item or TEXT, item, zone=zone) for item in raw)
    # a frame holds an item or null, so that an item that is not there has one cause only
    return tuple(MISSING if value.__class__ is Missing else value for value in values)


def flat_json(data: bytes) -> dict[str, Any] | None:
    """A JSON object that surely reads as `parse_json` reads it, if msgspec is installed; none of what is nested, written with escapes,
    holds a key twice, or is no JSON: that is left to `parse_json`.

    >>> flat_json(b'{"a": {"b": 1}}') is None, flat_json(b'{"a": 1, "a": 2}') is None
    (True, True)
    """
    decode = _decoder()
    if decode is None or b"\\" in data:
        return None
    try:
        found = decode(data)
    except (ValueError, RecursionError):
        return None
    if found.__class__ is not dict:
        return None
    texts = len(found)
    for value in found.values():
        cls = value.__class__
        if cls is float:
            continue
        if cls is str:
            texts += 1
        elif cls is dict or cls is list or (cls is int and not INT64_MIN <= value <= INT64_MAX):
            return None
    # without escapes two quotes stand around every key and every text, so that more of them say that a key stood twice
    mapping: dict[str, Any] = found
    return mapping if data.count(b'"') == 2 * texts else None


@cache
def _decoder() -> Callable[[bytes], Any] | None:
    try:
        from msgspec.json import Decoder
    except ImportError:
        return None
    decode: Callable[[bytes], Any] = Decoder().decode
    return decode


def parse_json(text: str) -> Any:
    """JSON as it stands, no key twice and nested at most `MAX_DEPTH` deep. Raises `ValueError` with the reason.

    A number no float holds comes as a `Decimal` far out of range, so that its field reads as `overflow`.

    >>> parse_json('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ValueError: the key `a` stands twice
    """
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    try:
        return _decoded(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON at character {error.pos + 1}: {error.msg[:1].lower()}{error.msg[1:]}") from None
    except RecursionError:
        raise ValueError("nested too deep") from None


def _decoded(text: str) -> Any:
    # most often nothing stands around the object
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        end = -1
    return value if end == len(text) else _JSON.decode(text)


def _depth(text: str) -> int:
    depth = deepest = 0
    for mark in re.finditer(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', text, re.DOTALL):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(mark[0], 0)
        deepest = max(deepest, depth)
    return deepest


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key `{shown(key)}` stands twice")
            seen.add(key)
    if _INFINITE in mapping.values() or -_INFINITE in mapping.values():
        return {key: _finite(value) for key, value in mapping.items()}
    return mapping


def _finite(value: Any) -> Any:
    """A number that is too large for a float is far out of range."""
    return _far("-" if value < 0 else "") if value.__class__ is float and value in (_INFINITE, -_INFINITE) else value


def _far(text: str) -> Decimal:
    return Decimal("-1e999" if text[:1] == "-" else "1e999")


class _Word(float):
    """``NaN`` or ``Infinity`` in JSON: no number of any type."""


def _json_int(text: str) -> int | Decimal:
    return int(text) if len(text) <= 400 else _far(text)


_INFINITE: Final = math.inf
_JSON: Final = json.JSONDecoder(object_pairs_hook=_once, parse_int=_json_int, parse_constant=_Word)
_scan: Final[Callable[[str, int], tuple[Any, int]]] = _JSON.scan_once  # type: ignore[attr-defined]  # the types do not say so

_READERS: Final[dict[str, Callable[[Any, Type, str], Value]]] = {
    "text": _text,
    "integer": _integer,
    "number": _number,
    "percent": _percent,
    "flag": _flag,
    "date": _date,
    "datetime": _datetime,
    "duration": _duration,
    "months": _months,
    "list": _list,
}
