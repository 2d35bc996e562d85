"""Terms of the objective that say what trading and holding cost, and what carry brings. Base currency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from optihedge.errors import NotApplicable, SpecError
from optihedge.frames import some
from optihedge.hedge.builder import ProgramBuilder
from optihedge.hedge.terms.base import Term, check_number
from optihedge.market.depth import IMPACT, beyond_hinges, depth_hinges, displayed, odd_books

Array = np.ndarray


@dataclass(frozen=True)
class SpreadCost(Term):
    """Half the quoted spread on each contract traded, on the side traded; `scale` times it.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> book = oh.read_book("example/book.csv")
    >>> model = oh.HedgeModel(objective=(oh.SpreadCost(),), constraints=(oh.Neutral("delta"),), universe=("ES-SEP16",))
    >>> hedge = model.hedge(market, {"AAPL": 1_000.0})
    >>> paid = -hedge.trades["ES-SEP16"] * market.trade_cost.loc["ES-SEP16", "sell"]
    >>> bool(abs(hedge.costs["spread"] - paid) < 1e-6)
    True
    """

    scale: float = 1.0

    short_name: ClassVar[str] = "spread"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.label, "scale", self.scale, 0.0)

    @property
    def covers(self) -> tuple[str, ...]:
        return ("spread",)

    def contribute(self, p: ProgramBuilder) -> None:
        buy, sell = p.half_spread()
        p.cost(buy=self.scale * buy, sell=self.scale * sell)


@dataclass(frozen=True)
class FeeCost(Term):
    """The venue's one-way fee on each contract traded, its caps applied (a maker's may be negative).

    making   share of what is traded that is expected to wait in the book until it is filled: that pays `maker_fee` of
             the instruments, or of the venue's tier, in place of the fee. What a list tells is what its orders pay as
             they are sent: the taker's fee

    >>> import optihedge as oh
    >>> oh.FeeCost().label
    'fees'
    """

    making: float = 0.0

    short_name: ClassVar[str] = "fees"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.label, "making", self.making, 0.0)
        if self.making > 1:
            raise SpecError(f"{self.label}: making is {self.making:g}; give the share that waits, from 0 to 1")

    @property
    def covers(self) -> tuple[str, ...]:
        return ("fees",)

    def contribute(self, p: ProgramBuilder) -> None:
        taken, made = (fees.to_numpy(dtype=float)[p.positions] for fees in (p.market.fees, p.market.maker_fees))
        fee = np.where(p.tradable, (1 - self.making) * taken + self.making * made, 0.0)
        p.cost(buy=fee, sell=fee)


@dataclass(frozen=True)
class ImpactCost(Term):
    """coefficient x daily vol x notional x (|trade| / daily volume)^(power - 1), power 2 or 3/2; one-way.

    The vol is that of the contract's underlying under the model's risk; `volume` a column of quotes, contracts a day.

    >>> import optihedge as oh
    >>> oh.terms.ImpactCost(coefficient=0.7, power=1.5).power
    1.5
    """

    coefficient: float = 1.0
    power: float = 2.0
    volume: str = "volume"

    short_name: ClassVar[str] = "impact"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.label, "coefficient", self.coefficient, 0.0)
        if self.power not in (1.5, 2.0):
            raise SpecError(f"{self.label}: power is {self.power}; the Program knows 2 and 1.5")

    @property
    def covers(self) -> tuple[str, ...]:
        return ("impact",)

    def contribute(self, p: ProgramBuilder) -> None:
        volume = daily_volume(p, self.volume)
        daily = p.underlying_volatility() * np.sqrt(p.periods / p.days)
        rate = np.where(p.tradable, self.coefficient * daily * p.measure("notional"), 0.0)
        if self.power == 2.0:
            p.cost(quadratic=rate / volume)
        else:
            p.cost(power=rate / np.sqrt(volume))


def daily_volume(p: ProgramBuilder, column: str) -> Array:
    """Contracts a day (N), 1 where not tradable; a tradable without any has its trade boxed to zero, and noted.

    Raises NotApplicable where no tradable has a volume: the model asks for what the market lacks.
    """
    volume = p.numbers(column, "quotes")
    known = np.isfinite(volume) & (volume > 0)
    absent = p.tradable & ~known
    if absent.any() and not known[p.tradable].any():
        raise NotApplicable(f"liquidity: quotes have no {column} for any tradable contract; the hedging model needs it")
    if absent.any():
        p.trade_box(np.where(absent, 0.0, -np.inf), np.where(absent, 0.0, np.inf))
        note = f"{some(p.names[absent], 3)}: not traded, no {column} in quotes"
        p.left_out.extend([note] if note not in p.left_out else [])
    return np.where(p.tradable & known, volume, 1.0)


@dataclass(frozen=True)
class DepthCost(Term):
    """Walking the market beyond its best price: each level's extra price, then the square root law of impact.

    impact   coefficient of the law beyond what is displayed: coefficient x the contract's daily deviation x
             (excess / daily volume)^(1/2) on each contract in excess; a number, or instrument type -> number. At 2/3 a
             day's whole volume moves the price by one daily deviation

    Goes with SpreadCost, which pays the best level. Displayed is the order book, or where a contract has none its
    quoted size. Without a daily volume the law says nothing: more than is displayed pays the last price shown (the
    list's checks let no more be traded). A contract whose size is not known pays its spread only. The law needs a risk.

    >>> import optihedge as oh
    >>> oh.terms.DepthCost(impact=0.5).impact
    0.5
    """

    impact: float | Mapping[str, float] = IMPACT

    short_name: ClassVar[str] = "depth"

    def __post_init__(self) -> None:
        super().__post_init__()
        for value in self.impact.values() if isinstance(self.impact, Mapping) else (self.impact,):
            check_number(self.label, "impact", value, 0.0)

    @property
    def covers(self) -> tuple[str, ...]:
        return ("depth",)

    def contribute(self, p: ProgramBuilder) -> None:
        shown = displayed(p.market, p.names)
        if np.isnan(shown).all():
            return
        odd = odd_books(p.market, p.names)
        if len(odd):
            p.notes.append(f"{self.label}: the order book of {some(odd)} starts off its quote: one of them is old")
        p.hinges(*depth_hinges(p.market, p.names))
        p.begin(f"{self.label} beyond", ("impact",))
        p.hinges(*beyond_hinges(p.market, p.names, p.daily_deviation(), self.impact))


@dataclass(frozen=True)
class HoldingCost(Term):
    """Borrow paid on shorts over the horizon: borrow_rate (a column of quotes, decimal per year) x value x years.

    borrow      rate where the quotes have none, decimal per year
    financing   rate paid on long market value, decimal per year; on an option what it is above the rate that the option
                is discounted at, which its value earns (as `CarryCost` counts): a box spread costs nothing
    funding     also the funding that perpetuals pay at their quoted rate; what they earn is no reason to hold one

    >>> import optihedge as oh
    >>> oh.terms.HoldingCost(borrow=0.003, funding=True).borrow
    0.003
    """

    borrow: float = 0.0
    financing: float = 0.0
    funding: bool = False

    short_name: ClassVar[str] = "holding"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.label, "borrow", self.borrow, 0.0)
        check_number(self.label, "financing", self.financing)

    @property
    def covers(self) -> tuple[str, ...]:
        return ("borrow", "funding") if self.funding else ("borrow",)

    def contribute(self, p: ProgramBuilder) -> None:
        rate = p.numbers("borrow_rate", "quotes")
        value = np.maximum(p.market.value.to_numpy(dtype=float)[p.positions], 0.0)
        short = np.where(np.isfinite(rate), rate, self.borrow)
        contracts, at = p.market.contracts, p.positions
        earned = np.where(contracts.option, np.maximum(contracts.rate, 0.0), 0.0)[at]
        financing = np.where(earned > 0, np.maximum(self.financing - earned, min(self.financing, 0.0)), self.financing)
        p.assume_rates(short, financing)
        paid = p.funding() if self.funding else np.zeros(len(p.names))
        p.cost(
            long=financing * value * p.years + np.maximum(paid, 0.0),
            short=short * value * p.years + np.maximum(-paid, 0.0),
        )


@dataclass(frozen=True)
class CarryCost(Term):
    """Less the expected P&L over the horizon of each contract delta-hedged: volatility, funding, basis roll-down.

    An option earns 1/2 dollar gamma x (forecast variance - implied variance) x time, its theta included: priced at the
    forecast vol it has no carry (Hull, ch. 19: theta + 1/2 vol^2 S^2 gamma = financing). A perpetual pays its funding
    rate per interval. A dated contract loses its ln(F/S) x time / time to expiry, with or without a basis driver: a
    call less a put carries what their future does. Cash neither earns nor costs. An index's ln(F/S) holds the dividends
    of its stocks, which are not credited here: `ExpectedReturn` can.

    credit   False: only what is paid counts. Then nothing is held for its income: with credit, options priced above the
             forecast vol (deep puts, say) are sold for as much as the risk aversion bears, which is no hedge

    >>> import optihedge as oh
    >>> oh.terms.CarryCost(credit=False).label
    'carry'
    """

    credit: bool = True

    short_name: ClassVar[str] = "carry"

    @property
    def covers(self) -> tuple[str, ...]:
        return ("carry",)

    def contribute(self, p: ProgramBuilder) -> None:
        carry = expected_carry(p)
        if self.credit:
            p.cost(linear=-carry)
        else:
            p.cost(long=np.maximum(-carry, 0.0), short=np.maximum(carry, 0.0))


def expected_carry(p: ProgramBuilder) -> Array:
    """Expected P&L over the horizon of one contract, delta-hedged (N), base currency."""
    contracts, at = p.market.contracts, p.positions
    volatile = (contracts.vol > 0)[at]  # without a vol there is none to earn
    carry = np.zeros(len(p.names))
    if volatile.any():
        vol, life = contracts.vol[at][volatile], contracts.years[at][volatile]
        forecast = p.underlying_volatility()[volatile] * np.sqrt(p.periods / p.years)
        vega = 100.0 * p.total("vega")[volatile]
        carry[volatile] = vega * (forecast**2 - vol**2) / (2 * vol) * np.minimum(p.years / life, 1.0)
    return carry - p.funding() + p.basis_roll()
