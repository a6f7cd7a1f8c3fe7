"""Raw data become typed values, or missing with a cause; nothing is guessed."""

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.reading import MAX_DEPTH, parse_json, read_value, shown
from engine.values import (
    CAUSES,
    DATE,
    DATETIME,
    DAY,
    DURATION,
    FLAG,
    INT64_MAX,
    INT64_MIN,
    INTEGER,
    MONTHS,
    NUMBER,
    PERCENT,
    PERCENT_MAX,
    TEXT,
    Missing,
    Money,
    Type,
    plain,
)

USD, JPY, KWD = (Type("money", currency=code) for code in ("USD", "JPY", "KWD"))
SIDE = Type("text", choices=("in", "out"))
NUMBERS = Type("list", item=INTEGER)

READ = [
    (USD, "9700.00", 970_000),
    (USD, "9700.00 USD", 970_000),
    (USD, " -.5 ", -50),
    (USD, 9700, 970_000),
    (USD, 52.32, 5_232),
    (USD, 1e16, 10**18),
    (USD, -0.0, 0),
    (USD, Decimal("9700.000"), 970_000),
    (USD, "92233720368547758.07", INT64_MAX),
    (USD, "0" * 99 + "1", 100),
    (JPY, "100.00", 100),
    (KWD, "1.000", 1_000),
    (INTEGER, "12", 12),
    (INTEGER, 3.0, 3),
    (INTEGER, np.int64(3), 3),
    (INTEGER, "-" + "0" * 99 + "5", -5),
    (NUMBER, "1e3", 1000.0),
    (NUMBER, 2**53 + 1, 2.0**53),
    (NUMBER, np.float64(1.5), 1.5),
    (PERCENT, "12.5%", 12_500_000),
    (PERCENT, 0.125, 12_500_000),
    (PERCENT, 1, 100_000_000),
    (FLAG, "TRUE", True),
    (FLAG, 0, False),
    (FLAG, "1", True),
    (FLAG, np.True_, True),
    (DATE, "1970-01-02", 1),
    (DATE, "1970-01-02 00:00:00", 1),
    (DATE, dt.datetime(1970, 1, 2), 1),
    (DATE, pd.Timestamp("1970-01-02"), 1),
    (DATETIME, "1970-01-01T00:00:01Z", 1_000_000),
    (DATETIME, "1970-01-01 01:00", 0),
    (DATETIME, "1970-01-01T00:00:00.1234567+00:00", 123_456),
    (DATETIME, pd.Timestamp("1970-01-01T00:00:00.000001999Z"), 1),
    (DATETIME, "2024-10-27T02:30:00", 1_729_989_000_000_000),  # twice that night: the earlier
    (DATETIME, dt.datetime(2024, 10, 27, 2, 30, fold=1), 1_729_989_000_000_000),
    (DURATION, "P7D", 7 * DAY),
    (DURATION, "7 days", 7 * DAY),
    (DURATION, "-PT1H0.5S", -3_600_500_000),
    (DURATION, dt.timedelta(days=-1), -DAY),
    (MONTHS, "P1Y2M", 14),
    (MONTHS, "1 quarter", 3),
    (MONTHS, 3, 3),
    (SIDE, "in", "in"),
    (TEXT, "", ""),
    (TEXT, 12, "12"),
    (NUMBERS, [1, "2"], (1, 2)),
    (NUMBERS, "[1, 2]", (1, 2)),
    (NUMBERS, np.array([1, 2]), (1, 2)),
]


@pytest.mark.parametrize(("type_", "raw", "value"), READ)
def test_what_can_be_read_is_read_exactly(type_: Type, raw: Any, value: Any) -> None:
    found = read_value(type_, raw, zone="Europe/Berlin")
    assert (found, found.__class__) == (value, value.__class__)


LACKING = {
    "absent": [(type_, raw) for type_ in (TEXT, USD, DATE, NUMBERS) for raw in (None, pd.NA, pd.NaT)],
    "damaged": [
        *(
            (USD, raw)
            for raw in ("12,5", "1.234,50", "9,700.00", "1.000", "12.345", "5.", "1e3", "", "$5", "(5)", "9700 ABC", True, 0.1 + 0.2)
        ),
        *((USD, raw) for raw in (float("nan"), float("inf"), Decimal("NaN"), Decimal("1e-9999"), [1], {"a": 1}, b"5", "5 usd")),
        *((JPY, raw) for raw in ("100.000", "0.5")),
        *((INTEGER, raw) for raw in ("12.0", "1_000", "１２", "0x10", "", 3.5, True, float("inf"), Decimal("3.5"))),
        *((NUMBER, raw) for raw in ("NaN", "inf", "Infinity", float("nan"), float("-inf"), "1,5", "1_0", "", False, Decimal("NaN"))),
        *((PERCENT, raw) for raw in ("12,5%", "1.0000001%", "1e9%", 0.1 + 0.2, True, "%")),
        *((FLAG, raw) for raw in ("yes", "no", "", 2, 1.0, -1)),
        *((DATE, raw) for raw in ("31/02/2016", "2016-02-31", "20160228", "2014-04-29T09:00", "2014-04-29T00:00Z", "2014-4-9", 41758)),
        *((DATE, raw) for raw in (dt.datetime(2014, 4, 29, 9), dt.datetime(2014, 4, 29, tzinfo=dt.UTC), "")),
        *((DATETIME, raw) for raw in ("2014-04-29", dt.date(2014, 4, 29), 5, 1.5, "2014-04-29T24:00", "2014-04-29T09:00:60", "tomorrow")),
        *((DATETIME, raw) for raw in ("2024-03-31T02:30:00", dt.datetime(2024, 3, 31, 2, 30), "2014-W18-2T09:00", "2014-04-29x09:00")),
        *((DURATION, raw) for raw in ("P", "PT", "P1M", "1 month", "7", 7, "0.0000001 seconds", "", "PT.5S")),
        *((MONTHS, raw) for raw in ("P", "30 days", 3.0, "P1D")),
        *((SIDE, raw) for raw in ("IN", "", "in ", 1)),
        *((TEXT, raw) for raw in (1.0, True, b"x", "\ud800", 10**400, dt.date(2014, 4, 29))),
        *((NUMBERS, raw) for raw in ("[1", "1, 2", 1, {"a": 1}, "[" * 200 + "]" * 200)),
    ],
    "overflow": [
        *((INTEGER, raw) for raw in (2**63, "9223372036854775808", 1e300, "9" * 9_999, Decimal("1e999"))),
        *((NUMBER, raw) for raw in ("1e400", "-1e400", 10**400, Decimal("1e400"))),
        *((USD, raw) for raw in ("92233720368547758.08", 10**30, 1e300, Decimal("1e999"), "9" * 9_999)),
        *((PERCENT, raw) for raw in ("99999999999%", 1e300)),
        *((DATE, raw) for raw in ("0000-01-01", "+12014-01-01")),
        *((DATETIME, raw) for raw in ("0001-01-01T00:00+05:00", "9999-12-31T23:59:59Z", "0000-01-01T00:00", "0001-01-01T00:00:00")),
        *((DURATION, raw) for raw in ("99999999999999999 weeks", "P" + "9" * 99 + "D")),
        (MONTHS, "P" + "9" * 99 + "Y"),
    ],
    "currency": [(USD, "9700.00 EUR"), (JPY, "5 USD")],
}


@pytest.mark.parametrize(("cause", "type_", "raw"), [(cause, *pair) for cause, pairs in LACKING.items() for pair in pairs])
def test_what_cannot_be_read_is_missing_and_says_why(cause: str, type_: Type, raw: Any) -> None:
    found = read_value(type_, raw, zone="Europe/Berlin")
    assert isinstance(found, Missing)
    assert found.cause == cause


def test_negative_zero_is_zero() -> None:
    assert str(read_value(NUMBER, -0.0)) == str(read_value(NUMBER, "-0")) == "0.0"


@pytest.mark.parametrize(("type_", "raw"), [(INTEGER, -1), (NUMBER, -0.5), (USD, "-0.01"), (PERCENT, "-1%"), (DURATION, "-P1D")])
def test_what_is_declared_not_negative_is_damaged_below_zero(type_: Type, raw: Any) -> None:
    found = read_value(type_, raw, not_negative=True)
    assert isinstance(found, Missing) and found.cause == "damaged"
    assert read_value(type_, 0 if type_ is not DURATION else "P0D", not_negative=True) == 0


def test_money_takes_its_currency_from_a_field() -> None:
    by = Type("money", by="currency")
    assert read_value(by, "9700.5", currency="KWD") == Money(9_700_500, "KWD")
    assert read_value(by, "9700.50 USD", currency="USD") == Money(970_050, "USD")
    lacks = {
        (raw, currency if isinstance(currency, str) else currency.cause): read_value(by, raw, currency=currency).cause
        for raw, currency in [("1", "XXX"), ("1", "usd"), ("1 USD", "EUR"), ("0.001", "USD"), ("1", read_value(TEXT, None)), (None, "USD")]
    }
    assert lacks == {
        ("1", "XXX"): "damaged",
        ("1", "usd"): "damaged",
        ("1 USD", "EUR"): "currency",
        ("0.001", "USD"): "damaged",
        ("1", "absent"): "absent",
        (None, "USD"): "absent",
    }
    assert read_value(by, "-1", currency="USD", not_negative=True).cause == "damaged"


def test_an_item_that_cannot_be_read_is_missing_within_its_list() -> None:
    values = read_value(NUMBERS, [1, "x", None])
    assert values[0] == 1 and all(isinstance(value, Missing) for value in values[1:])


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals() | st.dates() | st.datetimes() | st.timedeltas()
)
RAW = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2), max_leaves=5
)
ANY = st.sampled_from([TEXT, SIDE, INTEGER, NUMBER, USD, JPY, KWD, PERCENT, FLAG, DATE, DATETIME, DURATION, MONTHS, NUMBERS])


@settings(max_examples=500, deadline=None)
@given(ANY, RAW)
def test_nothing_raises_and_every_cause_is_known(type_: Type, raw: Any) -> None:
    value = read_value(type_, raw, zone="America/New_York")
    if isinstance(value, Missing):
        assert value.cause in CAUSES
    elif type_.kind in ("integer", "money", "date", "datetime", "duration", "months"):
        assert INT64_MIN <= value <= INT64_MAX


VALUES = {
    USD: st.integers(INT64_MIN, INT64_MAX),
    JPY: st.integers(INT64_MIN, INT64_MAX),
    KWD: st.integers(INT64_MIN, INT64_MAX),
    PERCENT: st.integers(-PERCENT_MAX, PERCENT_MAX),
    INTEGER: st.integers(INT64_MIN, INT64_MAX),
    NUMBER: st.floats(allow_nan=False, allow_infinity=False).map(lambda x: x + 0.0),
    FLAG: st.booleans(),
    DATE: st.dates().map(lambda day: (day - dt.date(1970, 1, 1)).days),
    DATETIME: st.integers(-62_135_000_000_000_000, 253_402_000_000_000_000),
    DURATION: st.integers(INT64_MIN, INT64_MAX),
    MONTHS: st.integers(0, 10**6),
    TEXT: st.text(st.characters(exclude_categories=["Cs"])),
    NUMBERS: st.lists(st.integers(INT64_MIN, INT64_MAX)).map(tuple),
}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(list(VALUES)).flatmap(lambda type_: st.tuples(st.just(type_), VALUES[type_])))
def test_the_plain_form_of_a_value_reads_back_as_the_value(case: tuple[Type, Any]) -> None:
    type_, value = case
    raw = plain(value, type_)
    assert read_value(type_, json.loads(json.dumps(raw)), zone="Asia/Kolkata") == value


@given(st.integers(INT64_MIN, INT64_MAX), st.sampled_from([USD, JPY, KWD]))
def test_money_reads_the_same_as_text_and_as_decimal(units: int, type_: Type) -> None:
    text = str(plain(units, type_)).split()[0]
    assert read_value(type_, text) == read_value(type_, Decimal(text)) == units


@given(st.integers(-(10**15), 10**15))
def test_a_float_given_for_money_is_read_by_its_shortest_decimal_text(cents: int) -> None:
    assert read_value(USD, cents / 100) == cents


BAD_JSON = {
    '{"a": 1, "b": {"c": 1, "c": 2}}': "the key `c` stands twice",
    "[" * 10_000 + "]" * 10_000: f"nested more than {MAX_DEPTH} deep",
    '{"a":' * 10_000 + "1" + "}" * 10_000: f"nested more than {MAX_DEPTH} deep",
    '{"a": 1': "no JSON at character 8: expecting ',' delimiter",
    "": "no JSON at character 1: expecting value",
}


@pytest.mark.parametrize(("text", "reason"), BAD_JSON.items(), ids=range(len(BAD_JSON)))
def test_json_that_could_be_misread_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_json(text)
    assert str(caught.value) == reason


def test_brackets_within_texts_are_no_depth_and_cost_no_time() -> None:
    assert parse_json(json.dumps({"a": "[{" * 500})) == {"a": "[{" * 500}
    with pytest.raises(ValueError, match="unterminated"):
        parse_json('"' + '\\"' * 400_000 + "[{" * 60)


def test_numbers_out_of_range_in_json_stay_numbers() -> None:
    event = parse_json('{"a": 1e400, "b": -1e400, "c": ' + "9" * 5_000 + ', "d": NaN}')
    causes = [read_value(NUMBER, event[name]).cause for name in "abcd"]
    assert causes == ["overflow", "overflow", "overflow", "damaged"]
    assert read_value(TEXT, event["a"]).cause == "damaged"


@pytest.mark.parametrize("raw", ["x" * 999, "a\nb", [1], {"a": 1}, 10**4000, True, None, dt.date(2014, 4, 29)])
def test_a_value_in_a_message_is_one_short_line(raw: Any) -> None:
    text = shown(raw)
    assert len(text) <= 60 and "\n" not in text


def test_what_cannot_be_printed_is_shown_by_its_number() -> None:
    assert shown("T\ud800") == "T\\ud800"
