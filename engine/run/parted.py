"""A run whose history is larger than memory: rows are put aside, dealt out by key, looked at part by part, and decided in their order.

What is new and what a window says is found by the very functions of a run in memory; here is only who sees which rows when.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from array import array
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl

from engine.backends.columnar_layout import names
from engine.features.columnar import WindowState, completed, features
from engine.features.columnar_rows import RowByRow
from engine.features.columnar_seen import ANSWER, CONTENT, Seen, content
from engine.features.spec import BoundFeatures, History, Layout
from engine.plan import DAY_OF_EVENT, TICK
from engine.run.arrived import NONE, Piece
from engine.run.border import ROW
from engine.run.parts import PART, Joined, Parts
from engine.run.ticks import Ticks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from engine.run.arrived import Arrived, Refusals
    from engine.run.batch import BatchRun, Decided
    from engine.run.moments import Every
    from engine.run.shelf import Shelf

NUMBER: Final = "@number"
"""A column: the place of a row in the order of arrival."""
AT: Final = "@at"
"""A column: the place of a row among those that are decided, ticks too."""
_LOOKS, _NEW, _REASON, _CORRECTS = "@looks", "@new", "@reason", "@corrects"

SEEN_BYTES: Final = 60
ARRAY_BYTES: Final = 50, 25
LANE_BYTES: Final = 110, 90
CORRECTED_BYTES: Final = 500
"""How much memory an event takes: to be known again; in a history, and for each thing that is kept of it there, where the history is taken
as arrays, and where row by row; and to be found there when it is corrected. Measured, with nothing dropped."""


def size(number: int) -> str:
    """A number of bytes in words.

    >>> size(1_900_000_000), size(70_000_000), size(1_000)
    ('1.9 GB', '70 MB', '1 MB')
    """
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{max(1, round(number / 1e6))} MB"


class _Stored(NamedTuple):
    frame: Path
    rejects: Path | None
    end: int


class Aside:
    """All pieces of a run on a shelf, their rows numbered in the order of arrival."""

    def __init__(self, shelf: Shelf, pieces: Iterator[Piece], arrived: Arrived) -> None:
        self._shelf = shelf
        self._stored: list[_Stored] = []
        self.rows = 0
        for piece in pieces:
            numbers = pl.int_range(self.rows, self.rows + piece.frame.height, eager=True).alias(NUMBER)
            self.rows += piece.frame.height
            frame = piece.frame.with_columns(numbers, content(piece.frame, arrived.record))
            rejects = shelf.put(piece.rejects) if piece.rejects.height else None
            self._stored.append(_Stored(shelf.put(frame), rejects, self.rows))

    def frames(self, columns: Sequence[str] | None = None) -> Iterator[tuple[pl.DataFrame, int]]:
        """The frames, or some of their columns, each with the number after its last row."""
        for one in self._stored:
            yield self._shelf.take(one.frame, columns, keep=True), one.end

    def pieces(self) -> Iterator[Piece]:
        """The pieces, which then are no longer there."""
        for one in self._stored:
            yield Piece(self._shelf.take(one.frame), NONE if one.rejects is None else self._shelf.take(one.rejects))


@dataclass(frozen=True, slots=True)
class Lone:
    """One history by itself: its features as sets that hold nothing else, the columns they read, and the bytes it takes for an event."""

    history: History
    groups: tuple[BoundFeatures, ...]
    reads: tuple[str, ...]
    bytes: int

    @classmethod
    def of(cls, layout: Layout, history: History) -> Lone:
        groups = tuple(group for one in layout.groups if (group := _only(one, history)).features.features)
        types = {field.name: field.type for field in layout.record.fields}
        read = (name for group in groups for name in group.reads)
        revision = () if layout.record.revision is None else (layout.record.revision,)
        given = (*layout.record.key, layout.record.time, *revision, *history.per, *history.matched, *read)
        reads = tuple(physical for name in dict.fromkeys(given) if name in types for physical in names(name, types[name]))
        reads += (DAY_OF_EVENT,) if layout.dated else ()
        # a row lies in the part of each key it bears, and there under all of them
        bearing, takers = max(1, len(history.matched)) ** 2, WindowState(groups, layout.record).histories
        each = (LANE_BYTES if isinstance(taker, RowByRow) else ARRAY_BYTES for taker in takers)
        corrected = CORRECTED_BYTES if revision else 0
        return cls(history, groups, reads, bearing * (corrected + sum(row + slot * len(history.slots) for row, slot in each)))

    @property
    def per(self) -> str:
        """The key in words."""
        return ", ".join(self.history.ends or self.history.per)

    def dealt(self, frame: pl.DataFrame, count: int) -> pl.DataFrame:
        """The rows with the parts they go to, and whether they look there: a row looks under one key, and lies under all that it bears.
        One that corrects another goes everywhere, for the other may have borne any key."""
        new = pl.col(ANSWER).is_null() | (pl.col(ANSWER) == pl.col(NUMBER))
        ticks = [TICK] if TICK in frame.columns else []
        rows = frame.select(AT, ANSWER, _CORRECTS, new.alias(_NEW), pl.lit(True).alias(_LOOKS), *ticks, *self.reads)
        # one whose key is not known finds no rows wherever it looks; but where it comes again it looks for its answer there
        own = pl.coalesce(_part(self.history.per, count), pl.coalesce(ANSWER, AT) % count).cast(pl.UInt32).alias(PART)
        rows = rows.with_columns(own)
        others = [rows.with_columns(_part([name], count).alias(PART)) for name in self.history.matched]
        corrections = rows.filter(_CORRECTS)
        if corrections.height:
            everywhere = pl.DataFrame({PART: range(count)}, {PART: pl.UInt32})
            others.append(corrections.drop(PART).join(everywhere, how="cross"))
        rest = [part.filter(pl.col(PART).is_not_null()).with_columns(pl.lit(False).alias(_LOOKS)) for part in others]
        if not rest:
            return rows
        return pl.concat([rows, *rest]).unique([AT, PART], keep="first", maintain_order=True).sort(AT, maintain_order=True)


def _part(key: Sequence[str], count: int) -> pl.Expr:
    """The part of a key; null where it is not known. What has no key is one part."""
    if not key:
        return pl.lit(0, pl.UInt32)
    hashed = pl.col(key[0]).hash() if len(key) == 1 else pl.struct(key).hash()
    known = pl.all_horizontal(pl.col(name).is_not_null() for name in key)
    return pl.when(known).then(hashed % count).cast(pl.UInt32)


def _only(group: BoundFeatures, history: History) -> BoundFeatures:
    """The aggregates of a feature set that look into this history."""
    inside = {measure.column for measure in history.measures}
    kept = tuple(feature for feature in group.features.features if f"{group.prefix}{feature.name}" in inside)
    return replace(group, features=replace(group.features, features=kept))


class Parted:
    """One run whose history takes about `limit` bytes at a time; `say` hears how far it has come, `notes` takes what is to be known."""

    def __init__(self, run: BatchRun, every: Every | None, shelf: Shelf, limit: int, say: Callable[[str], None], notes: list[str]) -> None:
        self.run, self.every, self.shelf, self.limit, self.say = run, every, shelf, limit, say
        self.record = run.plan.record
        self.notes = notes
        self.lone = [Lone.of(run.state.layout, history) for history in run.state.layout.histories]

    def bytes(self, rows: int) -> int:
        """About how much memory the history of so many events takes, if no window drops any of them."""
        return rows * (SEEN_BYTES + sum(lone.bytes for lone in self.lone))

    def plan(self, rows: int) -> str:
        """What is to be done with so many events, for who runs it."""
        needed, parts = size(self.bytes(rows)), sum(self._count(rows, lone) for lone in self.lone)
        if self.bytes(rows) <= self.limit:
            return f"history of {rows:,} rows takes up to {needed}, which fits into --memory"
        return f"history of {rows:,} rows takes up to {needed}, more than --memory: it was taken key by key, in {parts} parts"

    def decided(self, aside: Aside, arrived: Arrived, refusals: Refusals) -> Iterator[Decided]:
        """Every piece, decided; the same as a run in memory gives."""
        verdicts = self._verdicts(aside)
        parts = [Parts(self.shelf, self._count(aside.rows, lone)) for lone in self.lone]
        for frame in self._stream(aside.frames(), verdicts):
            self._begin(frame)
            for lone, dealt in zip(self.lone, parts, strict=True):
                dealt.deal(lone.dealt(frame, dealt.count))
        found = [self._looked(lone, dealt) for lone, dealt in zip(self.lone, parts, strict=True)]
        for frame in self._stream(self._told(aside, arrived, refusals, verdicts), verdicts):
            yield self.run.conclude(self._with_history(frame, found))
            _give_back()

    def _count(self, rows: int, lone: Lone | None = None) -> int:
        """How many parts; without a history those in which repeats are looked for."""
        each = SEEN_BYTES if lone is None else lone.bytes
        return 1 if lone is not None and lone.history.network else max(1, -(-rows * each // self.limit))

    # --- which rows are new ---

    def _verdicts(self, aside: Aside) -> list[Path]:
        """For every piece a frame with the number of the row whose answer each row gets, or why it gets none."""
        parts = Parts(self.shelf, self._count(aside.rows))
        needed = dict.fromkeys((*self.record.key, self.record.time, *([self.record.revision] if self.record.revision else [])))
        columns = [physical for name in needed for physical in names(name, self.record.field(name).type)]
        for frame, _ in aside.frames([NUMBER, CONTENT, *columns]):
            parts.deal(frame.with_columns(_part(self.record.key, parts.count).alias(PART)))
        joined = Joined(self.shelf, NUMBER, parts.count)
        for part in range(parts.count):
            self.say(f"looking for repeats, part {part + 1} of {parts.count}")
            joined.part()
            self._sort_out(parts.take(part), joined)
        return [self.shelf.put(joined.upto(end, _VERDICT)) for _, end in aside.frames([NUMBER])]

    def _sort_out(self, frames: Iterator[pl.DataFrame], joined: Joined) -> None:
        seen, firsts, known = Seen(), array("q"), set[int]()
        for frame in frames:
            kept, rejects = seen.sort_out(frame, self.record)
            corrects = self._corrections(kept, known) if self.record.revision is not None else False
            numbers, answers = kept[NUMBER].to_list(), kept[ANSWER].to_list()
            for number, answer in zip(numbers, answers, strict=True):
                if answer == len(firsts):
                    firsts.append(number)
            taken: dict[str, Any] = {NUMBER: numbers, ANSWER: [firsts[answer] for answer in answers], _CORRECTS: corrects, _REASON: None}
            places, reasons = [one.row for one in rejects], [one.message for one in rejects]
            refused: dict[str, Any] = {NUMBER: frame[NUMBER][places], ANSWER: None, _CORRECTS: False, _REASON: reasons}
            joined.add(pl.concat([pl.DataFrame(taken, _VERDICT), pl.DataFrame(refused, _VERDICT)]).sort(NUMBER))

    def _corrections(self, kept: pl.DataFrame, known: set[int]) -> list[bool]:
        """Which rows have a key that came before: those among them that are new correct what came."""
        keys = kept.select(pl.struct(self.record.key).hash()).to_series().to_list()
        found = []
        for key in keys:
            found.append(key in known)
            known.add(key)
        return found

    # --- who is looked at ---

    def _stream(self, frames: Iterator[tuple[pl.DataFrame, int]], verdicts: list[Path]) -> Iterator[pl.DataFrame]:
        """The rows that are decided, and the ticks between them, numbered; the same whenever it is asked for."""
        ticks = None if self.every is None else Ticks(self.every, self.run.plan)
        at = 0
        for frame in self._kept(frames, verdicts, ticks):
            if frame.height:
                yield frame.with_columns(pl.int_range(at, at + frame.height).alias(AT))
                at += frame.height

    def _kept(self, frames: Iterator[tuple[pl.DataFrame, int]], verdicts: list[Path], ticks: Ticks | None) -> Iterator[pl.DataFrame]:
        for (frame, _), verdict in zip(frames, verdicts, strict=True):
            said = self.shelf.take(verdict, [ANSWER, _CORRECTS], keep=True)
            kept = frame.with_columns(said).filter(said[ANSWER].is_not_null())
            yield from [kept] if ticks is None else ticks.among(kept)
        yield from () if ticks is None else ticks.rest()

    def _told(self, aside: Aside, arrived: Arrived, refusals: Refusals, verdicts: list[Path]) -> Iterator[tuple[pl.DataFrame, int]]:
        """The frames a last time; what is rejected of them is told, in the order of a run in memory."""
        for piece, verdict in zip(aside.pieces(), verdicts, strict=True):
            refusals.add(piece.rejects)
            reasons = self.shelf.take(verdict, [_REASON], keep=True)[_REASON]
            refused = piece.frame.select(ROW, reasons).filter(reasons.is_not_null())
            refusals.add(arrived.rejects(refused.rows()))
            yield piece.frame, 0

    def _begin(self, frame: pl.DataFrame) -> None:
        """History begins with the first event, where nothing else was said."""
        if self.run.state.since is None:
            self.run.state.since = frame[self.record.time][0]

    # --- what history says ---

    def _looked(self, lone: Lone, parts: Parts) -> Joined:
        """What the features of one history say, part by part."""
        joined = Joined(self.shelf, AT, parts.count)
        for part in range(parts.count):
            self.say(f"history per {lone.per}, part {part + 1} of {parts.count}")
            joined.part()
            state, again = WindowState(lone.groups, self.record, self.run.state.since), []
            for rows in parts.take(part):
                fresh = rows.filter(_NEW)
                if fresh.height:
                    joined.add(fresh.select(AT, ANSWER).hstack(features(fresh, state)).filter(fresh[_LOOKS]))
                again.append(rows.filter(~pl.col(_NEW) & pl.col(_LOOKS)).select(AT, ANSWER))
            self._note(lone, parts.rows[part])
            self._say_again(joined, pl.concat(again) if again else None)
            del state
            _give_back()
        return joined

    def _note(self, lone: Lone, rows: int) -> None:
        if rows * lone.bytes > 2 * self.limit:
            what = "a network cannot be parted" if lone.history.network else "few keys have very many events"
            self.notes.append(f"{rows:,} rows per `{lone.per}` stood in one part, and took more memory: {what}")

    def _say_again(self, joined: Joined, again: pl.DataFrame | None) -> None:
        """The answers of rows that came before, of which the first came in the same part."""
        if again is None or not again.height:
            return
        wanted = again[ANSWER].unique().implode()
        firsts = [self.shelf.take(file, keep=True).filter(pl.col(ANSWER).is_in(wanted)).drop(AT) for file in joined.files()]
        joined.part()
        joined.add(again.join(pl.concat(firsts), on=ANSWER).sort(AT))

    def _with_history(self, frame: pl.DataFrame, found: list[Joined]) -> pl.DataFrame:
        """The rows with every feature."""
        answers = [joined.upto(frame[AT][-1] + 1, None).drop(AT, ANSWER) for joined in found]
        plain = frame.drop(AT, NUMBER, CONTENT, ANSWER, _CORRECTS)
        return plain.hstack(completed(plain, pl.concat(answers, how="horizontal"), self.run.state)) if answers else plain


def _give_back() -> None:
    """What was freed goes back to the system, for which it else counts as used: parts of many sizes leave many gaps."""
    gc.collect()
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


_VERDICT: Final = {NUMBER: pl.Int64, ANSWER: pl.Int64, _CORRECTS: pl.Boolean, _REASON: pl.String}
