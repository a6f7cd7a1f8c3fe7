"""Syntax errors in the analyst's words: what was expected, what stands there, and what was probably meant. It knows no lark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.currencies import DIGITS
from engine.diagnostics import Diagnostic, Fix, Span, nearest, suggest
from engine.lang.mends import edit
from engine.lang.scan import shown
from engine.lang.stopped import CLAUSES, Mistake
from engine.lang.words import DECLARATIONS, RESERVED, UNITS, load_words, verbatim

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.lang.scan import Tok


Answer = tuple[str, str, str | None]
"""Code, message, hint."""


def explain(mistake: Mistake) -> Diagnostic:
    """The diagnostic for one place where reading stopped."""
    for slip in _SLIPS:
        answer = slip(mistake)
        if answer is not None:
            span = mistake.before.span if slip is _one_part_name and mistake.before else mistake.span
            return Diagnostic(answer[0], answer[1], span, _opened(mistake, answer[0]), answer[2], fix=edit(mistake, answer[0]))
    near = _near(mistake)
    hint = None if near is None else f"did you mean `{verbatim(near)}`?"
    fix = None if near is None else Fix(mistake.span, near)
    return Diagnostic("syntax", _message(mistake, hint), mistake.span, hint=hint, fix=fix)


# --- the commonest slips, in order -----------------------------------------------------------------------------------


def _no_header(m: Mistake) -> Answer | None:
    if m.start != "file" or m.index != 0:
        return None
    kinds = ("ruleset", "record", "features", "list", "table", "rates", "templates")
    word = m.tokens[0].value
    hint = (None if word in load_words().declarations else suggest(word[:40], kinds)) or "for example `ruleset aml/cash version 1.0.0`"
    return "no-header", "a file begins with `ruleset`, `record`, `features`, `list`, `table` or `rates`, its name and its version", hint


def _one_part_name(m: Mistake) -> Answer | None:
    if m.accepts != {"DIVIDE"} or m.before is None:
        return None
    hint = f"write for example `bank/{m.before.value}`"
    return "syntax", f"the name of a component has two parts with a `/` between, and `{m.before.value}` has one", hint


def _reserved(m: Mistake) -> Answer | None:
    if m.found is None or m.found.type not in RESERVED or not m.accepts <= {"NAME", "PATH"}:
        return None
    hint = "choose another name; in a record `from` can map the name a feed uses"
    return "reserved-name", f"`{m.found.value}` is a word of the language and cannot name anything", hint


def _bad_number(m: Mistake) -> Answer | None:
    if m.found is None or m.before is None or (m.before.kind, m.found.kind) != ("NUMBER", "WORD"):
        return None
    if (m.before.line, m.before.end_column) != (m.found.line, m.found.column):
        return None
    number = shown(m.before.value + m.found.value)
    return "bad-number", f"`{number}` is no number", "a number is digits, `_` between groups of them, and a decimal point"


def _scoring(m: Mistake) -> Answer | None:
    if m.found is not None and m.found.value == "score" and m.found.first and m.next is not None and m.next.value in ("max", "sum", "at"):
        hint = "put it above the first declaration, below `on missing` and the like"
        return "syntax", "how points come together is said in the head of the file", hint
    if m.before is not None and m.before.type == "SCORE" and "AT_LEAST" in m.accepts and "SUM" in m.accepts:
        hint = "write `score max`, `score sum at most 100`, or `score at least 60 when ...`"
        return "syntax", "points are added up, or the most of one rule counts", hint
    return None


def _missing_then(m: Mistake) -> Answer | None:
    if m.found is None or m.found.value not in ("score", "flag", "set", "outcome") or "THEN" not in m.accepts:
        return None
    return "missing-then", f"`then` is missing before `{m.found.value}`", f"write `then {m.found.value} ...`"


def _missing_comma(m: Mistake) -> Answer | None:
    if m.found is None or m.found.value not in ("score", "flag", "set", "outcome") or "COMMA" not in m.accepts or m.clause != "THEN":
        return None
    return "syntax", f"a comma is missing before `{m.found.value}`", f"write `, {m.found.value} ...`"


def _unless_alone(m: Mistake) -> Answer | None:
    if "BECAUSE" not in m.accepts or m.clause != "UNLESS" or not (m.found is None or m.found.type in CLAUSES or m.found.first):
        return None
    return "syntax", "an exception says why it stands, and this one does not", 'write `unless ... because "..."`'


def _missing_unit(m: Mistake) -> Answer | None:
    if m.before is None or m.before.kind != "NUMBER" or not m.accepts <= set(UNITS) or _near(m) is not None:
        return None
    number = shown(m.before.value)
    return "syntax", f"a unit of time is missing after `{number}`", f"write for example `{number} days`"


def _strange_unit(m: Mistake) -> Answer | None:
    if m.found is None or m.before is None or (m.before.kind, m.found.kind) != ("NUMBER", "WORD"):
        return None
    if m.found.first or m.found.type not in ("NAME", "PATH") or m.clause == "THEN" or m.tokens[m.index - 2].value == "last":
        return None
    number, word = shown(m.before.value), shown(m.found.value)
    if word.upper() in DIGITS:
        return "syntax", f"the code of a currency is written in capitals, not `{word}`", f"write `{number} {word.upper()}`"
    written = f"an amount is `{number} USD`, a percentage `{number}%`, a time `{number} days`"
    near = suggest(word, sorted(unit for unit in load_words().units if unit[0] == word[0]))
    return "syntax", f"`{word}` is neither the code of a currency nor a unit", near or written


def _is_not(m: Mistake) -> Answer | None:
    if m.before is None or m.before.type != "IS" or "MISSING" not in m.accepts:
        return None
    if m.found is not None and m.found.value == "not":
        word = m.next.value if m.next else ""
        meant = {"missing": "write `is known`", "null": "write `is known`", "known": "write `is missing`"}.get(word, "write `!=`")
        return "is-not", "`is not` is no comparison of this language", meant
    return "is-value", "`is` goes with `missing` or `known` only", "to compare two values write `=`"


def _quote_in_text(m: Mistake) -> Answer | None:
    if m.found is None or m.before is None or m.before.kind != "STRING":
        return None
    if (m.before.line, m.before.end_column) != (m.found.line, m.found.column) or m.found.kind not in ("STRING", "WORD"):
        return None
    return "quote-in-text", "a text cannot hold a double quote: it ends there", "write a single quote inside it"


def _bare_unit(m: Mistake) -> Answer | None:
    if m.found is None or m.found.value not in load_words().units or "NUMBER" not in m.accepts:
        return None
    return bare_unit(m.found.value)


def bare_unit(word: str) -> tuple[str, str, str]:
    """Code, message and hint for a unit without its number."""
    return "bare-unit", f"a number is missing before `{word}`", f"write for example `7 {word}`"


def _number_gap(m: Mistake) -> Answer | None:
    if m.found is None or m.before is None or (m.found.kind, m.before.kind) != ("NUMBER", "NUMBER"):
        return None
    if len(m.found.value.split(".")[0]) != 3:
        return None
    return "number-gap", "numbers are not grouped with spaces", f"write `{m.before.value}_{m.found.value}`"


def _aggregate_place(m: Mistake) -> Answer | None:
    if m.found is None or "OVER" in m.accepts:
        return None
    follows = {"count": ("of", "over"), "time": ("since",), "most": ("repeated",)} | dict.fromkeys(_OF_SOMETHING, ("of", "over"))
    for first, second in ((m.before, m.found), (m.found, m.next)):
        if first is None or second is None or second.value not in follows.get(first.value, ()):
            continue
        if first.value == "time" and m.tokens[0].type == "FEATURE":
            continue
        hint = "write `feature NAME = ...` and use its name here"
        return "aggregate-place", f"`{first.value} {second.value}` looks back over events, and that stands in a feature only", hint
    return None


def _aggregate_of(m: Mistake) -> Answer | None:
    if m.found is None or m.before is None or m.tokens[0].type != "FEATURE" or m.found.kind != "WORD":
        return None
    if m.found.value in load_words().units and m.index > 1 and m.tokens[m.index - 2].value == "last":
        return "syntax", "a window is a time that ends now, without `last`", f"write `over {shown(m.before.value)} {m.found.value}`"
    if m.found.value in ("of", "over") and m.index > 1 and m.tokens[m.index - 2].type == "EQ" and m.before.kind == "WORD":
        hint = "write `count`, `count of distinct ...`, `sum of ...`, `mean of ...`, `min of ...`, `max of ...` or another one"
        return "syntax", f"`{shown(m.before.value)}` is no way to look back over events", hint
    return None


def _network(m: Mistake) -> Answer | None:
    if m.found is None or m.before is None or m.tokens[0].type != "FEATURE":
        return None
    if m.found.value == "per" and "LOOKING_AT_NO_MORE_THAN" in m.accepts:
        return "syntax", "a network is not kept per anything: its two ends say between whom it runs", "take `per` and the key away"
    if m.found.value == "with" and "LOOKING_AT_NO_MORE_THAN" in m.accepts:
        return "syntax", "only cycles compare amounts in this way", "compare them with this event's in `where`"
    if m.accepts == {"OF"} and any(token.value == "cycles" for token in m.tokens[: m.index]):
        return "syntax", "of how many hops a cycle may be is missing here", "write for example `of up to 4 hops`"
    if m.next is None or (m.before.value, m.found.value) != ("count", "of"):
        return None
    near = suggest(m.next.value[:40], ("cycles", "middlemen"))
    if near is None:
        return None
    if "OVER" in m.accepts and _open(m) is not None:
        return "syntax", f"`count of {m.next.value}` stands in a feature of its own, not inside another", None
    return "syntax", f"`count of {shown(m.next.value)}` is no way to look back over events", near


def _without_of(m: Mistake) -> Answer | None:
    if m.found is None or m.before is None or m.found.kind not in ("WORD", "LPAR") or m.found.value in ("of", "over"):
        return None
    if m.tokens[0].type != "FEATURE" or m.before.value not in _OF_SOMETHING or m.before.type not in ("PATH", "NAME"):
        return None
    return "syntax", f"`of` is missing after `{m.before.value}`", f"write `{m.before.value} of {m.found.value}`"


_OF_SOMETHING: Final = ("sum", "max", "min", "mean", "stddev", "first", "last", "share")
"""Words that make an aggregate with `of`."""


def _share_of_what(m: Mistake) -> Answer | None:
    if m.found is None or m.found.value not in ("over", "among") or not _in_share(m):
        return None
    message = "a share says which part it is, and of what"
    return "share-without-among", message, "write `share of X where A among B`; `among true` is of everything"


def _in_share(m: Mistake) -> bool:
    """Whether the tokens before the place begin a share that has not come to its `among`."""
    for token in reversed(m.tokens[: m.index]):
        if token.type in ("AMONG", "OVER", "FEATURE"):
            return False
        if token.value == "share" and token.type != "NAME":
            return True
    return False


def _chained(m: Mistake) -> Answer | None:
    if m.found is None or m.found.kind not in ("EQ", "COMPARE") or "AND" not in m.accepts:
        return None
    if m.found.type in m.accepts:
        return None
    return "chained-comparison", "comparisons do not chain", "write `x between a and b`, or join two comparisons with `and`"


def _unclosed(m: Mistake) -> Answer | None:
    if "RPAR" not in m.accepts or _open(m) is None or ("COMMA" in m.accepts and m.found is not None and m.found.kind in _VALUES):
        return None
    return "unclosed-parenthesis", "a `)` is missing here", "every `(` needs its `)`"


def _unopened(m: Mistake) -> Answer | None:
    if m.found is None or m.found.kind != "RPAR" or _open(m) is not None:
        return None
    return "unopened-parenthesis", "this `)` closes nothing", "take it away, or put a `(` where it belongs"


def _bare_interval(m: Mistake) -> Answer | None:
    if m.found is None or m.found.kind != "DOTS" or "DOTS" in m.accepts:
        return None
    return "syntax", "an interval stands in brackets", "write `[1 .. 5]` with both ends, `[1 .. 5[` without the last value"


def _row_mixed(m: Mistake) -> Answer | None:
    if m.found is None or m.found.kind != "ROW" or "ROW" in m.accepts:
        return None
    return "stray-row", "a row of a table stands outside `story`, `examples` and `table`", None


_NO_ID: Final = 'write `rule "title"`; each rule made from it gets its own id'


def _template(m: Mistake) -> Answer | None:
    if m.tokens[0].type != "TEMPLATE":
        return None
    inside = m.before is not None and m.before.value == load_words().shown["RULE"]
    if m.found is not None and m.found.kind == "RULEID" and inside:
        return "syntax", "the rule of a template has no id", _NO_ID
    if m.found is not None and m.found.type == "IS" and not m.accepts & {"IS"}:
        hint = "say here what it says; what rules have in common stands in one template"
        return "template-nested", "a template cannot use another template", hint
    if m.accepts == {"DEFINE", "FEATURE", "RULE"} or (m.found is None and "RULE" in m.accepts):
        if m.after is not None and m.after.value == load_words().shown["RULE"]:
            return "syntax", "a template ends with its rule, which has no id", _NO_ID
        return "syntax", "a template ends with its rule, and none follows here", 'write `rule "title" when ... then ...`'
    return None


def _made(m: Mistake) -> Answer | None:
    if m.found is None or m.found.type not in CLAUSES or not any(token.type == "IS" for token in m.tokens[:4]):
        return None
    what = m.tokens[m.index].value
    return "syntax", f"`{what}` stands in the template; a rule made from it only fills slots", "make a slot of what differs"


_SLIPS: Final[tuple[Callable[[Mistake], Answer | None], ...]] = (
    _no_header,
    _one_part_name,
    _reserved,
    _bad_number,
    _quote_in_text,
    _scoring,
    _missing_comma,
    _missing_then,
    _unless_alone,
    _is_not,
    _network,
    _aggregate_of,
    _missing_unit,
    _strange_unit,
    _bare_unit,
    _number_gap,
    _without_of,
    _share_of_what,
    _aggregate_place,
    _chained,
    _unopened,
    _unclosed,
    _bare_interval,
    _row_mixed,
    _template,
    _made,
)


def _open(m: Mistake) -> Tok | None:
    """The innermost parenthesis that is still open at the place."""
    stack: list[Tok] = []
    for token in m.tokens[: m.index]:
        if token.kind == "LPAR":
            stack.append(token)
        elif token.kind == "RPAR" and stack:
            stack.pop()
    return stack[-1] if stack else None


def _opened(m: Mistake, code: str) -> tuple[tuple[str, Span], ...]:
    opened = _open(m) if code == "unclosed-parenthesis" else None
    return (("it was opened here", opened.span),) if opened else ()


# --- the general case ------------------------------------------------------------------------------------------------


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


_VALUES: Final = _set("NUMBER STRING DATE WORD")
_OPERANDS: Final = _set("NUMBER STRING DATE PATH LPAR MINUS TRUE FALSE HOUR_OF WEEKDAY_OF ANY_OF ALL_OF NUMBER_OF NOT FLAG")
_OPERATORS: Final = _set(
    "EQ COMPARE PLUS MINUS TIMES DIVIDE AND OR IS IN NOT BETWEEN WITHIN STARTS CONTAINS MATCHES RESEMBLES ELSE "
    "PERCENT CURRENCY SECOND MINUTE HOUR DAY WEEK MONTH YEAR"
)
_AGGREGATES: Final = _set(
    "COUNT TIME_SINCE_LAST SUM_OF MEAN_OF MIN_OF MAX_OF STDDEV_OF COUNT_OF_DISTINCT FIRST_OF LAST_OF MOST_REPEATED SHARE_OF"
)
_WINDOWS: Final = _set("NUMBER PATH LAST CALENDAR BUSINESS SINCE SINCE_LAST_EVENT")
_PERIODS: Final = _set("DAY WEEK MONTH QUARTER YEAR")
_ITEMS: Final = _set("OWNER RECORD USES ZONE KEY TIME ARRIVAL LATE LANGUAGE CITES ON ROWS_FROM VALID KNOWN BASE NO_MORE_THAN")
_TYPES: Final = _set("TEXT INTEGER NUMBER_WORD PERCENT_WORD FLAG DATE_WORD DATETIME DURATION MONEY ONE LIST")

_GROUPS: Final = (
    (frozenset(("NUMBER", "STRING", "PATH", "LPAR")), _OPERANDS, "a value"),
    (frozenset(("EQ", "COMPARE", "AND")), _OPERATORS, "`=`, `and` or another operator"),
    (frozenset(("PLUS", "TIMES")), _OPERATORS, "an operator such as `+`"),
    (frozenset(("STRING", "IS")), frozenset(("STRING", "IS")), "a text in double quotes"),
    (CLAUSES, CLAUSES | {"IS"}, "a clause of the rule such as `when` or `then`"),
    (frozenset(("OWNER", "USES", "ZONE")), _ITEMS, "an item of the header such as `owner` or `uses`"),
    (frozenset(("COUNT", "SUM_OF")), _AGGREGATES, "an aggregate such as `count` or `sum of amount`"),
    (frozenset(("CALENDAR", "SINCE")), _WINDOWS, "a window such as `7 days` or `calendar month`"),
    (_PERIODS, _PERIODS, "a period such as `month`"),
    (_TYPES, _TYPES, "a type such as `text`, `integer` or `money USD`"),
    (_set("ROBUST POSSIBLE RULEID"), _set("ROBUST POSSIBLE RULEID SCORE OUTCOME FLAG NO PATH"), "a result such as `CASH-01 hit`"),
    (frozenset(("DEFINE", "RULE", "TEST")), frozenset(DECLARATIONS), "the next declaration"),
)
"""What must be accepted for the group to be named, what it then stands for, and its name."""

_LATER: Final = _set("RESEMBLES INTO")
"""What the grammar takes only to say that it comes later, or nearly anywhere; nobody is sent there."""

_MEANT: Final = {"if": "when", "except": "unless", "reason": "because", "points": "score", "result": "outcome", "where": "when"}
"""Words of other languages and of everyday speech, and the keyword meant."""

_PLAIN: Final = {
    "NAME": "a name",
    "PATH": "a name",
    "NUMBER": "a number",
    "STRING": "a text in double quotes",
    "DATE": "a date such as `2026-01-31`",
    "CLOCK": "a time such as `14:00`",
    "VERSION": "a version such as `1.0.0`",
    "RANGE": "a range of versions such as `^1`",
    "RULEID": "the id of a rule such as `CASH-01`",
    "CURRENCY": "a currency such as `USD`",
    "ROW": "a row such as `| a | => b |`",
    "INTO": "`in` and a currency",
    "EQ": "`=`",
    "COMPARE": "a comparison such as `>=`",
    "PLUS": "`+`",
    "MINUS": "`-`",
    "TIMES": "`*`",
    "DIVIDE": "`/`",
    "PERCENT": "`%`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "COMMA": "`,`",
    "COLON": "`:`",
    "DOTS": "`..`",
    "LSQB": "`[`",
    "RSQB": "`]`",
}


def _message(m: Mistake, hint: str | None) -> str:
    wanted = _wanted(m) if hint is None else ""
    after = f" after `{shown(m.before.value)}`" if m.before is not None else ""
    if m.found is not None:
        return (
            f"expected {wanted}{after}, found `{shown(m.found.value)}`" if wanted else f"`{shown(m.found.value)}` does not fit here{after}"
        )
    where = f"before `{m.after.value}` begins" if m.after is not None else "but nothing follows"
    return f"expected {wanted or 'more'}{after}, {where}"


def _wanted(m: Mistake) -> str:
    """What could stand at the place, in a few words; empty when that is too much to say."""
    left, names = set(m.accepts) - {"$END"}, []
    for sign, members, name in _GROUPS:
        if sign <= left:
            left -= members
            names.append(name)
    singles = sorted(_PLAIN.get(terminal) or f"`{verbatim(m.words.shown[terminal])}`" for terminal in left - _LATER)
    if len(singles) + len(names) > 5:
        singles = []
    names += singles
    if len(names) > 1:
        return ", ".join(names[:-1]) + " or " + names[-1]
    return names[0] if names else ""


def _near(m: Mistake) -> str | None:
    """The accepted keyword that the word is most like."""
    if m.found is None or m.found.kind != "WORD" or len(m.found.value) > 40:
        return None
    accepted = [terminal for terminal in m.accepts if terminal in m.words.shown]
    meant = [terminal for terminal in accepted if load_words().shown[terminal] == _MEANT.get(m.found.value)]
    shown = [m.words.shown[terminal] for terminal in accepted]
    if m.found.written in m.words.every:
        shown = [word for word in shown if word.startswith(f"{m.found.written} ")]  # no slip of the pen, but half a keyword maybe
    return m.words.shown[meant[0]] if meant else nearest(m.found.written, shown)
