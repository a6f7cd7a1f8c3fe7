"""Law 2 on whole files: every event of the bundled data, fed live in the order the batch takes them, has the features of the batch to the
last bit, in memory and (its beginning) in a file; and a sample over the whole time gets the same decisions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from engine import Engine, InputError
from engine.backends.columnar import unpack
from engine.features.columnar import observe
from engine.plan import Row
from engine.run.batch import BatchRun, in_arrival_order
from engine.run.border import ROW, typed
from tests.properties.strategies import FUZZ

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CHUNK = 50_000
"""The batch takes the rows in frames of so many, like those of a file, and goes on from one to the next."""
IN_A_FILE = 25_000
"""How many events are kept in a file too; with ``FUZZ`` (`make fuzz`) all of them."""


@dataclass(frozen=True)
class Files:
    """Bundled data: the cascade, the raw rows, since when history is complete, and of which events the decision is compared too."""

    cascade: Path
    since: str
    every: int

    def raw(self) -> pl.DataFrame:
        frames = []
        for path in sorted(self.cascade.parents[1].glob("2*.csv.gz")):
            frame = pl.read_csv(path, infer_schema=False)
            frames.append(frame.with_columns(pl.lit(path.name).alias("file"), pl.int_range(1, frame.height + 1).alias("row")))
        return pl.concat(frames or [pl.read_csv(EXAMPLES / "aml" / "transfers.csv.gz", infer_schema=False)], how="diagonal")


FILES = {
    # a decision about a payment waits for the forest, about a transfer for rules alone
    "purchase cards": Files(EXAMPLES / "purchase_cards" / "cascades" / "audit.yaml", "2014-04-01", 600),
    "AMLSim": Files(EXAMPLES / "aml" / "cascades" / "typologies.yaml", "2016-01-01", 50),
}
READ_OFF = ("outcome", "possible", "score", "score_low", "score_high", "flags", "hits", "undecided")


def decided(one: Any) -> tuple[Any, ...]:
    """A live decision as the columns of the batch have it."""
    return (one.outcome, list(one.possible), one.score, *one.score_range, list(one.flags), list(one.hits), list(one.undecided))


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize("data", FILES)
def test_a_live_replay_is_the_batch_to_the_last_bit(data: str, kind: str, tmp_path: Path) -> None:
    files = FILES[data]
    engine, raw = Engine.load(files.cascade), files.raw()
    rows = in_arrival_order(engine.plan, typed(engine.plan.record, raw).frame)
    if kind == "sqlite" and FUZZ == 1:
        rows = rows.head(IN_A_FILE)
    fields = {field.name: field.type for field in engine.plan.record.fields}
    run = BatchRun(engine.plan, detail="names", history_from=files.since)
    with engine.open_store("memory:" if kind == "memory" else f"sqlite:{tmp_path / 'history.db'}", history_from=files.since) as store:
        for begin in range(0, rows.height, CHUNK):
            chunk = rows.slice(begin, CHUNK)
            done = observe(chunk, run.state)
            assert done.rejects == ()
            wanted = unpack(done.frame, run.state.layout.types)
            sample = done.frame.gather_every(files.every)
            read_off = iter(run.conclude(sample).decisions.select(READ_OFF).rows())
            for place, (event, features) in enumerate(zip(unpack(chunk, fields), wanted, strict=True)):
                if place % files.every == 0:
                    one = engine.decide(given(raw, chunk[ROW][place]), store=store)
                    assert decided(one) == next(read_off), event
                    found: Row = {name: one.row[name] for name in features}
                else:
                    found = store.observe(event)
                # `repr` tells 1 from 1.0, 0.0 from -0.0 and one cause from another
                assert found == features and repr(found) == repr(features), event


def given(raw: pl.DataFrame, row: int) -> dict[str, Any]:
    """A row of the file as one event; a column its month does not have is not in it."""
    return {name: value for name, value in raw.row(row, named=True).items() if value is not None}


def test_the_row_without_a_time_is_refused_at_every_door() -> None:
    files = FILES["purchase cards"]
    engine, raw = Engine.load(files.cascade), files.raw()
    rejects = typed(engine.plan.record, raw).rejects
    assert rejects["reason"].to_list() == ["time `booked_on` is missing"]
    with engine.open_store("memory:") as store, pytest.raises(InputError, match="time `booked_on` is missing"):
        engine.decide(given(raw, rejects[ROW][0]), store=store)
