"""How a reason prints values in the language of its rule set: words, units and the signs in numbers. Dates stay as in ISO 8601.

What a program reads (decisions, the ledger, `explain` but for the reasons in it) is the same whatever the language.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from engine.lang.translate import from_english
from engine.lang.words import load_words
from engine.values import TEXT, Interval, Missing, Type, Value, show


@dataclass(frozen=True, slots=True)
class Tongue:
    """What is said of bounds and of missing values, and the signs that group digits and begin decimals."""

    least: str
    most: str
    between: str
    missing: str
    group: str
    point: str
    causes: Mapping[str, str]


TONGUES: Final = {
    "ru": Tongue(
        "не менее {}",
        "не более {}",
        "от {} до {}",
        "нет данных ({})",
        "\N{NO-BREAK SPACE}",
        ",",
        {
            "absent": "не указано",
            "damaged": "не читается",
            "unavailable": "не поставляется",
            "empty": "не из чего считать",
            "too many": "слишком много событий",
            "short history": "история коротка",
            "late": "поступило поздно",
            "undecided history": "история неясна",
            "skipped": "шаг не выполнялся",
            "undecided": "неясно",
            "not in force": "не действует",
            "ambiguous": "неоднозначно",
            "no row": "нет строки",
            "currency": "валюта",
            "overflow": "переполнение",
            "division by zero": "деление на ноль",
        },
    ),
    "da": Tongue(
        "mindst {}",
        "højst {}",
        "{} til {}",
        "mangler ({})",
        ".",
        ",",
        {
            "absent": "ikke oplyst",
            "damaged": "ulæseligt",
            "unavailable": "leveres ikke",
            "empty": "intet at regne på",
            "too many": "for mange hændelser",
            "short history": "kort historik",
            "late": "kom for sent",
            "undecided history": "uafgjort historik",
            "skipped": "trinnet kørte ikke",
            "undecided": "uafgjort",
            "not in force": "gælder ikke",
            "ambiguous": "tvetydigt",
            "no row": "ingen række",
            "currency": "valuta",
            "overflow": "overløb",
            "division by zero": "division med nul",
        },
    ),
}
"""Every language but English, whose words `show` knows."""


def show_in(language: str, value: Value, type_: Type) -> str:
    """The value as a reason in `language` prints it.

    >>> show_in("da", 970_050, Type("money", currency="DKK")), show_in("ru", Interval(3, None, "undecided"), Type("integer"))
    ('9.700,50 DKK', 'не менее 3')
    """
    tongue = TONGUES.get(language)
    if tongue is None:
        return show(value, type_)
    if value.__class__ is Missing:
        return tongue.missing.format(tongue.causes[value.cause])
    if value.__class__ is Interval:
        low, high = (None if bound is None else show_in(language, bound, type_) for bound in (value.low, value.high))
        return tongue.least.format(low) if high is None else tongue.most.format(high) if low is None else tongue.between.format(low, high)
    if type_.kind == "list":
        return ", ".join(show_in(language, item, type_.item or TEXT) for item in value)
    return _single(language, tongue, show(value, type_), type_.kind)


def _single(language: str, tongue: Tongue, shown: str, kind: str) -> str:
    """What is printed in English with the words and signs of the language."""
    if kind in ("flag", "duration", "months"):
        shown = from_english(shown, load_words(language))
    if kind in ("money", "number", "percent", "duration"):
        return shown.translate({ord(","): tongue.group, ord("."): tongue.point})
    return shown
