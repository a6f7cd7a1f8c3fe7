"""Reading a rule file from disk, and the characters no rule text may hold. It knows nothing of the language."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Final

from engine.diagnostics import Diagnostic, Span
from engine.lang.letters import BIDI

YAML_BEGINS: Final = "a cascade begins with `cascade: NAME`, a deployment file with `allow:`"
MAX_BYTES: Final = 16 * 1024 * 1024

_CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_WIDE: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


def read_text(path: str | Path, file: str | None = None) -> tuple[str | None, list[Diagnostic]]:
    """The text of a rule file without its byte order mark, or none and the reason. Raises `OSError` when it cannot be opened.

    `file` is the name that places carry, by default the path as given.
    """
    name = str(path) if file is None else file
    with Path(path).open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        message = f"this file is larger than {MAX_BYTES // 2**20} MB"
        return None, [_whole("file-too-large", message, name, "keep long lists in a CSV file beside the rules")]
    if not data:
        yaml = Path(path).suffix in (".yaml", ".yml")
        hint = YAML_BEGINS if yaml else "begin it with `ruleset`, `record`, `features`, `list`, `table` or `rates`"
        return None, [_whole("empty-file", "this file is empty", name, hint)]
    wide = next((encoding for mark, encoding in _WIDE if data.startswith(mark)), None) or _unmarked(data)
    if wide:
        return None, [_whole("not-utf8", f"this file is written in {wide}, from its first byte on", name, "save it as UTF-8")]
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode("utf-8"), []
    except UnicodeDecodeError as error:
        return None, [_not_utf8(data, error.start, name)]


def _whole(code: str, message: str, file: str, hint: str) -> Diagnostic:
    return Diagnostic(code, message, Span(file, 1, 1, 1), hint=hint)


def _unmarked(data: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of what should be ASCII is zero."""
    head = data[:200]
    zeros = (head[::2].count(0), head[1::2].count(0))
    half = len(head) // 2
    return "UTF-16" if half and max(zeros) > 0.4 * half and min(zeros) < 0.1 * half + 1 and max(zeros) < len(head) / 2 + 1 else None


def _not_utf8(data: bytes, at: int, file: str) -> Diagnostic:
    line = data.count(b"\n", 0, at) + 1
    before = data[data.rfind(b"\n", 0, at) + 1 : at].removeprefix(codecs.BOM_UTF8)
    column = len(before.decode("utf-8")) + 1
    message = f"byte {at + 1} of this file (hexadecimal {data[at]:02X}) is not UTF-8; it looks like {_likely(data)}"
    return Diagnostic("not-utf8", message, Span(file, line, column, column + 1), hint="save it as UTF-8")


def _likely(data: bytes) -> str:
    """Cyrillic text in one byte a letter has runs of high bytes; Western text has them one by one."""
    runs = [len(run) for run in re.findall(rb"[\xc0-\xff]+", data)]
    if runs and max(runs) >= 3:
        return "Windows-1251"
    return "Windows-1252" if re.search(rb"[\x80-\xff]", data) else "an unknown encoding"


def check_text(text: str, file: str, line: int = 1, column: int = 1) -> list[Diagnostic]:
    """What no rule text may hold: control characters, and characters that turn the direction of the text.

    >>> [d.code for d in check_text("amount \u202e> 3", "a.rules")]
    ['bidi-control']
    """
    found = []
    for number, row in enumerate(text.split("\n")) if BIDI.search(text) or _CONTROL.search(text) else ():
        shift = column if number == 0 else 1
        bidi, control = BIDI.search(row), _CONTROL.search(row)
        if bidi:
            hint = "delete it: with it a text does not read as it runs"
            message = f"the invisible character U+{ord(bidi.group()):04X} changes the direction of the text"
            found.append(_at("bidi-control", message, file, line + number, shift + bidi.start(), hint))
        if control:
            what = "zero bytes" if control.group() == "\0" else f"the control character U+{ord(control.group()):04X}"
            message = f"this line holds {what}: the file is damaged, or no text"
            found.append(
                _at("control-character", message, file, line + number, shift + control.start(), "restore the file, or save it as UTF-8")
            )
        if len(found) >= 100:
            break
    return found


def _at(code: str, message: str, file: str, line: int, column: int, hint: str) -> Diagnostic:
    return Diagnostic(code, message, Span(file, line, column, column + 1), hint=hint)
