"""Arrival by time: every row once, in order, equal times as they were read, whatever lies on disk in between."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.run.order import ordered

FRAMES = st.lists(st.lists(st.integers(0, 9), max_size=30), max_size=8)


@settings(max_examples=200, deadline=None)
@given(FRAMES, st.integers(1, 20), st.integers(1, 40), st.integers(1, 10))
def test_the_order_is_that_of_a_stable_sort(frames: list[list[int]], chunk_rows: int, run_rows: int, block_rows: int) -> None:
    schema = {"now": pl.Int64, "text": pl.String, "list": pl.List(pl.String)}
    chunks, at = [], 0
    for times in frames:
        rows = [(now, f"{at + place}", ["x"] * (now % 3)) for place, now in enumerate(times)]
        at += len(rows)
        chunks.append(pl.DataFrame(rows, schema=schema, orient="row"))
    found = list(ordered(iter(chunks), chunk_rows=chunk_rows, run_rows=run_rows, block_rows=block_rows))
    expected = sorted((row for chunk in chunks for row in chunk.rows()), key=lambda row: row[0])
    assert [row for frame in found for row in frame.rows()] == expected
    assert all(frame.height == chunk_rows for frame in found[:-1]) and all(frame.height for frame in found)


def test_rows_can_be_ordered_by_another_column() -> None:
    frames = [pl.DataFrame({"seen": ["b", "c"]}), pl.DataFrame({"seen": ["a"]})]
    assert pl.concat(ordered(frames, "seen", run_rows=1))["seen"].to_list() == ["a", "b", "c"]


def test_nothing_stays_on_disk(tmp_path: Path) -> None:
    frames = [pl.DataFrame({"now": list(range(100))})] * 10
    given_ = ordered(frames, run_rows=100, block_rows=10, chunk_rows=50, folder=tmp_path)
    next(given_)
    assert list(tmp_path.iterdir())
    given_.close()  # as when the run is broken off
    assert not list(tmp_path.iterdir())
    assert sum(frame.height for frame in ordered(frames, run_rows=100, block_rows=10, folder=tmp_path)) == 1_000
    assert not list(tmp_path.iterdir())


def test_few_rows_never_touch_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pl.DataFrame, "write_ipc", None)
    assert [frame.height for frame in ordered([pl.DataFrame({"now": [2, 1]})])] == [2]
    assert list(ordered([])) == []
