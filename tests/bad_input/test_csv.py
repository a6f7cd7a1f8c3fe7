"""CSV files as they come: whatever stands in them, every row is decided or rejected with its reason, or the file is refused in a line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bad_input.conftest import GOOD, HEADER, Run

Refusal = Callable[..., str]
FIELDS = ("id", "paid_at", "card", "amount", "country", "delivery")


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz"])
def test_an_empty_file_is_named(refusal: Refusal, name: str) -> None:
    assert refusal(name, b"") == f"`{name}` is empty"


def test_a_file_of_zeros_is_no_text(refusal: Refusal) -> None:
    assert "`x.csv` is no text: its first line holds zero bytes" in refusal("x.csv", b"\0" * 5_000)
    assert "damaged" in refusal("x.csv.gz", b"\0" * 5_000)


@pytest.mark.parametrize("codec", ["utf-16", "utf-8-sig", "utf-32"])
def test_a_byte_order_mark_says_how_to_read(run: Run, codec: str) -> None:
    assert run("x.csv", (HEADER + GOOD).encode(codec)).keys == ["P-1"]


def test_utf_16_without_a_mark_is_told_and_can_be_named(run: Run, refusal: Refusal) -> None:
    data = (HEADER + GOOD).encode("utf-16-le")
    assert "for UTF-16 say `--encoding utf-16-le`" in refusal("x.csv", data)
    assert run("x.csv", data, "--encoding", "utf-16-le").keys == ["P-1"]


def test_cp1251_is_told_with_the_byte_and_can_be_named(run: Run, refusal: Refusal) -> None:
    data = (HEADER + GOOD.replace("tok_1", "карта")).encode("cp1251")
    assert refusal("x.csv", data) == "`x.csv` is not UTF-8: byte 0xea at offset 69; say what it is, like `--encoding cp1251`"
    assert run("x.csv", data, "--encoding", "cp1251").keys == ["P-1"]


@pytest.mark.parametrize("encoding", ["klingon", "rot13", "hex", "undefined"])
def test_an_encoding_that_is_none_is_told(refusal: Refusal, encoding: str) -> None:
    assert refusal("x.csv", HEADER + GOOD, "--encoding", encoding).startswith(f"there is no encoding `{encoding}`; names are like cp1251")


def test_line_ends_of_windows_make_no_difference(run: Run) -> None:
    assert run("x.csv", (HEADER + GOOD).replace("\n", "\r\n")).keys == ["P-1"]


def test_line_ends_of_old_macs_are_told(refusal: Refusal) -> None:
    assert "save it with line feeds" in refusal("x.csv", (HEADER + GOOD).replace("\n", "\r"))


def test_columns_nobody_knows_are_listed(run: Run) -> None:
    done = run("x.csv", HEADER.replace("\n", ",colour,shape\n") + GOOD.replace("\n", ",red,\n"))
    assert done.keys == ["P-1"] and done.summary["unknown_columns"] == {"colour": 1, "shape": 0}


def test_a_header_that_stands_twice_is_listed_and_two_answers_are_no_answer(run: Run) -> None:
    done = run(
        "x.csv", HEADER.replace("\n", ",amount\n") + GOOD.replace("\n", ",1.00\n") + GOOD.replace("P-1", "P-2").replace("\n", ",49.90\n")
    )
    assert done.summary["duplicate_headers"] == ["amount"]
    assert ["LARGE-01" in one["undecided"] for one in done.decisions] == [True, False]


def test_a_header_that_is_not_there_is_listed_and_its_field_is_missing(run: Run) -> None:
    done = run("x.csv", HEADER.replace("amount", "") + GOOD)
    assert done.summary["absent_fields"] == ["amount"] and done.summary["nameless_cells"] == 1
    assert "LARGE-01" in done.decisions[0]["undecided"]


def test_without_the_header_of_the_key_every_row_is_rejected_with_what_came(run: Run) -> None:
    done = run("x.csv", HEADER.replace("id,", "number,", 1) + GOOD)
    assert done.reasons == ["key `id` is missing"] and '"number": "P-1"' in done.rejects[0]["raw"]


def test_a_file_without_any_known_header_is_refused(refusal: Refusal) -> None:
    assert refusal("x.csv", GOOD) == (
        "no column of `x.csv` is a field of `shop/payment`: it begins with `P-1`, `2026-03-02T09:12:00`, `tok_1`, `49.90`, `GB`"
    )


def test_ragged_rows_are_rejected_with_their_text(run: Run) -> None:
    done = run("x.csv", HEADER + "P-0,2026-03-02\n" + GOOD + GOOD.replace("P-1", "P-2").replace("49.90", "1,234.50"))
    assert done.keys == ["P-1"] and [one["row"] for one in done.rejects] == ["1", "3"]
    assert done.reasons == ["2 cells where the header has 6", "7 cells where the header has 6"]
    assert done.rejects[1]["raw"] == "P-2,2026-03-02T09:12:00,tok_1,1,234.50,GB,home"


DAMAGED = ["12,5", "1.234,50", "NaN", "inf", "-Infinity", "1e400", "0x10", "１２", "1_000", "-1", "12.345", "EUR 5"]


@pytest.mark.parametrize("amount", [*DAMAGED, "9223372036854775808", "1" + "0" * 400])
def test_an_amount_that_cannot_be_read_is_missing_and_never_guessed(run: Run, amount: str) -> None:
    (one,) = run("x.csv", HEADER + GOOD.replace("49.90", f'"{amount}"')).decisions
    assert "LARGE-01" in one["undecided"] and not one["robust"]


@pytest.mark.parametrize("amount", ["-0", "-0.00", " 12.5 ", "+5", "007"])
def test_an_amount_that_can_be_read_is(run: Run, amount: str) -> None:
    (one,) = run("x.csv", HEADER + GOOD.replace("49.90", amount)).decisions
    assert "LARGE-01" not in one["undecided"] and "LARGE-01" not in one["hits"]


@pytest.mark.parametrize("time", ["31/02/2016", "2016-02-31T00:00:00", "2026-03-29T01:30:00", "9223372036854775808", "nan", "2026-03-02"])
def test_a_time_that_never_was_is_rejected_with_the_time(run: Run, time: str) -> None:
    done = run("x.csv", HEADER + GOOD.replace("2026-03-02T09:12:00", time))
    assert done.reasons == [f"time `paid_at` cannot be read as datetime (like `2026-03-31T14:30:00`): `{time}`"]


def test_a_line_of_200_mb_is_rejected_and_the_rows_around_it_are_decided(run: Run, shop: Path) -> None:
    with gzip.open(shop / "x.csv.gz", "wb", compresslevel=1) as file:
        file.write((HEADER + GOOD).encode())
        for _ in range(200):
            file.write(b"x" * 1_000_000)
        file.write(("\n" + GOOD.replace("P-1", "P-2")).encode())
    done = run("x.csv.gz")
    assert done.keys == ["P-1", "P-2"] and done.reasons == ["the line has 200000000 bytes, more than 1000000"]
    assert len(done.rejects[0]["raw"]) == 1_000


@pytest.mark.parametrize(("count", "fits"), [(2_000, True), (20_000, False)])
def test_a_file_may_be_wide_but_not_without_end(run: Run, refusal: Refusal, count: int, fits: bool) -> None:
    wide = HEADER.replace("\n", "".join(f",c{n}" for n in range(count)) + "\n") + GOOD.replace("\n", ",1" * count + "\n")
    if fits:
        assert run("x.csv", wide).keys == ["P-1"]
    else:
        assert refusal("x.csv", wide) == "`x.csv` has 20,006 columns, more than 10,000"


@pytest.mark.parametrize(("sign", "suffix"), [(b"PAR1", ".parquet"), (b"\x1f\x8b\x08", ".gz"), (b"PK\x03\x04", ".xlsx")])
def test_a_file_with_the_wrong_name_is_told_the_right_one(refusal: Refusal, sign: bytes, suffix: str) -> None:
    assert refusal("x.csv", sign + b"\0\xff" * 50).endswith(f"give it a name that ends with {suffix}")


def test_two_events_of_one_key_are_one_or_the_second_is_rejected(run: Run) -> None:
    done = run("x.csv", HEADER + GOOD + GOOD + GOOD.replace("49.90", "50.00"))
    assert done.keys == ["P-1", "P-1"] and done.reasons == ["an event with `id` = 'P-1' was there before with other content"]
    assert done.rejects[0]["row"] == "3"
    arrived = dict(zip(HEADER.strip().split(","), GOOD.replace("49.90", "50.00").strip().split(","), strict=True))
    assert json.loads(done.rejects[0]["raw"]) == arrived
