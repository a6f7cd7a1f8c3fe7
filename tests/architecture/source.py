"""What the architecture tests read of the project's own source."""

from __future__ import annotations

import ast
import io
import tokenize
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "engine"
MODULES = sorted(path for path in ENGINE.rglob("*.py") if "__pycache__" not in path.parts)

_EMPTY = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def label(path):
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def code_lines(path):
    """The numbers of lines that hold code: no blank lines, comments or docstrings."""
    documented = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            documented |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type not in _EMPTY:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return frozenset(lines - documented)


@cache
def functions(path):
    """Every function of a module with its number of code lines, those of functions inside it among them."""
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef):
            found.append((node.name, len(code_lines(path) & set(range(node.lineno, node.end_lineno + 1)))))
    return tuple(found)


@cache
def imports(path):
    """(module, whether it is inside a function, whether only for types) of every import."""
    found = []

    def visit(node, inside, typing):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.extend((alias.name, inside, typing) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                ours = child.module.partition(".")[0] == "engine"
                names = [f"{child.module}.{alias.name}" for alias in child.names] if ours else [child.module]
                found.extend((name, inside, typing) for name in names)
            only = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
            visit(child, inside or isinstance(child, ast.FunctionDef), typing or only)

    visit(tree(path), False, False)
    return tuple(found)
