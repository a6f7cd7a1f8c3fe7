"""That ordinary tools carry what is in a registry: skopeo, which is no friend of this project, and the library oras by itself."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import oras.client
import oras.layout
import pytest

from engine import Engine
from engine.cli.main import main
from engine.errors import RegistryError
from engine.registry.carry import carry, opened
from engine.registry.places import place
from engine.registry.published import Registry
from tests.registry.servers import program
from tests.registry.test_published import SALE, cash, locked, pack, published, shop

__all__ = ["shop"]


def skopeo(*arguments: str) -> str:
    """What it prints; the trust policy that it asks for is that of whoever runs it, and none here."""
    command = [program("skopeo", "skopeo"), "--insecure-policy", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def copied(source: str, target: str) -> None:
    skopeo("copy", "--src-tls-verify=false", "--dest-tls-verify=false", source, target)


def refs(folder: Path) -> dict[str, str]:
    named = json.loads((folder / "index.json").read_bytes())["manifests"]
    return {one["annotations"]["org.opencontainers.image.ref.name"]: one["digest"] for one in named}


def test_skopeo_carries_components_into_a_server_and_back(shop: Path, remote: str) -> None:
    published(shop)
    lock = locked(shop)
    wanted, text = Engine.load(lock).decide(SALE).to_json(), lock.read_bytes()
    for ref, digest in refs(shop / "registry").items():
        copied(f"oci:registry:{ref}", f"docker://{remote}/{ref}")
        raw = skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{remote}/{ref}")
        assert "sha256:" + hashlib.sha256(raw.encode()).hexdigest() == digest
        copied(f"docker://{remote}/{ref}", f"oci:back:{ref}")
    assert refs(shop / "back") == refs(shop / "registry")
    for path in (shop / "back/blobs/sha256").iterdir():
        assert path.read_bytes() == (shop / "registry/blobs/sha256" / path.name).read_bytes()
    # what the other tool wrote says nothing of components in its index, and yet serves as a registry
    assert locked(shop, "--registry", "back").read_bytes() == text
    assert Engine.load(lock, registry=shop / "back").decide(SALE).to_json() == wanted
    assert [str(one) for one in opened(place(remote)).all()] == ["shop/cash@1.0.0", "shop/sale@1.0.0", "shop/screening@1.0.0"]


def test_a_layout_of_another_tool_is_published_into_and_marked(shop: Path, remote: str) -> None:
    published(shop)
    for ref in refs(shop / "registry"):
        copied(f"oci:registry:{ref}", f"oci:other:{ref}")
    (shop / "registry").rename(shop / "away")
    (shop / "other").rename(shop / "registry")
    assert main(["yank", "shop/cash@1.0.0", "--because", "bad"]) == 0
    cash(shop, version="1.0.1", more="# a comment\n")
    assert published(shop, "shop/cash")[0].startswith("shop/cash@1.0.1: ")
    assert [(str(one), one.yanked) for one in Registry(shop / "registry").versions("shop/cash")] == [
        ("shop/cash@1.0.0", "bad"),
        ("shop/cash@1.0.1", None),
    ]
    cash(shop, limit=1)
    with pytest.raises(RegistryError, match="is published and never changes"):
        published(shop, "shop/cash")


def test_the_name_that_another_tool_gave_does_not_matter(shop: Path) -> None:
    published(shop)
    copied("oci:registry:ruleset/shop/cash:1.0.0", "oci:other:latest")
    assert [str(one) for one in Registry(shop / "other").all()] == ["shop/cash@1.0.0"]
    here = Registry(shop / "fresh")
    carry(Registry(shop / "other").all(), Registry(shop / "other"), here)
    assert refs(shop / "fresh") == {"ruleset/shop/cash:1.0.0": refs(shop / "registry")["ruleset/shop/cash:1.0.0"]}


def test_one_version_with_two_contents_is_no_registry(tmp_path: Path) -> None:
    for name, data in (("one", b"1"), ("two", b"2")):
        Registry(tmp_path / name).publish([pack("a/b", "1.0.0", files={"rulesets/a/b.rules": data})])
        copied(f"oci:{tmp_path / name}:record/a/b:1.0.0", f"oci:{tmp_path}/both:{name}")
    with pytest.raises(RegistryError, match=r"has `a/b@1.0.0` twice, as sha256:\w+ and as sha256:\w+: take the wrong one out"):
        Registry(tmp_path / "both").all()


def test_the_artefacts_of_others_are_left_alone(tmp_path: Path, remote: str) -> None:
    client = oras.client.OrasClient(hostname=remote.partition("/")[0], insecure=True)
    (tmp_path / "note.txt").write_text("nothing of ours")
    files = [str(tmp_path / "note.txt")]
    client.push(target=f"{remote}/ruleset/a/b:latest", files=files, disable_path_validation=True, quiet=True)
    client.push(target=f"{remote}/notes:1.0.0", files=files, disable_path_validation=True, quiet=True)
    there = opened(place(remote))
    assert there.all() == []
    copied(f"docker://{remote}/notes:1.0.0", f"oci:{tmp_path}/mixed:notes")
    mixed = Registry(tmp_path / "mixed")
    assert mixed.all() == []
    mixed.publish([pack("a/b", "1.0.0")])
    assert [str(one) for one in mixed.all()] == ["a/b@1.0.0"] and "notes" in refs(tmp_path / "mixed")
    client.push(target=f"{remote}/ruleset/a/b:1.0.0", files=files, disable_path_validation=True, quiet=True)
    with pytest.raises(RegistryError, match=r"`a/b@1.0.0` in `.*` is no component: its manifest is of the type"):
        there.all()


def test_the_library_oras_reads_and_writes_what_we_do(shop: Path, remote: str) -> None:
    published(shop)
    oras.layout.NewLayout(str(shop / "registry")).validate()
    assert main(["push", "--all", "--to", remote]) == 0
    client = oras.client.OrasClient(hostname=remote.partition("/")[0], insecure=True)
    found = client.pull(target=f"{remote}/ruleset/shop/cash:1.0.0", outdir=str(shop / "out"))
    assert [Path(one).relative_to(shop / "out").as_posix() for one in found] == ["rulesets/shop/cash.rules"]
    assert Path(found[0]).read_bytes() == (shop / "rulesets/shop/cash.rules").read_bytes()
    manifest = client.get_manifest(f"{remote}/ruleset/shop/cash:1.0.0")
    assert manifest["artifactType"] == "application/vnd.kaskade.component.v1+json"
    assert client.get_tags(f"{remote}/ruleset/shop/cash") == ["1.0.0"]


def test_a_mark_is_an_artefact_with_a_subject(tmp_path: Path, remote: str) -> None:
    here = Registry(tmp_path / "registry")
    here.publish([pack("a/b", "1.0.0")])
    here.yank("a/b", "1.0.0", "wrong by ten\x1b[2J")
    carry(here.all(), here, opened(place(remote)))
    mark = json.loads(skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{remote}/record/a/b:yanked-1.0.0"))
    assert mark["subject"]["digest"] == here.get("a/b", "1.0.0").manifest.digest
    assert mark["annotations"] == {"dev.kaskade.yanked": "wrong by ten\x1b[2J"}
    assert opened(place(remote)).all()[0].yanked == "wrong by ten [2J"  # a terminal is not told what to do
    copied(f"docker://{remote}/record/a/b:yanked-1.0.0", f"oci:{tmp_path}/copy:mark")
