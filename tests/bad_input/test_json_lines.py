"""JSON lines as they come: a line that is no event is rejected with its reason, and costs no other line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine import Engine
from engine.run import source
from tests.bad_input.conftest import CASCADE, Run

GOOD = '{"id": "P-1", "paid_at": "2026-03-02T09:12:00", "card": "tok_1", "amount": 49.9, "country": "GB", "delivery": "home"}\n'

LINES = {
    "not JSON": ("{'id': 1}", "no JSON at character 2: expecting property name enclosed in double quotes"),
    "cut off": ('{"id": "P-0"', "no JSON at character 13: expecting ',' delimiter"),
    "a list": ("[1]", "the line is no JSON object"),
    "a number": ("5", "the line is no JSON object"),
    "zeros": ("\0" * 1_000, "no JSON at character 1: expecting value"),
    "a key twice": ('{"id": "P-0", "id": "P-00"}', "the key `id` stands twice"),
    "a key twice inside": ('{"id": "P-0", "at": {"x": 1, "x": 2}}', "the key `x` stands twice"),
    "nested 10,000 deep": ('{"id": ' + "[" * 10_000 + "]" * 10_000 + "}", "nested more than 100 deep"),
    "nested and never closed": ('{"a":' * 10_000, "nested more than 100 deep"),
    "no key": ('{"paid_at": "2026-03-02T09:12:00"}', "key `id` is missing"),
    "half a character for a key": (GOOD.strip().replace("P-1", "\\ud800"), "key `id` cannot be read as text: `\ufffd`"),
    "a time that never was": (
        GOOD.strip().replace("2026-03-02", "2026-02-31"),
        "time `paid_at` cannot be read as datetime (like `2026-03-31T14:30:00`): `2026-02-31T09:12:00`",
    ),
    "more than 1 MB": ('{"id": "' + "x" * 1_000_000 + '"}', "the line has 1000010 bytes, more than 1000000"),
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_that_is_no_event_is_rejected_alone(run: Run, line: str) -> None:
    text, reason = LINES[line]
    done = run("x.jsonl", GOOD + text + "\n" + GOOD.replace("P-1", "P-2"))
    assert done.keys == ["P-1", "P-2"]
    assert [(one["row"], one["reason"].replace("\\ud800", "\ufffd")) for one in done.rejects] == [("2", reason)]
    assert done.rejects[0]["raw"]


@pytest.mark.parametrize(
    "amount", ["NaN", "Infinity", "-Infinity", "1e400", "9223372036854775808", "9" * 5_000, '"12,5"', '"1.234,50"', "[1]", "{}", "true"]
)
def test_an_amount_that_cannot_be_read_is_missing(run: Run, amount: str) -> None:
    (one,) = run("x.jsonl", GOOD.replace("49.9", amount)).decisions
    assert "LARGE-01" in one["undecided"] and not one["robust"]


@pytest.mark.parametrize("amount", ["-0.0", "-0", "1e-400", "49.90"])
def test_an_amount_that_can_be_read_is(run: Run, amount: str) -> None:
    (one,) = run("x.jsonl", GOOD.replace("49.9", amount)).decisions
    assert "LARGE-01" not in one["undecided"]


@pytest.mark.parametrize("codec", ["utf-16", "utf-8-sig"])
def test_a_byte_order_mark_says_how_to_read(run: Run, codec: str) -> None:
    assert run("x.jsonl", GOOD.replace("\n", "\r\n").encode(codec)).keys == ["P-1"]


def test_another_encoding_is_told_for_the_file(refusal: Callable[..., str]) -> None:
    assert "`x.jsonl` is not UTF-8: byte 0xea" in refusal("x.jsonl", GOOD.replace("tok_1", "карта").encode("cp1251"))


def test_an_object_over_several_lines_is_no_json_lines(run: Run) -> None:
    done = run("x.jsonl", GOOD.replace(", ", ",\n"))
    assert not done.decisions and len(done.rejects) == 6


def test_lines_that_all_have_other_keys_do_not_fill_memory(run: Run, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one frame their cells would grow with the square of the lines."""
    monkeypatch.setattr(source, "CHUNK_CELLS", 20_000)
    done = run("x.jsonl", "".join(GOOD.replace("P-1", f"P-{n}").replace('"card"', f'"k{n}": 1, "card"') for n in range(600)))
    assert len(done.decisions) == 600 and done.summary["unknown_columns"]["k599"] == 1
    frames = [chunk.frame for chunk in source.scan(shop / "x.jsonl", Engine.load(CASCADE).record)]
    assert max(frame.height * frame.width for frame in frames) <= 20_600
