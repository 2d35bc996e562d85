"""Which risk estimator forecasts, and hedges, best out of sample on one's own data."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.linalg import cho_factor, cho_solve
from sklearn.base import clone
from sklearn.covariance import LedoitWolf
from threadpoolctl import threadpool_limits

from optihedge.backtest.hedge_evaluation import block_rows, ols_path
from optihedge.errors import DataError, SpecError
from optihedge.risk.adaptive import AdaptiveRisk
from optihedge.risk.estimator import RiskEstimator
from optihedge.risk.ewma import EwmaRisk
from optihedge.risk.root import Risk
from optihedge.risk.sample import SampleRisk

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BLOCK, _DRAWS = 21, 400  # rows of a bootstrap block; resamples
_WHOLE = 0.95  # of the rows: what a driver's gaps may cost before it is left out itself
_INTERVAL = [0.025, 0.975]


@dataclass(frozen=True, eq=False)
class RiskEvaluation:
    """How estimators forecast the moves that came, row by row, from earlier rows only.

    forecasts   by estimator and kind of book (random long-only, random long-short, hedged):
                bias (median over books of the standard deviation of return / forecast volatility: 1 is right, above 1
                is risk understated), its 95 % interval, its lowest and highest over periods, and qlike, the mean of
                log variance + return^2 / variance less that of the baseline (lower is better), with its interval
    variances   by estimator and portfolio it would have built (minimum-variance hedge of the long-only books, and
                minimum-variance portfolios, long-short and fully invested): realised variance over the baseline's,
                the median over portfolios, with its interval
    periods     median bias by estimator and kind of book (rows) and period (columns)
    left_out    drivers with many gaps, which no book holds
    skipped     rows in which one of the others, or a hedge, has no move: nothing is learnt from them or tested on them

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> moves = pd.DataFrame(np.random.default_rng(0).normal(0, 0.01, (120, 4)), columns=["A", "B", "C", "D"])
    >>> found = oh.stats.evaluate_risk({"EWMA": oh.EwmaRisk(20)}, moves, start=60, books=3, size=2)
    >>> found.ranking().index.tolist()
    ['EWMA']
    """

    forecasts: pd.DataFrame
    variances: pd.DataFrame
    periods: pd.DataFrame
    left_out: tuple[Hashable, ...]
    baseline: str
    skipped: int = 0

    def ranking(self) -> pd.DataFrame:
        """A row per estimator, best first by QLIKE averaged over the kinds of book."""
        table = pd.DataFrame(
            {
                "qlike": self.forecasts["qlike"].groupby("estimator").mean(),
                "bias": self.forecasts["bias"].groupby("estimator").mean(),
                "worst_period": (self.periods - 1).abs().max(axis=1).groupby("estimator").max(),
                **{f"variance, {name}": v.droplevel(1) for name, v in self.variances["ratio"].groupby("portfolio")},
            }
        )
        return table.sort_values("qlike")

    def __str__(self) -> str:
        text = f"{self.ranking().to_string(float_format='{:.3f}'.format)}\nqlike and variances against {self.baseline}"
        text += f"; {len(self.left_out)} drivers with gaps left out" if self.left_out else ""
        return text + (f"; {self.skipped} rows with a gap left out" if self.skipped else "")

    def _repr_html_(self) -> str:
        from optihedge.display import page_html

        return page_html("Risk estimators, best first", {"": str(self).rsplit("\n", 1)[-1], "ranking": self.ranking()})

    def plot(self) -> Figure:
        """Bias by period and kind of book, and QLIKE against the baseline with its interval."""
        from optihedge.display import figure

        kinds = list(self.forecasts.index.unique("books"))
        drawn, axes = figure(1, len(kinds) + 1, width=4.0 * (len(kinds) + 1))
        for place, kind in zip(np.ravel(axes), kinds, strict=False):
            for estimator, row in self.periods.xs(kind, level="books").iterrows():
                place.plot([str(period) for period in row.index], row.to_numpy(), marker="o", ms=3, label=estimator)
            place.axhline(1.0, color="black", lw=0.8)
            place.set_title(f"bias, {kind}", loc="left", fontsize=10)
            place.tick_params(axis="x", rotation=60)
        last = np.ravel(axes)[-1]
        for offset, kind in enumerate(kinds):
            rows = self.forecasts.xs(kind, level="books")
            error = [rows["qlike"] - rows["qlike_low"], rows["qlike_high"] - rows["qlike"]]
            last.errorbar(rows["qlike"], np.arange(len(rows)) + 0.2 * offset, xerr=error, fmt="o", ms=3, label=kind)
        last.set_yticks(range(len(rows)), list(rows.index))
        last.set_title(f"QLIKE less that of {self.baseline}", loc="left", fontsize=10)
        last.legend(fontsize=7)
        np.ravel(axes)[0].legend(fontsize=7)
        return drawn


def usual_estimators() -> dict[str, RiskEstimator]:
    """The estimators a desk would compare first; Ledoit-Wolf on 252 rows is the baseline.

    >>> import optihedge as oh
    >>> list(oh.stats.usual_estimators())[0]
    'Ledoit-Wolf 252'
    """
    return {
        "Ledoit-Wolf 252": SampleRisk(LedoitWolf(), window=252),
        "sample 252": SampleRisk(window=252),
        "EWMA 63": EwmaRisk(63),
        "iterated EWMA 21/63": EwmaRisk(21, 63),
        "adaptive": AdaptiveRisk(),
    }


def walk_risk(estimator: RiskEstimator, moves: pd.DataFrame, start: int, refit: int = 1) -> Iterator[tuple[int, Risk]]:
    """The risk for each row from `start` on, fitted to the rows before it only.

    Online estimators are given every row by `partial_fit`; the others are fitted again every `refit` rows.
    """
    fitted = clone(estimator).fit(moves.iloc[:start])
    for row in range(start, len(moves)):
        if row > start and hasattr(fitted, "partial_fit"):
            fitted.partial_fit(moves.iloc[row - 1 : row])
        elif row > start and (row - start) % refit == 0:
            fitted.fit(moves.iloc[:row])
        yield row, fitted.risk_


def evaluate_risk(
    estimators: Mapping[str, RiskEstimator],
    moves: pd.DataFrame,
    *,
    start: int = 252,
    hedges: Sequence[Hashable] = (),
    books: int = 100,
    size: int = 30,
    refit: int = 1,
    months: int = 12,
    baseline: str | None = None,
    seed: int = 0,
) -> RiskEvaluation:
    """Walk the estimators through moves (T x D) and rank them; the first is the baseline unless one is named.

    start    first row forecast (least squares on the 252 rows before, or fewer, hedges the hedged books)
    hedges   drivers that hedge the long-only books, in none themselves; none: the equal-weighted mean of all drivers
    books    random books of each kind, of `size` drivers each (at least 2; all, where there are fewer); weights
             exponential (long-only) or normal (long-short)
    refit    rows between fits of estimators without `partial_fit`
    months   length of the periods of the bias table (12 calendar years, 6 half-years); moves without dates: four spans

    Raises SpecError; DataError for a hedge without moves of its own, or a book without a forecast of its risk.

    >>> import optihedge as oh
    >>> import numpy as np
    >>> import pandas as pd
    >>> moves = pd.DataFrame(np.random.default_rng(0).normal(0, 0.01, (120, 4)), columns=["A", "B", "C", "D"])
    >>> found = oh.stats.evaluate_risk({"EWMA": oh.EwmaRisk(20)}, moves, start=60, books=3, size=2)
    >>> found.baseline
    'EWMA'
    """
    for name, value, least in (("books", books, 1), ("size", size, 2), ("refit", refit, 1), ("months", months, 1)):
        if not isinstance(value, int | np.integer) or value < least:
            raise SpecError(f"evaluate: {name} is {value}; give a whole number of {least} or more")
    if not estimators:
        raise SpecError("evaluate: there are no estimators; give at least one, by name")
    base = next(iter(estimators)) if baseline is None else baseline
    if base not in estimators:
        raise SpecError(f"evaluate: baseline {base!r} is not among {', '.join(estimators)}")
    kept = _whole(moves, hedges)
    complete = kept.columns
    _check_drivers(complete, (len(kept), moves.shape[1]), hedges, start)
    values = kept.to_numpy(dtype=float)
    tests = _random_books(kept, hedges, books, size, start, seed)
    with threadpool_limits(1):  # thousands of small matrices: threads would only wait for each other
        results = {n: _follow(n, walk_risk(e, kept, start, refit), values, tests) for n, e in estimators.items()}
    count = len(kept) - start
    shares = np.array([np.bincount(draw, minlength=count) for draw in block_rows(count, _BLOCK, _DRAWS, seed)]) / count
    labels = _period_labels(kept.index[start:], months)
    periods = _period_table(results, labels)
    return RiskEvaluation(
        forecasts=_forecast_table(results, base, shares, periods),
        variances=_variance_table(results, base, shares),
        periods=periods,
        left_out=tuple(moves.columns.difference(complete, sort=False)),
        baseline=base,
        skipped=len(moves) - len(kept),
    )


def _whole(moves: pd.DataFrame, hedges: Sequence[Hashable]) -> pd.DataFrame:
    """The moves without a gap: rows that every hedge has, and of the drivers as many as leave _WHOLE of those rows.

    The driver that lacks most goes first; a hedge that has no move at all is left to be refused by name.
    """
    known = moves.notna().to_numpy()
    hedging = moves.columns.isin(list(hedges)) & known.any(axis=0)
    rows, kept = known[:, hedging].all(axis=1), known.any(axis=0)
    while kept.any() and known[rows][:, kept].all(axis=1).sum() < _WHOLE * rows.sum():
        lacking = np.where(kept & ~hedging, (~known[rows]).sum(axis=0), 0)
        kept[np.argmax(lacking)] = False
    return moves.loc[rows & known[:, kept].all(axis=1), kept]


def _check_drivers(complete: pd.Index, shape: tuple[int, int], hedges: Sequence[Hashable], start: int) -> None:
    """Raise SpecError for hedges with gaps or named twice, and for too few drivers or rows (of moves T x D)."""
    missing = [name for name in hedges if name not in complete]
    if missing:
        raise SpecError(f"evaluate: hedge {missing[0]} is not a driver without gaps; name another, or mend its history")
    if len(set(hedges)) < len(hedges):
        raise SpecError(f"evaluate: hedges {', '.join(map(str, hedges))} name one twice; name each once")
    if hedges and len(complete) < len(hedges) + 2:
        raise SpecError(
            f"evaluate: {len(hedges)} of {len(complete)} drivers without gaps are hedges; leave at least two for the "
            "books"
        )
    if len(complete) < 2 or not 20 <= start < shape[0] - 1:
        raise SpecError(
            f"evaluate: {len(complete)} of {shape[1]} drivers have no gap and start is {start} of {shape[0]} "
            "rows; give at least two such drivers and start between row 20 and the last but one"
        )


def minimum_variance(risk: Risk, exposures: np.ndarray) -> np.ndarray:
    """Weights (D x n) of least variance with exposures_j' weights_j = 1 for each column of exposures (D x n).

    C^-1 a / a'C^-1 a, through the factors where every driver has specific risk (Woodbury).
    """
    if (risk.specific > 0).all():
        scaled, own = risk.root / risk.specific, exposures / risk.specific[:, None]
        inner = np.linalg.solve(np.eye(len(scaled)) + scaled @ scaled.T, scaled @ own)
        weights = (own - scaled.T @ inner) / risk.specific[:, None]
    else:
        covariance = risk.covariance().to_numpy()
        try:
            weights = cho_solve(cho_factor(covariance), exposures)
        except np.linalg.LinAlgError:  # singular: the least-norm portfolio of those without risk
            weights = np.linalg.pinv(covariance, hermitian=True) @ exposures
    return weights / (exposures * weights).sum(axis=0)


@dataclass(frozen=True, eq=False)
class _Tests:
    """Books on which estimators are tried: weights D x B, hedge instruments D x m, and the hedges held T x m x B."""

    long_only: np.ndarray
    long_short: np.ndarray
    instruments: np.ndarray
    held: np.ndarray
    signals: np.ndarray


@dataclass(frozen=True, eq=False)
class _Result:
    """Squares of standardised returns and QLIKE by kind of book (T x B), returns by portfolio (T x B)."""

    squares: dict[str, np.ndarray]
    qlike: dict[str, np.ndarray]
    returns: dict[str, np.ndarray]


def _random_books(
    moves: pd.DataFrame, hedges: Sequence[Hashable], books: int, size: int, start: int, seed: int
) -> _Tests:
    rng = np.random.default_rng(seed)
    values, dimension = moves.to_numpy(dtype=float), moves.shape[1]
    instruments = np.ones((dimension, 1)) / dimension
    if hedges:
        instruments = np.eye(dimension)[:, moves.columns.get_indexer(pd.Index(hedges))]
    eligible = np.flatnonzero(~(instruments == 1).any(axis=1))
    size = min(size, len(eligible))
    long_only, long_short = np.zeros((dimension, books)), np.zeros((dimension, books))
    for book in range(books):
        weights = rng.exponential(size=size)
        long_only[rng.choice(eligible, size, replace=False), book] = weights / weights.sum()
        weights = rng.normal(size=size)
        weights -= weights.mean()
        long_short[rng.choice(eligible, size, replace=False), book] = weights / np.abs(weights).sum()
    try:
        held = ols_path(values @ long_only, values @ instruments, min(start, 252))
    except DataError as error:
        names = ", ".join(map(str, hedges)) or "the mean of all drivers"
        raise DataError(f"evaluate: hedges {names}: {error}, or start later") from None
    return _Tests(long_only, long_short, instruments, held, rng.normal(size=(dimension, 10)))


def _follow(name: str, risks: Iterator[tuple[int, Risk]], values: np.ndarray, tests: _Tests) -> _Result:
    kinds = ("random long-only", "random long-short", "hedged")
    squares: dict[str, list[np.ndarray]] = {kind: [] for kind in kinds}
    qlike: dict[str, list[np.ndarray]] = {kind: [] for kind in kinds}
    returns: dict[str, list[np.ndarray]] = {name: [] for name in ("hedge", "long-short", "fully invested")}
    targets = np.column_stack([np.ones(values.shape[1]), tests.signals])
    for row, risk in risks:
        hedged = tests.long_only + tests.instruments @ tests.held[row]
        for kind, weights in zip(kinds, (tests.long_only, tests.long_short, hedged), strict=True):
            variance, square = risk.variance(weights), (values[row] @ weights) ** 2
            if not (variance > 0).all():
                raise DataError(
                    f"evaluate: {name} forecasts no variance for a {kind} book at row {row}; leave out drivers that do "
                    "not move, or only as a hedge does"
                )
            squares[kind].append(square / variance)
            qlike[kind].append(np.log(variance) + square / variance)
        ratios = _hedge_ratios(risk, tests.instruments, tests.long_only)
        returns["hedge"].append(values[row] @ (tests.long_only - tests.instruments @ ratios))
        built = values[row] @ minimum_variance(risk, targets)
        returns["fully invested"].append(built[:1])
        returns["long-short"].append(built[1:])
    return _Result(*({name: np.array(path) for name, path in part.items()} for part in (squares, qlike, returns)))


def _hedge_ratios(risk: Risk, instruments: np.ndarray, books: np.ndarray) -> np.ndarray:
    """Minimum-variance hedge ratios (m x B) of books (D x B) on instruments (D x m): (H'CH)^-1 H'C w."""
    common, own = risk.root @ instruments, risk.specific[:, None] * instruments
    inside = common.T @ common + own.T @ own
    across = common.T @ (risk.root @ books) + own.T @ (risk.specific[:, None] * books)
    return np.linalg.pinv(inside, hermitian=True) @ across


def _bias(squares: np.ndarray) -> float:
    return float(np.median(np.sqrt(squares.mean(axis=0))))


def _forecast_table(results: dict[str, _Result], base: str, shares: np.ndarray, periods: pd.DataFrame) -> pd.DataFrame:
    """`RiskEvaluation.forecasts`; shares: weight of each row in each resample (draws x T)."""
    table = {}
    for name, result in results.items():
        for kind, squares in result.squares.items():
            less = (result.qlike[kind] - results[base].qlike[kind]).mean(axis=1)
            bias_low, bias_high = np.quantile(np.median(np.sqrt(shares @ squares), axis=1), _INTERVAL)
            qlike_low, qlike_high = np.quantile(shares @ less, _INTERVAL)
            table[name, kind] = {
                "bias": _bias(squares),
                "bias_low": bias_low,
                "bias_high": bias_high,
                "period_low": periods.loc[(name, kind)].min(),
                "period_high": periods.loc[(name, kind)].max(),
                "qlike": less.mean(),
                "qlike_low": qlike_low,
                "qlike_high": qlike_high,
            }
    return pd.DataFrame(table).T.rename_axis(["estimator", "books"])


def _variance_table(results: dict[str, _Result], base: str, shares: np.ndarray) -> pd.DataFrame:
    """`RiskEvaluation.variances`; shares: weight of each row in each resample (draws x T)."""
    table = {}
    for name, result in results.items():
        for portfolio, path in result.returns.items():
            against = results[base].returns[portfolio]
            drawn = np.median(_variances(path, shares) / _variances(against, shares), axis=1)
            low, high = np.quantile(drawn, _INTERVAL)
            ratio = np.median(path.var(axis=0) / against.var(axis=0))
            table[name, portfolio] = {"ratio": ratio, "low": low, "high": high}
    return pd.DataFrame(table).T.rename_axis(["estimator", "portfolio"])


def _variances(path: np.ndarray, shares: np.ndarray) -> np.ndarray:
    return shares @ path**2 - (shares @ path) ** 2


def _period_table(results: dict[str, _Result], labels: np.ndarray) -> pd.DataFrame:
    table = {
        (name, kind): {label: _bias(squares[labels == label]) for label in pd.unique(labels)}
        for name, result in results.items()
        for kind, squares in result.squares.items()
    }
    return pd.DataFrame(table).T.rename_axis(["estimator", "books"])


def _period_labels(index: pd.Index, months: int) -> np.ndarray:
    """A label per row: the end of its calendar period, or the number of its quarter of the rows without dates."""
    if not isinstance(index, pd.DatetimeIndex):
        return np.arange(len(index)) * 4 // len(index) + 1
    number = (12 * index.year + index.month - 1) // months
    return index.to_series().groupby(number).transform("max").dt.strftime("to %Y-%m-%d").to_numpy()
