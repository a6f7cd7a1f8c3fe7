"""``engine graph``: a cascade or a lock as a drawing."""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Final

from engine.cascade.draw import DRAW, FORMATS, Drawing, drawing, versions
from engine.cascade.link import Linked
from engine.cli import loading, shelf
from engine.cli.say import FINE, Stop, as_json, out
from engine.errors import SourceError
from engine.loaded import load
from engine.registry import bundle
from engine.registry.lock import SUFFIX, Lock, check_engine, check_loaded, unpack
from engine.registry.mirror import holding
from engine.registry.places import Address
from engine.registry.store import Workspace
from engine.uses import Tree, Versions, needs_of
from engine.version import LANGUAGE_VERSION, VERSION

SUMMARY: Final = "draw a cascade or a lock: its steps, who reads whom, and which versions"
FINDS: Final = "a cascade that does not check, or a lock whose versions are missing or altered"
TEACHES: Final = """\
Draw the steps of a cascade in layers, each with its component, its gate and the columns it reads of other steps. Of a lock the exact
versions are drawn too, and which range each asks for of which other. No model is opened.

examples:
  engine graph cascades/screening.yaml
  engine graph cascades/screening.yaml --format svg > screening.svg
  engine graph --lock cascades/screening.lock"""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("cascade", metavar="CASCADE", nargs="?", help="the cascade's YAML file, or a lock")
    parser.add_argument("--lock", metavar="LOCK", help="the lock to draw")
    parser.add_argument("--format", choices=FORMATS, default="text", help="text (default), mermaid for Markdown pages, or svg")
    shelf.arguments(parser, shelf.ANYWHERE)


def run(args: Namespace) -> int:
    if bool(args.cascade) == bool(args.lock):
        raise Stop("name what to draw: `engine graph cascades/screening.yaml`, or `engine graph --lock cascades/screening.lock`")
    path = _file(args.lock or args.cascade)
    if args.lock and path.suffix != SUFFIX:
        raise Stop(f"`{args.lock}` is no lock: it ends with `{SUFFIX}`; a cascade is drawn without --lock")
    if path.suffix == bundle.SUFFIX:
        raise Stop(f"`{path}` is a bundle, which is opened only to decide: draw the lock it was made of")
    locked = path.suffix == SUFFIX
    drawn = _of_lock(Lock.read(path), path, shelf.where(args, path)) if locked else (drawing(_linked(path, Workspace.around(path))),)
    if args.json:
        as_json(dict(zip(("steps", "versions"), map(asdict, drawn), strict=True)) if locked else asdict(drawn[0]))
    else:
        out(DRAW[args.format](*drawn))
    return FINE


def _file(name: str) -> Path:
    """The cascade or lock that is named. Raises `Stop`; of a folder of locks one is to be named."""
    path = loading.path_of(name)
    if path.is_dir():
        raise Stop(f"`{name}` is a folder: name one of its locks, like `{min(path.glob(f'*{SUFFIX}')).as_posix()}`")
    return path


def _linked(path: Path, workspace: Workspace) -> Linked:
    linked, components = load(path, workspace, models=False)
    if linked is None:
        raise SourceError(components.diagnostics, components.rendered())
    return linked


def _of_lock(lock: Lock, path: Path, found: Path | Address) -> tuple[Drawing, ...]:
    """The steps as the locked versions have them, and these versions."""
    check_engine(lock, VERSION, LANGUAGE_VERSION, str(path))
    home, registry = Workspace.around(path), holding(lock, found)
    with tempfile.TemporaryDirectory(prefix="kaskade-") as place:
        folder = home.folder if lock.draft else Path(place).resolve()
        if not lock.draft:
            unpack(lock, registry, folder)
        linked = _linked(folder / lock.path, Workspace(folder))
    check_loaded(lock, linked.components, str(path))
    held, tree = Versions(registry), Tree(home) if lock.draft else None
    needs = {entry.component: needs_of(entry, held, tree) for entry in lock.components}
    drafts = [entry.component for entry in lock.components if entry.draft]
    return drawing(linked), versions(home.label(path.resolve()), needs, drafts)
