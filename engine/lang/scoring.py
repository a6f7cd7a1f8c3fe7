"""How the points of a rule set come together, as its head says it: added up or the most of one, with floors and an end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.lang import ast, ir
from engine.lang.dated import Fixed
from engine.lang.expressions import Typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.lang.program import Program

MOST_POINTS = 1_000_000_000
"""What one rule may give, so that the points of all rules of a file are far from the end of 64 bits."""


def scoring(program: Program) -> ir.Scoring:
    """What the head says; what is wrong with it is noted and left out."""
    said, typer = program.tree.scoring, Typer(program.scope, program.report)
    most = None if said is None or said.most is None else whole(said.most, typer, "what a score is at most")
    if most is not None and most < 0 and said is not None and said.most is not None:
        message = "a score that is at most less than 0 would be so where no rule is hit"
        program.report.error("bad-score", message, said.most.span, "write 0 or more")
        most = None
    floors: list[tuple[int, ir.Expr | None]] = []
    for floor in program.tree.floors:
        least = whole(floor.least, typer, "what a score is at least")
        when = None if floor.when is None else typer.condition(floor.when, "what stands after `when`")
        if least is None or (floor.when is not None and when is None):
            continue
        if most is not None and said is not None and said.most is not None and least > most:
            message = f"the score cannot be at least {least} and at most {most}"
            program.report.error(
                "score-cap-below-floor", message, floor.least.span, "mend one of the two", (("it is at most so much here", said.most.span),)
            )
        floors.append((least, when))
    return ir.Scoring("sum" if said is None or said.how is None else said.how, most, tuple(floors))


def whole(value: ast.Expr, typer: Typer, what: str) -> int | None:
    """A number of points, or none with the problem noted."""
    found = typer.typed(value)
    if found is None:
        return None
    if not isinstance(found, ir.Const) or found.type.kind != "integer":
        typer.report.error("bad-score", f"{what} is a whole number, or a param that is", value.span, "write a number like `100`")
        return None
    points: int = found.value
    if abs(points) > MOST_POINTS:
        typer.report.error("bad-score", f"{what} is no more than {MOST_POINTS:_}", value.span, "points are small numbers, like `40`")
        return None
    return points


def each(points: Fixed) -> list[int]:
    """Every number of points that a fixed value stands for."""
    return [item.value for item in (points.items if isinstance(points, ir.Dated) else (points,)) if isinstance(item, ir.Const)]


def warn_of_lost(program: Program, how: str, rules: Iterable[ir.Rule]) -> None:
    """Point out points that are taken away where only the most counts."""
    for rule in rules if how == "max" else ():
        if any(points < 0 for points in ([rule.points] if isinstance(rule.points, int) else each(rule.points))):
            message = f"rule `{rule.id}` takes points away, and with `score max` nothing comes of that"
            hint = "let it raise a flag, or add points up with `score sum`"
            program.report.warning("score-max-negative", message, rule.span, hint)
