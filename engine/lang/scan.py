"""From text to tokens: places, comments, and the commonest slips of the pen, each mended so that reading can go on.

It knows what a token looks like, not which words are keywords where: that the grammar decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from engine.diagnostics import Diagnostic, Fix, Span, nearest
from engine.lang.ast import Comment
from engine.lang.letters import foreign_word, mixed_words, odd_letter, straightened
from engine.lang.nulls import Before, instead_of_null
from engine.lang.words import LANGUAGES, load_words, verbatim

if TYPE_CHECKING:
    from engine.lang.words import Words

MAX_DEPTH: Final = 60
_CLAUSE: Final = 100
MAX_SLIPS: Final = 200
MAX_TOKENS: Final = 500_000


class Tok:
    """One token. `kind` is what it looks like; `type` the terminal the grammar took it for, settled anew at each reading.

    `written` is what stands in the text; `value` is the same, but English for what was taken for a keyword of another language.
    """

    __slots__ = ("column", "end_column", "end_pos", "file", "first", "kind", "line", "start_pos", "type", "value", "written")

    def __init__(self, kind: str, value: str, file: str, line: int, column: int, end: int, start: int, first: bool) -> None:
        self.kind = self.type = kind
        self.value = self.written = value
        self.file, self.line, self.column, self.end_column = file, line, column, end
        self.start_pos, self.end_pos, self.first = start, start + end - column, first

    @property
    def end_line(self) -> int:
        return self.line

    @property
    def span(self) -> Span:
        return Span(self.file, self.line, self.column, self.end_column)


@dataclass(slots=True)
class Scan:
    """All tokens of a text; `ends` maps a line to the column after its last token.

    `holes` are lines on which a character was left out, so that what follows it may not read well.
    `complete` is false where reading was given up because of too many slips.
    """

    tokens: list[Tok] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    problems: list[Diagnostic] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)
    holes: set[int] = field(default_factory=set)
    complete: bool = True
    words: Words = field(default_factory=load_words)


_TOKEN: Final = re.compile(
    r"""
      (?P<row>^[ \t\r\f\v\u00a0\u2007\u2009\u202f]*\|(?:[^"\n#]|"[^"\n]*"|")*)
    | (?P<SPACE>[ \t\r\f\v\u00a0\u2007\u2009\u202f]+)
    | (?P<NEWLINE>\n)
    | (?P<WORD>[a-z_][a-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*(?!\w))
    | (?P<STRING>"[^"\n]*")
    | (?P<DATE>\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?(?!\w))
    | (?P<thousands>\d{1,3}(?:,\d{3})+(?![\d_]))
    | (?P<VERSION>\d+\.\d+\.\d+(?:-[0-9a-z-]+(?:\.[0-9a-z-]+)*)?(?!\w))
    | (?P<RANGE>[\^~]\d+(?:\.\d+)*)
    | (?P<CLOCK>\d{1,2}:\d\d(?!\d))
    | (?P<NUMBER>\d+(?:_\d+)*(?:\.\d+)?)
    | (?P<capitals>[A-Z]{3}(?![\w.-]))
    | (?P<PATH>[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)+\.[a-z_][a-z0-9_]*(?!\w))
    | (?P<RULEID>[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)+(?!\w))
    | (?P<word>\w[\w.]*)
    | (?P<comment>\#[^\n]*)
    | (?P<bar>\|\|?)
    | (?P<double_equals>==)
    | (?P<arrow>=>|=<|<>|[≤≥≠])
    | (?P<COMPARE><=|>=|!=|<|>)
    | (?P<EQ>=)
    | (?P<mark>[(),:+*/%-])
    | (?P<ampersand>&&?|!)
    | (?P<dash>[–—−])
    | (?P<smart>[“”„«][^“”„«»"\n]*[“”»"]?)
    | (?P<single>['‘’‚][^'‘’\n]*['‘’]?)
    | (?P<unclosed>"[^\n]*)
    | (?P<brace>[{};]+)
    | (?P<sign>[$€£¥₽])
    | (?P<dots>\.\.)
    | (?P<bracket>[\[\]])
    | (?P<stray>.)
    """,
    re.VERBOSE | re.MULTILINE,
)


def too_deep(span: Span) -> Diagnostic:
    """The refusal of an expression that nests past `MAX_DEPTH`."""
    hint = "name parts of it with `define`"
    return Diagnostic("too-deep", f"this expression goes more than {MAX_DEPTH} levels deep", span, hint=hint)


def shown(text: str) -> str:
    """The text as messages quote it: cut where it is very long."""
    return text if len(text) <= 40 else text[:37] + "..."


_MARKS: Final = {
    "(": "LPAR",
    ")": "RPAR",
    ",": "COMMA",
    ":": "COLON",
    "+": "PLUS",
    "-": "MINUS",
    "*": "TIMES",
    "/": "DIVIDE",
    "%": "PERCENT",
}
_ARROWS: Final = {"=>": ">=", "=<": "<=", "<>": "!=", "≤": "<=", "≥": ">=", "≠": "!="}
_NULLS: Final = {"null", "nil", "none", "nan"}


def scan(text: str, words: Words, file: str = "", line: int = 1, column: int = 1, *, cell: bool = False) -> Scan:
    """All tokens of `text`, which begins at `line` and `column` of `file`. Lines end with a line feed.

    In a `cell` of a decision table intervals may stand, ``[60 .. 100[``.
    """
    return _Scanner(text, words, file, line, column, cell).run()


class _Scanner:
    def __init__(self, text: str, words: Words, file: str, line: int, column: int, cell: bool) -> None:
        self.text, self.words, self.file, self.line = text, words, file, line
        self.cell = cell
        self.zero = 1 - column  # the position at which column 1 of the current line stands
        self.fresh = True  # nothing stands before it on its line
        self.depth = 0  # parentheses that are open
        self.begin = 0  # the token that began the declaration
        self.out = Scan(words=words)
        declared = "|".join(sorted(words.declarations))
        self.declaration = re.compile(rf"^[ \t]*(?:{declared})(?![\w.])", re.MULTILINE)

    def run(self) -> Scan:
        position: int | None = 0
        while position is not None:
            position = self._pieces(position)
        return self.out

    def _pieces(self, position: int) -> int | None:
        """Read on from `position`; the place to go on from after a declaration that was given up, none at the end."""
        for match in _TOKEN.finditer(self.text, position):
            kind = match.lastgroup or ""
            if kind == "SPACE":
                continue
            if kind == "NEWLINE":
                self.line, self.zero, self.fresh = self.line + 1, match.end(), True
                continue
            start = match.start()
            if kind.isupper():
                self._add(kind, match.group(), start, match.end() - start)
            else:
                getattr(self, f"_{kind}")(match.group(), start)
            self.fresh = False
            if self.depth > MAX_DEPTH:
                return self._give_up(match.end())
            if len(self.out.problems) >= MAX_SLIPS:
                message = f"{len(self.out.problems)} slips so far; what follows was not read"
                self._stop("too-many-problems", message, start, "mend these first; perhaps this is no rule file")
                return None
            if len(self.out.tokens) > MAX_TOKENS:
                message = f"this file has more than {MAX_TOKENS:_} words, numbers and signs; what follows was not read"
                self._stop("file-too-large", message, start, "keep long lists in a CSV file beside the rules")
                return None
        return None

    def _stop(self, code: str, message: str, start: int, hint: str) -> None:
        """Read no further."""
        self.out.complete = False
        self._slip(code, message, start, 1, hint)

    def _give_up(self, position: int) -> int | None:
        """Leave out a declaration whose parentheses nest too deep, and find the next."""
        self.out.problems.append(too_deep(self.out.tokens[-1].span))
        del self.out.tokens[self.begin :]
        self.depth = 0
        following = self.declaration.search(self.text, position)
        if following is None:
            return None
        skipped = self.text.count("\n", position, following.start())
        if skipped:
            self.line, self.zero, self.fresh = self.line + skipped, following.start(), True
        return following.start()

    def _span(self, start: int, length: int) -> Span:
        column = start - self.zero + 1
        return Span(self.file, self.line, column, column + length)

    def _add(self, kind: str, value: str, start: int, length: int) -> None:
        column = start - self.zero + 1
        end = column + length
        self.out.tokens.append(Tok(kind, value, self.file, self.line, column, end, start, self.fresh))
        self.out.ends[self.line] = end
        if kind == "STRING" and not value.isascii():
            self._letters(value, start)
        elif kind == "WORD" and self.fresh and value in self.words.declarations:
            self.begin, self.depth = len(self.out.tokens) - 1, 0
        elif kind == "WORD" and value in ("null", "nil"):
            self._null(value, start)

    def _slip(
        self, code: str, message: str, start: int, length: int, hint: str | None, severity: str = "error", fix: Fix | None = None
    ) -> None:
        self.out.problems.append(Diagnostic(code, message, self._span(start, length), hint=hint, severity=severity, fix=fix))

    def _fix(self, start: int, length: int, text: str, safe: bool = True) -> Fix:
        return Fix(self._span(start, length), text, safe)

    # --- what is not a slip

    def _mark(self, value: str, start: int) -> None:
        self.depth += (value == "(") - (value == ")" and self.depth > 0)
        self._add(_MARKS[value], value, start, 1)

    def _comment(self, value: str, start: int) -> None:
        value = value.rstrip()
        self.out.comments.append(Comment(value, own_line=self.fresh, span=self._span(start, len(value))))

    def _row(self, value: str, start: int) -> None:
        row = value.strip()
        start += value.index("|")
        if row.endswith("|") and len(row) > 1:
            self._add("ROW", row, start, len(row))
        else:
            self._slip("open-row", "a row ends with `|`", start, len(row), "put a `|` after the last cell; a row stands on one line")
            self._add("ROW", row + " |", start, len(row))

    def _bar(self, value: str, start: int) -> None:
        if value == "||":
            self._operator("||", "or", start)
        else:
            self._stray("|", start)

    def _dots(self, value: str, start: int) -> None:
        if self.cell:
            self._add("DOTS", value, start, 2)
            return
        self._stray(".", start)
        self._stray(".", start + 1)

    def _bracket(self, value: str, start: int) -> None:
        if self.cell:
            self._add("LSQB" if value == "[" else "RSQB", value, start, 1)
        else:
            self._stray(value, start)

    # --- values that look right and are not

    def _letters(self, value: str, start: int) -> None:
        for offset, word, odd in mixed_words(value):
            message = f"the word `{word}` mixes letters that look alike: {odd}"
            self._slip("mixed-script", message, start + offset, len(word), "if that is meant, leave it so", "warning")

    def _null(self, value: str, start: int) -> None:
        hint = "write `is missing` or `is known`; in a test, `NAME missing`"
        before = self.out.tokens if self.out.tokens[-1:] and self.out.tokens[-1].written != value else self.out.tokens[:-1]
        fix = instead_of_null([Before(token.written, token.span) for token in before[-_CLAUSE:]], self._span(start, len(value)), self.words)
        self._slip("null-word", f"`{value}` is no value of this language", start, len(value), hint, fix=fix)

    def _capitals(self, value: str, start: int) -> None:
        """A currency, unless it is a keyword that stands where no currency can."""
        before = self.out.tokens[-1].value if self.out.tokens else ""
        if value.lower() in self.words.every and not (
            before[-1:].isdigit() or before in (self.words.shown["MONEY"], self.words.shown["IN"], self.words.shown["BASE"])
        ):
            self._word(value, start)
        else:
            self._add("CURRENCY", value, start, 3)

    def _word(self, value: str, start: int) -> None:
        """A word with a letter that names cannot have."""
        if not value.isascii() and self._keyword(value, start):
            return
        if not value.isascii():
            code, message, hint = foreign_word(value)
            near = None if self.words.language == "en" else nearest(value.lower()[:40], self.words.every)
            hint, fix = (hint, None) if near is None else (f"did you mean `{verbatim(near)}`?", self._fix(start, len(value), near, False))
            self._slip(code, message, start, len(value), hint, fix=fix)
            self._add("WORD", "x", start, len(value))
            return
        small = value.lower()
        if small in _NULLS:
            self._null(value, start)
        elif small in self.words.every:
            self._capital(value, start)
        elif re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", value):
            text = f'; if it is a text, `"{value}"`' if value.isupper() and len(value) <= 3 else ""
            hint = f"write `{shown(small)}`{text}; ids of rules are capitals with a hyphen, such as `CASH-01`"
            self._slip("capital-name", f"names are written in small letters, not `{shown(value)}`", start, len(value), hint)
        else:
            self._slip("syntax", f"`{shown(value)}` is neither a name nor a number", start, len(value), None)
        plain = small not in _NULLS and re.fullmatch(r"[a-z_]\w*(\.[a-z_]\w*)*", small)
        self._add("WORD", small if plain else "x", start, len(value))

    def _keyword(self, value: str, start: int) -> bool:
        """A word with letters outside ASCII that is one of a keyword, in this language or another; none of those can be a name."""
        if any(value in load_words(code).every for code in LANGUAGES):
            self._add("WORD", value, start, len(value))
        elif value.lower() in self.words.every:
            self._capital(value, start)
            self._add("WORD", value.lower(), start, len(value))
        elif meant := straightened(value, self.words.every):
            message = f"in the word `{verbatim(meant)}` the letter {odd_letter(value, meant)}"
            fix = self._fix(start, len(value), meant)
            self._slip("mixed-script", message, start, len(value), f"write `{verbatim(meant)}` anew", fix=fix)
            self._add("WORD", meant, start, len(value))
        else:
            return False
        return True

    def _capital(self, value: str, start: int) -> None:
        small = value.lower()
        hint, fix = f"write `{verbatim(small)}`", self._fix(start, len(value), small)
        self._slip("capital-keyword", f"`{verbatim(value)}` is written in small letters", start, len(value), hint, fix=fix)

    # --- slips of the pen

    def _thousands(self, value: str, start: int) -> None:
        hint = f"write `{shown(value.replace(',', '_'))}`; in a list put a space after each comma"
        if self.words.language != "en" and value.count(",") == 1:
            hint = f"write `{shown(value.replace(',', '_'))}` for thousands, `{shown(value.replace(',', '.'))}` for a fraction"
        # in a list it may be several numbers, and where people write a comma before decimals, a fraction
        fix = self._fix(start, len(value), value.replace(",", "_"), self.depth == 0 and self.words.language == "en")
        self._slip("thousands-comma", "numbers are not grouped with commas", start, len(value), hint, fix=fix)
        self._add("NUMBER", value.replace(",", "_"), start, len(value))

    def _double_equals(self, value: str, start: int) -> None:
        self._slip("double-equals", "a comparison has one equals sign", start, 2, "write `=`", fix=self._fix(start, 2, "="))
        self._add("EQ", "=", start, len(value))

    def _arrow(self, value: str, start: int) -> None:
        self._symbol(value, _ARROWS[value], start, self._fix(start, len(value), _ARROWS[value]))
        self._add("COMPARE", _ARROWS[value], start, len(value))

    def _ampersand(self, value: str, start: int) -> None:
        word = "not" if value == "!" else "and"
        self._operator(value, word, start)

    def _dash(self, value: str, start: int) -> None:
        self._symbol(value, "-", start)
        self._add("MINUS", "-", start, 1)

    def _operator(self, written: str, meant: str, start: int) -> None:
        """A sign in place of a word, which wants spaces around it."""
        word, end = self.words.shown[meant.upper()], start + len(written)
        spaced = " " * (not self.text[max(start - 1, 0)].isspace()) + word + " " * (not self.text[end : end + 1].isspace())
        self._symbol(written, meant, start, self._fix(start, len(written), spaced))
        self._add("WORD", word, start, len(written))

    def _symbol(self, written: str, meant: str, start: int, fix: Fix | None = None) -> None:
        self._slip("foreign-operator", f"`{written}` is not an operator here", start, len(written), f"write `{meant}`", fix=fix)

    def _smart(self, value: str, start: int) -> None:
        hint = "type the straight quote; word processors bend it"
        text = f'"{value[1:].rstrip("“”»")}"'
        fix = self._fix(start, len(value), text, len(text) == len(value) and text.count('"') == 2)
        self._slip("smart-quotes", "texts stand in straight double quotes", start, len(value), hint, fix=fix)
        self._add("STRING", text, start, len(value))

    def _single(self, value: str, start: int) -> None:
        text = f'"{value[1:].rstrip("‘’" + chr(39))}"'
        fix = self._fix(start, len(value), text, len(text) == len(value) and text.count('"') == 2)
        self._slip("single-quotes", "texts stand in double quotes", start, len(value), 'write `"` in place of each single quote', fix=fix)
        self._add("STRING", text, start, len(value))

    def _unclosed(self, value: str, start: int) -> None:
        value = value.rstrip()
        self._slip("unclosed-text", "this text has no closing quote", start, len(value), 'put a `"` where it ends, on the same line')
        self._add("STRING", value + '"', start, len(value))

    def _brace(self, value: str, start: int) -> None:
        hint = "leave it out: a declaration begins with its word and ends where the next begins"
        self._slip("stray-brace", f"`{shown(value)}` has no meaning here", start, len(value), hint)

    def _sign(self, value: str, start: int) -> None:
        hint = "write the code after the amount, such as `100 USD`"
        self._slip("currency-sign", f"`{value}` does not say which currency is meant", start, 1, hint)

    def _stray(self, value: str, start: int) -> None:
        self.out.holes.add(self.line)
        sign = value if value.isprintable() else f"U+{ord(value):04X}"
        hint = "write a number with a digit before the point, such as `0.5`" if value == "." else None
        self._slip("syntax", f"the character `{sign}` has no meaning here", start, 1, hint)
