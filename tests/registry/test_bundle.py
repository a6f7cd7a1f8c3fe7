"""A bundle: nothing of it is opened unless the trusted key signed it, and where it is opened it decides as the lock did."""

from __future__ import annotations

import base64
import hashlib
import io
import socket
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import Engine
from engine.cli.main import main
from engine.errors import RegistryError
from engine.registry import bundle as bundles
from tests.registry.test_published import SALE, cash, locked, published, shop

__all__ = ["shop"]


@pytest.fixture
def packed(shop: Path) -> Path:
    published(shop)
    lock = locked(shop)
    assert main(["keygen", "release"]) == 0 and main(["keygen", "other"]) == 0
    assert main(["bundle", str(lock), "--key", "release.key"]) == 0
    return lock.with_suffix(".bundle")


def test_it_decides_far_from_everything(
    packed: Path, shop: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Engine.load(shop / "cascades/screening.lock").decide(SALE)
    away = tmp_path_factory.mktemp("away")
    for path in (packed, shop / "release.pub"):
        (away / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(away)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("there is no network here")

    monkeypatch.setattr(socket, "socket", refuse)
    engine = Engine.load("screening.bundle", trust="release.pub")
    assert engine.decide(SALE).to_json() == wanted.to_json()
    assert main(["verify", "screening.bundle", "--key", "release.pub"]) == 0


def test_the_same_lock_and_key_give_the_same_bytes(packed: Path, shop: Path) -> None:
    before = packed.read_bytes()
    assert main(["bundle", "cascades/screening.lock", "--key", "release.key", "--output", "again.bundle"]) == 0
    assert (shop / "again.bundle").read_bytes() == before
    assert (shop / "release.key").stat().st_mode & 0o077 == 0
    assert main(["keygen", "release"]) == 2  # a key is never written over


def test_a_draft_cannot_be_bundled(packed: Path, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cash(shop, version="1.0.1")
    locked(shop, "--draft")
    assert main(["bundle", "cascades/screening.lock", "--key", "release.key"]) == 2
    assert "holds drafts" in capsys.readouterr().err


def flipped(data: bytes) -> bytes:
    return data[:-700] + bytes([data[-700] ^ 1]) + data[-699:]


def unsigned(data: bytes) -> bytes:
    first, _, rest = data.split(b"\n", 2)
    return first + b"\n\n" + rest


@pytest.mark.parametrize(
    ("change", "key", "said"),
    [
        (flipped, "release.pub", "was altered, or signed by another key"),
        (lambda data: data + b"\0", "release.pub", "was altered, or signed by another key"),
        (lambda data: data[:-1], "release.pub", "was altered, or signed by another key"),
        (lambda data: data, "other.pub", "was altered, or signed by another key"),
        (unsigned, "release.pub", "bears no signature"),
        (lambda data: data[17:], "release.pub", "is no bundle of this engine"),
        (lambda data: b"", "release.pub", "is no bundle of this engine"),
        (lambda data: data, "release.key", "is no public Ed25519 key"),
        (lambda data: data, "none.pub", "cannot be read"),
    ],
)
def test_what_does_not_verify_is_not_opened(packed: Path, shop: Path, change: Callable[[bytes], bytes], key: str, said: str) -> None:
    packed.write_bytes(change(packed.read_bytes()))
    with pytest.raises(RegistryError, match=said):
        Engine.load(packed, trust=shop / key)
    assert main(["verify", str(packed), "--key", key]) == 2


def test_without_a_key_nothing_is_trusted(packed: Path) -> None:
    with pytest.raises(RegistryError, match="whose signature to trust"):
        Engine.load(packed)


def test_zeros_without_end_are_refused_unread(shop: Path, packed: Path) -> None:
    with packed.open("wb") as file:
        file.truncate(10_000_000_000)
    with pytest.raises(RegistryError, match="more than 4_000_000_000 bytes"):
        Engine.load(packed, trust=shop / "release.pub")
    packed.unlink()


def signed(target: Path, key: Path, *members: tuple[tarfile.TarInfo, bytes]) -> None:
    """A bundle with any members, signed rightly: whoever signs may be careless, or worse."""
    payload = io.BytesIO()
    with tarfile.open(fileobj=payload, mode="w") as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    digest = hashlib.sha512(payload.getvalue()).hexdigest().encode()
    signature = base64.b64encode(bundles.private_key(key).sign(b"kaskade bundle 1 sha512 " + digest))
    target.write_bytes(b"kaskade bundle 1\n" + signature + b"\n" + payload.getvalue())


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made, b"x" if kind == tarfile.REGTYPE else b""


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([member("../x")], "no place in a workspace"),
        ([member("/etc/x")], "no place in a workspace"),
        ([member("blobs/sha256/a", tarfile.SYMTYPE, "/etc/passwd")], "no plain file"),
        ([member("blobs/sha256/a", tarfile.LNKTYPE, "kaskade.lock")], "no plain file"),
        ([member("blobs/sha256/a", tarfile.CHRTYPE)], "no plain file"),
        ([member("blobs/sha256/a"), member("blobs/sha256/a")], "two files"),
        ([member("index.json")], "does not belong"),
        ([member("blobs/sha256/a")], "holds no lock"),
        ([member("kaskade.lock")], "is no lock"),
    ],
)
def test_what_is_signed_and_yet_no_bundle_is_refused(
    packed: Path, shop: Path, members: list[tuple[tarfile.TarInfo, bytes]], said: str
) -> None:
    signed(packed, shop / "release.key", *members)
    with pytest.raises(RegistryError, match=said):
        Engine.load(packed, trust=shop / "release.pub")
