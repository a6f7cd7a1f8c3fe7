"""Values and events as an author would write them: the text of a `test`. It decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from engine.lang import ast
from engine.lang.retell import format_in
from engine.values import DAY, HOUR, MINUTE, SECOND, WEEK, Money, Type, Value, currency_digits, date_of, datetime_of, known

_UNITS: Final = (("weeks", WEEK), ("days", DAY), ("hours", HOUR), ("minutes", MINUTE), ("seconds", SECOND))


def spelled(value: Value, type_: Type) -> ast.Expr:
    """A value as an expression; a negative one with its sign before it.

    >>> from engine.lang.format_expressions import format_expression
    >>> [format_expression(spelled(*one)) for one in ((-999_999, Type("money", currency="USD")), (7 * DAY, Type("duration")))]
    ['-9_999.99 USD', '1 weeks']
    """
    if type_.kind == "list":
        items = tuple(spelled(item, type_.item or type_) for item in value)
        return items[0] if len(items) == 1 else ast.Tuple(items)
    units = value.units if value.__class__ is Money else value
    if type_.kind not in ("text", "flag", "date", "datetime") and units < 0:
        return ast.Negate(spelled(Money(-units, value.currency) if value.__class__ is Money else -value, type_))
    return ast.Literal(_kind(type_), _text(value, units, type_))


def _kind(type_: Type) -> str:
    return {"integer": "number", "months": "duration"}.get(type_.kind, type_.kind)


def _text(value: Value, units: Value, type_: Type) -> str:
    match type_.kind:
        case "text":
            return str(value)
        case "flag":
            return "true" if value else "false"
        case "money":
            currency = (value.currency if value.__class__ is Money else type_.currency) or ""
            digits = currency_digits(currency)
            amount = Decimal(units) / 10**digits
            return f"{amount:,.{0 if amount == int(amount) else digits}f} {currency}".replace(",", "_")
        case "percent":
            return f"{(Decimal(value) / 10**6).normalize():f}%"
        case "date":
            return date_of(value).isoformat()
        case "datetime":
            return datetime_of(value).isoformat().replace("+00:00", "Z")
        case "duration":
            word, unit = next(one for one in _UNITS if value % one[1] == 0)
            return f"{value // unit:_} {word}"
        case "months":
            return f"{value:_} months"
        case "number":
            return f"{Decimal(repr(value)):f}" if value != int(value) else f"{int(value)}.0"
        case _:
            return f"{value:_}"


def test_text(
    title: str, given: Mapping[str, Value], types: Mapping[str, Type], expect: Iterable[ast.Expectation], language: str = "en"
) -> str:
    """A `test` that can be pasted into a rule set of this language."""
    bindings = tuple(
        ast.Binding(ast.Word(name), spelled(value, types[name]) if known(value) else None) for name, value in sorted(given.items())
    )
    test = ast.Test(ast.Word(title.replace('"', "'")), (), bindings, tuple(expect))
    file = ast.File("ruleset", ast.Word("a/b"), ast.Word("1.0.0"), language=ast.Word(language), declarations=(test,))
    return format_in(file, language).partition("\n\n")[2].rstrip()
