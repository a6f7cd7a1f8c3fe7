"""Events of history files, typed and one by one, in the record's order of arrival. It decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.backends.columnar import unpack
from engine.plan import DAY_OF_EVENT, NOW
from engine.run.arrived import Arrived, Hearing, Refusals, in_order
from engine.run.border import ROW
from engine.run.shelf import Shelf
from engine.run.sink import Sink
from engine.run.source import REJECTS, Source
from engine.values import INTEGER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.plan import Row
    from engine.record import Record
    from engine.run.source import Arrival


def tell_files(
    record: Record,
    paths: Sequence[str | Path],
    rejects: str | Path,
    hearing: Hearing,
    encoding: str | None,
    tell: Callable[[Row], str | None],
) -> Arrival:
    """Tell every event of the files; rejected and refused rows are written. What came beside the fields is given.

    Raises `InputError` for files that cannot be read.
    """
    source = Source(paths, record, encoding=encoding)
    types = {field.name: field.type for field in record.fields}
    types |= {NOW: record.field(record.time).type, DAY_OF_EVENT: INTEGER}
    with Sink(rejects, REJECTS) as sink, Shelf() as shelf:
        refusals = Refusals(sink, hearing)
        arrived = Arrived(source, hearing, None if record.arrival == "stream" else shelf, keep_raw=False)
        for piece in in_order(arrived, refusals, None):
            if record.arrival == "stream":
                refusals.add(piece.rejects)
            numbers, rows = piece.frame[ROW].to_list(), unpack(piece.frame, types)
            refused = [(number, why) for number, row in zip(numbers, rows, strict=True) if (why := tell(row)) is not None]
            refusals.add(arrived.rejects(refused))
        sink.finish()
        return arrived.beside
