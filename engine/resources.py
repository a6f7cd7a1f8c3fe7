"""Where the grammar, its keywords and the JSON Schemas lie: inside the installed package, or beside it in a checkout."""

from __future__ import annotations

from pathlib import Path


def grammar_text(name: str) -> str:
    """The text of a file of `grammar/`, like ``rules.lark``. Raises `FileNotFoundError` if the installation is broken.

    >>> grammar_text("cascade.schema.json").lstrip()[0]
    '{'
    """
    package = Path(__file__).parent
    installed = package / "grammar" / name
    return (installed if installed.exists() else package.parent / "grammar" / name).read_text(encoding="utf-8")
