"""A bundle with wheels: signed with the rest, listed, and enough to decide on a machine that has a Python and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from engine import Engine
from engine.cli.main import main
from engine.errors import RegistryError
from engine.registry import bundle as bundles
from engine.registry.lock import Lock
from engine.registry.published import Registry
from engine.wheels import collect
from tests.registry.test_bundle import member, signed
from tests.registry.test_published import SALE, locked, published, shop

__all__ = ["shop"]


@pytest.fixture
def packed(shop: Path) -> Path:
    """A bundle with two files that stand for wheels."""
    published(shop)
    lock = locked(shop)
    assert main(["keygen", "release"]) == 0
    made(shop, lock, "screening.bundle")
    return shop / "screening.bundle"


def made(shop: Path, lock: Path, name: str) -> None:
    (shop / "got").mkdir(exist_ok=True)
    files = {"lark-1.3.1-py3-none-any.whl": b"wheel" * 400_000, "requirements.txt": b"lark==1.3.1 --hash=sha256:00\n"}
    for file, data in files.items():
        (shop / "got" / file).write_bytes(data)
    key = bundles.private_key(shop / "release.key")
    bundles.write(shop / name, Lock.read(lock), Registry(shop / "registry").layout, key, (shop / "got").iterdir())


def test_wheels_are_listed_laid_out_and_no_part_of_what_is_loaded(packed: Path, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["verify", str(packed), "--key", "release.pub", "--wheels", "there"]) == 0
    said = capsys.readouterr().out
    assert "  holds  ruleset shop/cash@1.0.0\n" in said and "  wheel  lark-1.3.1-py3-none-any.whl (2,000,000 bytes)\n" in said
    assert "  file   requirements.txt (29 bytes)\n" in said
    assert "pip install --no-index --find-links there/wheels --require-hashes -r there/wheels/requirements.txt\n" in said
    for path in (shop / "got").iterdir():
        assert (shop / "there/wheels" / path.name).read_bytes() == path.read_bytes()
    assert main(["verify", str(packed), "--key", "release.pub", "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert seen["signed"] and seen["wheels"]["requirements.txt"] == 29 and "cascade:shop/screening@1.0.0" in seen["components"]
    engine = Engine.load(packed, trust=shop / "release.pub")
    assert engine.decide(SALE).outcome == "review" and not (engine.workspace.folder / "wheels").exists()


def test_the_same_wheels_give_the_same_bytes_and_the_signature_covers_them(packed: Path, shop: Path) -> None:
    made(shop, shop / "cascades/screening.lock", "again.bundle")
    data = packed.read_bytes()
    assert (shop / "again.bundle").read_bytes() == data
    place = data.index(b"wheel" * 1_000) + 1_000_000
    packed.write_bytes(data[:place] + b"!" + data[place + 1 :])
    with pytest.raises(RegistryError, match="was altered"):
        bundles.unpack_wheels(packed, bundles.public_key(shop / "release.pub"), shop / "there")
    assert not (shop / "there").exists()


@pytest.mark.parametrize("name", ["wheels/../x.whl", "wheels/a/b.whl", "wheels/x.py", "wheels/.whl/../../x", "wheels"])
def test_only_wheels_stand_among_wheels(packed: Path, shop: Path, name: str) -> None:
    signed(packed, shop / "release.key", member("wheels/a.whl"), member(name))
    with pytest.raises(RegistryError, match=r"does not belong|no place in a workspace"):
        bundles.unpack_wheels(packed, bundles.public_key(shop / "release.pub"), shop / "there")
    assert not (shop / "there").exists()


def test_mistakes_are_told(packed: Path, shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def told(*args: str) -> str:
        capsys.readouterr()
        assert main(["bundle", "cascades/screening.lock", "--key", "release.key", "--output", "next.bundle", *args]) == 2
        assert not (shop / "next.bundle").exists()
        return capsys.readouterr().err

    assert "say that too" in told("--extras", "fast")
    assert "the engine has no extra `fsat`; did you mean `fast`?" in told("--wheels", "--extras", "fsat")
    for name in ("PIP_FIND_LINKS", "PIP_CONFIG_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    said = told("--wheels")
    assert "engine: pip cannot get the wheels: " in said and "kaskade" in said and "Traceback" not in said
    bundles.write(shop / "bare.bundle", Lock.read(shop / "cascades/screening.lock"), Registry(shop / "registry").layout,
                  bundles.private_key(shop / "release.key"))  # fmt: skip
    assert main(["verify", "bare.bundle", "--key", "release.pub", "--wheels", "there"]) == 2
    assert "holds no wheels: make it with `engine bundle LOCK --wheels`" in capsys.readouterr().err


# --- a machine without a network ---------------------------------------------------------------------------------------

DECIDE = """
import socket, sys
def refuse(*_, **__):
    raise AssertionError("there is no network here")
socket.socket = refuse
from engine import Engine
print(Engine.load("screening.bundle", trust="release.pub").decide(open("sale.json").read()).to_json())
"""


@pytest.mark.skipif(not os.environ.get("CI"), reason="gets wheels from a package registry: set CI=1 to run it")
def test_a_python_and_a_bundle_are_enough(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    published(shop)
    lock = locked(shop)
    assert main(["keygen", "release"]) == 0
    assert main(["bundle", str(lock), "--key", "release.key", "--wheels", "--output", "screening.bundle"]) == 0
    there = tmp_path_factory.mktemp("there")
    for name in ("screening.bundle", "release.pub"):
        shutil.copyfile(shop / name, there / name)
    (there / "sale.json").write_text(json.dumps(SALE))
    unpacked_by_hand(there)
    venv.create(there / "venv", with_pip=False, symlinks=True)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
    pip = [sys.executable, "-m", "pip", "--python", "venv/bin/python", "install", "--no-index", "--find-links", "wheels", "--no-compile"]
    call(there, clean, *pip, "--require-hashes", "-r", "wheels/requirements.txt")
    said = call(there, clean, "venv/bin/python", "-c", DECIDE)
    assert json.loads(said) == json.loads(Engine.load(lock).decide(SALE).to_json())
    assert "holds  ruleset shop/cash@1.0.0" in call(there, clean, "venv/bin/engine", "verify", "screening.bundle", "--key", "release.pub")


def unpacked_by_hand(folder: Path) -> None:
    """As `docs/versions.md` says, with what any machine has: the signature first, then the wheels."""
    page = (Path(__file__).parents[2] / "docs/versions.md").read_text(encoding="utf-8")
    (script,) = (block for block in page.split("```") if block.startswith("sh\n") and "openssl" in block)
    lines = script.removeprefix("sh").strip().splitlines()
    call(folder, dict(os.environ), "sh", "-ec", "\n".join(line for line in lines if not line.startswith("python")))


def call(folder: Path, environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_libraries_are_pinned_as_the_lock_names_them(shop: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr("engine.wheels._built", lambda source, folder: folder / "kaskade-0.1.0-py3-none-any.whl")
    monkeypatch.setattr("engine.wheels._pip", lambda *args: asked.append((*args, (tmp_path / "constraints.txt").read_text())))
    lock = Lock("shop/screening", "1.0.0", "cascades/screening.yaml", "0.1.0", "0.1", (), {"anyascii": "0.0.1", "lark": "0.0.2"})
    assert [path.name for path in collect(lock, tmp_path, ["fast"])] == ["requirements.txt"]
    ((*_, own, anyascii, lark, constraints),) = asked
    assert own.startswith("kaskade[fast,screening,sign] @ file://") and (anyascii, lark) == ("anyascii==0.0.1", "lark==0.0.2")
    names = {line.partition("==")[0].lower() for line in constraints.splitlines()}
    assert "polars" in names and not names & {"anyascii", "lark", "kaskade"}
