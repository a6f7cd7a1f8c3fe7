"""Typed values as JSON and back, without loss: what a replay starts from. It knows values, not what they mean.

Text, whole numbers, floats and flags stand as they are; the rest is an object or array of its own.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from engine.errors import LedgerError
from engine.values import Interval, Missing, Money, Value, missing


def encode(value: Value) -> Any:
    """A run-time value in JSON's types; `decode` gives it back.

    >>> encode(missing("damaged")), encode(Money(970000, "USD")), encode((1, 2.0, True))
    ({'missing': 'damaged'}, {'money': [970000, 'USD']}, [1, 2.0, True])
    """
    cls = value.__class__
    if cls is Missing:
        return {"missing": value.cause}
    if cls is Interval:
        return {"interval": [encode(value.low), encode(value.high), value.cause]}
    if cls is Money:
        return {"money": [value.units, value.currency]}
    return [encode(item) for item in value] if cls is tuple else value


def decode(data: Any) -> Value:
    """The run-time value that `encode` wrote.

    >>> decode(encode(Interval(3, None, "short history")))
    Interval(low=3, high=None, cause='short history')
    """
    if isinstance(data, list):
        return tuple(decode(item) for item in data)
    if not isinstance(data, dict):
        return data
    ((kind, parts),) = data.items()
    if kind == "missing":
        return missing(parts)
    if kind == "money":
        return Money(*parts)
    low, high, cause = parts
    return Interval(decode(low), decode(high), cause)


def encode_row(row: Mapping[str, Value]) -> dict[str, Any]:
    return {name: encode(value) for name, value in row.items()}


def decode_row(data: Mapping[str, Any]) -> dict[str, Value]:
    return {name: decode(value) for name, value in data.items()}


def event_text(event: Mapping[str, Any] | str | bytes) -> str:
    """The event as it was given: JSON text as it stands, a mapping as JSON in which what JSON lacks is tagged with its kind.

    Raises `LedgerError` for an event nested too deep to be written.

    >>> event_text('{"id":  1}'), event_text({"amount": Decimal("9.70")})
    ('{"id":  1}', '{"amount": {"@decimal": "9.70"}}')
    """
    text = event.decode("utf-8", "replace") if isinstance(event, bytes) else event
    if isinstance(text, str):
        # half a character can stand in a Python string and in no file
        return text if _writable(text) else json.dumps(text)
    try:
        return json.dumps(_tagged(text))
    except RecursionError:
        raise LedgerError("the event is nested too deep to be recorded") from None


def _writable(text: str) -> bool:
    return text.isascii() or text.encode("utf-8", "replace").decode() == text


def _tagged(raw: Any) -> Any:
    if raw is None or isinstance(raw, str | bool | int):
        return raw
    if isinstance(raw, float):
        return raw if raw - raw == 0.0 else {"@number": str(raw)}
    if isinstance(raw, Mapping):
        return {str(name): _tagged(value) for name, value in raw.items()}
    if isinstance(raw, list | tuple):
        return [_tagged(item) for item in raw]
    if isinstance(raw, Decimal):
        return {"@decimal": str(raw)}
    if isinstance(raw, dt.date | dt.time):
        return {"@time": raw.isoformat()}
    return {f"@{raw.__class__.__name__}": str(raw)}
