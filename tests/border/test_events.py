"""One event at the border: nested or dotted, under the field's name or a feed's, with a key and a time that can be read."""

import datetime as dt
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import reading
from engine.errors import InputError
from engine.record import Field, Record, decode_event, read_event
from engine.values import DATE, DATETIME, INTEGER, TEXT, Missing, Money, Type

RECORD = Record(
    "bank/payment",
    "1.0.0",
    "America/New_York",
    ("id",),
    "at",
    (
        Field("id", TEXT),
        Field("at", DATETIME, sources=("booked.at",)),
        Field("amount", Type("money", by="party.currency"), sources=("GROSS AMT", "Betrag")),
        Field("party.currency", TEXT),
        Field("party.country.code", TEXT, optional=True),
        Field("count", INTEGER),
    ),
)
EVENT = {"id": "T1", "at": "1970-01-01T00:00:00Z"}


def cause(row: dict[str, Any], name: str) -> str:
    assert isinstance(row[name], Missing)
    return str(row[name].cause)


def test_a_row_has_every_field_and_the_events_time_and_local_day() -> None:
    row = read_event(RECORD, EVENT)
    assert set(row) == {field.name for field in RECORD.fields} | {"now", "@date"}
    assert (row["now"], row["@date"]) == (0, -1)  # New York is a day behind
    assert cause(row, "amount") == "absent"


def test_the_day_of_a_dated_record_is_its_date() -> None:
    record = replace(RECORD, fields=(*RECORD.fields[:1], Field("at", DATE)), time="at")
    assert read_event(record, {"id": "T1", "at": "1970-01-02"}) == {"id": "T1", "at": 1, "now": 1, "@date": 1}


def test_nested_and_dotted_events_read_alike() -> None:
    nested = read_event(RECORD, EVENT | {"party": {"currency": "USD", "country": {"code": "IR"}}, "amount": "5"})
    dotted = read_event(RECORD, EVENT | {"party.currency": "USD", "party": {"country.code": "IR"}, "amount": "5"})
    assert nested == dotted
    assert (nested["amount"], nested["party.country.code"]) == (Money(500, "USD"), "IR")


def test_nested_and_dotted_at_once_is_damage() -> None:
    both = EVENT | {"party": {"currency": "USD"}, "party.currency": "USD"}
    assert cause(read_event(RECORD, both), "party.currency") == "damaged"
    one = EVENT | {"party": {"currency": None}, "party.currency": "USD"}
    assert read_event(RECORD, one)["party.currency"] == "USD"


def test_a_nested_value_for_a_scalar_is_damage() -> None:
    assert cause(read_event(RECORD, EVENT | {"count": {"n": 1}}), "count") == "damaged"


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"GROSS AMT": "5"}, Money(500, "USD")),
        ({"Betrag": 5, "GROSS AMT": None}, Money(500, "USD")),
        ({"amount": "5.00", "GROSS AMT": 5}, Money(500, "USD")),
        ({"amount": "5", "GROSS AMT": "6"}, "damaged"),
        ({"amount": "5", "Betrag": "five"}, "damaged"),
    ],
)
def test_a_field_may_come_under_a_feeds_name(given: dict[str, Any], value: Any) -> None:
    found = read_event(RECORD, {**EVENT, "party.currency": "USD", **given})["amount"]
    assert found == value or (isinstance(found, Missing) and found.cause == value)


PROBLEMS = [
    ({"at": EVENT["at"]}, "key `id` is missing"),
    ({**EVENT, "id": [1]}, "key `id` cannot be read as text: `a list`"),
    ({"id": "T1"}, "time `at` is missing"),
    ({**EVENT, "at": "31/02/2016"}, "time `at` cannot be read as datetime (like `2026-03-31T14:30:00`): `31/02/2016`"),
    ({**EVENT, "at": "x" * 10_000}, "time `at` cannot be read as datetime (like `2026-03-31T14:30:00`): `" + "x" * 59 + "…`"),
    ({**EVENT, "at": "0000-01-01T00:00"}, "time `at` is out of range: `0000-01-01T00:00`"),
    ({"id": "T1", "booked": {"at": "soon"}, "booked.at": "now"}, "time `at` came both nested and dotted"),
    (
        {**EVENT, "booked": {"at": "1970-01-02T00:00Z"}},
        "time `at` cannot be read as datetime (like `2026-03-31T14:30:00`): `1970-01-01T00:00:00Z` and `1970-01-02T00:00Z`",
    ),
]


@pytest.mark.parametrize(("event", "message"), PROBLEMS, ids=range(len(PROBLEMS)))
def test_an_event_without_key_or_time_says_which_and_why(event: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_event(RECORD, event)
    assert str(caught.value) == message


@pytest.mark.parametrize("event", [None, 3, ["id"], "id"])
def test_what_is_no_mapping_is_no_event(event: Any) -> None:
    with pytest.raises(InputError, match="an event is a mapping"):
        read_event(RECORD, event)


def test_the_field_that_orders_arrival_is_needed_too() -> None:
    with pytest.raises(InputError, match="order of arrival `count` cannot be read as integer: `x`"):
        read_event(replace(RECORD, arrival="count"), EVENT | {"count": "x"})


def test_the_revision_is_needed_too() -> None:
    record = replace(RECORD, revision="count")
    with pytest.raises(InputError, match="revision `count` is missing"):
        read_event(record, EVENT)
    assert read_event(record, EVENT | {"count": 2})["count"] == 2


def test_odd_keys_and_deep_nesting_that_no_field_takes_are_passed_over() -> None:
    deep: Any = 1
    for _ in range(10_000):
        deep = {"x": deep}
    odd: dict[Any, Any] = {**EVENT, 7: "x", ("a",): 1, "deep": deep, "party": {"deep": deep}}
    assert read_event(RECORD, odd) == read_event(RECORD, EVENT)


def test_times_without_offset_are_in_the_records_zone() -> None:
    local, given = read_event(RECORD, EVENT | {"at": "1969-12-31 19:00"}), read_event(RECORD, EVENT | {"at": dt.datetime(1969, 12, 31, 19)})
    assert local["now"] == given["now"] == 0


DECODED = [
    (b'\xef\xbb\xbf{"id": "T1"}', {"id": "T1"}),
    ('{"a": {"b": [1, 2.5, null]}}', {"a": {"b": [1, 2.5, None]}}),
]


@pytest.mark.parametrize(("data", "event"), DECODED)
def test_json_events_are_decoded(data: bytes | str, event: dict[str, Any]) -> None:
    assert decode_event(data) == event


REFUSED = [
    (b'{"id": "\xcf"}', "the event is not UTF-8: byte 0xcf at offset 8"),
    ('{"id": 1, "id": 1}', "the event cannot be read: the key `id` stands twice"),
    ("[" * 10_000, "the event cannot be read: nested more than 100 deep"),
    ("[1]", "the event is no JSON object"),
    ("", "the event cannot be read: no JSON at character 1: expecting value"),
]


@pytest.mark.parametrize(("data", "message"), REFUSED, ids=range(len(REFUSED)))
def test_json_that_is_no_event_is_refused(data: bytes | str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        decode_event(data)
    assert str(caught.value) == message


TEXTS = st.text(alphabet='ab"\\{}[]:, é\u0000', max_size=4)
JSON = st.dictionaries(
    TEXTS,
    st.one_of(
        TEXTS, st.none(), st.booleans(), st.integers(-(10**25), 10**25), st.floats(), st.lists(st.integers(), max_size=2), st.just({"a": 1})
    ),
    max_size=4,
)


@settings(max_examples=600, deadline=None, derandomize=True)
@given(JSON, st.integers(0, 200), st.sampled_from(["", '"', "1", "e999", "9" * 500, ",", '"a":1,', "\\", "\xff", " "]), st.booleans())
def test_a_faster_reader_reads_alike(event, at, more, ascii_):
    """With and without msgspec, whatever arrives, and whatever stands too much in it."""
    pytest.importorskip("msgspec")
    text = json.dumps(event, ensure_ascii=ascii_)
    for data in (text, text[:at] + more + text[at:], (text[:at] + more + text[at:]).encode("latin-1", "replace")):
        answers = []
        for decoder in (reading._decoder, lambda: None):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(reading, "_decoder", decoder)
                try:
                    answers.append(repr(decode_event(data)))
                except InputError as error:
                    answers.append(str(error))
        assert answers[0] == answers[1], data


def test_a_key_that_stands_twice_is_seen_by_both():
    for text in ('{"a": 1, "a": 2}', '{"a":"x","a":"y"}', '{"a" : 1,"b":"2","a":null}'):
        with pytest.raises(InputError, match="stands twice"):
            decode_event(text)
        with pytest.raises(InputError, match="stands twice"):
            decode_event(text.encode())
