"""How long checking a bank's whole rule book takes: a workspace of many rule sets is made and `engine check` is run over it.

    python -m bench.scale [--rules 10000] [--files 200] [--keep FOLDER] [--commands check test fmt]

Each rule set has a record, lists, params, defines, features, rules with reasons and exceptions, a `decide`, tests, examples and a story.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

ROOT = Path(__file__).parents[1]
CHANNELS = ("cash", "atm", "wire", "card", "online", "branch", "cheque", "crypto")
COUNTRIES = ("IR", "KP", "MM", "SY", "AF", "BY", "RU", "VE", "YE", "ZW", "PA", "KY", "CY", "MT", "AE", "TR")
SEGMENTS = ("retail", "private", "corporate", "charity", "cash_in_transit", "bank", "broker", "public")
RECORD = """record bank/transaction version 1.0.0
  zone "Europe/Copenhagen"
  key id
  time booked_at
  late up to 2 days
  field id: text
  field booked_at: datetime
  field account: text
  field direction: one of ("in", "out")
  field channel: text
  field amount: money EUR not negative
  field counterparty.account: text optional
  field counterparty.country: text optional
  field customer.segment: text optional
  field customer.since: date optional
  field merchant: text optional
"""
PROFILE = """features bank/profile version 1.0.0
  record bank/transaction ^1

feature paid_in_7d = sum of amount over 7 days per account where direction = "in"

feature paid_out_7d = sum of amount over 7 days per account where direction = "out"

feature payments_30d = count over 30 days per account
"""


def limit(random: Random) -> str:
    return f"{random.randint(1, 99) * 500:_} EUR"


def rule(random: Random, file: int, number: int) -> list[str]:
    """A rule, and the test beside it."""
    name, over = f"R{file:03}-{number:03}", limit(random)
    channels = ", ".join(f'"{one}"' for one in random.sample(CHANNELS, 3))
    country, segment = random.choice(COUNTRIES), random.choice(SEGMENTS)
    condition = random.choice(
        [
            f"channel in ({channels}) and amount >= {over}",
            f'counterparty.country = "{country}" and (amount > {over} or profile.paid_in_7d > limit_{number % 5})',
            f"counterparty.country in geo.high_risk and amount between {over} and 90_000 EUR",
            f"near_{number % 3} and channel in watched_channels and profile.payments_30d >= {random.randint(3, 40)}",
            f'direction = "out" and repeats_{number % 4} >= {random.randint(2, 9)} and amount >= limit_{number % 5}',
            f"profile.paid_out_7d > 80% * profile.paid_in_7d and profile.paid_in_7d > {over} and customer.segment is known",
        ]
    )
    lines = [
        f'rule {name} "Pattern {number} of the unit {file}"',
        f'  cites "Policy {file}.{number}"',
        f"  severity {random.choice(['low', 'medium', 'high'])}",
    ]
    lines += [f"  when {condition}", f'  unless customer.segment = "{segment}" because "the segment is watched elsewhere"']
    lines += [f"  then score {random.randint(1, 9) * 5}, flag pattern_{number}", '  because "{amount} in {channel} on {account}"']
    lines += (
        ['  on missing counterparty.country assume "ZZ"']
        if "counterparty" in condition
        else ["  on missing ignore"]
        if number % 9 == 0
        else []
    )
    lines += [
        "",
        f'test "{name} is clear for a penny"',
        f'  given channel = "{random.choice(CHANNELS)}", direction = "in", amount = 0.01 EUR, counterparty.country = "DK"',
    ]
    return [*lines, f"  expect {name} clear", ""]


def ruleset(random: Random, file: int, rules: int) -> str:
    lines = [f"ruleset unit{file // 20:02}/book_{file:03} version 1.0.0", f'  "Rules of the unit {file}"', '  owner "Financial Crime Unit"']
    lines += ["  record bank/transaction ^1", "  uses features bank/profile ^1", "  uses list geo/high_risk ^1", "  on missing refer", ""]
    lines += [f'param limit_{n}: money = {limit(random)} cites "Policy {file}"' for n in range(5)]
    lines += ['list watched_channels = ("cash", "atm", "cheque", "crypto")', ""]
    lines += [f"define near_{n} = amount >= {80 + n}% * limit_{n} and amount < limit_{n}\n" for n in range(3)]
    lines += [
        f'feature repeats_{n} = count over {n + 1} days per account where direction = "out" and amount > {limit(random)}\n'
        for n in range(4)
    ]
    for number in range(rules):
        lines += rule(random, file, number)
    lines += [
        "decide outcome first match",
        "  block   when score >= 400",
        f"  review  when score >= 60 or flag pattern_{rules // 2}",
        "  approve otherwise",
        "",
    ]
    lines += [
        f"examples R{file:03}-000",
        f"  | amount | channel | direction | counterparty.country | customer.segment | => R{file:03}-000 |",
    ]
    lines += [f'  | {n + 1}.00 EUR | "online" | "in" | "DK" | "{SEGMENTS[0]}" | clear |' for n in range(3)]
    return "\n".join(lines) + "\n"


def make(folder: Path, rules: int, files: int, seed: int = 1) -> None:
    """Write a workspace with `rules` rules in `files` rule sets."""
    texts = {"bank/transaction": RECORD, "bank/profile": PROFILE}
    texts["geo/high_risk"] = "list geo/high_risk version 1.0.0\n\nvalues (" + ", ".join(f'"{one}"' for one in COUNTRIES) + ")\n"
    for file in range(files):
        count = rules // files + (file < rules % files)
        texts[f"unit{file // 20:02}/book_{file:03}"] = ruleset(Random(seed * 1000 + file), file, count)
    for name, text in texts.items():
        path = folder / "rulesets" / f"{name}.rules"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def measure(folder: Path, command: str) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "engine", command, "."], cwd=folder, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"engine {command}: {seconds:.1f} s, {cpu:.1f} CPU s, at most {after.ru_maxrss // 1024} MB a process; exit code {done.returncode}"
    )
    print("  " + (done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or [""])[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--keep", type=Path, help="make the workspace here and leave it")
    parser.add_argument("--commands", nargs="+", default=["check"], choices=["check", "test", "fmt"])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.keep or Path(scratch)
        make(folder, args.rules, args.files)
        size = sum(path.stat().st_size for path in folder.rglob("*.rules"))
        print(f"{args.rules:,} rules in {args.files} rule sets, {size / 1e6:.1f} MB")
        for command in args.commands:
            measure(folder, command)


if __name__ == "__main__":
    main()
