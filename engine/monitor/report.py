"""One HTML page about a run: charts, tables and a paragraph on how to read each. It asks the network for nothing and runs no script.

It knows a `Summary` and nothing of where the rows came from.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError
from engine.monitor import charts
from engine.monitor.columnar import PRESENT, UNDATED, by_file
from engine.values import CAUSES

if TYPE_CHECKING:
    from engine.monitor.summary import Summary

TEMPLATE = Path(__file__).with_name("report.html.j2")
MOSTLY = 0.5
DRAWN = 120


def write_report(summary: Summary, path: str | Path) -> None:
    """Write the page to `path`, whole or not at all.

    Raises `EngineError` where the libraries it is drawn with are not installed, `OSError` as writing does.
    """
    path = Path(path)
    text, beside = page(summary), path.with_name(".unfinished-report")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def page(summary: Summary) -> str:
    """The page as text."""
    try:
        import altair  # noqa: F401  the charts need it, and vl_convert
        import jinja2
        import vl_convert  # noqa: F401
    except ImportError as error:
        raise EngineError("the report needs altair, vl-convert-python and jinja2: install `kaskade[report]`") from error
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters["count"] = lambda n: f"{n:,}"
    environment.filters["share"] = lambda n, of: _share(n, of)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(s=summary, **_numbers(summary), **_drawings(summary))


def notable(summary: Summary) -> list[str]:
    """What stands out in the fields, in plain sentences: lost in whole groups though known in most others, or damaged.

    A field that is missing everywhere is named once; one that is missing here and there is left to the chart.
    """
    found = []
    groups = _groups(summary)
    for field in summary.record.fields:
        shares = [_present_share(summary, group, field.name) for group in groups]
        lost = [share == 0 for share in shares]
        if all(lost):
            found.append(f"`{field.name}` is missing everywhere.")
        elif any(lost) and max(shares) >= MOSTLY:
            found.append(f"`{field.name}` is missing in every row of {_runs(groups, lost)}.")
        damaged = [summary.fields[group, field.name, "damaged"] for group in groups]
        if any(damaged):
            rows = "1 row" if sum(damaged) == 1 else f"{sum(damaged):,} rows"
            found.append(f"`{field.name}` could not be read in {rows} ({_runs(groups, [bool(n) for n in damaged])}).")
    return found


def _numbers(summary: Summary) -> dict[str, Any]:
    months = sorted({month for month, _ in summary.months if month != UNDATED})
    return {
        "period": (months[0], months[-1]) if months else None,
        "groups": _groups(summary),
        "group_word": "published file" if by_file(summary.record) else "month",
        "outcomes": summary.outcomes(),
        "colours": charts.palette([outcome for outcome, _ in summary.outcomes()]),
        "silent": [(id_, title) for id_, title, hits in _rules(summary) if not hits],
        "open_rules": [(id_, summary.rules.get(id_, ""), n, summary.why(id_)) for id_, n in summary.undecided.most_common()],
        "possible": [(" or ".join(names), n) for names, n in summary.possible.most_common(10)],
        "notable": notable(summary),
    }


def _drawings(summary: Summary) -> dict[str, str]:
    order = [outcome for outcome, _ in summary.outcomes()]
    if not order:
        return dict.fromkeys(("outcomes_svg", "rare_svg", "hits_svg", "fields_svg", "undecided_svg"), "")
    colours, months = charts.palette(order), _months(summary)
    commonest = max(summary.outcomes(), key=lambda pair: pair[1])[0]
    rare = [outcome for outcome in order if outcome != commonest]
    hit = [rule for rule in _rules(summary) if rule[2]]
    return {
        "outcomes_svg": charts.outcomes_by_month(summary.months, order, colours, months),
        "rare_svg": charts.outcomes_by_month(summary.months, rare, colours, months, height=170) if rare else "",
        "hits_svg": charts.hits_by_rule(hit) if hit else "",
        "fields_svg": charts.fields_by_group(summary.fields, [field.name for field in summary.record.fields], _groups(summary)),
        "undecided_svg": _undecided(summary, months) if summary.open else "",
    }


def _rules(summary: Summary) -> list[tuple[str, str, int]]:
    ids = sorted({*summary.rules, *summary.hits}, key=lambda id_: (-summary.hits[id_], id_))
    return [(id_, summary.rules.get(id_, ""), summary.hits[id_]) for id_ in ids]


def _undecided(summary: Summary, months: list[str]) -> str:
    totals: Counter[str] = Counter()
    for (month, _), n in summary.months.items():
        totals[month] += n
    return charts.undecided_by_month(summary.open, totals, [rule for rule, _ in summary.undecided.most_common()], months)


def months_between(first: str, last: str) -> list[str]:
    """Every month from the first to the last.

    >>> months_between("2015-11", "2016-01")
    ['2015-11', '2015-12', '2016-01']
    """
    start, end = (int(month[:4]) * 12 + int(month[5:]) - 1 for month in (first, last))
    return [f"{n // 12:04}-{n % 12 + 1:02}" for n in range(start, end + 1)]


def _months(summary: Summary) -> list[str]:
    """The months to draw: without gaps where they are few enough for a page, else those that occur."""
    found = sorted({month for month, _ in summary.months})
    dated = [month for month in found if month != UNDATED]
    between = months_between(dated[0], dated[-1]) if dated else []
    return [*(between if len(between) <= DRAWN else dated), *(month for month in found if month == UNDATED)]


def _groups(summary: Summary) -> list[str]:
    return sorted({group for group, _, _ in summary.fields})


def _present_share(summary: Summary, group: str, field: str) -> float:
    total = sum(summary.fields[group, field, state] for state in (PRESENT, *CAUSES))
    return summary.fields[group, field, PRESENT] / total if total else 0.0


def _runs(groups: list[str], marked: list[bool]) -> str:
    """The marked groups in words, neighbours drawn together: ``2014-04, 2015-01 to 2016-12``."""
    words = []
    for mark, run in groupby(zip(groups, marked, strict=True), key=lambda pair: pair[1]):
        names = [charts.label(group) for group, _ in run]
        if mark:
            words.append(names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}")
    return ", ".join(words)


def _share(n: int, of: int) -> str:
    """A share in percent; what is not nothing is never shown as nothing, nor what is not all as all."""
    if not of or n == 0:
        return "0%"
    percent = 100 * n / of
    if n < of and percent > 99.9:
        return "> 99.9%"
    return "< 0.1%" if percent < 0.1 else f"{percent:.1f}%"
