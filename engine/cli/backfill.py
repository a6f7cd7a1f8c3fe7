"""``engine backfill``: a live store, built anew from history."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.backfill import events
from engine.cli import loading
from engine.cli.progress import Progress
from engine.cli.run import asides, asides_json, expanded, reading, refuse_overwriting
from engine.cli.say import FINE, Stop, as_json, note, out, plural
from engine.errors import InputError
from engine.features.store import store_file
from engine.ledger.log import Ledger

if TYPE_CHECKING:
    from polars import DataFrame

    from engine.api import Engine
    from engine.features.store import Store
    from engine.plan import Row
    from engine.run.source import Arrival

SUMMARY: Final = "build live history anew, from a ledger or from files"
FINDS: Final = "a cascade that does not check; rejected rows are counted and are no failure"
TEACHES: Final = """\
Build the store of a cascade for its features as they stand now: from the events of a ledger, or from files of events, in the record's order
of arrival. What was at the address is replaced when the new history is whole, and stays if the command is stopped; processes that have
it open must open it again. Do this before going live, and when features change: a store made for other features is refused.

examples:
  engine backfill cascades/screening.yaml --store sqlite:history.db --ledger ledger.db --history-from 2026-01-01
  engine backfill cascades/screening.yaml --store redis://localhost:6379/1 --input 'feed/*.csv.gz' --rejects rejects.csv"""

_SHOWN: Final = 5


def arguments(parser: ArgumentParser) -> None:
    loading.arguments(parser)
    parser.add_argument("--store", metavar="URL", required=True, help="where to build: `sqlite:FILE`, `redis://...` or `postgresql://...`")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--ledger", metavar="FILE", help="the ledger whose events are the history")
    source.add_argument("--input", metavar="FILE", nargs="+", help="files of events, or patterns in quotes, in the order of their names")
    parser.add_argument("--rejects", metavar="FILE", help="where rows of files go that cannot enter: .csv, .parquet or .jsonl")
    parser.add_argument("--history-from", metavar="DATE", help="since when history is complete (default: the first event)")
    parser.add_argument("--encoding", metavar="NAME", help="of text files that are not UTF-8, like cp1251")


def run(args: Namespace) -> int:
    if args.store.startswith("memory"):
        raise Stop("history in memory ends with the command: name a store that lasts, like `sqlite:history.db`")
    if args.input is not None and args.rejects is None:
        raise Stop("--rejects says where rows go that cannot enter history: name a file, like `--rejects rejects.csv`")
    paths = expanded(args.input or [])
    refuse_overwriting({"rejects": args.rejects, "store": _file(args.store)}, reading(args.cascade, [*paths, *filter(None, [args.ledger])]))
    engine = loading.loaded(args)
    with Progress() as progress, engine.open_store(args.store, history_from=args.history_from, afresh=True) as store:
        build = _Build(engine, store, progress)
        try:
            if args.ledger is not None:
                build.from_ledger(args.ledger)
            else:
                build.from_files(args, paths)
        except InputError as error:
            raise Stop(str(error)) from None
        measured = store.measured()
    counts = {"entered": build.entered, "rejected": sum(build.rejected.values()), "keys": measured.keys, "rows": measured.rows}
    if args.json:
        beside = {} if build.beside is None else asides_json(build.beside)
        as_json({**counts, "rejects": dict(build.rejected), **beside, "store": args.store})
        return FINE
    for line in [] if build.beside is None else asides(build.beside):
        note(line)
    for reason, count in build.rejected.most_common(_SHOWN):
        note(f"rejected {count:,}: {reason}")
    out(
        f"{plural(build.entered, 'event')} entered, {counts['rejected']:,} rejected; the store has {plural(measured.rows, 'row')} "
        f"under {plural(measured.keys, 'key')}"
    )
    return FINE


def _file(url: str) -> str | None:
    file = store_file(url)
    return None if file is None else str(file)


class _Build:
    """Tells a store events, and counts."""

    def __init__(self, engine: Engine, store: Store, progress: Progress) -> None:
        self.engine, self.store, self.progress = engine, store, progress
        self.entered, self.read = 0, 0
        self.beside: Arrival | None = None  # files may hold more than fields
        self.rejected: Counter[str] = Counter()

    def tell(self, row: Row) -> str | None:
        """Why an event is refused, if it is."""
        try:
            self.engine.remember(row, self.store)
        except InputError as error:
            return str(error)
        self.entered += 1
        if self.entered % 1000 == 0:
            self.progress.decided(self.entered)
        return None

    def from_ledger(self, path: str) -> None:
        with Ledger.read(Path(path)) as ledger:
            for entry, row in events(self.engine, ledger):
                why = f"entry {entry.seq} has no key, time or order any more" if row is None else self.tell(row)
                if why is not None:
                    self.rejected[why] += 1

    def from_files(self, args: Namespace, paths: list[str]) -> None:
        # loads polars: only files need it
        from engine.run.past import tell_files

        self.beside = tell_files(self.engine.record, paths, args.rejects, self, args.encoding, self.tell)

    def on_read(self, rows: int, file: str) -> None:
        self.read += rows
        self.progress.read(self.read, file)

    def on_rejected(self, rejects: DataFrame) -> None:
        self.rejected.update(rejects["reason"].to_list())

    def on_stage(self, text: str) -> None:
        """Nothing is put aside in stages."""
