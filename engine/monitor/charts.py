"""Charts as SVG text, drawn without a browser. They know counts and names, not where these come from."""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from engine.monitor.columnar import PRESENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH, LABELLED, GAP = 900, 48, 0.08
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
INK, FAINT, LINE = "#1f2933", "#616e7c", "#e4e7eb"
GRAVE_TO_MILD = ("#8c2318", "#d9762b", "#e9b44c", "#7fa487", "#5d7f9e", "#9fb3c8", "#cbd2d9")
STATES = {PRESENT: "#bcd0e0", "missing": "#f0b429", "damaged": "#a61b4c"}
HIT = "#2f5d8a"


def palette(outcomes: Sequence[str]) -> dict[str, str]:
    """A colour for every outcome, the gravest darkest, the mildest of several the palest; past seven the last but one is used again."""
    *graver, mildest = GRAVE_TO_MILD
    shades = [graver[min(i, len(graver) - 1)] for i in range(len(outcomes))]
    return dict(zip(outcomes, [*shades[:-1], mildest] if len(outcomes) > 1 else shades, strict=True))


def outcomes_by_month(
    counts: Mapping[tuple[str, str], int], order: Sequence[str], colours: Mapping[str, str], months: Sequence[str], height: int = 230
) -> str:
    """Stacked columns, one a month: `counts` by month and outcome, the gravest at the bottom."""
    import altair as alt

    rank = {outcome: i for i, outcome in enumerate(order)}
    rows = [{"month": m, "outcome": o, "n": n, "rank": rank[o]} for (m, o), n in counts.items() if o in rank]
    chart = (
        alt.Chart(_values(rows))
        .mark_bar()
        .encode(
            x=_across("month", months),
            y=alt.Y("sum(n):Q", title=None, axis=alt.Axis(format=",d", tickCount=5)),
            color=_colour("outcome", {outcome: colours[outcome] for outcome in order}),
            order=alt.Order("rank:Q"),
        )
    )
    return svg(chart, WIDTH - 60, height)


def hits_by_rule(rules: Sequence[tuple[str, str, int]]) -> str:
    """Bars, one a rule: `rules` holds id, title and hits, the busiest first."""
    import altair as alt

    names = [f"{title}  {id_}" for id_, title, _ in rules]
    rows = [{"rule": name, "n": hits} for name, (_, _, hits) in zip(names, rules, strict=True)]
    base = alt.Chart(_values(rows)).encode(y=alt.Y("rule:N", sort=names, title=None, axis=_down(names, 420)))
    x = alt.X("n:Q", title=None, axis=None)
    bars = base.mark_bar(color=HIT, height={"band": 0.62}).encode(x=x)
    labels = base.mark_text(align="left", dx=5, color=INK, fontSize=11).encode(x=x, text=alt.Text("n:Q", format=","))
    return svg(bars + labels, WIDTH - 470, 22 * len(rows))


def fields_by_group(counts: Mapping[tuple[str, str, str], int], fields: Sequence[str], groups: Sequence[str]) -> str:
    """One strip a field, one column a group, filled by the share of rows in which the field is present, missing or damaged."""
    import altair as alt

    names = "[" + ", ".join(f"'{field}'" for field in fields) + "]"
    axis = alt.Axis(
        values=[i + 0.5 for i in range(len(fields))],
        labelExpr=f"{names}[floor(datum.value)]",
        labelOverlap=False,
        grid=False,
        labelPadding=6,
        ticks=False,
    )
    y = alt.Y("top:Q", title=None, axis=axis, scale=alt.Scale(domain=[len(fields), 0], nice=False, zero=False))
    base = alt.Chart(_values(_strips(counts, fields, groups))).encode(x=_across("group", [label(group) for group in groups]))
    bars = base.mark_bar(width={"band": 0.94}).encode(y=y, y2="bottom:Q", color=_colour("state", STATES))
    damaged = base.transform_filter("datum.state == 'damaged' && datum.n > 0")
    marks = damaged.mark_text(color=STATES["damaged"], fontSize=11, fontWeight="bold").encode(y=alt.Y("middle:Q", axis=axis), text="n:Q")
    return svg(bars + marks, WIDTH - 120, 27 * len(fields))


def undecided_by_month(
    counts: Mapping[tuple[str, str], int], totals: Mapping[str, int], rules: Sequence[str], months: Sequence[str]
) -> str:
    """A strip for each rule, a cell for each month, darker the larger the share of the month's rows it was undecided on."""
    import altair as alt

    rows = [{"month": month, "rule": rule, "share": n / totals[month]} for (month, rule), n in counts.items()]
    legend = alt.Legend(orient="top", title="share of the month's rows", format="%", gradientLength=180, titleFontWeight="normal")
    chart = (
        alt.Chart(_values(rows))
        .mark_rect(stroke="#ffffff", strokeWidth=1)
        .encode(
            x=_across("month", months),
            y=alt.Y("rule:N", sort=list(rules), title=None, axis=_down(rules, 180), scale=alt.Scale(domain=list(rules))),
            color=alt.Color("share:Q", scale=alt.Scale(type="sqrt", domain=[0, 1], range=["#fdf1d0", "#7a4a00"]), legend=legend),
        )
    )
    return svg(chart, WIDTH - 140, 20 * len(rules))


def _strips(counts: Mapping[tuple[str, str, str], int], fields: Sequence[str], groups: Sequence[str]) -> list[dict[str, Any]]:
    """The pieces of the strips: strip i reaches from i + `GAP` to i + 1 - `GAP`, present on top, damaged at the bottom."""
    folded: Counter[tuple[str, str, str]] = Counter()
    for (group, field, state), n in counts.items():
        folded[group, field, state if state in STATES else "missing"] += n
    rows = []
    for (i, field), group in product(enumerate(fields), groups):
        total = sum(folded[group, field, state] for state in STATES) or 1
        top = i + GAP
        for state in STATES:
            n = folded[group, field, state]
            bottom = top + n / total * (1 - 2 * GAP)
            rows.append({"group": label(group), "state": state, "n": n, "top": top, "bottom": bottom, "middle": i + 0.35})
            top = bottom
    return rows


def label(group: str) -> str:
    """A file's name without folder and endings; a month as it stands."""
    return PurePath(group).name.split(".")[0]


def _values(rows: Sequence[Mapping[str, Any]]) -> Any:
    import altair as alt

    return alt.InlineData(values=list(rows))


def _across(name: str, order: Sequence[str]) -> Any:
    import altair as alt

    axis = alt.Axis(labelAngle=-60, labelOverlap="greedy" if len(order) > LABELLED else False, labelPadding=4, ticks=False)
    return alt.X(f"{name}:O", title=None, axis=axis, scale=alt.Scale(domain=list(order)))


def _down(labels: Sequence[str], limit: int) -> Any:
    import altair as alt

    # the page's font may be wider than the one the chart was measured with
    room = min(limit, 7 * max(map(len, labels)))
    return alt.Axis(labelLimit=limit, labelPadding=6, minExtent=room, ticks=False, domain=False)


def _colour(name: str, colours: Mapping[str, str]) -> Any:
    import altair as alt

    legend = alt.Legend(orient="top", title=None, symbolType="square", direction="horizontal")
    return alt.Color(f"{name}:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=legend)


def svg(chart: Any, width: int | None = None, height: int | None = None) -> str:
    """The chart as SVG text, its font left to the page; one of several panels has its sizes already."""
    import vl_convert

    drawn = (
        (chart if width is None else chart.properties(width=width, height=height))
        .configure(font=FONT, background="transparent")
        .configure_view(stroke=None)
        .configure_axis(labelColor=FAINT, labelFontSize=11, gridColor=LINE, domain=False)
        .configure_legend(labelColor=INK, labelFontSize=12)
    )
    return str(vl_convert.vegalite_to_svg(drawn.to_dict()))
