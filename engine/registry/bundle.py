"""A bundle: a lock with everything it holds in one signed file, for a machine without a network.

The file is a first line that says what it is, a second with the signature, and the payload, a tar archive of plain files. The signature
is Ed25519 over the digest of the payload; nothing of the payload is looked at before it holds, and without a key to trust nothing holds.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

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
_BLOCK: Final = 1 << 20


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


def write(target: Path, lock: Lock, layout: Layout, key: Ed25519PrivateKey) -> None:
    """Write a lock with every blob it needs; the same bytes for the same lock and key. Raises `RegistryError` for a draft, and for blobs
    that are missing or altered."""
    if lock.draft:
        raise RegistryError(f"the lock of `{lock.name}` holds drafts, which nobody could find again: publish them, and lock anew")
    payload = io.BytesIO()
    with tarfile.open(fileobj=payload, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in _contents(lock, layout):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o644
            archive.addfile(member, io.BytesIO(data))
    digest = hashlib.sha512(payload.getbuffer()).hexdigest().encode()
    signature = base64.b64encode(key.sign(_SIGNED + digest))
    try:
        with unfinished(target) as file:
            file.write(_MAGIC + signature + b"\n" + payload.getvalue())
    except OSError as error:
        told = f"`{target}` cannot be written: {(error.strerror or str(error)).lower()}"
        raise RegistryError(f"{told}; name another file with --output") from None


def _contents(lock: Lock, layout: Layout) -> Iterator[tuple[str, bytes]]:
    yield _LOCK, lock.text().encode()
    blobs: dict[str, bytes] = {}
    for one in lock.components:
        manifest = Descriptor(MANIFEST_TYPE, one.manifest or "", one.size)
        blobs[manifest.digest] = layout.blob(manifest, f"`{one.component}`")
        said = layout.manifest(manifest, f"`{one.component}`")
        for part in (said["config"], *said["layers"]):
            blob = Descriptor.of(part, f"`{one.component}`")
            blobs[blob.digest] = layout.blob(blob, f"`{one.component}`")
    for digest, data in sorted(blobs.items()):
        yield f"blobs/sha256/{digest.removeprefix('sha256:')}", data


# --- reading -----------------------------------------------------------------------------------------------------------


def verify(path: Path, trusted: Ed25519PublicKey) -> None:
    """Raises `RegistryError` unless the payload is what the holder of the trusted key signed."""
    with _opened(path) as file:
        _check(file, path, trusted)


def unpack(path: Path, trusted: Ed25519PublicKey, folder: Path) -> Lock:
    """Verify a bundle, and lay its blobs out in a folder; gives its lock. Raises `RegistryError`, nothing written, unless all holds."""
    with _opened(path) as file:
        begin = _check(file, path, trusted)
        file.seek(begin)
        files = dict(_members(file, path))
    if _LOCK not in files:
        raise RegistryError(f"the bundle `{path}` holds no lock")
    lock = Lock.of(files.pop(_LOCK), f"{path}, {_LOCK}")
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "oci-layout").write_bytes(b'{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_bytes(json.dumps({"schemaVersion": 2, "manifests": []}).encode())
    return lock


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
    if len(signature) != 64:
        raise RegistryError(f"the bundle `{path}` bears no signature, and is not opened")
    begin, digest = file.tell(), hashlib.sha512()
    while block := file.read(_BLOCK):
        digest.update(block)
    try:
        trusted.verify(signature, _SIGNED + digest.hexdigest().encode())
    except InvalidSignature:
        raise RegistryError(f"the bundle `{path}` was altered, or signed by another key than the one trusted; it is not opened") from None
    return begin


def _members(file: BinaryIO, path: Path) -> Iterator[tuple[str, bytes]]:
    """The plain files of an archive, each once and inside."""
    seen: set[str] = set()
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                name = inside(member.name, f"the bundle `{path}`")
                if not member.isreg():
                    raise RegistryError(f"the bundle `{path}` holds `{name[:80]}`, which is no plain file")
                if name in seen:
                    raise RegistryError(f"the bundle `{path}` holds two files `{name[:80]}`")
                if name != _LOCK and not name.startswith("blobs/sha256/"):
                    raise RegistryError(f"the bundle `{path}` holds `{name[:80]}`, which does not belong into a bundle")
                seen.add(name)
                data = archive.extractfile(member)
                yield name, data.read() if data is not None else b""
    except tarfile.TarError:
        raise RegistryError(f"the bundle `{path}` is signed, and yet no archive") from None
