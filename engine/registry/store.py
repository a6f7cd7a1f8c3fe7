"""Where components are found: the working tree of a workspace. It hands out bytes and places, and knows no language.

A workspace is the folder that holds ``rulesets/``, ``cascades/`` and ``models/``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from engine.registry.manifest import fits, in_order, parse_version

FOLDERS = ("rulesets", "cascades", "models")


class Workspace:
    """A folder of components. Every file that is asked for is noted in `used`, so that a ledger can keep it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.used: set[Path] = set()

    @classmethod
    def around(cls, path: Path) -> Workspace:
        """The workspace a file belongs to: the nearest folder above it that holds one of `FOLDERS`; else its own folder."""
        path = path.resolve()
        for folder in path.parents:
            if folder.name not in FOLDERS and any((folder / name).is_dir() for name in FOLDERS):
                return cls(folder)
        return cls(path.parent)

    def label(self, path: Path) -> str:
        """The path as diagnostics and the ledger name it: relative to the workspace, with ``/``."""
        try:
            return path.relative_to(self.folder).as_posix()
        except ValueError:
            return path.as_posix()

    def note(self, path: Path) -> Path:
        """Note a file that is asked for, under its plain name: `a/b.csv`, however it was reached."""
        self.used.add(Path(os.path.normpath(path)))
        return path

    def rules(self, name: str) -> Path | None:
        """The file of a rule set, record, feature set or list."""
        path = self.folder / "rulesets" / f"{name}.rules"
        try:
            return self.note(path) if path.is_file() else None
        except OSError:  # a name that is too long for any file
            return None

    def rule_names(self) -> list[str]:
        root = self.folder / "rulesets"
        return sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.rules"))

    def cascades(self) -> Iterator[Path]:
        """Every cascade file; the name inside counts, so a reader opens them in turn."""
        root = self.folder / "cascades"
        yield from sorted((*root.rglob("*.yaml"), *root.rglob("*.yml")))

    def model(self, name: str, wanted: str | None) -> Path | None:
        """The folder of the newest version of a model that fits."""
        fitting = [version for version in self.model_versions(name) if fits(version, wanted)]
        return self.folder / "models" / name / fitting[-1] if fitting else None

    def model_versions(self, name: str) -> list[str]:
        """The versions of a model that are there, oldest first."""
        root = self.folder / "models" / name
        versions = [p.name for p in root.iterdir() if parse_version(p.name)] if root.is_dir() else []
        return sorted(versions, key=in_order)

    def model_names(self) -> list[str]:
        root = self.folder / "models"
        return sorted({path.parent.parent.relative_to(root).as_posix() for path in root.rglob("model.yaml")})
