"""Cells and answers as a file holds them: a state and one value of SQLite's own kinds, or JSON, without loss."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from engine.features.judging import OUT, Cell, Doubt, Marked, Raw
from engine.values import Interval, Missing, Money, Type, Value, missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.features.spec import Slot

_IN, _IN_LACKING, _MAYBE, _OUT = range(4)
_MARKS: Final[tuple[bool | None, ...]] = (False, True, None)
"""A state says what a row is to its slot, and above that, times four, whether it is the event a window begins with."""

_AS_IT_IS: Final = frozenset({"integer", "number", "percent", "date", "datetime", "duration", "months"})

Coding = tuple["Callable[[Any], Any]", "Callable[[Any], Any]"]


class CellCodec:
    """To and from what a file holds of the cells of one slot.

    >>> from engine.features.spec import Slot
    >>> codec = CellCodec(Slot(None, None))
    >>> codec.encode(Doubt(False, True)), codec.decode(2, 1)
    ((2, 1), Doubt(sure=False, value=True))
    """

    def __init__(self, slot: Slot) -> None:
        self._encode, self._decode = _coding(slot)

    def encode(self, cell: Cell) -> tuple[int, Any]:
        """State and value."""
        if cell.__class__ is Marked:
            state, value = self.encode(cell.cell)
            return state + 4 * _MARKS.index(cell.event), value
        if cell is OUT:
            return _OUT, None
        if cell.__class__ is not Doubt:
            return _IN, self._encode(cell)
        return _IN_LACKING if cell.sure else _MAYBE, None if cell.value is None else self._encode(cell.value)

    def decode(self, state: int, value: Any) -> Cell:
        """The cell again; one that is not marked as an event comes back without the mark."""
        if state == _IN:
            return self._decode(value)
        mark, state = divmod(state, 4)
        if state == _OUT:
            cell: Cell = OUT
        elif state == _IN:
            cell = self._decode(value)
        else:
            cell = Doubt(state == _IN_LACKING, None if value is None else self._decode(value))
        return Marked(_MARKS[mark], cell) if mark else cell


def _coding(slot: Slot) -> Coding:
    if slot.looks:
        return _raw_coding(slot.type, tuple(slot.fields().values()))
    if slot.share:
        return (lambda cell: json.dumps([to_json(cell[0]), cell[1]])), lambda text: _pair(json.loads(text), slot.type)
    return _value_coding(slot.type)


def _pair(found: list[Any], type_: Type | None) -> tuple[Value, bool]:
    value, part = found
    return (value if type_ is None else from_json(value, type_)), part


def _raw_coding(type_: Type | None, types: tuple[Type, ...]) -> Coding:
    def encode(cell: Raw) -> str:
        return json.dumps([to_json(cell.value), [to_json(value) for value in cell.fields]])

    def decode(text: str) -> Raw:
        value, fields = json.loads(text)
        value = value if value is None or type_ is None else from_json(value, type_)
        return Raw(value, tuple(from_json(field, of) for field, of in zip(fields, types, strict=True)))

    return encode, decode


def _value_coding(type_: Type | None) -> Coding:
    if type_ is None or type_.kind == "flag":
        return int, bool
    if type_.kind in _AS_IT_IS or (type_.kind == "money" and type_.by is None and type_.scale == 1):
        return _same, _same
    if type_.kind == "text":
        # a lone surrogate is text here, though not to SQLite
        return (lambda text: text.encode("utf-8", "surrogatepass")), lambda raw: raw.decode("utf-8", "surrogatepass")
    return (lambda value: json.dumps(to_json(value))), lambda text: from_json(json.loads(text), type_)


def _same(value: Any) -> Any:
    return value


def to_json(value: Value) -> Any:
    """A value of any type, known or not, in JSON's own kinds."""
    if isinstance(value, Missing):
        return {"cause": value.cause}
    if isinstance(value, Interval):
        return {"cause": value.cause, "low": to_json(value.low), "high": to_json(value.high)}
    return [to_json(part) for part in value] if isinstance(value, tuple) else value


def from_json(value: Any, type_: Type) -> Value:
    """The value again."""
    if isinstance(value, dict):
        if "low" not in value:
            return missing(value["cause"])
        low, high = (None if value[end] is None else from_json(value[end], type_) for end in ("low", "high"))
        return Interval(low, high, value["cause"])
    if type_.kind == "money" and isinstance(value, list):
        return Money(*value)
    if type_.kind == "list" and type_.item is not None:
        item = type_.item
        return tuple(from_json(part, item) for part in value)
    return value
