"""Reasons print values in the language of their rule set; everything else a decision says is the same in every language."""

import pytest

from engine import Engine
from engine.cascade.tongues import TONGUES, show_in
from engine.lang.parse import parse
from engine.lang.retell import format_in
from engine.lang.words import LANGUAGES
from engine.values import CAUSES, DURATION, FLAG, INTEGER, NUMBER, PERCENT, TEXT, Interval, Type, missing, show

RECORD = """record shop/sale version 1.0.0
  key id
  time sold_at
  field id: text
  field sold_at: datetime
  field card: text optional
  field amount: money DKK not negative
  field known: flag optional
"""
RULES = """ruleset shop/checks version 1.0.0
  record shop/sale ^1

feature sales = count over 7 days per card where known

rule SALE-01 "Large"
  when amount >= 1_000 DKK
  then score 40
  because "{amount} by {card}, {sales} in a week, known {known}"

decide outcome first match
  review  when score >= 40
  approve otherwise
"""
CASCADE = """cascade: shop/all
version: 1.0.0
record: shop/sale
decision: checks
steps:
  checks: {rules: shop/checks}
"""


@pytest.mark.parametrize("language", tuple(LANGUAGES)[1:])
def test_every_language_says_every_cause(language):
    assert set(TONGUES[language].causes) == set(CAUSES)
    assert set(TONGUES) == set(LANGUAGES) - {"en"}


@pytest.mark.parametrize(
    ("value", "type_", "english", "russian", "danish"),
    [
        (
            123_456_789,
            Type("money", currency="RUB"),
            "1,234,567.89 RUB",
            "1\N{NO-BREAK SPACE}234\N{NO-BREAK SPACE}567,89 RUB",
            "1.234.567,89 RUB",
        ),
        (2.5, NUMBER, "2.5", "2,5", "2,5"),
        (905 * 10**5, PERCENT, "90.5%", "90,5%", "90,5%"),
        (True, FLAG, "true", "да", "ja"),
        (7 * 86_400_000_000, DURATION, "1 week", "1 неделю", "1 uge"),
        (3 * 86_400_000_000, DURATION, "3 days", "3 дня", "3 dage"),
        (5, INTEGER, "5", "5", "5"),
        (Interval(3, None, "undecided"), INTEGER, "at least 3", "не менее 3", "mindst 3"),
        (Interval(None, 3, "undecided"), INTEGER, "at most 3", "не более 3", "højst 3"),
        (Interval(3, 5, "undecided"), INTEGER, "3 to 5", "от 3 до 5", "3 til 5"),
        (missing("absent"), TEXT, "missing (absent)", "нет данных (не указано)", "mangler (ikke oplyst)"),
        (("a", "b"), Type("list", item=TEXT), "a, b", "a, b", "a, b"),
        ("1,5", TEXT, "1,5", "1,5", "1,5"),
        (0, Type("date"), "1970-01-01", "1970-01-01", "1970-01-01"),
    ],
)
def test_values_in_every_language(value, type_, english, russian, danish):
    assert show(value, type_) == english
    assert [show_in(language, value, type_) for language in ("en", "ru", "da")] == [english, russian, danish]


def test_a_decision_gives_its_reason_in_the_language_of_the_rules(tmp_path):
    reasons, outcomes = [], []
    for language in LANGUAGES:
        folder = tmp_path / language
        for name, text in {"sale": RECORD, "checks": RULES}.items():
            path = folder / "rulesets" / "shop" / f"{name}.rules"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(format_in(parse(text, name)[0], language), encoding="utf-8")
        (folder / "cascades").mkdir()
        (folder / "cascades" / "shop.yaml").write_text(CASCADE, encoding="utf-8")
        decision = Engine.load(folder / "cascades" / "shop.yaml").decide(
            {"id": "1", "sold_at": "2026-03-02 09:00", "amount": 1_250_000, "card": "K1"}
        )
        reasons.append(decision.reasons[0].text)
        outcomes.append((decision.outcome, decision.score, decision.possible))
    assert reasons == [
        "1,250,000.00 DKK by K1, missing (unavailable) in a week, known missing (absent)",
        "1\N{NO-BREAK SPACE}250\N{NO-BREAK SPACE}000,00 DKK by K1, нет данных (не поставляется) in a week, known нет данных (не указано)",
        "1.250.000,00 DKK by K1, mangler (leveres ikke) in a week, known mangler (ikke oplyst)",
    ]
    assert len(set(outcomes)) == 1
