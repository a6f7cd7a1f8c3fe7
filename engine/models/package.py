"""Model packages: folder -> `Model`, or `ModelError`. What is not as `model.yaml` says, or scores otherwise than recorded, is refused.

Nothing in a package can run code that the deployment did not allow: pickles are never opened, and the allow-list of types comes from
the caller.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import math
import pickletools
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine.diagnostics import suggest
from engine.errors import ModelError
from engine.models import lightgbm, manifest, sklearn, xgboost
from engine.models.adapter import Adapter, Input, Output, Scorer, ulps
from engine.models.encode import encoder
from engine.models.manifest import Manifest, tolerance
from engine.values import Missing, Value

if TYPE_CHECKING:
    from engine.models.adapter import Matrix

KINDS: Final[dict[str, Adapter]] = {"lightgbm": lightgbm, "xgboost": xgboost, "sklearn": sklearn}
"""Every kind of model there is. scikit-learn stands last: the others' estimators look like its own."""

GOLDEN, REFERENCE, MANIFEST = "golden.parquet", "reference.json", "model.yaml"
_PICKLES: Final = (".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle")
_MODULES: Final = {"scikit-learn": "sklearn"}


@dataclass(frozen=True, slots=True)
class Model:
    """A package that may be used. It holds no state that scoring changes, and threads may share it."""

    manifest: Manifest
    scorer: Scorer
    encoders: tuple[Callable[[Value], Any], ...] = field(default=(), compare=False, repr=False)

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def version(self) -> str:
        return self.manifest.version

    @property
    def inputs(self) -> tuple[Input, ...]:
        return self.manifest.signature.inputs

    @property
    def outputs(self) -> tuple[Output, ...]:
        return self.manifest.signature.outputs

    @property
    def width(self) -> int:
        width: int = self.manifest.environment["float"]
        return width

    @property
    def ulps(self) -> int:
        """How far a row scored in a batch may lie from the same row scored alone."""
        return tolerance(self.manifest.batch) or 0

    def many(self, matrix: Matrix) -> Matrix:
        """Scores of encoded rows (n × inputs -> n × outputs), in a batch where the package allows it."""
        import numpy as np

        if len(matrix) == 0:
            return np.empty((0, len(self.outputs)))
        if self.manifest.batch == "row by row":
            return np.array([self.scorer.one(row) for row in matrix.tolist()])
        return self.scorer.many(matrix)

    def contributions(self, row: Mapping[str, Value]) -> dict[str, float] | None:
        """Each input's share of the (first) raw score, and the base under ``""``; `row` has typed values by input name.

        None where the library gives none, or where a required input is missing. Slow: computed for explanations only.
        """
        values = [encode(row[declared.name]) for declared, encode in zip(self.inputs, self.encoders, strict=True)]
        if any(value.__class__ is Missing for value in values):
            return None
        shares = self.scorer.contributions(values)
        return dict(zip([*(declared.name for declared in self.inputs), ""], shares, strict=False)) if shares else None


class _Closed:
    """Stands for a model of which only the description was read."""

    def one(self, values: Sequence[float]) -> Sequence[float]:
        raise ModelError("the model was only described, not opened, and cannot score")

    def many(self, matrix: Matrix) -> Matrix:
        raise ModelError("the model was only described, not opened, and cannot score")

    def contributions(self, values: Sequence[float]) -> Sequence[float]:
        return ()


def describe(folder: Path) -> Model:
    """What the package in `folder` says of itself, as a model that cannot score; opens nothing but `model.yaml`."""
    path = folder / MANIFEST
    if not path.is_file():
        raise ModelError(f"there is no `{MANIFEST}` in `{folder.name}`")
    try:
        with path.open(encoding="utf-8") as file:
            # one more than it may have, so that what is far too long is not read
            text = file.read(manifest.MAX_BYTES + 1)
    except UnicodeDecodeError as error:
        raise ModelError(f"`{MANIFEST}` is no UTF-8 text") from error
    described = manifest.read(text, MANIFEST)
    if described.kind not in KINDS:
        hint = suggest(described.kind, KINDS) or "known are " + ", ".join(f"`{kind}`" for kind in KINDS)
        raise ModelError(f"`{described}`: unknown kind `{described.kind}`, {hint}")
    return assemble(described, _Closed())


def assemble(described: Manifest, scorer: Scorer) -> Model:
    """A model of its parts."""
    width = described.environment["float"]
    return Model(described, scorer, tuple(encoder(declared, width) for declared in described.signature.inputs))


def load(folder: Path, *, allow: frozenset[str] = frozenset()) -> Model:
    """The model in a package folder, verified: files by their hashes, the artefact by scoring the golden rows.

    `allow` names the types a skops archive may hold beyond scikit-learn's harmless ones; it is the deployment's, never the package's.
    Raises `ModelError`, which says what is wrong in one line.

    >>> load(Path("/nowhere/1.0.0"))
    Traceback (most recent call last):
    engine.errors.ModelError: there is no `model.yaml` in `1.0.0`
    """
    return open_package(folder, allow)


def open_package(folder: Path, allow: frozenset[str] | None) -> Model:
    """As `load`; with no allow-list at all for a package this process wrote a moment ago from an object it holds."""
    described = describe(folder).manifest
    adapter = KINDS[described.kind]
    _verify(folder, described, adapter)
    try:
        for library in adapter.LIBRARIES:
            importlib.import_module(_MODULES.get(library, library))
        model = assemble(described, adapter.open(folder / described.file, described.signature, allow))
    except ImportError as error:
        raise ModelError(f"`{described}` needs a library that is not here: install `kaskade[{described.kind}]` ({error.name})") from error
    except ModelError as error:
        raise ModelError(f"`{described}`: {error}") from error
    except Exception as error:
        # whatever a library makes of a broken artefact
        raise ModelError(f"`{described}`: `{described.file}` cannot be read: {' '.join(str(error).split())[:200]}") from error
    _score_golden(folder, model)
    return model


def _verify(folder: Path, described: Manifest, adapter: Adapter) -> None:
    """Every file inside the folder, as its hash says, and none of them a pickle."""
    root = folder.resolve()
    for path in sorted(folder.rglob("*")):
        if not path.resolve().is_relative_to(root):
            raise ModelError(f"`{described}`: `{path.name}` leads out of the package folder")
        if set(path.suffixes) & set(_PICKLES) or (path.is_file() and _is_pickle(path)):
            raise ModelError(f"`{described}` holds the pickle `{path.name}`: pickles run code when they are opened, and never are here")
    for name, digest in described.files.items():
        path = folder / name
        if not path.is_file():
            raise ModelError(f"`{described}`: the file `{name}` is not there")
        if sha256(path) != digest:
            raise ModelError(f"`{described}`: `{name}` was changed after it was packaged (its sha256 is not the recorded one)")
    with (folder / described.file).open("rb") as file:
        if file.read(len(adapter.MAGIC)) != adapter.MAGIC:
            raise ModelError(f"`{described}`: `{described.file}` is no {described.kind} artefact")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_pickle(path: Path) -> bool:
    """Whether the bytes are a pickle. Reading its instructions runs none of them."""
    with path.open("rb") as file:
        head = file.read(2)
        if head[:1] == b"\x80" and head[1:] in (b"\x02", b"\x03", b"\x04", b"\x05"):
            return True
        file.seek(0)
        try:
            # protocols 0 and 1 have no mark of their own: a pickle is what reads as one to its end
            # (reading anything else fails in one of many ways)
            return sum(1 for _ in pickletools.genops(file)) > 1 and not file.read(1)
        except Exception:
            return False


def environment(adapter: Adapter, width: int) -> dict[str, Any]:
    """Where the process runs, as far as it can change a score."""
    versions = {library: library_version(library) for library in adapter.LIBRARIES}
    return {"python": platform.python_version(), "machine": platform.machine(), "float": width, "libraries": versions}


def library_version(library: str) -> str:
    """The version of an installed library; some are installed under another name, as xgboost is by ``xgboost-cpu``."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return str(importlib.import_module(_MODULES.get(library, library)).__version__)


def _score_golden(folder: Path, model: Model) -> None:
    from engine.models import columnar  # loads polars

    allowed = tolerance(model.manifest.golden) or 0
    for place, (values, wanted) in enumerate(columnar.read_golden(folder / GOLDEN, model.manifest), start=1):
        encoded = [encode(value) for encode, value in zip(model.encoders, values, strict=True)]
        lacks = [declared.name for declared, x in zip(model.inputs, encoded, strict=True) if x.__class__ is Missing]
        if lacks:
            raise ModelError(f"`{model.manifest}`: golden row {place} has no value for `{lacks[0]}` that the model can read")
        for output, got, want in zip(model.outputs, model.scorer.one(encoded), wanted, strict=True):
            if not (math.isfinite(got) and math.isfinite(want)) or ulps(got, want) > allowed:
                raise ModelError(_differs(model.manifest, place, output.name, got, want))


def _differs(described: Manifest, place: int, output: str, got: float, want: float) -> str:
    here = environment(KINDS[described.kind], described.environment["float"])
    apart = f"{ulps(got, want):,} ulp apart" if math.isfinite(got) and math.isfinite(want) else "not a number"
    return (
        f"`{described}` must not be used: golden row {place} gives {output} {got!r}, recorded was {want!r} ({apart}, allowed: "
        f"{described.golden}); recorded with {_shown(described.environment)}, here {_shown(here)}"
    )


def _shown(place: Mapping[str, Any]) -> str:
    libraries = [f"{name} {version}" for name, version in place["libraries"].items()]
    return ", ".join([f"python {place['python']}", *libraries, place["machine"], f"{place['float']}-bit floats"])
