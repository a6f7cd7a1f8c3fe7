"""What the commands about versions share: where the registry is."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Final

from engine.cli.say import Stop
from engine.loaded import REGISTRY
from engine.registry.manifest import REFERENCE
from engine.registry.published import Registry
from engine.registry.store import Workspace

KINDS: Final = ("ruleset", "record", "features", "list", "table", "rates", "templates", "model", "cascade")


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--registry", metavar="DIR", help="the registry's folder (default: `registry` in the workspace)")


def workspace() -> Workspace:
    """That of the folder in which the command runs."""
    return Workspace.around(Path.cwd() / "any")


def registry(args: Namespace, beside: Path | None = None) -> Registry:
    """The registry that is meant, by default that of the workspace in which the file `beside` stands; nothing need be there yet."""
    home = workspace() if beside is None else Workspace.around(beside)
    return Registry(Path(args.registry) if args.registry else home.folder / REGISTRY)


def reference(text: str) -> tuple[str, str | None, str | None]:
    """``aml/cash@1.4.0`` as name and version or range, and its kind where that is said: ``cascade:aml/cash``. Raises `Stop`."""
    kind, _, name = text.rpartition(":")
    match = REFERENCE.fullmatch(name)
    if match is None or (kind and kind not in KINDS):
        raise Stop(f"`{text[:80]}` names no component: write `aml/cash`, `aml/cash@1.4.0` or `cascade:aml/cash`")
    return match["name"], match["range"], kind or None
