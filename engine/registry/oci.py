"""An OCI image layout on disk: blobs under their digests, manifests among them, and one index that names these.

It follows the image layout specification, so that any tool for OCI artefacts can copy what is here; what the blobs mean it does not know.
Whoever reads takes no lock: blobs never change, and the index is put in place whole. Whoever writes waits for his turn.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from engine.errors import RegistryError
from engine.registry.unfinished import clear, sync, unfinished

INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
REF: Final = "org.opencontainers.image.ref.name"
TITLE: Final = "org.opencontainers.image.title"
LARGEST_INDEX: Final = 512_000_000
LARGEST_MANIFEST: Final = 16_000_000
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_WAIT: Final = 60
"""Seconds to wait for another publisher."""
_PARTS: Final = ("blobs", "index.json")
"""What someone who was killed while he made a layout may have left."""
_PIECE: Final = 1 << 20
_WAY_OUT: Final = {
    errno.ENOSPC: "nothing was kept: make room and do it again",
    errno.EDQUOT: "nothing was kept: make room and do it again",
    errno.EFBIG: "nothing was kept: make room and do it again",
    errno.EROFS: "name a folder that you may write with --registry",
    errno.EACCES: "name a folder that you may write with --registry",
    errno.EPERM: "name a folder that you may write with --registry",
    errno.ENOTDIR: "a registry is a folder; name another with --registry",
    errno.EEXIST: "a registry is a folder; name another with --registry",
}


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What points to a blob: its media type, digest and size in bytes, with annotations."""

    type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    artifact: str | None = None

    @property
    def ref(self) -> str:
        """The name by which the index calls a manifest."""
        return self.annotations.get(REF, "")

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = {"mediaType": self.type, "digest": self.digest, "size": self.size}
        found |= {} if self.artifact is None else {"artifactType": self.artifact}
        return found | ({"annotations": dict(self.annotations)} if self.annotations else {})

    @classmethod
    def of(cls, data: Any, place: str) -> Descriptor:
        """A descriptor as it was read. Raises `RegistryError` for what is none."""
        found = data if isinstance(data, dict) else {}
        digest, size, notes = found.get("digest"), found.get("size"), found.get("annotations") or {}
        if not (isinstance(digest, str) and _DIGEST.fullmatch(digest) and isinstance(size, int) and size >= 0):
            raise RegistryError(f"{place} names a blob by no SHA-256 digest and size: {str(data)[:80]}")
        if not (isinstance(notes, dict) and all(isinstance(text, str) for text in notes.values())):
            raise RegistryError(f"{place} has annotations that are no texts")
        return cls(str(found.get("mediaType", "")), digest, size, notes, found.get("artifactType"))


def described(data: bytes, type_: str, annotations: Mapping[str, str] | None = None, artifact: str | None = None) -> Descriptor:
    """The descriptor of some bytes.

    >>> described(b"{}", "application/json").digest
    'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a'
    """
    return Descriptor(type_, "sha256:" + hashlib.sha256(data).hexdigest(), len(data), annotations or {}, artifact)


def as_manifest(data: bytes, what: str) -> dict[str, Any]:
    """The image manifest in some bytes. Raises `RegistryError` for what is none; `what` says in messages whose it is."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not (isinstance(found, dict) and found.get("schemaVersion") == 2 and isinstance(found.get("layers"), list)):
        raise RegistryError(f"{what}: sha256:{hashlib.sha256(data).hexdigest()} is no OCI image manifest")
    return found


def as_json(data: Any) -> bytes:
    """JSON, the same bytes for the same data."""
    return json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


class Layout:
    """The image layout in a folder. Raises `RegistryError` for whatever is not as the specification has it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._loose: list[Path] | None = None
        """Blobs of this turn that may not be on the disk yet; an index that names them waits for that."""

    @property
    def exists(self) -> bool:
        return (self.folder / "oci-layout").is_file()

    # --- reading -----------------------------------------------------------------------------------------------------

    def manifests(self) -> list[Descriptor]:
        """What the index names, in its order; nothing where there is no layout yet."""
        if not self.exists:
            return []
        self._check_version()
        data = self.as_data(self._file("index.json", LARGEST_INDEX), "`index.json`")
        named = data.get("manifests") if isinstance(data, dict) else None
        if not isinstance(named, list):
            raise RegistryError(f"`index.json` of `{self.folder}` is no index: it has no list `manifests`")
        return [Descriptor.of(one, f"`index.json` of `{self.folder}`") for one in named]

    def _check_version(self) -> None:
        data = self.as_data(self._file("oci-layout", LARGEST_MANIFEST), "`oci-layout`")
        version = data.get("imageLayoutVersion") if isinstance(data, dict) else None
        if version != "1.0.0":
            raise RegistryError(f"`{self.folder}` is an OCI layout of version {version!r}, this engine reads '1.0.0'")

    def _file(self, name: str, most: int) -> bytes:
        path = self.folder / name
        try:
            if not path.is_file():
                raise RegistryError(f"`{path}` is no file: `{self.folder}` is no registry, or was damaged")
            with path.open("rb") as file:
                data = file.read(most + 1)
        except OSError as error:
            raise RegistryError(f"`{path}` cannot be read: {(error.strerror or str(error)).lower()}") from None
        if len(data) > most:
            raise RegistryError(f"`{path}` has more than {most:_} bytes")
        return data

    def as_data(self, data: bytes, what: str) -> Any:
        """JSON that stands in the layout, as data."""
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise RegistryError(f"{what} of `{self.folder}` is no JSON") from None

    def path(self, digest: str) -> Path:
        """Where a blob lies, or would lie."""
        return self.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def blob(self, wanted: Descriptor, what: str) -> bytes:
        """The bytes of a blob, held against size and digest; `what` says in messages whose they are."""
        path = self.path(wanted.digest)
        try:
            there = path.stat()
            if not stat.S_ISREG(there.st_mode):
                raise RegistryError(f"{what}: the blob {wanted.digest} is no file in `{self.folder}`")
            if there.st_size != wanted.size:
                raise RegistryError(f"{what}: the blob {wanted.digest} was altered: it has {there.st_size:_} bytes, not {wanted.size:_}")
            data = path.read_bytes()
        except FileNotFoundError:
            raise RegistryError(f"{what}: the blob {wanted.digest} is missing from `{self.folder}`") from None
        except OSError as error:
            raise RegistryError(f"{what}: the blob {wanted.digest} cannot be read: {(error.strerror or str(error)).lower()}") from None
        if "sha256:" + hashlib.sha256(data).hexdigest() != wanted.digest:
            raise RegistryError(f"{what}: the blob {wanted.digest} was altered: its bytes have another digest")
        return data

    def manifest(self, wanted: Descriptor, what: str) -> dict[str, Any]:
        """An image manifest."""
        return as_manifest(self.manifest_bytes(wanted, what), what)

    def manifest_bytes(self, wanted: Descriptor, what: str) -> bytes:
        """The bytes of a manifest, as whoever made it wrote them."""
        if wanted.size > LARGEST_MANIFEST:
            raise RegistryError(f"{what}: its manifest has more than {LARGEST_MANIFEST:_} bytes")
        return self.blob(wanted, what)

    def pieces(self, wanted: Descriptor, what: str) -> Iterator[bytes]:
        """The bytes of a blob one piece after the other, however large it is; whoever takes them holds them against its digest."""
        path = self.path(wanted.digest)
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise RegistryError(f"{what}: the blob {wanted.digest} is no file in `{self.folder}`")
            with path.open("rb") as file:
                while piece := file.read(_PIECE):
                    yield piece
        except FileNotFoundError:
            raise RegistryError(f"{what}: the blob {wanted.digest} is missing from `{self.folder}`") from None
        except OSError as error:
            raise RegistryError(f"{what}: the blob {wanted.digest} cannot be read: {(error.strerror or str(error)).lower()}") from None

    def whole(self, wanted: Descriptor) -> bool:
        """Whether a blob is there and is what its digest says."""
        path, digest = self.path(wanted.digest), hashlib.sha256()
        if not path.is_file() or path.stat().st_size != wanted.size:
            return False
        for piece in self.pieces(wanted, "a blob"):
            digest.update(piece)
        return "sha256:" + digest.hexdigest() == wanted.digest

    # --- writing -----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Alone among all who write here; makes the layout where there is none."""
        with self._written():
            if not self.exists and self.folder.is_dir():
                self._check_empty()
            (self.folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
            try:
                with FileLock(self.folder / ".lock", timeout=_WAIT):
                    if not self.exists:
                        self._put_file("index.json", as_json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": []}))
                        self._put_file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
                    for left in (self.folder, self.folder / "blobs" / "sha256"):
                        clear(left)
                    self._loose = []
                    try:
                        yield
                    finally:
                        self._loose = None
            except Timeout:
                raise RegistryError(f"the registry `{self.folder}` is in use by another for more than {_WAIT} seconds") from None

    def _check_empty(self) -> None:
        """Whoever names the wrong folder finds nothing strewn among his files."""
        others = sorted(path.name for path in self.folder.iterdir() if not path.name.startswith(".") and path.name not in _PARTS)
        if others:
            raise RegistryError(
                f"`{self.folder}` is no registry and holds other files, like `{others[0]}`: name an empty folder, or a new one"
            )

    @contextlib.contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            hint = _WAY_OUT.get(error.errno or 0)
            told = f"the registry `{self.folder}` cannot be written: {(error.strerror or str(error)).lower()}"
            raise RegistryError(told + (f"; {hint}" if hint else "")) from None

    def take(self, wanted: Descriptor, pieces: Iterable[bytes], what: str) -> None:
        """Keep a blob that comes in pieces. Raises `RegistryError`, nothing kept, where they are not what its size and digest say."""
        if not self.exists:
            with self.turn():
                pass  # which makes it
        target, digest, size = self.path(wanted.digest), hashlib.sha256(), 0
        with self._written(), unfinished(target) as file:
            for piece in pieces:
                size += len(piece)
                if size > wanted.size:
                    break
                digest.update(piece)
                file.write(piece)
            if size != wanted.size or "sha256:" + digest.hexdigest() != wanted.digest:
                told = f"{size:_} bytes" if size < wanted.size else "more bytes" if size > wanted.size else "bytes of another digest"
                raise RegistryError(f"{what}: the blob {wanted.digest} of {wanted.size:_} bytes came as {told}; nothing of it is kept")

    def put(self, data: bytes, type_: str, annotations: Mapping[str, str] | None = None) -> Descriptor:
        """Keep some bytes; a blob that is there already and whole is left alone."""
        found = described(data, type_, annotations)
        path = self.path(found.digest)
        with self._written():
            if path.is_dir():
                raise RegistryError(f"the blob {found.digest} is no file in `{self.folder}`: take away what stands in its place")
            if not self.whole(found):
                with unfinished(path, synced=self._loose is None) as file:
                    file.write(data)
            if self._loose is not None:
                self._loose.append(path)
        return found

    def change_index(self, change: Callable[[list[Descriptor]], list[Descriptor]]) -> None:
        """Put another index in the place of this one, in one step. Only in one's `turn`."""
        self.put_index(change(self.manifests()))

    def put_index(self, named: Iterable[Descriptor]) -> None:
        """Let the index name these, once all that was put lies on the disk. Only in one's `turn`."""
        manifests = [one.to_dict() for one in named]
        sync(self._loose or ())
        self._put_file("index.json", as_json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests}))

    def _put_file(self, name: str, data: bytes) -> None:
        with unfinished(self.folder / name) as file:
            file.write(data)


def renamed(one: Descriptor, **annotations: str | None) -> Descriptor:
    """The descriptor with other annotations; none takes one away."""
    notes = {**one.annotations, **{name: text for name, text in annotations.items() if text is not None}}
    return replace(one, annotations={name: text for name, text in notes.items() if annotations.get(name, "") is not None})
