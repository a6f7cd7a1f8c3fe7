"""A bundle: a lock with everything it holds in one signed file, for a machine without a network; with the wheels to run it, if asked.

The file is a first line that says what it is, a second with the signature, and the payload, a tar archive of plain files. The signature
is Ed25519 over the digest of the payload; nothing of the payload is looked at before it holds, and without a key to trust nothing holds.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final

from engine.errors import RegistryError
from engine.registry.lock import Lock
from engine.registry.oci import MANIFEST_TYPE, Descriptor, Layout
from engine.registry.published import inside
from engine.registry.unfinished import unfinished

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SUFFIX: Final = ".bundle"
LARGEST: Final = 4_000_000_000
_MAGIC: Final = b"kaskade bundle 1\n"
_SIGNED: Final = b"kaskade bundle 1 sha512 "
_LONGEST: Final = 1_000
_LOCK: Final = "kaskade.lock"
_BLOBS: Final = "blobs/sha256/"
_WHEELS: Final = "wheels/"
_BLOCK: Final = 1 << 20
_SIGNATURE: Final = 64
_ENCODED: Final = 88
"""Bytes of a signature, and of its text."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a bundle holds: its lock, and the files with which that is run elsewhere, each with its size."""

    lock: Lock
    wheels: dict[str, int]


# --- keys --------------------------------------------------------------------------------------------------------------


def make_key(private: Path, public: Path) -> None:
    """Write a new pair of keys; the private one may be read by its owner alone. Raises `RegistryError` where one is there already."""
    from cryptography.hazmat.primitives import serialization as forms
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    for path in (private, public):
        if path.exists():
            raise RegistryError(f"`{path}` is there already: a key is never written over")
    key = Ed25519PrivateKey.generate()
    private.touch(mode=0o600)
    private.write_bytes(key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo))


def private_key(path: Path) -> Ed25519PrivateKey:
    """The key to sign with. Raises `RegistryError` for a file that is none."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key: Ed25519PrivateKey = _key(path, lambda data: load_pem_private_key(data, None), Ed25519PrivateKey, "private")
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """The key whose signatures are trusted. Raises `RegistryError` for a file that is none."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key: Ed25519PublicKey = _key(path, load_pem_public_key, Ed25519PublicKey, "public")
    return key


def _key(path: Path, load: Any, kind: Any, word: str) -> Any:
    try:
        key = load(path.read_bytes())
    except OSError as error:
        raise RegistryError(f"the key `{path}` cannot be read: {(error.strerror or str(error)).lower()}") from None
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, kind):
        raise RegistryError(f"`{path}` is no {word} Ed25519 key; make a pair with `engine keygen`")
    return key


# --- writing -----------------------------------------------------------------------------------------------------------


def write(target: Path, lock: Lock, layout: Layout, key: Ed25519PrivateKey, wheels: Iterable[Path] = ()) -> None:
    """Write a lock with every blob it needs, and files to run it with; the same bytes for the same lock, key and files.

    Raises `RegistryError` for a draft, for blobs that are missing or altered, and for more than a bundle may have.
    """
    if lock.draft:
        raise RegistryError(f"the lock of `{lock.name}` holds drafts, which nobody could find again: publish them, and lock anew")
    try:
        with unfinished(target) as file:
            file.write(_MAGIC + bytes(_ENCODED) + b"\n")
            begin = file.tell()
            with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
                for name, size, data in _contents(lock, layout, wheels):
                    member = tarfile.TarInfo(name)
                    member.size, member.mode = size, 0o644
                    with data:
                        archive.addfile(member, data)
            if file.tell() > LARGEST:
                raise RegistryError(f"`{target}` would have more than {LARGEST:_} bytes, which is more than a bundle may have")
            file.seek(begin)
            signature = base64.b64encode(key.sign(_SIGNED + _digest(file)))
            file.seek(len(_MAGIC))
            file.write(signature)
    except OSError as error:
        told = f"`{target}` cannot be written: {(error.strerror or str(error)).lower()}"
        raise RegistryError(f"{told}; name another file with --output") from None


def _digest(file: IO[bytes]) -> bytes:
    """That of a file from here on, as it is signed."""
    digest = hashlib.sha512()
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest().encode()


def _contents(lock: Lock, layout: Layout, wheels: Iterable[Path]) -> Iterator[tuple[str, int, IO[bytes]]]:
    text = lock.text().encode()
    yield _LOCK, len(text), io.BytesIO(text)
    blobs: dict[str, bytes] = {}
    for one in lock.components:
        manifest = Descriptor(MANIFEST_TYPE, one.manifest or "", one.size)
        blobs[manifest.digest] = layout.blob(manifest, f"`{one.component}`")
        said = layout.manifest(manifest, f"`{one.component}`")
        for part in (said["config"], *said["layers"]):
            blob = Descriptor.of(part, f"`{one.component}`")
            blobs[blob.digest] = layout.blob(blob, f"`{one.component}`")
    for digest, data in sorted(blobs.items()):
        yield _BLOBS + digest.removeprefix("sha256:"), len(data), io.BytesIO(data)
    for path in sorted(wheels):
        yield _WHEELS + path.name, path.stat().st_size, path.open("rb")


# --- reading -----------------------------------------------------------------------------------------------------------


def verify(path: Path, trusted: Ed25519PublicKey) -> Contents:
    """What a bundle holds, once it is verified. Raises `RegistryError` unless it is what the holder of the trusted key signed."""
    with _verified(path, trusted) as archive:
        return _contained(archive, path)


def unpack(path: Path, trusted: Ed25519PublicKey, folder: Path) -> Lock:
    """Verify a bundle, and lay its blobs out in a folder; gives its lock. Raises `RegistryError`, nothing written, unless all holds."""
    with _verified(path, trusted) as archive:
        lock = _contained(archive, path).lock
        _lay_out(archive, path, _BLOBS, folder)
    (folder / "oci-layout").write_bytes(b'{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_bytes(json.dumps({"schemaVersion": 2, "manifests": []}).encode())
    return lock


def unpack_wheels(path: Path, trusted: Ed25519PublicKey, folder: Path) -> Contents:
    """Verify a bundle, and lay its wheels out in a folder. Raises `RegistryError`, nothing written, unless all holds."""
    with _verified(path, trusted) as archive:
        contents = _contained(archive, path)
        if not contents.wheels:
            raise RegistryError(f"the bundle `{path}` holds no wheels: make it with `engine bundle LOCK --wheels`")
        _lay_out(archive, path, _WHEELS, folder)
    return contents


@contextmanager
def _verified(path: Path, trusted: Ed25519PublicKey) -> Iterator[tarfile.TarFile]:
    """The payload as an archive; nothing of it is looked at before the signature holds."""
    with _opened(path) as file:
        file.seek(_check(file, path, trusted))
        try:
            with tarfile.open(fileobj=file, mode="r:") as archive:
                yield archive
        except tarfile.TarError:
            raise RegistryError(f"the bundle `{path}` is signed, and yet no archive") from None


def _contained(archive: tarfile.TarFile, path: Path) -> Contents:
    """What an archive holds, every member looked at."""
    wheels, lock = dict[str, int](), None
    for member in _members(archive, path):
        if member.name == _LOCK:
            lock = Lock.of(_file(archive, member).read(), f"{path}, {_LOCK}")
        elif member.name.startswith(_WHEELS):
            wheels[member.name.removeprefix(_WHEELS)] = member.size
    if lock is None:
        raise RegistryError(f"the bundle `{path}` holds no lock")
    return Contents(lock, wheels)


def _lay_out(archive: tarfile.TarFile, path: Path, below: str, folder: Path) -> None:
    """Write what stands below a folder of an archive into one on disk; its members have been looked at."""
    for member in _members(archive, path):
        if member.name.startswith(below):
            (folder / member.name).parent.mkdir(parents=True, exist_ok=True)
            with (folder / member.name).open("wb") as made, _file(archive, member) as data:
                shutil.copyfileobj(data, made)


def _file(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(member)
    assert file is not None  # a plain file, as `_members` gives them
    return file


def _opened(path: Path) -> BinaryIO:
    try:
        if path.stat().st_size > LARGEST:
            raise RegistryError(f"the bundle `{path}` has more than {LARGEST:_} bytes")
        return path.open("rb")
    except OSError as error:
        raise RegistryError(f"the bundle `{path}` cannot be read: {(error.strerror or str(error)).lower()}") from None


def _check(file: BinaryIO, path: Path, trusted: Ed25519PublicKey) -> int:
    """Hold the signature against the payload; where that begins."""
    from cryptography.exceptions import InvalidSignature

    if file.readline(_LONGEST) != _MAGIC:
        raise RegistryError(f"`{path}` is no bundle of this engine; make one with `engine bundle LOCK`")
    line = file.readline(_LONGEST)
    try:
        signature = base64.b64decode(line.strip(), validate=True)
    except ValueError:
        signature = b""
    if len(signature) != _SIGNATURE:
        raise RegistryError(f"the bundle `{path}` bears no signature, and is not opened")
    begin = file.tell()
    try:
        trusted.verify(signature, _SIGNED + _digest(file))
    except InvalidSignature:
        raise RegistryError(f"the bundle `{path}` was altered, or signed by another key than the one trusted; it is not opened") from None
    return begin


def _members(archive: tarfile.TarFile, path: Path) -> Iterator[tarfile.TarInfo]:
    """The plain files of an archive, each once and where it belongs."""
    seen: set[str] = set()
    for member in archive:
        name = inside(member.name, f"the bundle `{path}`")
        if not member.isreg():
            raise RegistryError(f"the bundle `{path}` holds `{name[:80]}`, which is no plain file")
        if name in seen:
            raise RegistryError(f"the bundle `{path}` holds two files `{name[:80]}`")
        folder, file = name[: name.rfind("/") + 1], name[name.rfind("/") + 1 :]
        if name != _LOCK and folder != _BLOBS and not (folder == _WHEELS and file.endswith((".whl", ".txt"))):
            raise RegistryError(f"the bundle `{path}` holds `{name[:80]}`, which does not belong into a bundle")
        seen.add(name)
        yield member
