"""How commands speak: exit codes, text and JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

from engine.diagnostics import Diagnostic, suggest
from engine.errors import InputError
from engine.record import MAX_EVENT

FINE: Final = 0
PROBLEMS: Final = 1
MISUSE: Final = 2


class Stop(InputError):
    """A command that cannot be carried out as it was given; leaves with exit code 2."""


def out(text: str) -> None:
    """Print a result."""
    print(text)


def note(text: str) -> None:
    """Print what is no part of the result."""
    print(text, file=sys.stderr)


def as_json(data: Any) -> None:
    """Print a result for other programs."""
    print(json.dumps(data, ensure_ascii=False, indent=2))


def plural(count: int, one: str, many: str | None = None) -> str:
    """A count with its word.

    >>> plural(1, "file"), plural(2_000, "entry", "entries")
    ('1 file', '2,000 entries')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def counted(diagnostics: Iterable[Diagnostic]) -> str:
    """How many errors and warnings there are."""
    severities = [one.severity for one in diagnostics]
    errors, warnings = severities.count("error"), len(severities) - severities.count("error")
    return ", ".join([plural(errors, "error")] * bool(errors) + [plural(warnings, "warning")] * bool(warnings)) or "no problems"


def cascade_file(name: str) -> Path:
    """The file of the cascade that an argument names. Raises `Stop` for what cannot be one, before it is read as YAML."""
    path = Path(name)
    there = sorted(one.as_posix() for one in Path("cascades").rglob("*.y*ml"))
    if path.is_dir():
        raise Stop(f"`{name}` is a folder: name the file of a cascade" + (f", like `{there[0]}`" if there else ""))
    if path.suffix not in (".yaml", ".yml"):
        raise Stop(f"`{name}` is no cascade: a cascade is a .yaml file" + (f", like `{there[0]}`" if there else ""))
    if not path.is_file():
        near = suggest(name, there)
        raise Stop(f"there is no file `{name}`" + (f"; {near}" if near else ""))
    return path


def read_input(name: str) -> str:
    """The text of a file, or of standard input for ``-``. Raises `Stop` for one that is no UTF-8 text, or too large for an event."""
    shown = "standard input" if name == "-" else f"`{name}`"
    with nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb") as file:
        data = file.read(MAX_EVENT + 1)
    if len(data) > MAX_EVENT:
        raise Stop(f"{shown} is larger than {MAX_EVENT // 1_000_000} MB: an event is one JSON object; `engine run` decides whole files")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Stop(f"{shown} is no UTF-8 text: save the event as UTF-8") from None
