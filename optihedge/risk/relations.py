"""Statistical relations for quantitative hedging: who leads whom, what moves together for good, basis and funding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr

from optihedge.errors import DataError, require_extra
from optihedge.frames import refuse_doubled, same_labels
from optihedge.market.instruments import annual_funding
from optihedge.risk.estimator import whole_number
from optihedge.risk.spread import decay_rows

_MOST_HEDGES = 5  # MacKinnon's p-values are tabled for the target and so many
_ROUNDING = 1e-13  # of the level: what is left of the target below it is no spread


def lead_lag(moves: pd.DataFrame, lags: int = 5, level: float = 0.01, own_lags: int = 1) -> pd.DataFrame:
    """Which driver's move is followed by another's, at which lag: the pairs that chance does not explain.

    moves     T x D, in time order; rows with a missing move count for no pair they are missing in
    lags      the follower's move is `lag` rows after the leader's, 1 .. lags
    level     chance of one or more wrong pairs in the whole table (Holm over all pairs and lags); 1 lists everything
    own_lags  lags of its own that are first regressed out of each driver, so that a trend is not taken for a leader

    Rows: leader, follower, lag, correlation, t_statistic, p_value (adjusted), strongest first. The statistic is
    sum x_(t-l) y_t / sqrt(sum (x_(t-l) y_t)^2), right under changing volatility; p is normal, two-sided. DataError for
    fewer than 30 rows or two drivers, SpecError for lags that are no whole numbers.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> first = rng.normal(0, 0.01, 500)
    >>> moves = pd.DataFrame({"A": first, "B": np.r_[0.0, first[:-1]] + rng.normal(0, 0.002, 500)})
    >>> found = oh.stats.lead_lag(moves).iloc[0]
    >>> print(found["leader"], found["follower"], found["lag"])
    A B 1
    """
    whole_number("lead-lag: lags", lags, 1)
    whole_number("lead-lag: own_lags", own_lags, 0)
    _in_time_order(moves, "lead-lag")
    if moves.shape[1] < 2:
        raise DataError(f"lead-lag: {moves.shape[1]} columns of moves have no leader and follower; give two at least")
    if len(moves) < max(30, 5 * lags):
        raise DataError(f"lead-lag: {len(moves)} rows of moves are too few for {lags} lags; give {max(30, 5 * lags)}")
    residuals = _without_own_past(moves, own_lags)
    seen = np.isfinite(residuals)
    filled = np.where(seen, residuals, 0.0)
    rows = []
    for lag in range(1, lags + 1):
        before, now = filled[:-lag], filled[lag:]
        product = before.T @ now
        square = (before**2).T @ now**2
        norm = np.sqrt((before**2).T @ seen[lag:].astype(float)) * np.sqrt(seen[:-lag].astype(float).T @ now**2)
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic, correlation = product / np.sqrt(square), product / norm
        for i, j in zip(*np.nonzero(~np.eye(len(product), dtype=bool)), strict=True):
            rows.append((moves.columns[i], moves.columns[j], lag, correlation[i, j], statistic[i, j]))
    table = pd.DataFrame(rows, columns=["leader", "follower", "lag", "correlation", "t_statistic"]).dropna()
    table["p_value"] = _holm(2 * ndtr(-table["t_statistic"].abs().to_numpy()))
    found = table[table["p_value"] <= level]
    return found.sort_values("t_statistic", key=np.abs, ascending=False, kind="stable").reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class Cointegration:
    """A long-run hedge: levels of the target less ratios x levels of the hedges return to a mean.

    ratios, standard_errors   per hedge: units of hedge to sell per unit of target, in the levels' own terms (of logs:
                              notional per notional)
    p_value     of no cointegration (Engle-Granger); above 0.05 or so the ratios mean nothing
    half_life   rows in which half of a deviation is gone; infinite where none is
    spread      the deviation from its mean, by row
    """

    ratios: pd.Series
    standard_errors: pd.Series
    p_value: float
    half_life: float
    spread: pd.Series


def cointegration(levels: pd.DataFrame, target: str, lags: int = 2) -> Cointegration:
    """Hedge ratios of `target` on the other columns of levels (T x D; take logs for notional ratios).

    Ratios by dynamic least squares (`lags` leads and lags of the hedges' changes) with Newey-West errors: Stock and
    Watson 1993; the test is Engle and Granger's with MacKinnon's critical values, tabled for at most 5 hedges. Needs
    statsmodels. Raises DataError, also for a target that the hedges copy exactly; SpecError for lags.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> walk = np.cumsum(rng.normal(size=400))
    >>> levels = pd.DataFrame({"A": 2 * walk + rng.normal(size=400), "B": walk})
    >>> found = oh.stats.cointegration(levels, "A")
    >>> bool(abs(found.ratios["B"] - 2) < 0.1)
    True
    """
    try:
        from statsmodels.regression.linear_model import OLS
        from statsmodels.tsa.stattools import coint
    except ImportError:
        raise require_extra("statsmodels", "statsmodels") from None
    whole_number("cointegration: lags", lags, 0)
    _in_time_order(levels, "cointegration")
    if target not in levels.columns or levels.shape[1] < 2:
        raise DataError(f"cointegration: {target} is not among the levels, or nothing to hedge it with is; give both")
    bad = levels.columns[~np.isfinite(levels.to_numpy(dtype=float)).all(axis=0)]
    if len(bad) or len(levels) < 50:
        raise DataError(f"cointegration: {bad[0] if len(bad) else target} has gaps, or fewer than 50 rows; mend it")
    own, hedges = levels[target].astype(float), levels.drop(columns=target).astype(float)
    if hedges.shape[1] > _MOST_HEDGES:
        raise DataError(
            f"cointegration: {hedges.shape[1]} hedges of {target}; the test takes {_MOST_HEDGES}, leave some out"
        )
    centred, others = (own - own.mean()).to_numpy(), (hedges - hedges.mean()).to_numpy()
    others = others / np.maximum(np.abs(others).max(axis=0), 1e-300)
    left = centred - others @ np.linalg.lstsq(others, centred, rcond=None)[0]
    if np.abs(left).max() <= _ROUNDING * np.abs(own).max():
        raise DataError(
            f"cointegration: {target} is constant or a copy of {', '.join(map(str, hedges))} to rounding; drop one"
        )
    p_value = float(coint(own, hedges, trend="c", maxlag=lags, autolag=None)[1])
    changes = pd.concat([hedges.diff().shift(s) for s in range(-lags, lags + 1)], axis=1)
    design = np.column_stack([np.ones(len(own)), hedges, changes])
    rows = np.isfinite(design).all(axis=1)
    width = int(4 * (rows.sum() / 100) ** (2 / 9)) + 1
    fit = OLS(own.to_numpy()[rows], design[rows]).fit(cov_type="HAC", cov_kwds={"maxlags": width})
    count = hedges.shape[1]
    ratios = pd.Series(fit.params[1 : 1 + count], index=hedges.columns, name="ratio")
    errors = pd.Series(fit.bse[1 : 1 + count], index=hedges.columns, name="standard_error")
    spread = (own - hedges @ ratios).rename("spread")
    spread = spread - spread.mean()
    return Cointegration(ratios, errors, p_value, decay_rows(spread.to_numpy()), spread)


def cointegrated_pairs(levels: pd.DataFrame, level: float = 0.05, lags: int = 2) -> pd.DataFrame:
    """Every pair of columns cointegrated beyond chance: target, hedge, ratio, standard_error, p_value, half_life.

    level   chance of one or more wrong pairs in the whole table (Holm over the D (D - 1) / 2 pairs). Needs statsmodels.
    Raises DataError, also for columns that are copies of each other.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> walk = np.cumsum(rng.normal(size=400))
    >>> levels = pd.DataFrame({"A": 2 * walk + rng.normal(size=400), "B": walk, "C": np.cumsum(rng.normal(size=400))})
    >>> oh.stats.cointegrated_pairs(levels)[["target", "hedge"]].to_numpy().tolist()
    [['A', 'B']]
    """
    pairs = [(a, b) for i, a in enumerate(levels.columns) for b in levels.columns[i + 1 :]]
    fits = [cointegration(levels[[a, b]], a, lags) for a, b in pairs]
    rows = [(*p, f.ratios.iloc[0], f.standard_errors.iloc[0], f.half_life) for p, f in zip(pairs, fits, strict=True)]
    table = pd.DataFrame(rows, columns=["target", "hedge", "ratio", "standard_error", "half_life"])
    table.insert(4, "p_value", _holm(np.array([f.p_value for f in fits])))
    return table[table["p_value"] <= level].sort_values("p_value", kind="stable").reset_index(drop=True)


def basis_drivers(
    spot: pd.Series, futures: pd.DataFrame, tenors: Mapping[str, str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Basis drivers of futures or perpetuals on one spot: rows for a market's drivers, columns for its history.

    spot     T prices named by the underlying;  futures  T x m prices, same rows, same currency
    tenors   of each future: its expiry date, or "perpetual"; several of one tenor (venues) get each its `instrument`,
             the column's name, so that each contract moves with its own
    Levels are ln(F / S), so that a log return of the future is the spot's plus the change of basis. Raises DataError.

    >>> import optihedge as oh
    >>> import pandas as pd
    >>> days = pd.date_range("2026-01-01", periods=3, tz="UTC")
    >>> spot = pd.Series([100.0, 101.0, 102.0], days, name="BTC")
    >>> futures = pd.DataFrame({"PERP": spot * 1.001})
    >>> drivers, levels = oh.stats.basis_drivers(spot, futures, {"PERP": "perpetual"})
    >>> levels.iloc[:, 0].round(6).tolist()
    [0.001, 0.001, 0.001]
    """
    refuse_doubled(futures.columns, "basis drivers")
    same_labels("basis drivers", spot=spot, futures=futures)
    missing = [name for name in futures if name not in tenors]
    if missing:
        raise DataError(f"basis drivers: {missing[0]} has no tenor; give its expiry date or 'perpetual'")
    if not ((futures > 0).all().all() and (spot > 0).all()):
        raise DataError(
            f"basis drivers: a price of {spot.name} or its futures is missing or not positive; mend it, or drop its row"
        )
    history = np.log(futures.div(spot, axis=0)).add_prefix("basis ")
    of = [tenors[name] for name in futures]
    table = pd.DataFrame(
        {"kind": "basis", "underlying": str(spot.name), "tenor": of}, index=pd.Index(history.columns, name="driver")
    )
    if len({*of}) < len(of):
        table["instrument"] = [
            str(name) if of.count(tenor) > 1 else "" for name, tenor in zip(futures, of, strict=True)
        ]
    return table, history


def funding_driver(rates: pd.Series, hours: float) -> pd.Series:
    """Funding rates per interval (fraction; positive: long pays) as the level of a driver: simple, per year.

    >>> import optihedge as oh
    >>> import pandas as pd
    >>> oh.stats.funding_driver(pd.Series([0.0001, -0.0001], name="funding"), 8).round(4).tolist()
    [0.1095, -0.1095]
    """
    return pd.Series(
        annual_funding(rates.to_numpy(dtype=float), hours), index=rates.index, name=f"funding {rates.name}"
    )


def _in_time_order(frame: pd.DataFrame, what: str) -> None:
    """Lags count rows, so dated rows must follow each other in time, and a name is of one column."""
    refuse_doubled(frame.columns, what)
    if isinstance(frame.index, pd.DatetimeIndex):
        late = np.flatnonzero(frame.index[1:] <= frame.index[:-1])
        if late.size:
            before, after = frame.index[late[0]], frame.index[late[0] + 1]
            raise DataError(f"{what}: the row of {after} stands after {before}; sort the rows, drop duplicates")


def _without_own_past(moves: pd.DataFrame, own_lags: int) -> np.ndarray:
    """Each column less its mean and its regression on its own `own_lags` last moves; NaN where one is missing."""
    values = (moves - moves.mean()).to_numpy(dtype=float)
    residuals = np.full(values.shape, np.nan)
    for j, own in enumerate(values.T):
        past = np.column_stack([np.r_[np.full(lag, np.nan), own[:-lag]] for lag in range(1, own_lags + 1)] or [own * 0])
        rows = np.isfinite(past).all(axis=1) & np.isfinite(own)
        if rows.sum() > 2 * own_lags + 2:
            slopes = np.linalg.lstsq(past[rows], own[rows], rcond=None)[0]
            residuals[rows, j] = own[rows] - past[rows] @ slopes
    return residuals


def _holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down adjusted p-values."""
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    out = np.empty(len(p))
    out[order] = np.minimum(adjusted, 1.0)
    return out
