"""``engine verify``: whether a bundle is what the holder of a key signed, and what is in it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Final

from engine.cli.say import FINE, as_json, out
from engine.registry.bundle import public_key, unpack_wheels, verify
from engine.wheels import REQUIREMENTS

SUMMARY: Final = "say whether a bundle is what the holder of a key signed, and what is in it"
FINDS: Final = "a bundle that was altered, bears no signature, or that of another"
TEACHES: Final = """\
Hold a bundle against a public key. Nothing of the bundle is opened before it holds; without a key nothing holds. Then say what is in it;
with --wheels lay its wheels out in a folder, for `pip install --no-index --find-links`.

examples:
  engine verify screening.bundle --key release.pub
  engine verify screening.bundle --key release.pub --json
  engine verify screening.bundle --key release.pub --wheels there"""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", help="the bundle")
    parser.add_argument("--key", metavar="FILE", required=True, help="the public key that is trusted")
    parser.add_argument("--wheels", metavar="DIR", help="lay its wheels out in this folder, below `wheels`")


def run(args: Namespace) -> int:
    path, key = Path(args.bundle), public_key(Path(args.key))
    held = verify(path, key) if args.wheels is None else unpack_wheels(path, key, Path(args.wheels))
    lock = held.lock
    if args.json:
        components = [f"{one.component.kind}:{one.component}" for one in lock.components]
        as_json({"bundle": args.bundle, "signed": True, "seal": lock.seal, "components": components, "wheels": held.wheels})
        return FINE
    out(f"{args.bundle} is what the holder of {args.key} signed")
    out(f"  lock   {lock.name}@{lock.version}, made with engine {lock.engine}, seal {lock.seal}")
    for one in lock.components:
        out(f"  holds  {one.component.kind} {one.component}")
    for name, size in held.wheels.items():
        out(f"  wheel  {name} ({size:,} bytes)" if name.endswith(".whl") else f"  file   {name} ({size:,} bytes)")
    if args.wheels is not None:
        folder = Path(args.wheels) / "wheels"
        out(f"pip install --no-index --find-links {folder} --require-hashes -r {folder / REQUIREMENTS}")
    return FINE
