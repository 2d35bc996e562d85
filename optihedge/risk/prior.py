"""Priors for a first hedge: what is assumed of drivers whose history is still too short, and how it gives way to data.

A driver with n observed moves, too few for its estimator, has the variance (n0 prior^2 + sum of squared moves) /
(n0 + n) with n0 = 20: the prior alone on the first night, less by every night. It shares the common move of its group
(the mean standardised move of the drivers that do have a history, else a factor of its own) with the group's prior
correlation; across groups it is independent. Betas on a market are 1, and equal parts of 1 on several: in a group
without any history its only market driver is that common move itself, so that risk and betas say one thing of a hedge.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from optihedge.errors import NotApplicable, SpecError
from optihedge.frames import some
from optihedge.market.drivers import tenor_years
from optihedge.market.instruments import types_of
from optihedge.market.snapshot import Market
from optihedge.program.threads import one_thread
from optihedge.readonly import coded, texts, told
from optihedge.risk.kept import fitted_on
from optihedge.risk.ragged import SHORT, from_whole_period, observed, short_histories, takes_missing, whole_part
from optihedge.risk.root import Risk

STRENGTH = 20.0  # moves that a prior counts for
FEW = 60  # moves: a beta from fewer is less sure than the mean of the others
LEAST = 10  # moves that an estimator needs, unless it says otherwise itself
YEARLY = {"stock": 0.35, "coin": 0.80, "future": 0.25, "fx": 0.10, "rate": 0.01}
"""Yearly deviation: the median of 432 US stocks 2007-2016 is 0.346; bitcoin's 2023-2024 is 0.5, the median of 70 other
coins 1.1; major pairs 0.1; a yield moves by a point a year. An underlying with options has their vol at the money."""
TOGETHER = {"stock": 0.4, "coin": 0.5, "future": 0.2, "fx": 0.0, "rate": 0.8, "vol": 0.9, "basis": 0.88}
"""Pairwise correlation inside a group, measured on the same sets; vols and bases within one underlying."""
VOL_LEVEL, VOL_PARALLEL = (
    0.055,
    0.011,
)  # of the vol itself, a trading day, at 30 days (falling as sqrt(30 d / T)) and flat
BASIS = 0.043  # of the price's own deviation
BETA_ERROR = 0.4  # standard error of a prior beta: the spread of betas across stocks


def fitted_risk(estimator: Any, market: Market, needed: pd.Index | None = None) -> Risk:
    """What a clone of the estimator learns from each driver's own history, the others by prior, named in `notes`.

    needed  drivers whose risk is asked for (default: all); others help where their history has no gap, and else are
            left out, so that they change nothing

    An estimator that needs whole rows gets those of the drivers observed on nearly all; the rest is theirs by prior and
    what moves they have. Raises SpecError where the estimator refuses what it is given.
    """
    asked, moves = _asked(market, needed, copy=not type(estimator).__module__.startswith("optihedge."))
    if getattr(estimator, "_exact_in_steps", False):
        moves = from_whole_period(moves)
    count = observed(moves)
    enough = count >= max(int(getattr(estimator, "min_periods", LEAST)), 1)
    known = moves if enough.all() else moves.loc[:, enough]
    known.attrs = dict(moves.attrs)
    if (count < len(moves)).any() and known.isna().to_numpy().any() and not takes_missing(estimator):
        known = whole_part(known)
    learnt = _learnt(estimator, known) if known.shape[1] else None
    if learnt is None or known.shape[1] < len(asked):
        learnt = _with_prior(market, learnt, known.columns, asked)
    told = short_histories(moves, (asked if needed is None else needed).intersection(known.columns))
    return replace(learnt, notes=(*learnt.notes, *told)) if told else learnt


def _learnt(estimator: Any, moves: pd.DataFrame) -> Risk:
    """What it learns: its `risk_`, that of the last step of a pipeline or of a search's best, or any `covariance_`."""
    fitted = _fit(estimator, moves, "risk")
    best = getattr(fitted, "best_estimator_", fitted)
    last = best.steps[-1][1] if hasattr(best, "steps") else best
    if isinstance(getattr(last, "risk_", None), Risk):
        return last.risk_
    if last is not best:
        raise SpecError(f"risk: the last step of {type(estimator).__name__} is {type(last).__name__}, which learns no "
                        "risk_; end the pipeline with SampleRisk of it")  # fmt: skip
    from optihedge.risk.sample import SampleRisk

    return _fit(SampleRisk(best), moves, "risk").risk_


def fitted_betas(
    estimator: Any, market: Market, needed: pd.Index | None = None
) -> tuple[pd.DataFrame, pd.DataFrame | None, tuple[str, ...]]:
    """Betas (D x m), their standard errors where the estimator gives them, and notes on those that are a prior.

    needed  as in `fitted_risk`; the betas of drivers left out are a prior. Raises SpecError where the estimator refuses
            what it is given, NotApplicable where neither it nor the market says on which drivers betas are.
    """
    asked, moves = _asked(market, needed)
    enough = observed(moves) >= max(int(getattr(estimator, "minimum", LEAST)) + 2, 1)
    marked = market.drivers["market"].to_numpy(dtype=bool)
    own = getattr(estimator, "market", None)
    if own:
        marked = market.drivers.index.isin([own] if isinstance(own, str) else list(own))
    if not marked.any() and moves.empty:
        raise NotApplicable("betas: no market driver; mark one in drivers.csv with market = true")
    drivers, markets = market.drivers.index, market.drivers.index[marked]
    short = _short(moves, drivers[~marked])
    if (enough.all() and len(enough) == len(drivers) and not len(short)) or not marked.any():
        fitted = _fit(estimator, moves, "betas")
        return fitted.betas_, getattr(fitted, "standard_errors_", None), ()
    price = (market.drivers["kind"] == "price").to_numpy()
    betas = pd.DataFrame(np.where(price, 1.0 / len(markets), 0.0)[:, None].repeat(len(markets), 1), drivers, markets)
    betas.loc[markets] = np.eye(len(markets))
    errors = pd.DataFrame(BETA_ERROR, drivers, markets).where((price & ~marked)[:, None], 0.0)
    known = asked[enough]
    if markets.isin(known).all():
        own = moves[known]
        own.attrs = dict(moves.attrs)
        fitted = _fit(estimator, own, "betas")
        betas.loc[known, fitted.betas_.columns] = fitted.betas_
        errors.loc[known] = getattr(fitted, "standard_errors_", errors.loc[known])
    else:
        known = markets
    lent, told = _lent(
        betas, errors, known.difference([*short, *markets], sort=False), short.intersection(known), moves
    )
    betas.update(lent)
    guessed = drivers[price & ~drivers.isin(known) & drivers.isin(drivers if needed is None else needed)]
    one = "1" if len(markets) == 1 else f"1/{len(markets)} on each market"
    if len(guessed):
        told = (*told, f"beta of {some(guessed)}: no or a short history, taken as {one}")
    return betas, errors, told


def _short(moves: pd.DataFrame, drivers: pd.Index) -> pd.Index:
    """Of these drivers those with fewer than FEW moves while the longest history has many more."""
    count = moves.notna().sum()
    short = count.index[(count < FEW) & (count < SHORT * count.max())]
    return short.intersection(drivers, sort=False)


def _lent(
    betas: pd.DataFrame, errors: pd.DataFrame, long: pd.Index, short: pd.Index, moves: pd.DataFrame
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Betas of drivers with few moves: the mean of those with many, by precision, where there are two at least."""
    long = long[(errors.loc[long] > 0).all(axis=1)]
    if len(long) < 2 or not len(short):
        return betas.iloc[:0], ()
    weight = 1 / errors.loc[long] ** 2
    mean = (betas.loc[long] * weight).sum() / weight.sum()
    errors.loc[short] = BETA_ERROR
    said = ", ".join(f"{value:.2f}" for value in mean)
    named = some([f"{name} ({int(moves[name].notna().sum())} moves)" for name in short], 3)
    note = f"beta of {named}: too few moves for one of its own; the mean of {len(long)} others, {said}, is taken"
    return pd.DataFrame([mean] * len(short), index=short), (note,)


def prior_deviations(market: Market) -> pd.DataFrame:
    """By driver: deviation of a period's move, its group, and where the deviation comes from.

    Deviations are returns for prices and pairs, changes (decimal) for vols, rates and bases.
    """
    drivers = market.drivers
    per_year = market.periods_per_year
    implied = _at_the_money(market)
    table = market.instruments
    code, names = coded(table, "underlying")
    on = lambda some: {names[i] for i in np.unique(code[some & (code >= 0)])}  # noqa: E731
    coin = on(types_of(table)["inverse"] | told(table, "type", "perpetual"))
    future = on(told(table, "type", "future")) - coin
    rows = []
    for kind, asset, tenor in zip(*(texts(drivers, name) for name in ("kind", "underlying", "tenor")), strict=True):
        own = "coin" if asset in coin else "future" if asset in future else "stock"
        vol = implied.get(asset, YEARLY[own])
        says = "options' vol at the money" if asset in implied else f"{YEARLY[own]:.0%} a year"
        if kind == "price":
            rows.append((vol / np.sqrt(per_year), own, says))
        elif kind == "vol":
            rows.append((_vol_deviation(vol, tenor, market.as_of) * np.sqrt(252 / per_year), f"vol {asset}", says))
        elif kind == "basis":
            rows.append((BASIS * vol / np.sqrt(per_year), f"basis {asset}", says))
        else:
            rows.append((YEARLY[kind] / np.sqrt(per_year), kind if kind == "fx" else f"rate {asset}",
                         f"{YEARLY[kind]:.0%} a year"))  # fmt: skip
    return pd.DataFrame(rows, index=drivers.index, columns=["deviation", "group", "says"])


# ---- the parts -----------------------------------------------------------------------------------------------------


def _with_prior(market: Market, learnt: Risk | None, known: pd.Index, drivers: pd.Index) -> Risk:
    """The learnt risk of the known drivers, and the others by prior and what moves they have."""
    prior = prior_deviations(market).loc[drivers]
    new = drivers.difference(known, sort=False)
    at_new, lone = drivers.get_indexer(new), drivers.get_indexer(_lone_markets(market, prior, new))
    count, squares = np.zeros(len(drivers)), np.zeros(len(drivers))
    if len(market.history) > 1:
        moves = market.moves(drivers=new).reindex(columns=new).to_numpy(dtype=float)
        count[at_new], squares[at_new] = (~np.isnan(moves)).sum(axis=0), np.nansum(moves**2, axis=0)
    assumed = prior["deviation"].to_numpy(dtype=float)
    size_of = np.sqrt((STRENGTH * assumed**2 + squares) / (STRENGTH + count))
    root = np.zeros((0 if learnt is None else len(learnt.root), len(drivers)))
    specific = np.zeros(len(drivers))
    if learnt is not None:
        theirs = drivers.get_indexer(learnt.drivers)
        root[:, theirs], specific[theirs] = learnt.root, learnt.specific
    rows, groups = [root], prior["group"].to_numpy(dtype=object)
    for group in pd.unique(groups[at_new]):
        share = np.sqrt(TOGETHER[str(group).split()[0]])
        common, at = _common(learnt, drivers[groups == group]), at_new[groups[at_new] == group]
        size, leads = size_of[at], np.isin(at, lone)
        moved = np.minimum(size[leads], size) if leads.any() else share * size
        if common is None:
            row = np.zeros((1, len(drivers)))
            row[0, at] = moved
            rows.append(row)
        else:
            root[:, at] = common[:, None] * moved
        specific[at] = np.sqrt(size**2 - moved**2)
    said = prior["says"].to_numpy(dtype=object)
    parts = [(says, at_new[said[at_new] == says]) for says in pd.unique(said[at_new])]
    notes = tuple(
        f"risk of {some(drivers[at])}: {'a short' if count[at].max() else 'no'} history; prior of "
        f"{says}, which counts as {STRENGTH:.0f} moves"
        for says, at in parts
    )
    return Risk(np.vstack(rows), specific, drivers, market.periods_per_year, notes=notes)


def _lone_markets(market: Market, prior: pd.DataFrame, new: pd.Index) -> list[str]:
    """The only market driver of each group that has no history at all. It moves as its group moves together, unless
    options say how much it moves: its row of `prior` is changed.
    """
    lone, drivers = [], market.drivers
    marked = drivers["market"].to_numpy(dtype=bool)[drivers.index.get_indexer(prior.index)]
    groups, without = prior["group"].to_numpy(dtype=object), prior.index.isin(new)
    for group in pd.unique(groups[marked & without]):
        members = groups == group
        lead, together = prior.index[members & marked], TOGETHER[str(group).split()[0]]
        if len(lead) != 1 or members.sum() == 1 or not together or not without[members].all():
            continue
        lone.append(lead[0])
        if not prior.loc[lead[0], "says"].startswith("options"):
            own = prior.loc[lead[0], "deviation"] * np.sqrt(together)
            yearly = own * np.sqrt(market.periods_per_year)
            prior.loc[lead[0], ["deviation", "says"]] = own, f"{yearly:.0%} a year, what its group moves together"
    return lone


def _common(learnt: Risk | None, group: pd.Index) -> np.ndarray | None:
    """The common move of the group's learnt drivers in their factors (k, unit length); None where they have none."""
    if learnt is None:
        return None
    at = np.flatnonzero(learnt.drivers.isin(group))
    size = np.sqrt((learnt.root[:, at] ** 2).sum(axis=0) + learnt.specific[at] ** 2)
    mean = (learnt.root[:, at] / np.where(size > 0, size, 1.0)).sum(axis=1)
    length = float(np.linalg.norm(mean))
    return mean / length if length > 0 else None


def _vol_deviation(vol: float, tenor: str, as_of: pd.Timestamp) -> float:
    """Deviation of a vol of this tenor over a trading day, decimal."""
    when = tenor_years(tenor) if tenor else 30 / 365
    years = (when - as_of) / pd.Timedelta(days=365) if isinstance(when, pd.Timestamp) else when
    return float(vol * np.hypot(VOL_LEVEL * np.sqrt(30 / 365 / max(years, 1 / 365)), VOL_PARALLEL))


def _at_the_money(market: Market) -> dict[str, float]:
    """By underlying with options: the mean of their vols, weighted with vega."""
    c = market.contracts
    weight = np.abs(market.sensitivities.vega)
    good = c.option & np.isfinite(c.vol) & (c.vol > 0) & (weight > 0)
    code, names = coded(market.instruments, "underlying")
    at = code[good]
    own, weighed = np.bincount(at, weight[good], len(names)), np.bincount(at, (weight * c.vol)[good], len(names))
    return {str(names[i]): float(weighed[i] / own[i]) for i in np.flatnonzero(own)}


def _asked(market: Market, needed: pd.Index | None, copy: bool = True) -> tuple[pd.Index, pd.DataFrame]:
    """The drivers needed and those of the others whose history has no gap, in the market's order, and their moves;
    copy: to write into.
    """
    names = market.drivers.index
    if len(market.history) < 2:
        none = pd.DataFrame(columns=names, dtype=float)
        none.attrs = {"periods_per_year": market.periods_per_year}
        return names, none
    moves = market.moves(copy=copy)
    if needed is None or len(needed) == len(names):
        return names, moves
    whole = names[names.isin(needed) | moves.notna().all().to_numpy()]
    return whole, moves if len(whole) == len(names) else market.moves(drivers=whole)


def _fit(estimator: Any, moves: pd.DataFrame, purpose: str) -> Any:
    """A clone of the estimator that has learnt from the moves, with one thread. Raises SpecError where it refuses."""
    try:
        with one_thread():  # scikit-learn's own estimators do not limit themselves
            return fitted_on(estimator, moves)
    except (TypeError, ValueError) as error:
        raise SpecError(f"{purpose}: {type(estimator).__name__} could not be fitted: {error}") from error
