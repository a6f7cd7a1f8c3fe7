"""From rule text to the syntax tree, with every syntax error of the file at once. The only file that knows lark.

The whole file is read first; where that fails, declaration by declaration, so that one mistake does not hide the next.
"""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from functools import cache
from functools import partial as partial_of
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from lark import Lark
from lark.exceptions import UnexpectedToken
from lark.lexer import Lexer
from lark.parsers.lalr_analysis import Shift

from engine.diagnostics import Diagnostic, Fix, Span, errors, in_order
from engine.lang.build import Builder
from engine.lang.mistakes import explain
from engine.lang.partial import partial
from engine.lang.scan import Scan, Tok, scan
from engine.lang.settle import Tokens, settle
from engine.lang.source import check_text, read_text
from engine.lang.stopped import Mistake
from engine.lang.translate import speaking
from engine.lang.words import LANGUAGES, language_of, load_words
from engine.resources import grammar_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.lang import ast
    from engine.lang.partial import Partial
    from engine.lang.words import Words

MAX_DECLARATIONS: Final = 20_000
MAX_PROBLEMS: Final = 200


def parse(text: str, file: str) -> tuple[ast.File | None, list[Diagnostic]]:
    """The tree of a rule file of any kind, and what is wrong with it, sorted by place.

    The tree is none exactly when one of the diagnostics is an error. `file` is the name that the places carry.

    >>> tree, problems = parse('list geo/high_risk version 2026.6.0 values ("IR", "KP")', "geo.rules")
    >>> tree.name.text, len(tree.declarations[0].values[0].value.items), problems
    ('geo/high_risk', 2, [])
    """
    tree, problems, _ = parse_parts(text, file)
    return tree, problems


def parse_parts(text: str, file: str) -> tuple[ast.File | None, list[Diagnostic], Partial | None]:
    """As `parse`, and of a file that does not read as a whole what does; none where not even its header reads."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    language, said = language_of(text)
    words = load_words(language)
    problems = check_text(text, file) or _too_many(text, words, file)
    if errors(problems):
        return None, problems, None
    scanned = scan(text, words, file)
    if not scanned.tokens or not scanned.complete:
        return None, in_order(speaking([*problems, *scanned.problems], words) or [_empty(file)]), None
    tree: ast.File | None
    tree, found = _read(scanned, "file")
    problems += [] if said or language == "en" else [_unsaid(scanned)]
    problems = in_order(speaking([*problems, *scanned.problems, *found], words))
    if errors(problems):
        pieces = [piece for piece, _ in _chunks(scanned.tokens, words)]
        return None, problems, None if tree is None else partial(tree, pieces, found, scanned.problems)
    return None if tree is None else _with_comments(tree, scanned.comments), problems, None


def parse_expression(text: str, file: str, line: int, column: int) -> tuple[ast.Expr | None, list[Diagnostic]]:
    """One expression that begins at `line` and `column` of `file`, as in a cascade's `when` and `with`.

    >>> parse_expression("cash.score < 100", "a.yaml", 3, 11)[0]
    Binary(op='<', left=Name(path='cash.score'), right=Literal(kind='number', text='100'))
    """
    return _read_small(text, "expression", Span(file, line, column, column + 1))


def parse_cell(cell: ast.Cell) -> tuple[ast.Expr | None, list[Diagnostic]]:
    """The expression in a cell of a story or of examples; `missing` and words such as `hit` are an `ast.Name`.

    >>> from engine.lang import ast
    >>> parse_cell(ast.Cell("missing"))[0], parse_cell(ast.Cell("9_500 USD"))[0]
    (Name(path='missing'), Literal(kind='money', text='9_500 USD'))
    """
    return _read_small(cell.written or cell.text, "cell", cell.span, cell.language)


def parse_condition(cell: ast.Cell) -> tuple[ast.Expr | None, list[Diagnostic]]:
    """What a cell of a decision table says of the value of its column, which it calls `it`; `otherwise` is an `ast.Name`.

    >>> from engine.lang import ast
    >>> from engine.lang.format_expressions import format_expression
    >>> [format_expression(parse_condition(ast.Cell(text))[0]) for text in ("[60 .. 100[", "missing", "any", '"IR"')]
    ['it >= 60 and it < 100', 'it is missing', 'true', 'it = "IR"']
    """
    return _read_small(cell.written or cell.text, "condition", cell.span, cell.language)


def settled(text: str) -> list[Tok]:
    """The tokens of a whole English file that reads well, each with the terminal it was taken for."""
    scanned = scan(text, load_words())
    _read(scanned, "file")
    return scanned.tokens


def _read_small(text: str, start: str, place: Span, language: str = "en") -> tuple[ast.Expr | None, list[Diagnostic]]:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    problems = check_text(text, place.file, place.line, place.column)
    if errors(problems):
        return None, problems
    words = load_words(language)
    scanned = scan(text, words, place.file, place.line, place.column, cell=start == "condition")
    problems += scanned.problems
    if not scanned.tokens or not scanned.complete:
        nothing = Diagnostic("syntax", "a value is missing here", place, hint="write a value, or `missing`")
        return None, in_order(speaking(problems or [nothing], words))
    tree, found = _read(scanned, start)
    problems = in_order(speaking([*problems, *found], words))
    return (None if errors(problems) else tree), problems


def _empty(file: str) -> Diagnostic:
    hint = "begin it with `ruleset`, `record`, `features`, `list`, `table` or `rates`"
    return Diagnostic("empty-file", "this file holds no rules", Span(file, 1, 1, 1), hint=hint)


def _unsaid(scanned: Scan) -> Diagnostic:
    """For a file that begins with a word of a language and does not name the language."""
    first, words = scanned.tokens[0], scanned.words
    line = f"{words.shown['LANGUAGE']} {words.language}"
    end = next((token for token in reversed(scanned.tokens) if token.line == first.line), first)
    fix = Fix(Span(first.file, first.line, end.end_column, end.end_column), f" {line}", safe=True)
    message = f"this file is written in {LANGUAGES[words.language]}, and its header does not say so"
    return Diagnostic("language-unsaid", message, first.span, hint=f"write `{line}` in the header", fix=fix)


# --- limits ----------------------------------------------------------------------------------------------------------


def _too_many(text: str, words: Words, file: str) -> list[Diagnostic]:
    """Counted by lines that begin with a declaration's word, so that nothing is read of a file that is far too long."""
    begins = re.compile(rf"^[ \t]*(?:{'|'.join(sorted(words.declarations))})[ \t]", re.MULTILINE)
    count, place = 0, None
    for match in begins.finditer(text):
        count += 1
        if count == MAX_DECLARATIONS + 1:
            place = match
    if place is None:
        return []
    line = text.count("\n", 0, place.start()) + 1
    message = f"this file has {count:_} declarations; a file holds at most {MAX_DECLARATIONS:_}"
    span = Span(file, line, 1, place.end() - place.start() + 1)
    return [Diagnostic("too-many-declarations", message, span, hint="split it into several rule sets, or keep long lists in a CSV file")]


# --- reading ---------------------------------------------------------------------------------------------------------


class _Lexer(Lexer):
    """Hands ready tokens to the parser, and settles which words are keywords by what the grammar can take next."""

    __future_interface__ = True

    def __init__(self, _conf: object) -> None:
        pass

    def lex(self, lexer_state: Any, parser_state: Any) -> Iterator[Any]:
        tokens: Tokens = lexer_state.text
        states = parser_state.parse_conf.states
        position, takes = 0, partial_of(_takes, states, parser_state)
        while position < len(tokens):
            token = tokens[position]
            position += 1
            if token.kind == "WORD":
                more = settle(token, tokens, position, states[parser_state.position], takes)
                if more:
                    position += more
                    token = _joined(token, tokens[position - 1])
                elif token.type == "IN" and position < len(tokens) and tokens[position].kind == "CURRENCY":
                    token.type = "INTO"
            yield token


def _takes(states: Any, parser_state: Any, terminal: str) -> bool:
    """Whether the parser can take the terminal next, not only reduce on it what stands before."""
    stack = list(parser_state.state_stack)
    while terminal in states[stack[-1]]:
        action, arg = states[stack[-1]][terminal]
        if action is Shift:
            return True
        if arg.expansion:
            del stack[-len(arg.expansion) :]
        stack.append(states[stack[-1]][arg.origin.name][1])
    return False


def _joined(first: Tok, last: Tok) -> Tok:
    """One token for words that are a keyword together."""
    end = last.end_column if last.line == first.line else first.end_column
    token = Tok("WORD", first.value, first.file, first.line, first.column, end, first.start_pos, first.first)
    token.type, token.written = first.type, first.written
    return token


_LOCK: Final = threading.Lock()


@cache
def _machine() -> tuple[Lark, Builder]:
    """The parser and its callbacks, made once; they are used under the lock."""
    grammar = grammar_text("rules.lark")
    terminals = sorted({*load_words().shown, *_SIGNS})
    builder = Builder()
    lark = Lark(
        grammar + "\n%declare " + " ".join(terminals),
        parser="lalr",
        lexer=_Lexer,
        strict=True,
        start=["file", "declarations", "expression", "cell", "condition"],
        transformer=builder,
    )
    return lark, builder


_SIGNS: Final = (
    "NAME", "PATH", "NUMBER", "STRING", "DATE", "CLOCK", "VERSION", "RANGE", "RULEID", "CURRENCY", "ROW",
    "INTO", "EQ", "COMPARE", "PLUS", "MINUS", "TIMES", "DIVIDE", "PERCENT", "DOTS", "LSQB", "RSQB",
)  # fmt: skip


def _read(scanned: Scan, start: str) -> tuple[Any, list[Diagnostic]]:
    """The tree, or none, and every problem met; after a failure declarations are read one by one, and the tree holds those that read."""
    tokens, ends, holes, words = scanned.tokens, scanned.ends, scanned.holes, scanned.words
    with _LOCK:
        _, builder = _machine()
        builder.begin(ends, words)
        tree, problem = _attempt(tokens, start, None, builder)
        if problem is None:
            return tree, builder.problems
        if start != "file":
            return None, [*builder.problems, problem]
        builder.begin(ends, words)
        headless = problem.code == "no-header"
        found = [problem] if headless else []
        declared: list[ast.Declaration] = []
        for chunk, after in _chunks(tokens, words):
            whole = chunk[0] is tokens[0] and not (headless and _declares(chunk[0], words))
            part, problem = _attempt(chunk, "file" if whole else "declarations", after, builder)
            found += [problem] if problem else []
            if whole:
                tree = part
            else:
                declared += part or ()
            if len(found) >= MAX_PROBLEMS:
                message = f"{MAX_PROBLEMS} syntax errors so far; what follows was not read"
                found.append(Diagnostic("too-many-problems", message, chunk[-1].span, hint="mend these first"))
                tree = None
                break
        tree = None if tree is None else replace(tree, declarations=tuple(declared))
        return tree, builder.problems + [one for one in found if one.code != "syntax" or one.span.line not in holes]


def _attempt(tokens: list[Tok], start: str, after: Tok | None, builder: Builder) -> tuple[Any, Diagnostic | None]:
    """Read `tokens` from the start rule `start`; `after` is the token that follows them in the file."""
    lark, _ = _machine()
    try:
        return lark.parse(Tokens(tokens, builder.words, builder.problems), start=start), None
    except UnexpectedToken as error:
        accepts = frozenset(error.accepts or ())
        found = None if error.token.type == "$END" else error.token
        return None, explain(Mistake.of(tokens, found, accepts, after, start, builder.words))


def _chunks(tokens: list[Tok], words: Words) -> Iterator[tuple[list[Tok], Tok | None]]:
    """The header, then one piece a declaration, each with the token that follows it."""
    cuts = [0, *_cuts(tokens, words), len(tokens)]
    for start, end in pairwise(cuts):
        yield tokens[start:end], tokens[end] if end < len(tokens) else None


def _declares(token: Tok, words: Words) -> bool:
    return token.kind == "WORD" and token.written in words.declarations


def _cuts(tokens: list[Tok], words: Words) -> Iterator[int]:
    """Where declarations begin. A template goes on to its rule, which has no id."""
    shown = words.shown
    own, inside = (shown["DEFINE"], shown["FEATURE"]), False
    for place, token in enumerate(tokens):
        if place and token.first and _declares(token, words):
            ends = token.written == shown["RULE"] and place + 1 < len(tokens) and tokens[place + 1].kind == "STRING"
            if not inside or not (ends or token.written in own):
                yield place
            inside = token.written == shown["TEMPLATE"] or (inside and token.written in own)


def _with_comments(tree: ast.File, comments: list[ast.Comment]) -> ast.File:
    return replace(tree, comments=tuple(comments))


__all__ = ["MAX_DECLARATIONS", "MAX_PROBLEMS", "parse", "parse_cell", "parse_condition", "parse_expression", "parse_parts", "read_text"]
