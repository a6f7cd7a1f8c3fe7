"""One event at a time: JSON for `engine decide` and `engine explain`, mappings for the library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from engine import Engine, InputError
from tests.bad_input.conftest import CASCADE, Command

EVENT = {"id": "P-1", "paid_at": "2026-03-06T18:20:00", "card": "tok_2", "amount": "49.90", "country": "GB", "delivery": "home"}
TEXT = json.dumps(EVENT)

NO_EVENTS = {
    "nothing": ("", "no JSON at character 1"),
    "zeros": ("\0" * 100, "no JSON at character 1"),
    "two": (TEXT + "\n" + TEXT, "extra data"),
    "a list": (f"[{TEXT}]", "the event is no JSON object"),
    "a key twice": ('{"id": 1, "id": 2}', "the key `id` stands twice"),
    "10,000 deep": ('{"a":' * 10_000 + "1" + "}" * 10_000, "nested more than 100 deep"),
    "never closed": ("[" * 200_000, "nested more than 100 deep"),
    "no key": (TEXT.replace('"id"', '"number"'), "key `id` is missing"),
    "a nested key": (TEXT.replace('"P-1"', '{"x": 1}'), "key `id` cannot be read as text: `a nested value`"),
    "a key of half a character": (TEXT.replace("P-1", "\\ud800"), "key `id` cannot be read as text"),
    "a key with 5,000 digits": (TEXT.replace('"P-1"', "9" * 5_000), "key `id` cannot be read as text"),
    "31 February": (
        TEXT.replace("2026-03-06T18:20:00", "31/02/2016"),
        "time `paid_at` cannot be read as datetime (like `2026-03-31T14:30:00`): `31/02/2016`",
    ),
    "a time of many digits": (
        TEXT.replace("2026-03-06T18:20:00", "2" * 100_000),
        "time `paid_at` cannot be read as datetime (like `2026-03-31T14:30:00`): `2222",
    ),
    "the year 0": (TEXT.replace("2026-03-06", "0000-01-01"), "time `paid_at` is out of range"),
}


@pytest.mark.parametrize("command", ["decide", "explain"])
@pytest.mark.parametrize("kind", NO_EVENTS)
def test_what_is_no_event_is_told_in_a_line(engine: Command, shop: Path, command: str, kind: str) -> None:
    text, said = NO_EVENTS[kind]
    result = engine(command, CASCADE, stdin=text)
    assert (result.code, result.out) == (1, "") and said in result.err
    with pytest.raises(InputError) as refused:
        Engine.load(CASCADE).decide(text)
    assert result.err.splitlines()[-1] == f"engine: {refused.value}" and len(result.err) < 300


@pytest.mark.parametrize("data", [TEXT.encode("utf-16"), TEXT.replace("tok_2", "карта").encode("cp1251")], ids=["UTF-16", "cp1251"])
def test_other_encodings_are_told(engine: Command, shop: Path, data: bytes) -> None:
    (shop / "x.json").write_bytes(data)
    result = engine("decide", CASCADE, "x.json")
    assert (result.code, result.err) == (2, "engine: `x.json` is no UTF-8 text: save the event as UTF-8\n")
    with pytest.raises(InputError, match="is not UTF-8: byte 0x"):
        Engine.load(CASCADE).decide(data)


@pytest.mark.parametrize("command", ["decide", "explain"])
def test_200_mb_are_no_event_and_are_not_read_to_their_end(engine: Command, shop: Path, command: str) -> None:
    with (shop / "x.json").open("wb") as file:
        file.write(b'{"id": "')
        file.truncate(200_000_000)  # a hole: nothing but zeros
    result = engine(command, CASCADE, "x.json")
    told = "an event is one JSON object"
    assert (result.code, result.out) == (2, "")
    assert result.err == f"engine: `x.json` is larger than 16 MB: {told}; `engine run` decides whole files\n"


@pytest.mark.parametrize("text", ["x" * 16_000_001, b"x" * 16_000_001], ids=["text", "bytes"])
def test_the_library_bounds_the_text_of_an_event_before_it_reads_it(shop: Path, text: str | bytes) -> None:
    with pytest.raises(InputError, match=r"^the event is larger than 16 MB: an event is one JSON object$"):
        Engine.load(CASCADE).decide(text)


def test_an_event_of_many_megabytes_is_read(shop: Path) -> None:
    assert Engine.load(CASCADE).decide(json.dumps({**EVENT, "note": "x" * 15_000_000})).key == "P-1"


def test_a_byte_order_mark_and_line_ends_of_windows_make_no_difference(engine: Command, shop: Path) -> None:
    (shop / "x.json").write_bytes(json.dumps(EVENT, indent=1).replace("\n", "\r\n").encode("utf-8-sig"))
    assert engine("decide", CASCADE, "x.json").code == 0


UNREADABLE = [
    "NaN",
    "-Infinity",
    "1e400",
    "9223372036854775808",
    "9" * 5_000,
    '"12,5"',
    '"1.234,50"',
    '"1e400"',
    "true",
    "[]",
    "{}",
    "12.345",
]


@pytest.mark.parametrize("amount", UNREADABLE)
def test_an_amount_that_cannot_be_read_is_named_as_missing(engine: Command, shop: Path, amount: str) -> None:
    result = engine("decide", CASCADE, "--json", stdin=TEXT.replace('"49.90"', amount))
    assert result.code == 0 and result.json["missing"]["amount"] in ("damaged", "overflow")
    assert "LARGE-01" in result.json["undecided"] and not result.json["robust"]


def test_negative_zero_is_zero(engine: Command, shop: Path) -> None:
    zero, minus = (engine("decide", CASCADE, "--json", stdin=TEXT.replace('"49.90"', amount)).json for amount in ("0", "-0.0"))
    assert minus == zero


def nested(depth: int) -> dict[str, Any]:
    event: dict[str, Any] = {}
    for _ in range(depth):
        event = {"x": event}
    return event


@pytest.mark.parametrize("amount", [object(), float("nan"), 10**5_000, b"12", complex(1, 1), nested(10_000), "\ud800", [1]], ids=range(8))
def test_the_library_takes_any_object_and_guesses_nothing(shop: Path, amount: Any) -> None:
    decision = Engine.load(CASCADE).decide({**EVENT, "amount": amount})
    assert "LARGE-01" in decision.undecided and decision.missing["amount"] in ("damaged", "overflow")


@pytest.mark.parametrize("event", [None, 5, [EVENT], object()], ids=range(4))
def test_the_library_says_what_an_event_is(shop: Path, event: Any) -> None:
    with pytest.raises(InputError, match="an event is a mapping of field names to values, or the text of a JSON object"):
        Engine.load(CASCADE).decide(event)


def test_keys_that_are_no_names_are_passed_over(shop: Path) -> None:
    assert Engine.load(CASCADE).decide({**EVENT, None: 1, 2: 3, ("a",): 4}) == Engine.load(CASCADE).decide(EVENT)  # type: ignore[dict-item]


def test_rows_of_a_frame_without_key_or_time_are_rejected_with_what_came(shop: Path) -> None:
    frame = pl.DataFrame([EVENT, EVENT | {"id": None}, EVENT | {"id": "P-3", "paid_at": "31/02/2016"}, EVENT | {"amount": "50.00"}])
    done = Engine.load(CASCADE).decide_batch(frame)
    assert done["key"].to_list() == ["P-1"] and done.rejects["row"].to_list() == [1, 2, 3]
    assert done.rejects["reason"].to_list() == [
        "key `id` is missing",
        "time `paid_at` cannot be read as datetime (like `2026-03-31T14:30:00`): `31/02/2016`",
        "an event with `id` = 'P-1' was there before with other content",
    ]
    assert [json.loads(raw)["card"] for raw in done.rejects["raw"]] == ["tok_2"] * 3
