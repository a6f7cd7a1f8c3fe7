"""Bookings of a small bank, made up with a fixed seed: ordinary ones, crimes among them, and fields that lack here and there."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

SINCE = "2024-01-01"
START = dt.datetime(2026, 3, 2, 8, 0)
EVENTS = 240
PEOPLE = tuple(f"P{n}" for n in range(30))
FIRMS = tuple(f"F{n}" for n in range(4))
NAMES = ("Ann Miller", "Cuban Cigars Ltd", "Nacional Banco de Cuba", "Anglo Caribbean Tours")
LACKING = 0.02
ODD = (950, 2_000, 2_000, 5_000, 8_500, 9_500, 9_900, 10_000, 24_000, 120_000.50)

Event = dict[str, Any]


def bookings() -> list[Event]:
    """The bookings in order of time, as strings."""
    chance, at, rows = random.Random(20260302), START, []
    for number in range(EVENTS):
        at += dt.timedelta(seconds=chance.choice((5, 40, 600, 3_000, 9_000, 40_000)))
        rows.append(booking(chance, number, at))
    return rows


def booking(chance: random.Random, number: int, at: dt.datetime) -> Event:
    customer = chance.randrange(12)
    firm = customer >= 9
    account = f"A{customer}{chance.randrange(2)}"
    direction = chance.choice(("in", "out"))
    other = chance.choice(PEOPLE if chance.random() < 0.7 else FIRMS)
    plain = chance.random() < 0.5
    amount = chance.choice((12.30, 48.75, 95.20, 240)) if plain else chance.choice(ODD)
    row: Event = {
        "id": f"B{number:04}",
        "booked_at": at.isoformat() + "Z",
        "account": account,
        "direction": direction,
        "channel": chance.choice(("card", "wire") if plain else ("cash", "cash", "atm", "wire", "online")),
        "amount": f"{amount:.2f}",
        "roubles": f"{amount * 90:.2f}",
        "balance": f"{chance.choice((10, 400, 3_000, 50_000))}.00",
        "opened_on": "2026-02-20" if customer % 3 == 0 else "2019-05-01",
        "status": chance.choice(("done", "done", "done", "declined")),
        "kind": chance.choice(("payment", "payment", "payment", "salary", "tax", "loan", "repayment")),
        "product": chance.choice(("wire", "card", "book")),
        "purpose": chance.choice(("rent", "invoice 17") if plain else ("rent", "loan to a friend", "usdt as agreed")),
        "mcc": chance.choice(("5411", "4829", "6051")) if customer else "4829",
        "payer": account if direction == "out" else other,
        "payee": other if direction == "out" else account,
        "branch": f"B{chance.randrange(3)}",
        "region": chance.choice(("NY", "NY", "TX", "AZ")),
        "home_region": "NY",
        "depositor": chance.choice((f"C{customer}", other)),
        "device": f"D{customer}" if plain else f"D{chance.randrange(12)}",
        "credentials_changed_at": (at - dt.timedelta(hours=chance.choice((2, 400)))).isoformat() + "Z",
        "customer.id": f"C{customer}",
        "customer.kind": "firm" if firm else "person",
        "customer.segment": chance.choice(("retail", "cash_in_transit")) if firm else "retail",
        "customer.countries": ["DE", "FR"],
        "customer.founded_on": "2025-11-01",
        "customer.employees": str(chance.randrange(3)),
        "customer.address": "Mill Lane 1" if firm else f"Main Street {customer}",
        "customer.cases_12m": "1" if customer == 5 else "0",
        "counterparty.id": chance.choice(("ACC-BLOCKED-1", "ACC-WATCHED-1", "ACC-WATCHED-2")) if chance.random() < 0.03 else other,
        "counterparty.name": chance.choice(("Main Street Bakery", "Ann Miller", "J. Smith & Sons")) if plain else chance.choice(NAMES),
        "counterparty.kind": "mixer" if chance.random() < 0.02 else "exchange" if chance.random() < 0.1 else "person",
        "counterparty.country": "US" if plain else chance.choice(("US", "US", "DE", "TR", "AE", "IR")),
        "loan.amount": "20000.00",
        "loan.granted_on": "2026-01-20",
        "invoice.goods": chance.choice(("0901", "7108", "9999")) if direction == "out" and not plain else None,
        "invoice.unit_price": chance.choice(("5.00", "70000.00")) if direction == "out" and not plain else None,
        "loan.security": chance.choice(("none", "cash")),
    }
    needed = ("id", "booked_at", "account", "direction", "channel", "amount")
    return {name: value if name in needed or chance.random() >= LACKING else None for name, value in row.items()}
