"""Folders that cannot be written, full disks, servers that lie, dawdle or are none: one line, a way out, and nothing half-written."""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import os
import resource
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from engine import Engine
from engine.cli.main import main
from engine.errors import RegistryError
from engine.registry.carry import carry, opened
from engine.registry.oci import as_json, described
from engine.registry.places import Address, place
from engine.registry.published import Registry
from tests.registry.servers import LOGIN, Answer, DockerRegistry, answering
from tests.registry.test_carry import sent, told
from tests.registry.test_published import cash, locked, pack, published, shop

__all__ = ["shop"]


@pytest.fixture
def error(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A function from a command that must fail to the one line it says."""

    def run(*command: object) -> str:
        capsys.readouterr()
        assert main([str(word) for word in command]) == 2
        said = capsys.readouterr()
        assert said.err.count("\n") == 1 and said.err.startswith("engine: "), said.err
        return said.err.removeprefix("engine: ").strip()

    return run


# --- what cannot be written --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def powerless(*folders: Path) -> Iterator[None]:
    """These folders cannot be written: whoever is root is somebody else meanwhile."""
    for folder in folders:
        folder.chmod(0o555)
    who = os.geteuid()
    if who == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if who == 0:
            os.seteuid(0)
        for folder in folders:
            folder.chmod(0o755)


@pytest.fixture
def open_shop(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The shop where everybody may read it."""
    root = Path(tempfile.mkdtemp(prefix="kaskade-"))
    root.chmod(0o755)
    shutil.copytree(shop, root / "shop")
    for path in (root / "shop", *(root / "shop").rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    monkeypatch.chdir(root / "shop")
    monkeypatch.setenv("HOME", str(root))
    yield root / "shop"
    shutil.rmtree(root)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def test_a_registry_that_may_only_be_read(open_shop: Path, remote: str, error: Callable[..., str]) -> None:
    published(open_shop)
    sent(opened(place(remote)), pack("shop/newer", "1.0.0"), folder=open_shop / "newer")
    lock = locked(open_shop)
    before = contents(open_shop)
    cash(open_shop, version="1.0.1", more="# a comment\n")
    registry = open_shop / "registry"
    with powerless(registry, registry / "blobs", registry / "blobs/sha256"):
        newer = ["pull", "--all", "--from", remote]
        for command in (["publish", "shop/cash"], ["yank", "shop/cash@1.0.0", "--because", "bad"], newer):
            said = f"the registry `{registry}` cannot be written: permission denied; name a folder that you may write with --registry"
            assert error(*command) == said
        assert Engine.load(lock).plan is not None  # to read takes no right to write
        assert main(["push", "--all", "--to", remote]) == 0
    (open_shop / "rulesets/shop/cash.rules").write_bytes(before["rulesets/shop/cash.rules"])
    assert contents(open_shop) == before


def test_a_folder_in_which_no_lock_can_be_written(open_shop: Path, error: Callable[..., str]) -> None:
    published(open_shop)
    lock = locked(open_shop)
    before = lock.read_bytes()
    cash(open_shop, version="1.0.1", more="# a comment\n")
    published(open_shop, "shop/cash")
    with powerless(open_shop / "cascades"):
        said = error("lock", "cascades/screening.yaml")
    assert said == "the lock `cascades/screening.lock` cannot be written: permission denied; name another file with --output"
    assert lock.read_bytes() == before and len(list((open_shop / "cascades").iterdir())) == 2
    inside = "cascades/screening.lock/x.lock"
    assert error("lock", "cascades/screening.yaml", "--output", inside).startswith(
        f"the lock `{inside}` cannot be written: not a directory"
    )


def test_a_cache_that_cannot_be_written(open_shop: Path, remote: str, error: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    published(open_shop)
    assert main(["push", "--all", "--to", remote]) == 0
    with powerless(open_shop.parent):
        said = error("lock", "cascades/screening.yaml", "--registry", remote)
    assert "(permission denied): say one that you may write in the environment variable KASKADE_CACHE" in said
    monkeypatch.setenv("KASKADE_CACHE", str(open_shop / "cache"))
    assert main(["lock", "cascades/screening.yaml", "--registry", remote]) == 0


@contextlib.contextmanager
def full(size: int) -> Iterator[None]:
    """No file can grow beyond so many bytes, as on a disk that has no more."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("word", ["publish", "pull"])
@pytest.mark.parametrize("size", [0, 100, 500, 1_000])
def test_a_file_that_cannot_grow(tmp_path: Path, size: int, word: str) -> None:
    source, here = Registry(tmp_path / "source"), Registry(tmp_path / "here")
    source.publish([pack("a/b", "1.1.0", files={"rulesets/a/b.rules": b"x" * 5_000})])
    here.publish([pack("a/b", "1.0.0")])
    before = contents(tmp_path)
    with full(size), pytest.raises(RegistryError, match=r"cannot be written: file too large; nothing was kept: make room and do it again"):
        if word == "pull":
            carry(source.all(), source, here)
        else:
            here.publish([pack("a/b", "1.1.0", files={"rulesets/a/b.rules": b"x" * 5_000})])
    assert [str(one) for one in here.all()] == ["a/b@1.0.0"]
    assert not list(tmp_path.rglob(".unfinished-*")) and contents(tmp_path).items() >= before.items()
    carry(source.all(), source, here)
    assert [str(one) for one in here.all()] == ["a/b@1.0.0", "a/b@1.1.0"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 128 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", folder], check=False, capture_output=True).returncode
    ):
        pytest.skip("NOT TESTED: a disk that is really full; only root can mount one (what cannot grow is tested by a limit)")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk(shop: Path, small_disk: Path, remote: str, error: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    published(shop)
    lock = locked(shop)
    assert main(["push", "--all", "--to", remote]) == 0
    (small_disk / "filler").write_bytes(b"x" * 110_000)
    made = ["pull", "--all", "--from", remote, "--registry", small_disk / "registry"]
    assert (
        error(*made)
        == f"the registry `{small_disk}/registry` cannot be written: no space left on device; nothing was kept: make room and do it again"
    )
    assert Registry(small_disk / "registry").all() == [] and not list(small_disk.rglob(".unfinished-*"))
    shutil.rmtree(small_disk / "registry")
    old = small_disk / "screening.lock"
    old.write_bytes(lock.read_bytes())
    with (small_disk / "filler").open("ab") as filler, contextlib.suppress(OSError):
        filler.write(b"x" * 100_000)
    said = error("lock", "cascades/screening.yaml", "--output", old)
    assert said == f"the lock `{old}` cannot be written: no space left on device; name another file with --output"
    assert old.read_bytes() == lock.read_bytes()
    monkeypatch.setenv("KASKADE_CACHE", str(small_disk))
    with pytest.raises(RegistryError, match="no space left on device"):
        Engine.load(lock, registry=remote)
    (small_disk / "filler").unlink()
    assert main([str(word) for word in made]) == 0


# --- folders that are no registry --------------------------------------------------------------------------------------


def test_a_folder_that_is_no_registry(tmp_path: Path, error: Callable[..., str]) -> None:
    registry = Registry(tmp_path / "registry")
    registry.publish([pack("a/b", "1.0.0")])
    own = ["--registry", registry.place]
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers/letter.txt").write_text("dear bank")
    assert error("push", "--all", "--to", tmp_path / "papers", *own).endswith(
        "is no registry and holds other files, like `letter.txt`: name an empty folder, or a new one"
    )
    assert [path.name for path in (tmp_path / "papers").iterdir()] == ["letter.txt"]
    assert "is a folder; name another" in error("push", "--all", "--to", tmp_path / "papers/letter.txt", *own)
    for other in ("papers", "none"):
        assert (
            error("pull", "--all", "--from", tmp_path / other, *own)
            == f"there is no registry in `{tmp_path / other}`: it has no file `oci-layout`"
        )
    assert error("push", "--all", "--to", tmp_path / "new", "--registry", tmp_path / "no").endswith("; `engine publish` makes it")
    assert "is a file of the working tree: write the component's name" in error("push", "cascades/a.yaml", "--to", tmp_path / "new", *own)
    assert "did you mean `a/b`?" in error("list", "a/c", *own)
    assert "name components or locks to push, or say --all" in error("push", "--to", tmp_path / "new", *own)
    assert "name components or locks to pull" in error("pull", "a/b", "--all", "--from", registry.place)


def test_a_layout_of_another_version(tmp_path: Path, error: Callable[..., str]) -> None:
    for name in ("one", "two"):
        Registry(tmp_path / name).publish([pack("a/b", "1.0.0")])
    (tmp_path / "two/oci-layout").write_text('{"imageLayoutVersion":"2.0.0"}')
    before = contents(tmp_path)
    for word, source, target in (("push", "one", "two"), ("push", "two", "one")):
        said = error(word, "--all", "--to", tmp_path / target, "--registry", tmp_path / source)
        assert said == f"`{tmp_path}/two` is an OCI layout of version '2.0.0', this engine reads '1.0.0'"
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["blob", "index.json", "oci-layout", "blobs"])
@pytest.mark.parametrize("thing", ["folder", "pipe"])
def test_what_is_no_file_is_not_read(tmp_path: Path, name: str, thing: str) -> None:
    registry = Registry(tmp_path / "registry")
    registry.publish([pack("a/b", "1.0.0")])
    one = registry.newest("a/b")
    place_ = registry.layout.path(registry.parts(one)[1].digest) if name == "blob" else registry.place / name
    shutil.rmtree(place_) if name == "blobs" else place_.unlink()
    place_.mkdir() if thing == "folder" else os.mkfifo(place_)
    ways = {
        "blob": lambda: registry.files(one),
        "blobs": lambda: registry.files(one),
        "index.json": registry.all,
        "oci-layout": lambda: registry.publish([pack("a/c", "1.0.0")]),
    }
    for way in (ways[name], lambda: carry([one], registry, Registry(tmp_path / "copy"))) if name.startswith("blob") else (ways[name],):
        with pytest.raises(RegistryError) as error:
            way()
        assert "\n" not in str(error.value)
    assert not list(tmp_path.rglob(".unfinished-*"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"artifactType": "application/other"}, "is no component: its manifest is of the type `application/other`"),
        ({"layers": {}}, "is no OCI image manifest"),
        ({"layers": [{"digest": "md5:1"}]}, "no SHA-256 digest"),
        ({"config": None}, "no SHA-256 digest"),
        (
            {"annotations": {"dev.kaskade.kind": "record", "dev.kaskade.name": "a/other", "dev.kaskade.version": "1.0.0"}},
            "manifest of another",
        ),
        ({"annotations": {"dev.kaskade.name": "a/b/../c"}}, "which is none"),
        ({"annotations": 7}, "is no component"),
    ],
)
def test_a_manifest_that_is_not_what_the_index_says(tmp_path: Path, change: dict[str, object], said: str) -> None:
    registry = Registry(tmp_path / "registry")
    registry.publish([pack("a/b", "1.0.0")])
    index = json.loads((registry.place / "index.json").read_bytes())
    manifest = as_json(json.loads(registry.manifest_bytes(registry.newest("a/b"))) | change)
    index["manifests"][0] |= registry.layout.put(manifest, "application/vnd.oci.image.manifest.v1+json").to_dict()
    (registry.place / "index.json").write_bytes(as_json(index))
    for do in (
        lambda one: registry.files(one),
        lambda one: registry.config(one),
        lambda one: carry([one], registry, Registry(tmp_path / "x")),
    ):
        with pytest.raises(RegistryError, match=said):
            do(registry.all()[0])
    assert Registry(tmp_path / "x").all() == []


# --- addresses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("localhost:5000/bank", Address("localhost:5000", "bank", True)),
        ("http://localhost:5000", Address("localhost:5000", "", True)),
        ("https://localhost/bank/", Address("localhost", "bank", False)),
        ("Registry.Bank.example/rules/aml", Address("registry.bank.example", "rules/aml", False)),
        ("oci://registry/rules", Address("registry", "rules", False)),
        ("[::1]:5000/bank", Address("[::1]:5000", "bank", True)),
        ("127.0.0.1:5000", Address("127.0.0.1:5000", "", True)),
        ("./registry.old", Path("registry.old")),
        ("../registry", Path("../registry")),
        ("/mnt/stick/a.b", Path("/mnt/stick/a.b")),
        ("registry", Path("registry")),
        ("out/registry", Path("out/registry")),
        ("реестр", Path("реестр")),
    ],
)
def test_what_a_place_is(text: str, meant: object) -> None:
    assert place(text) == meant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "http://registry.bank.example/rules",
            "is not asked over http, which anybody between could read and change: use https, or say --insecure",
        ),
        ("ftp://registry.bank.example/rules", "is no place of a registry: write a folder, `HOST/PATH`"),
        ("https://analyst:secret@registry.bank.example/rules", "takes no user in its address: log in with `docker login`"),
        ("localhost:5000/Bank", "`Bank` cannot stand in a place on a server"),
        ("localhost:5000/банк", "`банк` cannot stand in a place on a server"),
        ("localhost:5000/bank:1.0", "`bank:1.0` cannot stand in a place on a server"),
        ("localhost:5000/a//b", "`` cannot stand"),
        ("analyst:secret@registry.bank.example/rules", "takes no user in its address"),
        ("https://", "names no host"),
        ("https://local host/x", "names no host"),
    ],
)
def test_what_is_no_place(text: str, said: str) -> None:
    with pytest.raises(RegistryError) as error:
        place(text)
    assert said in str(error.value) and "secret" not in str(error.value)


def test_a_folder_that_is_there_is_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Registry(Path("registry.old")).publish([pack("a/b", "1.0.0")])
    assert place("registry.old") == Path("registry.old")


@pytest.mark.parametrize(
    "name", ["касса/наличные", "aml/ｃash", "aml/cash@١.0.0", "aml/cash@1.4.x", "aml", "rule:aml/cash", "aml/cash@", "AML/cash"]
)
def test_names_in_other_scripts_and_of_no_form(tmp_path: Path, name: str, error: Callable[..., str], remote: str) -> None:
    Registry(tmp_path / "registry").publish([pack("a/b", "1.0.0")])
    for place_ in (tmp_path / "registry", remote):
        said = error("pull", name, "--from", place_, "--registry", tmp_path / "x")
        assert "names no component: write `aml/cash`" in said or "is no version: write one like `1.4.0`" in said
    assert not (tmp_path / "x").exists()


def test_files_in_other_scripts_go_along(tmp_path: Path, remote: str) -> None:
    files = {"rulesets/a/b.rules": b"x", "rulesets/a/список стран.csv": "страна\n".encode(), "rulesets/a/名.csv": b"y"}
    source, back = Registry(tmp_path / "registry"), Registry(tmp_path / "back")
    source.publish([pack("a/b", "1.0.0", files=files)])
    carry(source.all(), source, opened(place(remote)))
    carry(opened(place(remote)).all(), opened(place(remote)), back)
    assert back.files(back.newest("a/b")) == files


# --- servers -----------------------------------------------------------------------------------------------------------

OK: Answer = (200, {"Docker-Distribution-Api-Version": "registry/2.0"}, b"{}")


def test_a_server_that_is_down(tmp_path: Path, shop: Path, error: Callable[..., str]) -> None:
    published(shop)
    with answering(lambda *_: OK) as host:
        pass
    for command in (
        ["push", "--all", "--to"],
        ["pull", "--all", "--from"],
        ["list", "--registry"],
        ["lock", "cascades/screening.yaml", "--registry"],
    ):
        said = error(*command, f"{host}/bank")
        assert said == f"`{host}` cannot be reached, or hung up: connection refused; is a registry running there?"
    assert "cannot be reached" in error("push", "--all", "--to", "registry.invalid/bank")


def test_a_server_without_https(shop: Path, error: Callable[..., str]) -> None:
    published(shop)
    with answering(lambda *_: OK) as host:
        said = error("push", "--all", "--to", f"https://{host}/bank")
    assert "cannot be trusted over https" in said and said.endswith("takes --insecure where it is not this machine") and "_ssl" not in said


def certified(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """What a server shows that is certified by nobody but itself, and the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    both = folder / "certificate.pem"
    secret = key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption())
    both.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(forms.Encoding.PEM) + secret)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(both)
    return tls, both


def test_a_certificate_of_ones_own_is_trusted_where_it_is_named(
    tmp_path: Path, error: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, certificate = certified(tmp_path)
    with answering(Liar(tmp_path / "other", "none"), tls) as host:
        pull = ["pull", "a/b", "--from", f"https://{host}", "--registry", str(tmp_path / "registry")]
        said = error(*pull)
        assert said.startswith(f"`{host}` cannot be trusted over https: ") and "self-signed certificate" in said.replace(
            "self signed", "self-signed"
        )
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        assert main(pull) == 0


def to_all(answer: Answer) -> Callable[[str, str, dict[str, str]], Answer]:
    return lambda *_: answer


def after(answer: Answer) -> Callable[[str, str, dict[str, str]], Answer]:
    """A registry, as long as it is not asked for more."""
    return lambda _, path, __: OK if path == "/v2/" else answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (to_all((200, {"Content-Type": "text/html"}, b"<html>")), "is no OCI registry: to /v2/ it says 200 and a web page"),
        (to_all((404, {}, b"")), "is no OCI registry: to /v2/ it says 404"),
        (to_all((401, {}, b"")), "is no OCI registry: to /v2/ it says 401"),
        (to_all((401, {"WWW-Authenticate": 'Basic realm="x"'}, b"")), "asks for a login: `docker login localhost:"),
        (to_all((401, {"WWW-Authenticate": "Bearer nonsense"}, b"")), "asks for a login of no known kind: `Bearer nonsense`"),
        (after((401, {"WWW-Authenticate": 'Basic realm="x"'}, b"")), "a login: `docker login localhost:"),
        (after((403, {"WWW-Authenticate": 'Bearer realm="http://localhost:1/t"'}, b"")), "cannot be reached"),
        (after((404, {}, b"")), "there is no component `shop/cash` in `localhost:"),
        (after((200, {}, b"<html>")), "answers nonsense, as no OCI registry does; is the address right?"),
        (after((200, {}, b'{"tags": 7}')), "answers nonsense, as no OCI registry does"),
        (after((200, {}, b"[]")), "answers nonsense, as no OCI registry does"),
        (
            after((500, {}, b'{"errors": [{"message": "The Disk Is Full"}]}')),
            "says 500 to GET /v2/bank/record/shop/cash/tags/list: the disk is full",
        ),
        (after((503, {}, b"")), "says 503 to GET"),
        (after((302, {"Location": "http://192.0.2.1/x"}, b"")), "we are sent to `192.0.2.1` over http"),
        (after((302, {"Location": "/v2/y"}, b"")), "cannot be asked: exceeded 30 redirects"),
        (after((200, {"Content-Length": "90", "Connection": "close"}, b"{")), "hung up"),
        (after((200, {}, b'{"tags": ["' + b"x" * 20_000_000 + b'"]}')), "answers with more than 16_000_000 bytes"),
    ],
)
def test_a_server_that_is_no_good(shop: Path, answer: Callable[..., Answer], said: str, error: Callable[..., str]) -> None:
    with answering(answer) as host:
        assert said in error("pull", "shop/cash", "--from", f"{host}/bank")
    assert not (shop / "registry").exists()


def test_a_server_that_dawdles(shop: Path, error: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.registry.client._PATIENCE", (0.3, 0.3))

    def late(_: str, path: str, __: dict[str, str]) -> Answer:
        time.sleep(0 if path == "/v2/" else 1)
        return OK

    with answering(late) as host:
        assert error("pull", "shop/cash", "--from", f"{host}/bank") == f"`{host}` does not answer in time; try again later"


def test_a_server_that_drips(shop: Path, error: Callable[..., str], monkeypatch: pytest.MonkeyPatch, remote: str) -> None:
    """It is given up although something comes all the time."""
    published(shop)
    assert main(["push", "--all", "--to", remote]) == 0
    monkeypatch.setattr("engine.registry.client._PATIENCE", (5.0, 0.2))
    monkeypatch.setattr("engine.registry.client._SLOWEST", 10_000_000)
    ticking = iter(range(10_000))
    monkeypatch.setattr("engine.registry.client.time.monotonic", lambda: float(next(ticking)))
    assert "answers too slowly: " in error("pull", "--all", "--from", remote, "--registry", "back")
    assert not Registry(shop / "back").all()


# --- servers that lie --------------------------------------------------------------------------------------------------


class Liar:
    """A registry with one version, in which something is not what it should be."""

    def __init__(self, folder: Path, lie: str) -> None:
        there = Registry(folder)
        there.publish([pack("a/b", "1.0.0")])
        one = there.newest("a/b")
        self.one, self.lie, self.manifest = one, lie, there.manifest_bytes(one)
        self.blobs = {part.digest: there.layout.blob(part, "") for part in there.parts(one)}

    def __call__(self, method: str, path: str, _: dict[str, str]) -> Answer:
        last = path.rpartition("/")[2].partition("?")[0]
        if path == "/v2/":
            return OK
        if last == "list":
            return (
                200,
                {},
                as_json({"name": "x", "tags": ["1.0.0", "9.9.9"] if self.lie == "listed" else ["1.0.0"]})
                if "record" in path
                else b'{"tags":null}',
            )
        if "/manifests/" in path and last in ("1.0.0", self.one.manifest.digest):
            return 200, {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}, self._manifest(last)
        return (200, {}, self._blob(last)) if last in self.blobs and self.lie != "no blob" else (404, {}, b"{}")

    def _manifest(self, asked: str) -> bytes:
        said = json.loads(self.manifest)
        if self.lie == "other name":
            said["annotations"]["dev.kaskade.name"] = "a/c"
        if self.lie == "no manifest":
            return b"\x00\xff"
        if self.lie == "huge":
            said["layers"][0]["size"] = 5_000_000_000
        if self.lie == "way out":
            said["layers"][0]["annotations"] = {"org.opencontainers.image.title": "../../etc/passwd"}
        if self.lie == "other config":
            config = as_json(json.loads(self.blobs[said["config"]["digest"]]) | {"hash": "sha256:" + "0" * 64})
            self.blobs[described(config, "").digest] = config
            said["config"] |= {"digest": described(config, "").digest, "size": len(config)}
        return self.manifest if self.lie in ("wrong bytes", "more bytes", "no blob", "listed") else as_json(said)

    def _blob(self, digest: str) -> bytes:
        data = self.blobs[digest]
        return {"wrong bytes": data[:-1] + b"?", "more bytes": data + b"?"}.get(self.lie, data)


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        ("wrong bytes", r"other bytes for its config|came as bytes of another digest; nothing of it is kept"),
        ("more bytes", r"other bytes for its config|came as more bytes; nothing of it is kept"),
        ("no blob", "does not give the blob sha256:"),
        ("other name", "gives the record `a/c@1.0.0` where the record `a/b@1.0.0` should be"),
        ("no manifest", "is no OCI image manifest"),
        ("huge", "holds a file of 5_000_000_000 bytes; the most is 4_000_000_000"),
        ("way out", "which is no place in a workspace"),
        ("other config", "the config of `a/b@1.0.0` is that of another"),
        ("listed", "`a/b@9.9.9` in `.*` is listed, and not there"),
    ],
)
def test_a_server_that_lies(tmp_path: Path, lie: str, said: str) -> None:
    here = Registry(tmp_path / "here")
    with answering(Liar(tmp_path / "registry", lie)) as host:
        there = opened(place(host))
        for choose in (lambda: [there.newest("a/b")], lambda: there.versions("a/b")):
            with pytest.raises(RegistryError, match=said) as error:
                carry(choose(), there, here)
            assert "\n" not in str(error.value)
    assert here.all() == [] and not list(tmp_path.rglob(".unfinished-*"))


def test_a_server_that_keeps_other_bytes_than_it_was_sent(tmp_path: Path) -> None:
    liar = Liar(tmp_path / "registry", "none")
    sent: list[str] = []

    def answer(method: str, path: str, headers: dict[str, str]) -> Answer:
        sent.append(method)
        if method == "GET" and "/manifests/" in path and "PUT" not in sent:
            return 404, {}, b""
        if method in ("PUT", "POST"):
            return 201, {"Location": "/v2/upload"}, b""
        return liar(method, path, headers)

    other = Registry(tmp_path / "other")
    other.publish([pack("a/b", "1.0.0", files={"rulesets/a/b.rules": b"something else"})])
    with answering(answer) as host, pytest.raises(RegistryError, match="is not the same in two places"):
        carry(other.all(), other, opened(place(host)))


# --- logins ------------------------------------------------------------------------------------------------------------


def logged_in(folder: Path, host: str, user: str, password: str) -> None:
    folder.mkdir(exist_ok=True)
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))


def test_a_server_that_wants_a_login(shop: Path, error: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    published(shop)
    server = DockerRegistry(login=True)
    try:
        server.start()
        host = f"localhost:{server.port}"
        push = ["push", "--all", "--to", f"{host}/bank"]
        assert error(*push).startswith(f"`{host}` asks for a login: `docker login {host}`")
        logged_in(shop / "docker", host, LOGIN[0], "wrong")
        monkeypatch.setenv("DOCKER_CONFIG", str(shop / "docker"))
        assert error(*push).startswith(f"`{host}` does not take your login")
        logged_in(shop / "docker", host, *LOGIN)
        assert main(push) == 0 and main(["pull", "--all", "--from", f"{host}/bank", "--registry", "back"]) == 0
        assert told(Registry(shop / "back")) == told(Registry(shop / "registry"))
        monkeypatch.delenv("DOCKER_CONFIG")
        logged_in(Path.home() / ".docker", host, *LOGIN)
        assert main(["list", "--registry", f"{host}/bank"]) == 0
        (Path.home() / ".docker/config.json").write_text("{")
        assert error("list", "--registry", f"{host}/bank").startswith("the logins in `~/.docker/config.json` cannot be read; mend it")
    finally:
        server.remove()


def test_a_token_is_fetched_for_each_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Docker's own registry, Harbor and others do it: the login buys a token, and that opens one repository."""
    liar = Liar(tmp_path / "registry", "none")
    asked: list[tuple[str, str]] = []

    def answer(method: str, path: str, headers: dict[str, str]) -> Answer:
        if path.startswith("/token"):
            asked.append((path, headers.get("Authorization", "")))
            return 200, {}, as_json({"token": path.partition("scope=")[2].partition("%3A")[2].partition("%3A")[0].replace("%2F", "/")})
        repository = path.removeprefix("/v2/").partition("/tags")[0].partition("/manifests")[0].partition("/blobs")[0]
        if path != "/v2/" and headers.get("Authorization") == f"Bearer {repository}":
            return liar(method, path, headers)
        scope = f'service="tests",scope="repository:{repository}:pull"'
        return 401, {"WWW-Authenticate": f'Bearer realm="http://{headers["Host"]}/token",{scope}'}, b""

    here = Registry(tmp_path / "here")
    with answering(answer) as host:
        logged_in(tmp_path / "docker", host, *LOGIN)
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
        there = opened(place(host))
        carry([there.newest("a/b")], there, here)
    assert [str(one) for one in here.all()] == ["a/b@1.0.0"]
    assert {login for _, login in asked} == {"Basic " + base64.b64encode(":".join(LOGIN).encode()).decode()}


def test_a_login_is_sent_nowhere_else(tmp_path: Path) -> None:
    here = Registry(tmp_path / "registry")
    here.publish([pack("a/b", "1.0.0")])

    def answer(method: str, path: str, _: dict[str, str]) -> Answer:
        if method == "POST":
            return 202, {"Location": "http://192.0.2.1/upload"}, b""
        return OK if path == "/v2/" else (404, {}, b"")

    with answering(answer) as host, pytest.raises(RegistryError, match=r"sends us to `192.0.2.1`, where its logins do not belong"):
        carry(here.all(), here, opened(place(host)))


def test_a_server_that_does_not_say_what_it_holds(tmp_path: Path, remote: str, error: Callable[..., str]) -> None:
    assert (
        error("pull", "--all", "--from", remote, "--registry", tmp_path / "x")
        == f"there are no components in `{remote}`: is that the right place?"
    )
    assert not (tmp_path / "x").exists()
    with answering(Liar(tmp_path / "other", "none")) as host:
        said = error("pull", "--all", "--from", host, "--registry", tmp_path / "registry")
        assert said == f"`{host}` does not say what it holds; where a server does not list what it holds, name components, or a lock"
        assert main(["pull", "a/b@^1", "--from", host, "--registry", str(tmp_path / "registry")]) == 0


def test_without_the_library_it_is_said_how_to_get_it(shop: Path, error: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    published(shop)
    monkeypatch.delitem(__import__("sys").modules, "engine.registry.server", raising=False)
    monkeypatch.setitem(__import__("sys").modules, "oras", None)
    for name in ("engine.registry.client", "oras.auth", "oras.container", "oras.provider"):
        monkeypatch.delitem(__import__("sys").modules, name, raising=False)
    assert error("push", "--all", "--to", "localhost:5000/x").endswith("`oras` is needed: pip install 'kaskade[oci]'")
