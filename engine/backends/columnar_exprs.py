"""Expressions over frames: polars' own operators where they are exactly ours, else the one Python function over distinct values.

Compiling gives `Col`s and fills the stages of a `Program`; running them adds columns to a frame. It knows no rules.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from engine.backends import single
from engine.backends.columnar_layout import CODE, by_currency, dtype, packed, unpacked
from engine.backends.columnar_lookup import Exchanged, LookedUp
from engine.backends.columnar_native import MIRRORED, NATIVE, compare_exact, own_cause, provable
from engine.backends.names import resembles
from engine.backends.outline import may_open
from engine.backends.reference import call, converted, evaluate, listed, looked_up, member
from engine.currencies import DIGITS
from engine.lang import ir
from engine.lang.builtins import BUILTINS
from engine.rates import RATE_MAX
from engine.values import EXACT_MAX, Interval, Money, compare, known, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engine.lang.entries import Days
    from engine.values import Type, Value

FEW: Final = 32
"""Up to so many rows a Python function is called for every one, without looking for equal ones first."""
MANY: Final = 5_000
"""A list of more values is looked up in Python."""
NO_CODE: Final = pl.lit(0, dtype=pl.UInt8)
_NOT_IN_FORCE: Final = pl.lit(CODE["not in force"], dtype=pl.UInt8)
_NO_TEXT: Final = pl.lit(None, dtype=pl.String)
NESTED: Final = 24
"""How deep polars expressions are nested before a part becomes a column of its own."""


@dataclass(frozen=True, slots=True)
class Col:
    """A value over the rows of a frame. `value` is null where it is not known; `cause` is its code, null where it is known, and none where
    nobody asks or nothing can be missing; `low` and `high` only where it may be an open interval; `currency` only for money that has its
    own. `level` is the stage that can compute it, `height` how deep the expressions are nested (0 for a column)."""

    type: Type
    value: pl.Expr
    cause: pl.Expr | None = None
    low: pl.Expr | None = None
    high: pl.Expr | None = None
    currency: pl.Expr | None = None
    level: int = 0
    height: int = 1

    @property
    def ends(self) -> tuple[pl.Expr, pl.Expr]:
        """The bounds: the value itself where there is no interval."""
        return (self.value if self.low is None else self.low), (self.value if self.high is None else self.high)


@dataclass(slots=True)
class _Stage:
    """What can be computed from the columns of earlier stages: expressions, and Python functions over the frame."""

    exprs: list[pl.Expr] = field(default_factory=list)
    calls: list[Callable[[pl.DataFrame], list[pl.Series]]] = field(default_factory=list)


def least(causes: Iterable[pl.Expr | None]) -> pl.Expr | None:
    """Of several causes the first in rank."""
    there = [cause for cause in causes if cause is not None]
    return pl.min_horizontal(*there) if len(there) > 1 else (there[0] if there else None)


@cache
def code(cause: str) -> pl.Expr:
    """The code of a cause, as it stands in ``x#``."""
    return pl.lit(CODE[cause], dtype=pl.UInt8)


class Program:
    """Stages under construction, and the names already known. `causes` of a name say whether its cause can be asked for."""

    def __init__(self) -> None:
        self.stages: list[_Stage] = []
        self.names: dict[str, Col] = {}
        self.inputs: dict[str, tuple[Type, bool]] = {}
        self._count = 0

    # --- running ---

    def run(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with every column that was placed."""
        frame = self._complete(frame)
        for stage in self.stages:
            made = [series for function in stage.calls for series in function(frame)]
            frame = (frame.with_columns(stage.exprs) if stage.exprs else frame).hstack(made)
        return frame

    def _complete(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Causes and bounds that a frame from outside left out: null is `absent`, and there are no intervals."""
        extra: list[pl.Expr] = []
        for name, (type_, causes) in self.inputs.items():
            if causes and f"{name}#" not in frame.columns:
                extra.append(pl.when(pl.col(name).is_null()).then(code("absent")).otherwise(NO_CODE).alias(f"{name}#"))
            if type_.interval:
                extra += [pl.col(name).alias(name + end) for end in "<>" if name + end not in frame.columns]
        return frame.with_columns(extra) if extra else frame

    # --- columns ---

    def fresh(self) -> str:
        self._count += 1
        return f"@@{self._count}"

    def stage(self, level: int) -> _Stage:
        while len(self.stages) <= level:
            self.stages.append(_Stage())
        return self.stages[level]

    def read(self, name: str, type_: Type, causes: bool) -> Col:
        """A column by its name: computed before, or of the frame."""
        if name in self.names:
            return self.names[name]
        asked = causes or self.inputs.get(name, (type_, False))[1]
        self.inputs[name] = (type_, asked)
        return _column(name, type_, causes, open_=type_.interval)

    def place(self, col: Col) -> Col:
        """The same as columns of the frame, so that it can be used often and by Python."""
        if col.height == 0:
            return col
        name, stage = self.fresh(), self.stage(col.level)
        stage.exprs.append(col.value.alias(name))
        if col.cause is not None:
            stage.exprs.append(col.cause.fill_null(0).alias(f"{name}#"))
        if col.low is not None and col.high is not None:
            stage.exprs += [col.low.alias(f"{name}<"), col.high.alias(f"{name}>")]
        if col.currency is not None:
            stage.exprs.append(col.currency.alias(f"{name}$"))
        return replace(_column(name, col.type, col.cause is not None, open_=col.low is not None), level=col.level + 1)

    def python(self, function: Callable[..., Value], args: Sequence[Col], type_: Type, open_: bool, causes: bool) -> Col:
        """`function` of the values in `args`, once for every distinct combination of them."""
        placed = [self.place(arg) for arg in args]
        level = _level(placed)
        job = _Job(function, [_Source.of(col) for col in placed], self.fresh(), replace(type_, interval=open_), causes)
        self.stage(level).calls.append(job)
        return replace(_column(job.name, type_, causes, open_=open_), level=level + 1)

    # --- expressions ---

    def expr(self, expr: ir.Expr, causes: bool) -> Col:
        """`expr` over a frame; with its causes if anybody asks for them."""
        if fixed(expr):
            return literal(evaluate(expr, {}), expr.type, causes)
        col = self._node(expr, causes)
        return self.place(col) if col.height > NESTED else col

    def _node(self, expr: ir.Expr, causes: bool) -> Col:
        match expr:
            case ir.Read():
                return self.read(expr.name, expr.type, causes)
            case ir.Compare():
                return self._compare(expr, causes)
            case ir.And() | ir.Or():
                return self._logic(expr, causes)
            case ir.Not():
                item = self.expr(expr.item, causes)
                return replace(item, value=~item.value, height=item.height + 1)
            case ir.IsMissing():
                item = self.expr(expr.item, False)
                return Col(expr.type, item.value.is_null(), level=item.level, height=item.height + 1)
            case ir.In():
                return self._in(expr, causes)
            case ir.Resembles():
                return self._by_row(partial(resembles, expr), [expr.item, *([] if expr.day is None else [expr.day])], expr, causes)
            case ir.Match():
                return self._match(expr, causes)
            case ir.Call():
                return self._call(expr, causes)
            case ir.Else():
                return self._else(expr, causes)
            case ir.Quantifier():
                return self._quantifier(expr, causes)
            case ir.Lookup():
                return self._lookup(expr, causes)
            case ir.Convert():
                return self._convert(expr, causes)
            case ir.Dated():
                return self._dated(expr, causes)
            case ir.Listed():
                return self._listed(expr, causes)
        raise TypeError(f"no column for {expr!r}")

    def _logic(self, expr: ir.And | ir.Or, causes: bool) -> Col:
        items = [self.expr(item, causes) for item in expr.items]
        if causes:
            items = [self.place(item) for item in items]
        fold = pl.all_horizontal if isinstance(expr, ir.And) else pl.any_horizontal
        value = fold(*(item.value for item in items)) if len(items) > 1 else items[0].value
        lack = least(item.cause for item in items)
        cause = None if lack is None else pl.when(value.is_null()).then(lack)
        return Col(expr.type, value, cause, level=_level(items), height=_height(items))

    def _in(self, expr: ir.In, causes: bool) -> Col:
        if by_currency(expr.item.type) or expr.item.type.kind == "list" or not _narrow(expr.item):
            return self._by_row(lambda values: member(expr.values, *values), [expr.item], expr, causes)
        # a column, for polars would not spread a literal here
        item = self.place(self.expr(expr.item, causes))
        if len(expr.values) > MANY and item.low is None:
            return self._looked_up(expr, expr.values.__contains__, [item], causes)
        values = pl.Series(list(expr.values), dtype=dtype(expr.item.type))
        cause = item.cause
        # an open interval has no value, and counts as undecided
        if cause is not None and item.low is not None and item.high is not None:
            open_ = item.value.is_null() & (item.low.is_not_null() | item.high.is_not_null())
            cause = pl.when(open_).then(code("undecided")).otherwise(cause)
        found = item.value.is_in(values.implode()) if len(values) else pl.when(item.value.is_not_null()).then(pl.lit(False))
        return Col(expr.type, found, cause, level=item.level, height=item.height + 1)

    def _listed(self, expr: ir.Listed, causes: bool) -> Col:
        if by_currency(expr.item.type) or expr.item.type.kind == "list" or not _narrow(expr.item) or may_open(expr.item):
            return self._by_row(lambda values: listed(expr.entries, *values), [expr.item, expr.day], expr, causes)
        item, day = self.place(self.expr(expr.item, causes)), self.place(self.expr(expr.day, causes))
        return self._looked_up(expr, expr.entries.has, [item, day], causes)

    def _looked_up(self, expr: ir.Expr, holds: Callable[..., bool], cols: Sequence[Col], causes: bool) -> Col:
        """Membership in a list that is too long for polars, which would look through it again in every frame; `cols` are placed, and
        after the first hold numbers."""
        name, level, (first, *others) = self.fresh(), _level(cols), [col.value.meta.output_name() for col in cols]

        def look(frame: pl.DataFrame) -> list[pl.Series]:
            columns = [frame[first].to_list(), *(frame[other].fill_null(0).to_list() for other in others)]
            return [pl.Series(name, list(map(holds, *columns)), dtype=pl.Boolean)]

        self.stage(level).calls.append(look)
        there = pl.all_horizontal(*(col.value.is_not_null() for col in cols))
        return Col(expr.type, pl.when(there).then(pl.col(name)), least(col.cause for col in cols) if causes else None, level=level + 1)

    def _else(self, expr: ir.Else, causes: bool) -> Col:
        item, fallback = self.place(self.expr(expr.item, False)), self.expr(expr.fallback, causes)
        if fallback.low is not None or fallback.currency is not None:
            fallback = self.place(fallback)
        gone = item.value.is_null()

        def either(a: pl.Expr, b: pl.Expr) -> pl.Expr:
            return pl.when(gone).then(b).otherwise(a)

        low, high = fallback.ends
        return Col(
            expr.type,
            either(item.value, fallback.value),
            None if fallback.cause is None else pl.when(gone).then(fallback.cause),
            None if fallback.low is None else either(item.value, low),
            None if fallback.high is None else either(item.value, high),
            either(item.currency, fallback.currency) if item.currency is not None and fallback.currency is not None else None,
            _level([item, fallback]),
            _height([item, fallback]),
        )

    def _dated(self, expr: ir.Dated, causes: bool) -> Col:
        day, items = self.place(self.expr(expr.day, causes)), [self.expr(item, causes) for item in expr.items]
        if any(item.low is not None or item.currency is not None for item in items):
            items = [self.place(item) for item in items]
        tests = [_holds(days, day.value) for days in expr.spans]
        open_ = any(item.low is not None for item in items)

        def chosen(parts: Sequence[pl.Expr], otherwise: pl.Expr) -> pl.Expr:
            for test, part in zip(reversed(tests), reversed(parts), strict=True):
                otherwise = pl.when(test).then(part).otherwise(otherwise)
            return otherwise

        none = pl.lit(None, dtype=_width(expr))
        lack = chosen([_some(item.cause) for item in items], pl.when(day.value.is_null()).then(_some(day.cause)).otherwise(_NOT_IN_FORCE))
        made = Col(
            expr.type,
            chosen([item.value for item in items], none),
            lack if causes else None,
            chosen([item.ends[0] for item in items], none) if open_ else None,
            chosen([item.ends[1] for item in items], none) if open_ else None,
            chosen([_some_text(item.currency) for item in items], _NO_TEXT) if by_currency(expr.type) else None,
            _level([day, *items]),
            _height([day, *items]),
        )
        return made if items else self.place(made)  # a literal, which polars would not spread everywhere

    # --- comparison ---

    def _compare(self, expr: ir.Compare, causes: bool) -> Col:
        if fixed(expr.left):
            # polars can lose the height of a comparison with a literal on its left
            expr = replace(expr, op=MIRRORED.get(expr.op, expr.op), left=expr.right, right=expr.left)
        sides = (expr.left, expr.right)
        if any(side.type.kind == "list" for side in sides):
            return self._by_row(lambda values: compare(expr.op, *values), sides, expr, causes)
        if any(map(may_open, sides)):
            return self._compare_open(expr, causes)
        a, b = (self.expr(side, causes) for side in sides)
        value, cause = compare_exact(expr.op, a.value, b.value, expr.left.type, expr.right.type), least((a.cause, b.cause))
        if a.currency is not None and b.currency is not None:
            same = a.currency == b.currency
            value = pl.when(same).then(value)
            cause = None if not causes else _first(cause, pl.when(~same).then(code("currency")))
        return Col(expr.type, value, cause, level=_level([a, b]), height=_height([a, b]))

    def _compare_open(self, expr: ir.Compare, causes: bool) -> Col:
        a, b = (self.place(self.expr(side, causes)) for side in (expr.left, expr.right))
        types, exact = (expr.left.type, expr.right.type), compare_exact(expr.op, a.value, b.value, expr.left.type, expr.right.type)
        (a_low, a_high), (b_low, b_high) = a.ends, b.ends

        def surely(op: str, one: pl.Expr, other: pl.Expr) -> pl.Expr:
            return compare_exact(op, one, other, *types).fill_null(False)

        if expr.op in ("=", "!="):
            apart = surely("<", a_high, b_low) | surely(">", a_low, b_high)
            value = pl.when(apart).then(pl.lit(expr.op == "!=")).otherwise(exact)
        else:
            rising = expr.op in (">", ">=")
            yes = surely(expr.op, a_low, b_high) if rising else surely(expr.op, a_high, b_low)
            no = compare_exact(expr.op, a_high, b_low, *types) if rising else compare_exact(expr.op, a_low, b_high, *types)
            value = pl.when(yes).then(pl.lit(True)).when((~no).fill_null(False)).then(pl.lit(False))
        missing_a, missing_b = _is_missing(a), _is_missing(b)
        foreign = pl.lit(False)
        if a.currency is not None and b.currency is not None:
            foreign = (a.currency != b.currency).fill_null(False)
            value = pl.when(~foreign).then(value)
        cause = self._cause_open(value, (a, b), (missing_a, missing_b), foreign) if causes else None
        return Col(expr.type, value, cause, level=_level([a, b]), height=_height([a, b]) + 2)

    def _cause_open(self, value: pl.Expr, sides: tuple[Col, Col], gone: tuple[pl.Expr, pl.Expr], foreign: pl.Expr) -> pl.Expr:
        """What is missing outright comes first, then two currencies, then what the intervals lack."""
        lacks = least(pl.when(lack).then(_some(side.cause)) for side, lack in zip(sides, gone, strict=True))
        either = _some(least(side.cause for side in sides))
        ranked = pl.when(gone[0] | gone[1]).then(_some(lacks)).when(foreign).then(code("currency")).otherwise(either)
        return pl.when(value.is_null()).then(ranked)

    # --- functions ---

    def _call(self, expr: ir.Call, causes: bool) -> Col:
        # polars makes one row of none where a literal is looked through
        upside_down = expr.function in ("starts_with", "contains") and fixed(expr.args[0])
        if expr.function not in NATIVE or upside_down or not provable(expr) or any(map(may_open, expr.args)):
            return self._by_row(partial(call, BUILTINS[expr.function]), expr.args, expr, causes)
        args = [self.expr(arg, causes) for arg in expr.args]
        native = NATIVE[expr.function]
        if native.often:
            args = [self.place(arg) for arg in args]
        if native.whole_columns:
            col = self._whole_columns(native.value, args, expr.type)
        else:
            col = Col(expr.type, native.value(*(arg.value for arg in args)), level=_level(args), height=_height(args))
        if native.check is not None:
            # the raw result is looked at more than once
            col = self.place(col)
            col = replace(col, value=native.check(col.value), height=1)
        if not causes:
            return col
        col, args = self.place(col), [self.place(arg) for arg in args]
        known_all = pl.all_horizontal(*(arg.value.is_not_null() for arg in args))
        own = own_cause(expr.function, [arg.value for arg in args])
        lacks = least(arg.cause for arg in args)
        if own is not None:
            lacks = _first(lacks, pl.when(known_all).then(own))
        return replace(col, cause=None if lacks is None else pl.when(col.value.is_null()).then(lacks), level=_level([col, *args]), height=1)

    def _whole_columns(self, function: Callable[..., pl.Series], args: Sequence[Col], type_: Type) -> Col:
        name, level = self.fresh(), _level(args)
        columns = [arg.value.meta.output_name() for arg in args]
        self.stage(level).calls.append(lambda frame: [function(*(frame[column] for column in columns)).alias(name)])
        return Col(type_, pl.col(name), level=level + 1, height=0)

    def _by_row(self, meaning: Callable[[Sequence[Value]], Value], parts: Sequence[ir.Expr], expr: ir.Expr, causes: bool) -> Col:
        """A node by its own Python meaning over the distinct values of its parts."""
        fixed = [part.value if isinstance(part, ir.Const) else None for part in parts]
        places = [place for place, part in enumerate(parts) if not isinstance(part, ir.Const)]

        def function(*given: Value) -> Value:
            values = fixed.copy()
            for place, value in zip(places, given, strict=True):
                values[place] = value
            return meaning(values)

        return self.python(function, [self.expr(parts[place], causes) for place in places], expr.type, may_open(expr), causes)

    def _quantifier(self, expr: ir.Quantifier, causes: bool) -> Col:
        of = ir.Read("@of", type=expr.of.type)
        outer = {node.name: node for node in ir.walk(expr.where) if isinstance(node, ir.Read)}
        args = [self.expr(expr.of, causes), *(self.read(name, node.type, causes) for name, node in outer.items())]
        judge, names = single.compile_expr(replace(expr, of=of)), ("@of", *outer)
        return self.python(lambda *given: judge(dict(zip(names, given, strict=True))), args, expr.type, may_open(expr), causes)

    def _match(self, expr: ir.Match, causes: bool) -> Col:
        outer = {node.name: node for node in ir.walk(expr) if isinstance(node, ir.Read)}
        args = [self.read(name, node.type, causes) for name, node in outer.items()]
        return self.python(lambda *given: evaluate(expr, dict(zip(outer, given, strict=True))), args, expr.type, False, causes)

    # --- reference tables and rates ---

    def _lookup(self, expr: ir.Lookup, causes: bool) -> Col:
        parts = [*expr.keys, *([] if expr.at is None else [expr.at])]
        if any(map(may_open, parts)):
            return self._by_row(partial(looked_up, expr), parts, expr, causes)
        given = [self.place(self.expr(part, causes)) for part in parts]
        name, level = self.fresh(), _level(given)
        self.stage(level).calls.append(LookedUp(expr, [col.value.meta.output_name() for col in given], name))
        made = _column(name, expr.type, causes, open_=False)
        there = pl.all_horizontal(*(col.value.is_not_null() for col in given))
        lack = None if made.cause is None else pl.when(there).then(made.cause).otherwise(_some(least(col.cause for col in given)))
        currency = None if made.currency is None else pl.when(there).then(made.currency)
        return replace(made, value=pl.when(there).then(made.value), cause=lack, currency=currency, level=level + 1, height=2)

    def _convert(self, expr: ir.Convert, causes: bool) -> Col:
        if may_open(expr.item) or not _fits_128(expr.item.type.scale):
            return self._by_row(lambda values: converted(expr, *values), [expr.item, expr.at], expr, causes)
        item, at = (self.place(self.expr(part, causes)) for part in (expr.item, expr.at))
        name, level = self.fresh(), _level([item, at])
        currency = None if item.currency is None else item.currency.meta.output_name()
        self.stage(level).calls.append(Exchanged(expr, at.value.meta.output_name(), currency, name))
        wide, up, down = item.value.cast(pl.Int128), pl.col(f"{name}.up"), pl.col(f"{name}.down")
        fits = wide.abs() <= pl.lit(EXACT_MAX, dtype=pl.Int128) // up
        units = pl.when(fits & at.value.is_not_null()).then(rounded(wide * up, down)).cast(pl.Int64, strict=False)
        col = self.place(Col(expr.type, units, level=level + 1, height=6))
        if not causes:
            return col
        there = item.value.is_not_null() & at.value.is_not_null()
        own = pl.when(up.is_null()).then(code("currency")).otherwise(code("overflow"))
        lack = pl.when(there).then(own).otherwise(_some(least((item.cause, at.cause))))
        return replace(col, cause=pl.when(col.value.is_null()).then(lack), height=2)

    # --- the end of a calculation ---

    def stored(self, expr: ir.Expr, causes: bool = True) -> Col:
        """The value as it is kept: money settled to whole minor units of 64 bits."""
        col = self.expr(expr, causes)
        if expr.type.kind != "money":
            return col
        scale, type_ = expr.type.scale, replace(expr.type, scale=1)
        if isinstance(expr, ir.Read) and scale == 1 and expr.name in self.inputs:
            return col
        if col.low is not None:
            made = self.python(lambda value: settle(value, scale), [col], type_, True, causes)
            return replace(made, type=type_)
        col = self.place(col)
        units = (_settled(col.value, scale) if scale != 1 else col.value).cast(pl.Int64, strict=False)
        cause = _first(col.cause, pl.when(col.value.is_not_null() & units.is_null()).then(code("overflow"))) if causes else None
        return replace(col, type=type_, value=units, cause=cause, height=4)


def _holds(days: Days, day: pl.Expr) -> pl.Expr:
    """Whether a day lies in a span; null where it is not known."""
    start, end = days
    bounds = [*([] if start is None else [day >= start]), *([] if end is None else [day <= end])]
    return pl.all_horizontal(bounds) if bounds else day.is_not_null()


def _width(expr: ir.Expr) -> Any:
    """The polars type of a value inside a calculation, where money has 128 bits."""
    return pl.Int128 if expr.type.kind == "money" else dtype(expr.type)


def _some_text(currency: pl.Expr | None) -> pl.Expr:
    return _NO_TEXT if currency is None else currency


def fixed(expr: ir.Expr) -> bool:
    """Whether the value is the same for every row."""
    return not any(isinstance(node, ir.Read) for node in ir.walk(expr))


def _column(name: str, type_: Type, causes: bool, open_: bool) -> Col:
    """A column that is there, with its companions."""
    cause = pl.when(pl.col(f"{name}#") > 0).then(pl.col(f"{name}#")) if causes else None
    low, high = (pl.col(f"{name}<"), pl.col(f"{name}>")) if open_ else (None, None)
    return Col(type_, pl.col(name), cause, low, high, pl.col(f"{name}$") if by_currency(type_) else None, height=0)


def literal(value: Value, type_: Type, causes: bool) -> Col:
    """One value for every row."""
    ends = (value.low, value.high) if value.__class__ is Interval else (value, value)
    currency = next((end.currency for end in ends if end.__class__ is Money), None)
    low, high = (_lit(end, type_) for end in ends) if value.__class__ is Interval else (None, None)
    return Col(
        type_,
        _lit(value, type_),
        code(value.cause) if causes and not known(value) else None,
        low,
        high,
        pl.lit(currency, dtype=pl.String) if by_currency(type_) else None,
    )


def _lit(value: Value, type_: Type) -> pl.Expr:
    """An exact value as a literal; null for anything else."""
    if value is None or not known(value):
        return pl.lit(None, dtype=dtype(type_))
    if value.__class__ is tuple:
        return pl.lit(list(value), dtype=dtype(type_))
    plain = value.units if value.__class__ is Money else value
    wide = plain.__class__ is int and not -(2**63) <= plain < 2**63
    return pl.lit(plain, dtype=pl.Int128 if wide else dtype(type_))


def _narrow(expr: ir.Expr) -> bool:
    """Whether the column has the type's own width: money that was computed has 128 bits."""
    return expr.type.kind != "money" or isinstance(expr, ir.Read)


def _level(cols: Sequence[Col]) -> int:
    return max(col.level for col in cols)


def _height(cols: Sequence[Col]) -> int:
    return 1 + max(col.height for col in cols)


def _some(cause: pl.Expr | None) -> pl.Expr:
    return pl.lit(None, dtype=pl.UInt8) if cause is None else cause


def _first(a: pl.Expr | None, b: pl.Expr) -> pl.Expr:
    return b if a is None else pl.coalesce(a, b)


def _is_missing(col: Col) -> pl.Expr:
    """Missing outright: neither a value nor a bound."""
    gone = col.value.is_null()
    return gone if col.low is None or col.high is None else gone & col.low.is_null() & col.high.is_null()


def _settled(value: pl.Expr, scale: int) -> pl.Expr:
    """Scaled money in whole minor units."""
    return rounded(value.cast(pl.Int128), pl.lit(scale, dtype=pl.Int128))


def rounded(above: pl.Expr, below: pl.Expr) -> pl.Expr:
    """`values.round_half_even` of columns of 128 bits."""
    two = pl.lit(2, dtype=pl.Int128)
    whole = above // below
    twice = (above - whole * below) * two
    up = (twice > below) | ((twice == below) & (whole % two != 0))
    return whole + up.cast(pl.Int128)


def _fits_128(scale: int) -> bool:
    """Whether what an amount of this scale is divided by on its way to another currency always has room in 127 bits."""
    finest: int = 10 ** max(DIGITS.values())
    return scale * RATE_MAX * finest <= EXACT_MAX // 2


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a Python function finds one of its arguments."""

    name: str
    type: Type
    physical: tuple[str, ...]

    @classmethod
    def of(cls, col: Col) -> _Source:
        """The physical columns of a placed column; a cause nobody asked for would only make combinations distinct."""
        name = col.value.meta.output_name()
        cause = (f"{name}#",) if col.cause is not None else ()
        ends = (f"{name}<", f"{name}>") if col.low is not None else ()
        currency = (f"{name}$",) if col.currency is not None else ()
        return cls(name, replace(col.type, interval=col.low is not None), (name, *cause, *ends, *currency))


@dataclass(frozen=True, slots=True)
class _Job:
    """A Python function over a frame: once for every distinct combination of what it reads."""

    function: Callable[..., Value]
    sources: Sequence[_Source]
    name: str
    type: Type
    causes: bool

    def __call__(self, frame: pl.DataFrame) -> list[pl.Series]:
        keys = list(dict.fromkeys(column for source in self.sources for column in source.physical))
        rows = frame[keys]
        if frame.height <= FEW or pl.List(pl.Float64) in rows.dtypes:
            return self._made(rows)
        # polars takes 0.0 and -0.0 for one value; their bits are two
        bits = rows.with_columns(pl.col(pl.Float64).reinterpret(dtype=pl.Int64))
        distinct = bits.unique(maintain_order=True)
        if distinct.height == rows.height:
            return self._made(rows)
        floats = [column for column, kind in rows.schema.items() if kind == pl.Float64]
        made = self._made(distinct.with_columns(pl.col(floats).reinterpret(dtype=pl.Float64)) if floats else distinct)
        joined = bits.join(distinct.hstack(made), on=keys, how="left", nulls_equal=True, maintain_order="left")
        return joined.select(series.name for series in made).get_columns()

    def _made(self, rows: pl.DataFrame) -> list[pl.Series]:
        columns = [unpacked(rows, source.name, source.type) for source in self.sources]
        found = list(map(self.function, *columns))
        # money on its way through a calculation has 128 bits
        width = pl.Int128 if self.type.kind == "money" else dtype(self.type)
        made = packed(self.name, found, self.type, width)
        return made if self.causes else [series for series in made if not series.name.endswith("#")]
