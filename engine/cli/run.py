"""``engine run``: files in, decisions out."""

from __future__ import annotations

import glob
import re
import signal
import time
from argparse import ArgumentParser, Namespace
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine.api import Engine
from engine.cli import loading
from engine.cli.progress import Progress
from engine.cli.say import FINE, PROBLEMS, Stop, as_json, note, out
from engine.errors import InputError
from engine.ledger.decision import Decision
from engine.ledger.log import Call
from engine.plan import Row
from engine.registry.store import Workspace
from engine.run.event import tick_event
from engine.run.moments import PERIODS, Every

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polars import DataFrame

    from engine.monitor.summary import Summary
    from engine.run.source import Arrival

SUMMARY: Final = "decide every row of files"
FINDS: Final = "a cascade that does not check; rejected rows are counted and are no failure"
TEACHES: Final = """\
Decide every row of CSV, JSON lines, Parquet and XLSX files (.csv and .jsonl also as .gz) through a cascade, with history, in the
record's order of arrival. Every row is decided or stands in the rejects with its reason; nothing is dropped. Files larger than memory
are fine; where what windows hold is larger too, say --memory. With --tick keys are also looked at when a period begins, without an
event. Output appears whole or not at all: .parquet, .csv or .jsonl. What was recorded in a ledger before a stop stays recorded.

examples:
  engine run cascades/audit.yaml --input 'feed/*.csv.gz' --output decisions.parquet --rejects rejects.csv
  engine run cascades/audit.yaml --input feed.csv --output d.csv --rejects r.csv --report report.html --ledger ledger.db
  engine run cascades/audit.yaml --input feed.csv --output d.csv --rejects r.csv --memory 2GB
  engine run cascades/quiet.yaml --input feed.csv --output d.csv --rejects r.csv --tick day --per account"""

LEAST: Final = 10_000_000
"""The least bytes that history may be given."""
_PORTION: Final = 500
_NAMED: Final = 5


def arguments(parser: ArgumentParser) -> None:
    loading.arguments(parser)
    parser.add_argument(
        "--input", metavar="FILE", nargs="+", required=True, help="files, or patterns in quotes, in the order of their names"
    )
    parser.add_argument("--output", metavar="FILE", required=True, help="where the decisions go: .parquet, .csv or .jsonl")
    parser.add_argument("--rejects", metavar="FILE", required=True, help="where rows go that cannot be decided: .csv, .parquet or .jsonl")
    parser.add_argument(
        "--report", metavar="FILE", help="also draw one HTML page with charts; words quoted in the workspace's LICENCE.md stand on it"
    )
    parser.add_argument("--ledger", metavar="FILE", help="also record every decision with all it came from, for `engine replay`; slower")
    parser.add_argument("--history-from", metavar="DATE", help="since when history is complete (default: the first event)")
    parser.add_argument("--tick", choices=PERIODS, help="also look at every key when an hour, day, week or month begins, without an event")
    parser.add_argument("--per", metavar="FIELD", nargs="+", help="the fields of the key that ticks look at; the key of some feature")
    parser.add_argument("--until", metavar="DATE", help="the last day of ticks (default: as long as events come)")
    parser.add_argument("--encoding", metavar="NAME", help="of text files that are not UTF-8, like cp1251")
    parser.add_argument("--memory", metavar="SIZE", help="how much memory history may take at a time, like 2GB (default: what it needs)")
    parser.add_argument("--temp", metavar="DIR", help="where rows are put aside (default: the system's temporary folder, or TMPDIR)")
    parser.add_argument("--values", action="store_true", help="also write what every step gave")


def run(args: Namespace) -> int:
    # load polars: only this command needs it
    from engine.monitor.summary import Summary
    from engine.run.files import run_files
    from engine.run.through import Options

    # polars, once loaded, takes Ctrl-C for itself while it computes, and forgets it when it is done first: take it back
    signal.signal(signal.SIGINT, signal.getsignal(signal.SIGINT))
    if (args.tick is None) != (args.per is None) or (args.until and args.tick is None):
        raise Stop("--tick says when keys are looked at, --per which: give both, like `--tick day --per account`")
    memory, aside = None if args.memory is None else bytes_of(args.memory), None if args.temp is None else Path(args.temp)
    if aside is not None and not aside.is_dir():
        raise Stop(f"--temp `{aside}` is no folder: rows are put aside there while the run goes on")
    paths = expanded(args.input)
    targets = {option: getattr(args, option) for option in ("output", "rejects", "report", "ledger")}
    refuse_overwriting(targets, reading(args.cascade, paths))
    engine = loading.loaded(args, args.ledger)
    refuse_overwriting(targets, {file.resolve(): "a file of the cascade" for file in engine.linked.files})
    for target in (args.output, args.rejects, args.report):
        if target:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
    licence = quoted(Workspace.around(Path(args.cascade)).folder / "LICENCE.md")
    summary = Summary.of(*engine.in_turn, licence=licence, made=made_under(engine), locks=engine.locks)
    started = time.monotonic()
    with Progress() as progress, nullcontext() if engine.ledger is None else engine.ledger:
        watcher = _Watcher(engine, summary, progress)
        try:
            every = None if args.tick is None else Every.of(engine.plan, args.tick, args.per, args.until)
            each, following = args.ledger is not None, engine.following
            options = Options(args.history_from, args.encoding, args.values, each, every, memory, aside, following)
            beside = run_files(engine.plan, paths, args.output, args.rejects, watcher, options)
        except InputError as error:
            raise Stop(str(error)) from None
        watcher.keep()
    summary.seconds = time.monotonic() - started
    if args.report:
        from engine.monitor.report import write_report

        write_report(summary, args.report)
    _tell(args, engine, summary, beside)
    return FINE if summary.balanced else PROBLEMS


def made_under(engine: Engine) -> list[str]:
    """What decisions are made under, in a line: the lock, or which components are drafts. Of several locks the summary counts."""
    drafts = [f"{name}@{version}" for _, name, version, _ in engine.drafts]
    more = f" and {len(drafts) - _NAMED:,} more" if len(drafts) > _NAMED else ""
    lines = [] if engine.lock is None or engine.locks else [f"lock {engine.lock}"]
    return lines + ([f"drafts: {', '.join(drafts[:_NAMED])}{more}"] if drafts else [])


def bytes_of(text: str) -> int:
    """The bytes that a size means. Raises `Stop` for what is none, and for one that no run can do with.

    >>> bytes_of("2GB"), bytes_of("1.5 gb"), bytes_of("512MiB")
    (2000000000, 1500000000, 536870912)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT])(I?)B?", text.strip().upper())
    if found is None:
        raise Stop(f"`{text}` is no size: write --memory as `500MB` or `2GB`")
    number, unit, binary = found.groups()
    size = int(float(number) * (1024 if binary else 1000) ** (1 + "KMGT".index(unit)))
    if size < LEAST:
        raise Stop(f"--memory {text} is too little: give history at least {LEAST // 1_000_000} MB")
    return size


def expanded(given: list[str]) -> list[str]:
    """The files that names and patterns mean, those of a pattern in the order of their names. Raises `Stop` for what means none."""
    paths: list[str] = []
    for one in given:
        found = [one] if Path(one).exists() else sorted(glob.glob(one, recursive=True))  # noqa: PTH207  a pattern may be absolute
        if not found:
            raise Stop(f"there is no file `{one}`")
        paths += found
    return list(dict.fromkeys(paths))


def reading(cascade: str, inputs: list[str]) -> dict[Path, str]:
    """The files that a command was told to read, and what each is."""
    return {Path(name).resolve(): "an input" for name in inputs} | {Path(cascade).resolve(): "the cascade"}


def refuse_overwriting(targets: Mapping[str, str | None], used: Mapping[Path, str]) -> None:
    """Raises `Stop` where a file to write, by its option, is in use, or is to be written twice: one would be lost."""
    taken = dict(used)
    for option, name in targets.items():
        if name is None:
            continue
        path = Path(name).resolve()
        if path in taken:
            raise Stop(f"--{option} `{name}` is {taken[path]} too, and would overwrite it: name another file")
        if path.is_dir():
            raise Stop(f"--{option} `{name}` is a folder: name a file in it")
        taken[path] = f"--{option}"


def quoted(path: Path) -> str:
    """The words that a licence file quotes (lines that begin with ``>``), which whoever shows the data has to carry."""
    if not path.is_file():
        return ""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return " ".join(line.removeprefix(">").strip() for line in lines if line.startswith(">"))


def _tell(args: Namespace, engine: Engine, summary: Summary, beside: Arrival) -> None:
    written = [name for name in (args.output, args.rejects, args.report, args.ledger) if name]
    if args.json:
        drafts = [f"{name}@{version}" for _, name, version, _ in engine.drafts]
        locks = [{"lock": seal, "file": file, "decided": summary.under[seal]} for seal, file in engine.locks.items()]
        under = {"lock": engine.lock, "drafts": drafts} if not locks else {"locks": locks, "drafts": drafts}
        rows = {"rows": summary.rows, "decided": summary.decided, "rejected": summary.rejected, "balanced": summary.balanced}
        counts: dict[str, object] = {"outcomes": dict(summary.outcomes()), "rejects": dict(summary.rejects), "hits": dict(summary.hits)}
        if summary.silenced:
            counts["silenced"] = dict(summary.silenced)
        if summary.ticks is not None:
            ticks = summary.ticks
            counts["ticks"] = {"decided": ticks.decided, "outcomes": dict(ticks.outcomes()), "hits": dict(ticks.hits)}
        as_json(
            {
                **under,
                **rows,
                **counts,
                "undecided": dict(summary.undecided),
                **asides_json(beside),
                "seconds": summary.seconds,
                "written": written,
            }
        )
        return
    out(summary.text())
    for line in asides(beside):
        note(line)
    out("\nwrote " + ", ".join(written))


def asides(beside: Arrival) -> list[str]:
    """What a reader should be told about the files themselves."""
    lines = [f"note: {text}" for text in beside.notes]
    if beside.unknown:
        lines.append("note: columns no field takes: " + ", ".join(f"`{name}`" for name in sorted(beside.unknown)))
    if beside.nameless:
        lines.append(f"note: {beside.nameless:,} filled cells stand under no header")
    if beside.duplicates:
        lines.append("note: headers that stand more than once: " + ", ".join(f"`{name}`" for name in beside.duplicates))
    if beside.absent:
        lines.append("note: fields that no column holds: " + ", ".join(f"`{name}`" for name in beside.absent))
    return lines


def asides_json(beside: Arrival) -> dict[str, object]:
    """The same for other programs."""
    return {
        "unknown_columns": dict(beside.unknown),
        "nameless_cells": beside.nameless,
        "duplicate_headers": list(beside.duplicates),
        "absent_fields": list(beside.absent),
        "notes": list(beside.notes),
    }


class _Watcher:
    """Counts, shows progress, and records."""

    def __init__(self, engine: Engine, summary: Summary, progress: Progress) -> None:
        self.engine, self.summary, self.progress = engine, summary, progress
        self._waiting: list[tuple[str | dict[str, Any], Decision, tuple[Call, ...]]] = []

    def on_read(self, rows: int, file: str) -> None:
        self.summary.rows += rows
        self.progress.read(self.summary.rows, Path(file).name)

    def on_rejected(self, rejects: DataFrame) -> None:
        self.summary.reject(rejects["reason"].to_list())

    def on_decided(self, rows: DataFrame, decisions: DataFrame) -> None:
        self.summary.add(rows, decisions)
        self.progress.decided(self.summary.decided, 0 if self.summary.ticks is None else self.summary.ticks.decided)

    def on_stage(self, text: str) -> None:
        self.progress.stage(text)

    def on_event(self, raw: str | None, row: Row, open_row: Row) -> None:
        decision = self.engine.read_off(row, open_row)
        self._waiting.append((tick_event(decision) if raw is None else raw, decision, self.engine.calls(decision)))
        if len(self._waiting) == _PORTION:
            self.keep()

    def keep(self) -> None:
        """Record what waits to be recorded."""
        if self.engine.ledger is not None:
            self.engine.ledger.append_all(self._waiting)
        self._waiting = []
