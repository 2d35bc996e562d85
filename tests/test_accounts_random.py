"""Random streams of all that can happen to a book, against plain bookkeeping: without lots, labels, parts or pasts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from nights import START

from optihedge.accounts.advance import Advance, advance
from optihedge.accounts.explain import PARTS
from optihedge.accounts.state import ACCOUNTS, Fill, State
from optihedge.accounts.valuation import balances_by_account, opening
from optihedge.market.events import Event
from optihedge.market.snapshot import Market

DAYS = 6
STRIKE, EXPIRY = 50.0, 2.4  # of the options C and P on S4
SHORT = 0.03  # what borrowing S4 costs a year
MONEY = {"LIN": "USD", "PERP": "BTC"}
RANK = ("split", "spin_off", "merger", "rename", "dividend", "funding", "fill", "bust", "exercise", "assignment",
        "settlement", "delisting", "margin", "interest")  # fmt: skip


def at(day: float) -> pd.Timestamp:
    return START + pd.Timedelta(days=1) * day


def money_of(name: str) -> str:
    return MONEY.get(name, "EUR" if name.startswith("E") else "USD")


def multiplier(name: str) -> float:
    return {"C": 100.0, "P": 100.0, "O": 100.0, "PERP": 10.0}.get(name, 1.0)


# ---- plain bookkeeping -----------------------------------------------------------------------------------------------


@dataclass
class Plain:
    """Two accounts as a clerk keeps them: contracts, money, what has accrued; margined contracts first in first out."""

    held: dict = field(default_factory=lambda: defaultdict(float))
    open: dict = field(default_factory=lambda: defaultdict(list))
    cash: dict = field(default_factory=lambda: defaultdict(float))
    accrued: dict = field(default_factory=lambda: defaultdict(float))
    rates: dict = field(default_factory=dict)
    clock: float = 0.0

    def to(self, day: float) -> None:
        years = (day - self.clock) / 365
        for (account, money), amount in self.cash.items():
            self.accrued[account, money] += amount * self.rates.get(money, 0.0) * years
        self.clock = day

    def trade(self, account: str, name: str, quantity: float, price: float) -> None:
        if name not in MONEY:
            self.held[account, name] += quantity
            self.cash[account, money_of(name)] -= quantity * multiplier(name) * price
            return
        lots = self.open[account, name]
        while quantity and lots and lots[0][0] * quantity < 0:
            part = np.sign(quantity) * min(abs(quantity), abs(lots[0][0]))
            self.cash[account, MONEY[name]] += gain(name, -part, lots[0][1], price)
            lots[0][0] += part
            quantity -= part
            if not lots[0][0]:
                lots.pop(0)
        if quantity:
            lots.append([quantity, price])

    def contracts(self, account: str, name: str) -> float:
        return sum(q for q, _ in self.open[account, name]) if name in MONEY else self.held[account, name]

    def follow(self, one: Event | Fill, account: str = "hedge") -> None:
        if isinstance(one, Fill):
            self.trade(account, one.instrument, one.quantity, one.price)
            self.cash[account, one.money] -= one.fee
        elif one.kind == "interest":
            for each in ACCOUNTS:
                self.cash[each, one.money] += self.accrued.pop((each, one.money), 0.0)
            self.rates[one.money] = one.value
        elif one.kind == "margin":
            self.cash[one.other, one.money] += one.value
        else:
            for each in ACCOUNTS:
                self.happen(each, one, self.contracts(each, one.instrument))

    def happen(self, account: str, one: Event, quantity: float) -> None:
        name, size = one.instrument, quantity * multiplier(one.instrument)
        if one.kind in ("dividend", "funding"):
            self.cash[account, one.money] += size * one.value * (1 if one.kind == "dividend" else -1)
        elif one.kind == "split":
            self.held[account, name] *= one.value
            if name == "S0":  # its option is adjusted
                self.held[account, "O"] *= one.value
        elif one.kind == "spin_off":
            self.held[account, one.other] += quantity * one.value
        elif one.kind in ("rename", "merger") and one.other:
            self.held[account, one.other] += self.held.pop((account, name)) * one.value
        elif one.kind in ("merger", "delisting"):
            self.cash[account, one.money] += self.held.pop((account, name)) * one.value
        elif one.kind == "settlement":
            self.end(account, name, quantity, one.value, one.other == "physical")
        elif account == one.other:  # exercise, assignment
            side = 1.0 if one.kind == "exercise" else -1.0
            self.deliver(account, name, side * one.value)

    def end(self, account: str, name: str, quantity: float, level: float, physical: bool) -> None:
        worth = max((level - STRIKE) * (1 if name == "C" else -1), 0.0)
        if physical and worth:
            self.deliver(account, name, quantity)
        else:
            self.held[account, name] = 0.0
            self.cash[account, "USD"] += quantity * 100.0 * worth

    def deliver(self, account: str, name: str, quantity: float) -> None:
        self.held[account, name] -= quantity
        self.trade(account, "S4", quantity * 100.0 * (1 if name == "C" else -1), STRIKE)

    def by_money(self, marks: dict) -> dict:
        """(account, money) -> what is had in it, and its contracts paid by margin at their marks."""
        total = defaultdict(float)
        for held in (self.cash, self.accrued):
            for key, amount in held.items():
                total[key] += amount
        for (account, name), lots in self.open.items():
            total[account, MONEY[name]] += sum(gain(name, q, price, marks[name]) for q, price in lots)
        return total

    def equity(self, marks: dict) -> float:
        rate = {"USD": 1.0, "EUR": marks["EURUSD"], "BTC": marks["INDEX"]}
        whole = sum(amount * rate[money] for (_, money), amount in self.by_money(marks).items())
        held = [(name, q) for (_, name), q in self.held.items() if q]
        return whole + sum(q * multiplier(name) * marks[name] * rate[money_of(name)] for name, q in held)


def gain(name: str, quantity: float, entry: float, leave: float) -> float:
    return quantity * 10.0 * (1 / entry - 1 / leave) if name == "PERP" else quantity * (leave - entry)


# ---- a world, and what happens in it ---------------------------------------------------------------------------------


@dataclass
class World:
    """Prices by day and label, what is listed on each day, and what happened, in order."""

    rng: np.random.Generator
    borrow: bool
    marks: list[dict] = field(default_factory=list)
    happened: list = field(default_factory=list)

    def price(self, alive: list[str]) -> None:
        """Another day's marks, at random."""
        rng = self.rng
        self.marks.append({**{name: float(rng.uniform(5, 80)) for name in alive},
                           "EURUSD": float(rng.uniform(1.0, 1.3)), **{name: float(rng.uniform(1, 9)) for name in "CPO"},
                           **{name: float(rng.uniform(8e4, 9.9e4)) for name in ("INDEX", *MONEY)}})  # fmt: skip

    def strike(self, day: int) -> float:
        """Of the option O, which the splits of S0 adjust."""
        splits = [e.value for e in self.happened if isinstance(e, Event) and e.kind == "split" and e.instrument == "S0"
                  and e.time <= at(day)]  # fmt: skip
        return 40.0 / float(np.prod(splits))

    def market(self, day: int, without: set[str] = frozenset()) -> Market:  # type: ignore[assignment]
        marks = self.marks[day]
        stocks = [name for name in marks if name[0] in "SEN" and name != "EURUSD" and name not in without]
        rows = [(name, "equity", name, money_of(name), 1.0, "", np.nan, None) for name in stocks]
        rows += [
            ("EURUSD", "spot", "EUR", "USD", 1.0, "", np.nan, None),
            ("EUR", "cash", "EUR", "EUR", 1.0, "", np.nan, None),
            ("INDEX", "index", "BTC", "USD", 1.0, "", np.nan, None),
            ("COIN", "cash", "BTC", "BTC", 1.0, "", np.nan, None),
            ("LIN", "perpetual", "BTC", "USD", 1.0, "", np.nan, None),
            ("PERP", "inverse_perpetual", "BTC", "USD", 10.0, "", np.nan, None),
            ("O", "option", "S0", "USD", 100.0, "C", self.strike(day), at(90)),
        ]
        if day < EXPIRY:
            rows += [(name, "option", "S4", "USD", 100.0, name, STRIKE, at(EXPIRY)) for name in "CP"]
        columns = ["instrument", "type", "underlying", "currency", "multiplier", "right", "strike", "expiry"]
        table = pd.DataFrame(rows, columns=columns)
        table["expiry"] = pd.to_datetime(table["expiry"], utc=True)
        quoted = [name for name in table["instrument"] if name not in ("EUR", "COIN")]
        quotes = pd.DataFrame({"instrument": quoted, "mark": [marks[name] for name in quoted]})
        quotes["bid"], quotes["ask"] = quotes["mark"] * 0.999, quotes["mark"] * 1.001
        quotes.loc[quotes["instrument"] == "INDEX", ["bid", "ask"]] = np.nan
        quotes["vol"] = np.where(quotes["instrument"].isin([*"CPO"]), 0.5, np.nan)
        quotes["borrow_rate"] = np.where(quotes["instrument"] == "S4", SHORT, np.nan) if self.borrow else np.nan
        drivers = pd.DataFrame(
            {
                "driver": [*stocks, "BTC", "EURUSD"],
                "currency": [*map(money_of, stocks), "USD", "USD"],
                "kind": ["price"] * (len(stocks) + 1) + ["fx"],
                "underlying": [*stocks, "BTC", "EUR"],
            }
        )
        levels = {**{name: marks[name] for name in stocks}, "BTC": marks["INDEX"], "EURUSD": marks["EURUSD"]}
        history = pd.DataFrame(levels, index=pd.DatetimeIndex([at(day)], name="time"))
        return Market(table, quotes, "USD", drivers=drivers, history=history, as_of=at(day))


BOOK = {"S0": 100.0, "S1": -60.0, "S2": 40.0, "S3": -25.0, "S4": 500.0, "E0": 30.0, "E1": -20.0, "C": 3.0, "P": -4.0,
        "O": -2.0, "LIN": 2.0, "PERP": -300.0, "COIN": 1.5, "EUR": -700.0}  # fmt: skip
OURS = {"S0": -30.0, "S1": 20.0, "S4": -150.0, "P": 2.0, "PERP": 50.0}
KINDS = ("fill",) * 8 + ("dividend", "dividend", "split", "spin_off", "rename", "merger", "gone", "funding", "funding",
                         "interest", "margin", "exercise")  # fmt: skip


def world(seed: int, *, borrow: bool = False, each: int = 8) -> World:
    """Six days of all kinds of events, each possible at its instant."""
    rng = np.random.default_rng(seed)
    made, alive, able = World(rng, borrow), ["S0", "S1", "S2", "S3", "S4", "E0", "E1"], {"C": 3, "P": 4}
    made.price(alive)
    for day in range(DAYS - 1):
        parted: set[str] = set()  # of today: they go on, so that they have a price
        for number, when in enumerate(day + np.sort(rng.uniform(0.02, 0.98, each))):
            one = _drawn(rng, alive, able if when < EXPIRY else {}, parted, float(when), f"{day}-{number}")
            made.happened += [] if one is None else [one]
        if day < EXPIRY < day + 1:
            level, how = float(rng.uniform(35, 65)), str(rng.choice(["cash", "physical"]))
            made.happened += [Event(at(EXPIRY), f"end {n}", at(EXPIRY), "settlement", n, level, "", how) for n in "CP"]
            made.happened.sort(key=key_of)
        made.price(alive)
    return made


def _drawn(
    rng: np.random.Generator, alive: list[str], able: dict, parted: set[str], when: float, tag: str
) -> Event | Fill | None:
    """Something that can happen now; what is alive, exercisable and parted is brought up to it."""
    kind, time = str(rng.choice(KINDS)), at(when)
    plain = [name for name in alive if name not in ("S0", "S4")]  # these have options: they keep their labels
    name, other = (str(one) for one in rng.choice(plain, 2, replace=False))
    event = lambda kind, name, value, money="", other="": Event(time, tag, time, kind, name, value, money, other)  # noqa: E731
    if kind == "fill":
        name = str(rng.choice([*alive, "LIN", "PERP", "O", *able]))
        price = rng.uniform(8e4, 9.9e4) if name in MONEY else rng.uniform(1, 9) if name in "CPO" else rng.uniform(5, 80)
        size = float(rng.integers(1, 30)) * float(rng.choice([-1, 1])) * (5 if name == "PERP" else 1)
        money = str(rng.choice(["USD", "EUR"]))
        return Fill(tag, "", name, size, float(price), time, float(rng.uniform(0, 2)), money)
    if kind == "dividend":
        name = str(rng.choice(alive))
        return event(kind, name, float(rng.uniform(0.1, 1)), money_of(name))
    if kind == "funding":
        name = str(rng.choice([*MONEY]))
        return event(kind, name, float(rng.normal() * (1e-9 if name == "PERP" else 9.0)), MONEY[name])
    if kind == "interest":
        return event(kind, "", float(rng.uniform(-0.05, 0.2)), str(rng.choice(["USD", "EUR"])))
    if kind == "margin":
        return event(kind, "", float(rng.normal() * 100), str(rng.choice(["USD", "EUR"])), str(rng.choice(ACCOUNTS)))
    if kind == "exercise":
        name = str(rng.choice([n for n, left in able.items() if left] or [""]))
        if not name:
            return None
        able[name] -= 1
        return event("exercise" if name == "C" else "assignment", name, 1.0, "", "book")
    if kind == "split":
        return event(kind, str(rng.choice([*plain, "S0"])), float(rng.choice([2.0, 0.25, 1.5])))
    if kind == "spin_off":
        parted |= {name, other}
        return event(kind, name, 0.5, "", other)
    if kind == "rename":
        label = f"{name[0]}{tag}"
        alive[alive.index(name)] = label
        parted |= {label} if name in parted else set()
        return event(kind, name, float(rng.choice([1.0, 3.0])), "", label)
    if name in parted or len(plain) < 4:
        return None
    alive.remove(name)
    if kind == "merger":
        return event(kind, name, 0.5, "", other)
    return event(str(rng.choice(["merger", "delisting"])), name, 7.0, str(rng.choice(["USD", "EUR"])))


def key_of(one: Event | Fill) -> tuple:
    return (one.time, RANK.index("fill"), one.fill_id) if isinstance(one, Fill) else (
        one.time, RANK.index(one.kind), one.event_id)  # fmt: skip


def start(made: World) -> tuple[State, Plain]:
    """Both books at the first market."""
    state, clerk = opening("b", made.market(0), BOOK, hedge=OURS), Plain()
    for account, held in (("book", BOOK), ("hedge", OURS)):
        for name, quantity in held.items():
            if name in ("COIN", "EUR"):
                clerk.cash[account, "BTC" if name == "COIN" else "EUR"] += quantity
            elif name in MONEY:
                clerk.open[account, name].append([quantity, made.marks[0][name]])
            else:
                clerk.held[account, name] += quantity
    return state, clerk


def day_of(one: Event | Fill) -> float:
    return (one.time - START) / pd.Timedelta(days=1)


def closes(moved: Advance) -> None:
    total = moved.explained[list(PARTS)].to_numpy()
    assert total.sum() == pytest.approx(moved.change, abs=1e-9 * (1 + np.abs(total).sum() + abs(moved.equity)))


def is_what_the_clerk_has(moved: Advance, clerk: Plain, marks: dict) -> None:
    """Every contract, every money, and equity to a hundredth of a cent."""
    for account in ACCOUNTS:
        ours = moved.state.quantities(account).to_dict()
        theirs = {name: clerk.contracts(account, name) for a, name in {**clerk.held, **clerk.open} if a == account}
        assert ours == pytest.approx({name: q for name, q in theirs.items() if abs(q) > 1e-9}, rel=1e-9)
    balances, kept = balances_by_account(moved.state, moved.market), clerk.by_money(marks)
    for key in {*balances, *kept}:
        assert balances.get(key, 0.0) == pytest.approx(
            kept.get(key, 0.0), rel=1e-9, abs=1e-6 * (key[1] != "BTC") + 1e-11
        )
    assert moved.equity == pytest.approx(clerk.equity(marks), rel=1e-11, abs=1e-4)


def walked(made: World, days: list[int], rng: np.random.Generator) -> Advance:
    """Through these days, told out of order and twice, and by way of a state's text."""
    now, _ = start(made)
    for one, other in pairwise(days):
        order = rng.permutation(len(made.happened) * 2) % len(made.happened)
        told = [made.happened[i] for i in order]
        fills = [f for f in told if isinstance(f, Fill) and f.time <= at(other)]
        moved = advance(
            now, made.market(one), made.market(other), fills, events=[e for e in told if isinstance(e, Event)]
        )
        closes(moved)
        assert (State.from_text(moved.state.text).text, len(moved.notes)) == (moved.state.text, 0)
        now = State.from_text(moved.state.text)
    return moved


# ---- laws ------------------------------------------------------------------------------------------------------------


def every_day_is_what_a_clerk_has(seed: int, each: int = 8) -> None:
    made = world(seed, borrow=True, each=each)
    now, clerk = start(made)
    for day, other in pairwise(range(DAYS)):
        today = [one for one in made.happened if at(day) < one.time <= at(other)]
        fills = [one for one in today if isinstance(one, Fill)]
        events = [one for one in today if isinstance(one, Event)]
        moved = advance(now, made.market(day), made.market(other), fills, events=events)
        short = {account: clerk.held[account, "S4"] for account in ACCOUNTS}
        short["hedge"] += sum(one.quantity for one in fills if one.instrument == "S4")
        for one in today:
            clerk.to(day_of(one))
            clerk.follow(one)
        clerk.to(other)
        closes(moved)
        for account, held in short.items():  # of what was held and traded, not of what was delivered
            clerk.cash[account, "USD"] += min(held, 0.0) * made.marks[day]["S4"] * SHORT / 365
        is_what_the_clerk_has(moved, clerk, made.marks[other])
        now = moved.state


def a_period_in_parts_or_whole_told_in_any_order_ends_in_the_same(seed: int, each: int = 8) -> None:
    made = world(seed, each=each)
    rng = np.random.default_rng([seed, 1])
    _, clerk = start(made)
    for one in made.happened:
        clerk.to(day_of(one))
        clerk.follow(one)
    clerk.to(DAYS - 1)
    for _ in range(3):
        middle = sorted(int(day) for day in rng.choice(range(1, DAYS - 1), rng.integers(0, 4), replace=False))
        is_what_the_clerk_has(walked(made, [0, *middle, DAYS - 1], rng), clerk, made.marks[-1])


def told_late(made: World, rng: np.random.Generator) -> tuple[list, dict[str, int], list]:
    """What happened with news that come days later, the day on which each fill is told, and what it was in truth.

    Labels change in time, and so is told what speaks of one that has ended by then, or of S0, whose option it adjusts.
    """
    told, days, truth = [], {}, []
    for one in made.happened:
        known = float(min(day_of(one) + rng.choice([0.0, rng.uniform(0, 2.5)]), DAYS - 1))
        if isinstance(one, Event):
            late = one.kind in ("dividend", "funding", "interest", "margin", "settlement", "spin_off", "split")
            late = late and (one.kind, one.instrument) != ("split", "S0")
            told.append(replace(one, known_at=at(known)) if late and not ended(made, one, known) else one)
            truth.append(one)
            continue
        late = one.instrument != "LIN" and not ended(made, one, np.ceil(known))  # its gains are paid lot by lot
        days[one.fill_id] = int(np.ceil(known if late else day_of(one)))
        told.append(one)
        back = float(rng.choice([0.0, 0.0, 0.5, 1.0]))
        when = days[one.fill_id] + float(rng.uniform(0.1, 0.9))
        if back and late and when < DAYS - 1 and not ended(made, one, when):
            name = f"back {one.fill_id}"
            told.append(Event(at(when), name, at(when), "bust", "", back * abs(one.quantity), "", one.fill_id))
        else:
            back = 0.0
        if back < 1:
            truth.append(replace(one, quantity=(1 - back) * one.quantity, fee=(1 - back) * one.fee))
    return told, days, truth


def ended(made: World, one: Event | Fill, by: float) -> bool:
    """Whether a contract ends after something that happened to it and by a day."""
    name = one.instrument
    for event in (each for each in made.happened if isinstance(each, Event) and key_of(each) > key_of(one)):
        if event.instrument == name and event.time <= at(by):
            if event.kind in ("delisting", "settlement") or (event.kind == "merger" and not event.other):
                return True
            name = event.other if event.kind in ("rename", "merger") else name
    return False


def news_that_come_late_end_in_what_they_would_have_in_time(seed: int, each: int = 8) -> None:
    made = world(seed, each=each)
    rng = np.random.default_rng([seed, 2])
    told, days, truth = told_late(made, rng)
    now, clerk = start(made)
    for one in truth:
        clerk.to(day_of(one))
        clerk.follow(one)
    clerk.to(DAYS - 1)
    for day, other in pairwise(range(DAYS)):
        fills = [one for one in told if isinstance(one, Fill) and day < days[one.fill_id] <= other]
        moved = advance(
            now, made.market(day), made.market(other), fills, events=[e for e in told if isinstance(e, Event)]
        )
        closes(moved)
        now = State.from_text(moved.state.text)
    is_what_the_clerk_has(moved, clerk, made.marks[-1])


@pytest.mark.parametrize("seed", range(3))
def test_every_day_of_a_random_book_is_what_plain_bookkeeping_says(seed):
    every_day_is_what_a_clerk_has(seed)


@pytest.mark.parametrize("seed", range(3))
def test_random_periods_in_parts_or_whole_told_in_any_order_end_in_the_same(seed):
    a_period_in_parts_or_whole_told_in_any_order_ends_in_the_same(seed)


@pytest.mark.parametrize("seed", range(3))
def test_random_news_that_come_late_end_in_what_they_would_have_in_time(seed):
    news_that_come_late_end_in_what_they_would_have_in_time(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 160))
def test_many_random_books_are_what_plain_bookkeeping_says(seed):
    every_day_is_what_a_clerk_has(seed, each=4 + seed % 12)
    a_period_in_parts_or_whole_told_in_any_order_ends_in_the_same(seed, each=4 + seed % 12)
    news_that_come_late_end_in_what_they_would_have_in_time(seed, each=4 + seed % 12)
