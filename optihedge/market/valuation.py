"""What each contract is worth and priced on: driver levels, currency paths, forwards, discounts, implied vols."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.errors import DataError
from optihedge.frames import DAY_END, nearest, row_of
from optihedge.market.contracts import OF_ONE_FAMILY, Contracts
from optihedge.market.currencies import currency_paths
from optihedge.market.dividends import dividend_forwards, dividend_schedule, implied_carry
from optihedge.market.drivers import RETURNS, tenor_years
from optihedge.market.exposures import by_family, tenor_weights
from optihedge.market.families import FAMILY_OF
from optihedge.market.instruments import implied, types_of
from optihedge.market.option_vols import with_vols
from optihedge.market.parity import with_parity
from optihedge.market.pricing import SECONDS_PER_YEAR, settlement_weight
from optihedge.market.styles import AMERICAN
from optihedge.readonly import coded, kept, read_only, texts, told

_NEAR = 0.1  # ln of price and last level: the same thing, a night apart
_FORWARD_GAP = 0.02  # an option's forward further than this from its future's price was taken from the index


@dataclass(frozen=True, eq=False)
class Paths:
    """Per contract: its driver, the currency its value stands in and that currency's way to base.

    driver      position of the underlying's price (of cash: of the coin that its way to base passes); -1: plain money
    pair        its driver is a currency pair: it has fx where others have delta
    abroad      its currency is foreign: an fx driver lies on the way to base
    asset_abroad    what its delta is a holding of is foreign money: the pair's own currency, else its driver's currency
    fx          base currency per unit of the contract's currency
    quote_fx    base currency per unit of the currency its driver is quoted in
    signs       N x D: +1 (-1) where base per unit of the contract's currency rises (falls) with a pair
    quote_signs the same for the currency of its driver
    """

    driver: np.ndarray
    pair: np.ndarray
    abroad: np.ndarray
    asset_abroad: np.ndarray
    fx: np.ndarray
    quote_fx: np.ndarray
    signs: sp.csr_array
    quote_signs: sp.csr_array

    @classmethod
    def of(cls, instruments: pd.DataFrame, drivers: pd.DataFrame, levels: np.ndarray, base_currency: str) -> Paths:
        """Raises DataError for an underlying without a driver and for a currency without a path."""
        types, named, own = _texts(instruments, "type", "underlying", "currency")
        kind, assets, quoted = _texts(drivers, "kind", "underlying", "currency")
        driver = underlying_drivers(instruments, drivers).copy()
        moved, fx = driver >= 0, kind == "fx"
        quote, pair = own.copy(), moved.copy()
        quote[moved], pair[moved] = quoted[driver[moved]], fx[driver[moved]]
        currency = np.where(implied(types)["inverse"], quote, own)
        asset = np.where(pair, named, quote)
        place = {money: code for code, money in enumerate(dict.fromkeys([*currency, *quote, *asset]))}
        users = {
            money: tuple(map(str, instruments.index[(currency == money) | (quote == money) | (asset == money)]))
            for money in place
        }
        rate, signs = currency_paths(list(place), drivers, levels, base_currency, users)
        foreign = abs(signs) @ fx.astype(float) > 0
        codes, quote_codes, asset_codes = (
            np.fromiter(map(place.__getitem__, monies), int, len(own)) for monies in (currency, quote, asset)
        )
        signs_of, quote_signs = signs[codes], signs[quote_codes]
        for row in np.flatnonzero(types == "cash"):
            on_path = signs_of.indices[signs_of.indptr[row] : signs_of.indptr[row + 1]]
            coins = [d for d in on_path if kind[d] == "price"]
            near = [d for d in coins if own[row] in (assets[d], quoted[d])]
            driver[row] = (near or coins or [-1])[0]
        return cls(
            driver, pair, foreign[codes], foreign[asset_codes], rate[codes], rate[quote_codes],
            signs_of, quote_signs,
        )  # fmt: skip

    def asset(self, instruments: pd.DataFrame, drivers: pd.DataFrame) -> np.ndarray:
        """N underlyings: as given; of cash the coin whose price moves it (dollars in a coin base: the coin), else its
        currency.
        """
        moved = drivers["underlying"].to_numpy(dtype=object)[self.driver] if len(drivers) else instruments["currency"]
        money = np.where(self.driver >= 0, moved, instruments["currency"])
        return np.where(instruments["type"] == "cash", money, instruments["underlying"])

    def power(self) -> np.ndarray:
        """N: how base per unit of the contract's currency moves with the contract's own driver, +1, 0 or -1."""
        power = np.zeros(len(self.driver))
        rows = np.flatnonzero(self.driver >= 0)
        if rows.size:
            power[rows] = np.asarray(self.signs[rows, self.driver[rows]]).ravel()
        return power


def underlying_drivers(instruments: pd.DataFrame, drivers: pd.DataFrame) -> np.ndarray:
    """Position of each contract's price driver, one quoted in its own currency first; -1: cash. Raises DataError."""
    return kept(instruments, "drivers", lambda: read_only(_underlying_drivers(instruments, drivers)), drivers)


def _underlying_drivers(instruments: pd.DataFrame, drivers: pd.DataFrame) -> np.ndarray:
    first: dict[str, int] = {}
    pair: dict[tuple[str, str], int] = {}
    for place, (kind, asset, quote) in enumerate(zip(*_texts(drivers, "kind", "underlying", "currency"), strict=True)):
        if kind in RETURNS:
            first.setdefault(asset, place)
            pair.setdefault((asset, quote), place)
    (of, assets), (paid, moneys) = (coded(instruments, name) for name in ("underlying", "currency"))
    both, which = np.unique(of * len(moneys) + paid, return_inverse=True)
    wanted = [(assets[one // len(moneys)], moneys[one % len(moneys)]) for one in both.tolist()]
    driver = np.array([pair.get(one, first.get(one[0], -1)) for one in wanted], dtype=int)[which]
    cash = told(instruments, "type", "cash")
    unknown = (driver < 0) & ~cash
    if unknown.any():
        row = int(np.argmax(unknown))
        name = instruments["underlying"].iat[row]
        raise DataError(
            f"{row_of(instruments.attrs.get('source', 'instruments'), row)}: underlying {name} of "
            f"{instruments.index[row]} has no price driver{nearest(name, first)}; "
            "add its column to history, or a driver with that underlying",
            instruments=tuple(map(str, instruments.index[unknown])),
        )
    return np.where(cash, -1, driver)


def _texts(table: pd.DataFrame, *names: str) -> list[np.ndarray]:
    return [texts(table, name) for name in names]


def driver_levels(
    drivers: pd.DataFrame, last: np.ndarray, instruments: pd.DataFrame, quotes: pd.DataFrame, price: np.ndarray
) -> np.ndarray:
    """The level of every driver now, D: a price from its index, spot or own quote, else the index that a future quotes,
    else the only share on it that is near its last level (or has none), whatever its label, else the last of its
    history; other kinds from history. Raises DataError for an underlying without a price.
    """
    kinds, names = types_of(instruments), instruments.index
    types, asset, money = _texts(instruments, "type", "underlying", "currency")
    rank = np.select([types == "index", names.to_numpy() == asset, types == "spot", kinds["margined"]], [0, 1, 2, 3], 9)
    value = np.where(rank == 3, quotes["underlying_price"].to_numpy(), price)
    used = underlying_drivers(instruments, drivers)
    rank[_only_shares((types == "equity") & (rank == 9), types, asset, money, price, last, used)] = 4
    seen = np.flatnonzero((rank < 9) & ~np.isnan(value) & (types != "cash"))
    quoted: dict[tuple[str, str], float] = {}
    for row in seen[np.argsort(rank[seen], kind="stable")]:
        quoted.setdefault((asset[row], "" if kinds["inverse"][row] else money[row]), value[row])
    levels = np.array(last, dtype=float)
    for place, (kind, of, quote) in enumerate(zip(*_texts(drivers, "kind", "underlying", "currency"), strict=True)):
        if kind in RETURNS:
            levels[place] = quoted.get((of, quote), quoted.get((of, ""), levels[place]))
    lost = (used >= 0) & ~np.isfinite(levels[used] if len(levels) else np.zeros(len(used)))
    if lost.any():
        row = int(np.argmax(lost))
        name, quote = asset[row], drivers["currency"].iat[used[row]]
        others = ", ".join(sorted({given for of, given in quoted if of == name} - {"", quote}))
        seen_in = f" (only in {others})" if others else ""
        raise DataError(
            f"underlying {name} has no price in {quote}{seen_in}; quote it (type index, spot or equity, currency "
            f"{quote}), give the history of driver {drivers.index[used[row]]} or mend that driver's currency",
            instruments=tuple(map(str, names[lost])),
        )
    return levels


def _only_shares(
    strange: np.ndarray, types: np.ndarray, asset: np.ndarray, money: np.ndarray, price: np.ndarray, last: np.ndarray,
    used: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Positions of shares under another label than their underlying (`strange`) that nevertheless are its price: the
    only one of a currency, near its driver's last level; one far from it is a fund on it, or another unit.
    """
    at = np.flatnonzero(strange & (used >= 0))
    if not at.size:
        return at
    shares = Counter(zip(asset[types == "equity"], money[types == "equity"], strict=True))
    alone = np.array([shares[asset[row], money[row]] == 1 for row in at.tolist()], dtype=bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.abs(np.log(price[at] / last[used[at]]))
    return at[alone & ~(apart > _NEAR)]


def value_contracts(
    instruments: pd.DataFrame,
    quotes: pd.DataFrame,
    price: np.ndarray,
    drivers: pd.DataFrame,
    levels: np.ndarray,
    paths: Paths,
    on_missing: str,
    as_of: pd.Timestamp,
    dividends: pd.DataFrame,
) -> tuple[Contracts, pd.DataFrame, pd.Series]:
    """The contracts as arrays, the quotes with each option's forward, rate and vol filled in, and whose vol stands in
    for that of options without a usable one, in words by label.

    Forward: the quote's own, else the price of the instrument named `forward`, else put-call parity of its expiry
    (`market.parity`), else S e^((r - borrow) T) less the expected `dividends`, grown. Vol: the quote's own, else
    implied by the price and the exercise style, else another option's (`market.fallback`): then the option loses both
    sides, as a price that implies no vol, or one that no neighbour's comes near, is not traded on. An option without a
    price is worth what its vol says, at most its ask. Raises DataError for an option for which nobody has a vol; under
    on_missing "freeze" one with a price keeps its intrinsic Greeks.
    """
    types, kinds = instruments["type"].to_numpy(), types_of(instruments)
    option, inverse, cash, nan = kinds["option"], kinds["inverse"], types == "cash", np.full(len(price), np.nan)
    level = levels[paths.driver] if len(levels) else np.ones(len(price))
    spot = np.where(cash, 1.0, level * paths.quote_fx / paths.fx)
    years = (instruments["expiry"].array - quotes["time"].array).total_seconds() / SECONDS_PER_YEAR
    quotes = quotes.copy()
    at = np.flatnonzero(option)
    american = option & (instruments["exercise"].to_numpy() == AMERICAN)
    ex, paid = dividend_schedule(dividends, instruments, option & ~inverse, quotes["time"])
    rate, forward, unsaid = np.zeros(len(price)), price.copy(), np.zeros(len(price), dtype=bool)
    if at.size:
        terms, own_rate = instruments.iloc[at], quotes["rate"].to_numpy()[at]
        curve = rate_levels(terms["currency"], terms["expiry"], years[at], drivers, levels, as_of)
        rate[at] = np.where(inverse[at], 0.0, np.where(np.isnan(own_rate), curve, own_rate))
        carried = rate[at] - borrow_rates(instruments, quotes)[at] * ~inverse[at]
        grown = dividend_forwards(spot[at], carried, years[at], ex[at], paid[at])
        forward[at], unsaid[at] = _forwards(instruments, quotes, price, at, grown)
    on_future = american & (_delivers_future(instruments) if american.any() else False)
    carry, grows = np.zeros(len(price)), american & ~on_future
    carry[grows] = implied_carry(forward[grows], spot[grows], years[grows], ex[grows], paid[grows])
    paid[on_future] = 0.0
    contracts = Contracts(
        family=np.fromiter(map(FAMILY_OF.__getitem__, types), int, len(types)), option=option, inverse=inverse,
        margined=kinds["margined"], future=kinds["future"], constant=cash,
        multiplier=instruments["multiplier"].to_numpy(dtype=float), spot=spot, price=price, forward=forward,
        fx=paths.fx, power=paths.power(),
        unsettled=_unsettled(instruments["settlement_window"].to_numpy(dtype=float), years),
        strike=instruments["strike"].to_numpy(dtype=float),
        right=np.where(instruments["right"].to_numpy() == "P", -1.0, 1.0),
        years=years, vol=np.zeros(len(price)), discount=np.exp(-rate * np.where(option, years, 0.0)),
        american=american, on_future=on_future, carry=carry, ex=ex, cash=paid, **dict.fromkeys(OF_ONE_FAMILY, nan),
    )  # fmt: skip
    contracts = _told(contracts, instruments, quotes)
    if not at.size:
        return contracts, quotes, pd.Series(dtype=object)
    contracts = with_parity(contracts, instruments["underlying"], quotes, unsaid & ~inverse)
    contracts, dead, whose = with_vols(contracts, instruments, quotes, on_missing)
    filled = {"underlying_price": contracts.forward, "rate": rate, "vol": contracts.vol}
    return contracts, _filled(quotes, at, filled, dead, dead | instruments.index.isin(whose.index)), whose


def _told(c: Contracts, instruments: pd.DataFrame, quotes: pd.DataFrame) -> Contracts:
    """The contracts with what their family alone reads."""
    for family, at in by_family(c):
        if family.told is not None:
            c = c.put(at, family.told(c.take(at), instruments.iloc[at], quotes.iloc[at]))
    return c


def _filled(
    quotes: pd.DataFrame, at: np.ndarray, filled: dict[str, np.ndarray], dead: np.ndarray, unquoted: np.ndarray
) -> pd.DataFrame:
    """Quotes with the columns `filled` (N) of options `at`; `dead` ones lose both sides, `unquoted` ones the vol."""
    for name, values in filled.items():
        column = quotes[name].to_numpy(copy=True)
        column[at] = values[at]
        quotes[name] = column
    quotes.loc[dead, ["bid", "ask"]] = np.nan
    quotes.loc[unquoted, "vol"] = np.nan
    return quotes


def borrow_rates(instruments: pd.DataFrame, quotes: pd.DataFrame) -> np.ndarray:
    """Borrow rate of each contract's underlying, N, per year: as its stock quotes it, else 0."""
    stocks = (instruments["type"] == "equity").to_numpy()
    quoted = quotes["borrow_rate"].where(stocks).groupby(instruments["underlying"]).first()
    return instruments["underlying"].map(quoted).fillna(0.0).to_numpy(dtype=float)


def _delivers_future(instruments: pd.DataFrame) -> np.ndarray:
    """Contracts whose `forward` names a future, which is what their exercise gives."""
    return instruments["forward"].map(instruments["type"]).eq("future").to_numpy()


def _unsettled(window: np.ndarray, years: np.ndarray) -> np.ndarray:
    """Share of the settlement average still to come; 1 for a contract without a window or an expiry."""
    averaged = (window > 0) & np.isfinite(years)
    minutes = np.where(averaged, years, 1.0) * (SECONDS_PER_YEAR / 60)
    return np.where(averaged, settlement_weight(minutes, np.where(averaged, window, 1.0)), 1.0)


def rate_levels(
    currency: pd.Series,
    expiry: pd.Series,
    years: np.ndarray,
    drivers: pd.DataFrame,
    levels: np.ndarray,
    as_of: pd.Timestamp,
) -> np.ndarray:
    """Continuous rate per year of each contract's currency and time, from the rate drivers; 0 without one."""
    rate, speaking = np.zeros(len(years)), np.flatnonzero(told(drivers, "kind", "rate"))
    of = lambda name: (currency == name).to_numpy()  # noqa: E731
    for name, positions, tenors in tenor_ladders(drivers, speaking, of, expiry.to_numpy("datetime64[ns]"), as_of):
        mine = of(name)
        lower, upper, weight = tenor_weights(years[mine], tenors)
        low, high = levels[positions[lower]], levels[positions[upper]]
        rate[mine] = np.nan_to_num(low * (1 - weight) + high * weight)
    return rate


def tenor_ladders(
    drivers: pd.DataFrame,
    speaking: np.ndarray,
    of: Callable[[object], np.ndarray],
    ends: np.ndarray,
    as_of: pd.Timestamp,
) -> list[tuple[object, np.ndarray, np.ndarray]]:
    """(underlying, driver positions, their tenors in years, ascending) of the drivers at some positions; an empty tenor
    alone is year 0.

    A date is the first expiry on that day among the contracts `of` that underlying (N booleans; ends: N expiries), else
    the day's end; it is left out once that has passed.
    """

    def years(tenor: str, name: object) -> float:
        when = tenor_years(tenor) if tenor else 0.0
        if isinstance(when, float):
            return when
        own = ends[of(name)]
        own = own[own.astype("datetime64[D]") == when.to_datetime64().astype("datetime64[D]")]
        end = pd.Timestamp(own.min(), tz="UTC") if len(own) else when + DAY_END
        left = (end - as_of).total_seconds() / SECONDS_PER_YEAR
        return left if left > 0 else np.nan

    ladders = []
    codes, names = coded(drivers, "underlying")
    for code in dict.fromkeys(codes[speaking].tolist()):
        rows = speaking[codes[speaking] == code]
        tenors = np.array([years(tenor, names[code]) for tenor in texts(drivers, "tenor")[rows]])
        order = np.argsort(tenors, kind="stable")[: np.count_nonzero(~np.isnan(tenors))]
        if order.size:
            ladders.append((names[code], rows[order], tenors[order]))
    return ladders


def _forwards(
    instruments: pd.DataFrame, quotes: pd.DataFrame, price: np.ndarray, at: np.ndarray, carried: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The forwards of the options `at`, and which of them nobody says: those are the carried spot."""
    quoted = quotes["underlying_price"].to_numpy()[at]
    on = instruments["forward"].iloc[at]
    named = pd.Series(price, index=instruments.index).reindex(on).to_numpy()
    forward = np.where(np.isnan(quoted), np.where(np.isnan(named), carried, named), quoted)
    bad = ~(forward > 0)
    if bad.any():
        name = instruments.index[at[int(np.argmax(bad))]]
        raise DataError(f"quotes: forward of {name} is {forward[bad][0]:g}; an option needs a forward above zero",
                        instruments=tuple(map(str, instruments.index[at[bad]])))  # fmt: skip
    return forward, np.isnan(quoted) & np.isnan(named)


def astray_forwards(c: Contracts, instruments: pd.DataFrame) -> np.ndarray:
    """N flags: an option whose F/S is more than 2 % away from that of a future of the same underlying and expiry."""
    with np.errstate(divide="ignore", invalid="ignore"):
        lean = pd.Series(np.log(c.forward / c.spot), instruments.index)
    of = pd.MultiIndex.from_frame(instruments[["underlying", "expiry"]])
    future = pd.Series(lean.to_numpy(), of)[c.future & instruments["expiry"].notna().to_numpy()]
    theirs = future[~future.index.duplicated()].reindex(of).to_numpy()
    return c.option & (np.abs(lean.to_numpy() - theirs) > _FORWARD_GAP)
