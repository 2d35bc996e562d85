"""Random Programs for the solvers' tests: every feature mixed, badly scaled on purpose; and hostile ones.

A Program made by `random_program` is feasible: its limits are laid around the rows' values at a hidden point.
"""

from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from optihedge.program.costs import Depth
from optihedge.program.program import Program, row_values
from optihedge.program.volatility import VolatilityLimit

FEATURES = ("specifics", "costs", "impact", "power", "depth", "holding", "rows", "sizes", "soft", "scales", "odd")


def random_program(rng: np.random.Generator, n: int = 30, features: tuple[str, ...] = FEATURES) -> Program:
    """A feasible Program of n columns in which each named feature is present with probability about 0.7."""
    has = {name: name in features and rng.random() < 0.7 for name in FEATURES}
    k = int(rng.integers(0, min(n, 25) + 1))
    unit = 10 ** rng.uniform(-3, 5, n) if has["scales"] else np.full(n, 1.0)  # base currency per contract
    money = 10 ** rng.uniform(3, 8) if has["scales"] else 10.0  # size of a position, base currency
    vol = 10 ** rng.uniform(-3, -1.5, n)
    aversion = 10 ** rng.uniform(-1, 1) / money
    box = money / unit * rng.uniform(0.5, 3.0, n)
    start = box * rng.uniform(-1, 1, n) * (rng.random(n) < 0.6)
    lower, upper = -box * rng.uniform(0.3, 1, n), box * rng.uniform(0.3, 1, n)
    factors = np.sqrt(aversion) * rng.normal(size=(k, n)) * vol * unit
    own = np.sqrt(aversion) * vol * unit * rng.uniform(0.05, 1.0, n)
    fields = {
        "columns": tuple(f"c{i}" for i in range(n)), "start": start, "lower": lower, "upper": upper, "lot": box * 1e-4,
        "factors": factors, "factor_offset": factors @ (box * rng.normal(size=n)), "diagonal": own**2,
    }  # fmt: skip

    def maybe(size: float | np.ndarray) -> np.ndarray:
        return unit * size * rng.random(n) * (rng.random(n) < 0.8)

    if has["specifics"]:
        groups = max(1, n // 4)
        owner = rng.integers(0, groups, n)
        fields["specifics"] = sp.csr_array((own * rng.uniform(0.2, 1, n), (owner, np.arange(n))), shape=(groups, n))
        fields["specific_offset"] = fields["specifics"] @ (box * rng.normal(size=n))
        fields["diagonal"] = own**2 * (rng.random(n) < 0.3)
    if has["costs"]:
        fields["buy"], fields["sell"] = maybe(1e-3), maybe(2e-3)
        rebate = rng.random(n) < 0.1
        fields["sell"] = np.where(rebate, -0.5 * fields["buy"], fields["sell"])
    if has["impact"]:
        fields["quadratic"] = maybe(1e-2) * unit / money
    if has["power"]:
        fields["power"] = maybe(1e-2) * np.sqrt(unit / money)
    if has["depth"]:
        count = int(rng.integers(1, n + 1))
        column = rng.integers(0, n, count)
        fields["depth"] = Depth(
            column=column, side=rng.choice([-1, 1], count), beyond=box[column] * rng.uniform(0, 0.5, count),
            slope=unit[column] * 1e-3 * rng.random(count),
        )  # fmt: skip
    if has["holding"]:
        fields["long"], fields["short"] = maybe(1e-4), maybe(1e-3)
        fields["linear"] = unit * vol * 1e-2 * rng.normal(size=n)
    if has["odd"]:
        _make_odd(rng, fields)
    program = Program(**fields)
    if has["rows"]:
        program = with_rows(rng, program, unit, has["sizes"], has["soft"], has["scales"])
    return program


def _make_odd(rng: np.random.Generator, fields: dict) -> None:
    """Contracts without variance, duplicates, fixed ones and one-sided boxes."""
    n = len(fields["columns"])
    for name in ("factors", "specifics"):
        if name in fields:
            dense = fields[name].toarray() if sp.issparse(fields[name]) else fields[name]
            dense[:, 0] = 0
            dense[:, n // 2] = dense[:, -1]
            fields[name] = sp.csr_array(dense) if sp.issparse(fields[name]) else dense
    fields["diagonal"][[0, n // 2, n - 1]] = 0
    fixed = rng.random(n) < 0.05
    fields["start"] = np.clip(fields["start"], fields["lower"], fields["upper"])
    fields["lower"] = np.where(fixed, fields["start"], fields["lower"])
    fields["upper"] = np.where(fixed, fields["start"], fields["upper"])
    one_sided = rng.random(n) < 0.1
    fields["lower"] = np.where(one_sided, fields["start"], fields["lower"])


def with_rows(
    rng: np.random.Generator, p: Program, unit: np.ndarray, sizes: bool = True, soft: bool = True, scales: bool = True
) -> Program:
    """The Program with up to 12 rows: equalities, bands, caps on |quantity| and |trade|, soft and redundant ones."""
    n = len(p.columns)
    m = int(rng.integers(1, 12))
    hidden = p.lower + (p.upper - p.lower) * rng.uniform(0.1, 0.9, n)
    row_unit = 10 ** rng.uniform(-4, 4, m) if scales else np.ones(m)
    kinds = rng.choice(["equal", "band", "cap"], m, p=[0.3, 0.4, 0.3])
    plain, holdings, trades = (np.zeros((m, n)) for _ in range(3))
    for j, kind in enumerate(kinds):
        picked = rng.random(n) < rng.choice([0.15, 0.5, 1.0])
        if kind == "cap" and sizes:
            (holdings if rng.random() < 0.5 else trades)[j] = row_unit[j] * unit * picked
        else:
            plain[j] = row_unit[j] * unit * picked * rng.normal(size=n)
    if m > 2 and kinds[0] != "cap":
        plain[1], holdings[1], trades[1], kinds[1] = plain[0] * 2, 0, 0, kinds[0]
        row_unit[1] = row_unit[0]
    made = replace(
        p, row_names=tuple(f"r{j}" for j in range(m)), rows=sp.csr_array(plain),
        rows_on_holdings=sp.csr_array(holdings), rows_on_trades=sp.csr_array(trades), row_lower=None, row_upper=None,
        row_penalty=None, row_tier=None, row_fixed=None, row_limit=None,
    )  # fmt: skip
    value = row_values(made, hidden)
    reach = (np.abs(plain) + holdings + trades) @ np.maximum(np.abs(p.lower), np.abs(p.upper)) * 0.05
    low = np.where(kinds == "equal", value, np.where(kinds == "band", value - reach * rng.random(m), -np.inf))
    high = np.where(kinds == "equal", value, value + reach * rng.random(m))
    if m > 2 and kinds[0] != "cap":
        low[1], high[1] = 2 * low[0], 2 * high[0]
    size_row = (holdings + trades).any(axis=1)
    low[size_row] = -np.inf
    if sizes and kinds[-1] == "band" and not size_row[-1]:  # a bounded net exposure that also pays for its size
        holdings[-1], low[-1] = np.abs(plain[-1]) * 0.1, -np.inf
        made = replace(made, rows_on_holdings=sp.csr_array(holdings))
        high[-1] = row_values(made, hidden)[-1]
    penalty = np.where((rng.random(m) < 0.3) & soft, 1e-2 / row_unit * rng.random(m), np.inf)
    return replace(made, row_lower=low, row_upper=high, row_penalty=penalty)


def with_volatility_limit(rng: np.random.Generator, p: Program, share: float) -> Program:
    """The Program with its volatility held to a share of what the start has (factors of another risk)."""
    n = len(p.columns)
    factors = rng.normal(size=(min(n, 5), n)) / np.maximum(p.upper - p.lower, 1e-9)
    limit = VolatilityLimit(
        name="volatility", factors=factors, factor_offset=factors @ ((p.upper - p.lower) * rng.random(n)),
        specifics=sp.csr_array((0, n)), specific_offset=np.zeros(0),
        diagonal=1e-4 * (factors**2).sum(axis=0), limit=1.0,
    )  # fmt: skip
    before = limit.volatility(np.clip(p.start, p.lower, p.upper))
    return replace(p, volatility_limit=replace(limit, limit=share * before))


def planted_conflict(rng: np.random.Generator, n: int = 20) -> tuple[Program, set[str]]:
    """A feasible Program plus two or three rows that contradict each other, in units of their own; and their names."""
    p = random_program(rng, n, ("costs", "rows", "scales"))
    if not p.row_names:
        p = with_rows(rng, p, np.ones(n))
    count = int(rng.integers(2, 4))
    widest = np.maximum(np.abs(p.lower), np.abs(p.upper))
    parts = rng.normal(size=(count - 1, n)) / widest
    plain = np.vstack([parts, parts.sum(axis=0)])  # the last row is the sum of the others
    reach = np.abs(plain) @ widest
    centre = plain @ ((p.lower + p.upper) / 2)
    gap = reach[-1] * 10 ** rng.uniform(-5, -1)
    high = np.append(centre[:-1], np.inf)
    low = np.append(np.full(count - 1, -np.inf), centre[:-1].sum() + gap)
    units = 10 ** rng.uniform(-4, 6, count)
    names = tuple(f"planted{j}" for j in range(count))
    zero = sp.csr_array((count, n))
    together = replace(
        p, row_names=p.row_names + names, rows=sp.vstack([p.rows, sp.csr_array(plain * units[:, None])]),
        rows_on_holdings=sp.vstack([p.rows_on_holdings, zero]), rows_on_trades=sp.vstack([p.rows_on_trades, zero]),
        row_lower=np.append(p.row_lower, low * units), row_upper=np.append(p.row_upper, high * units),
        row_penalty=np.append(p.row_penalty, np.full(count, np.inf)), row_tier=None, row_fixed=None, row_limit=None,
    )  # fmt: skip
    return together, set(names)


def hostile_fields(rng: np.random.Generator, n: int = 8) -> tuple[dict, str]:
    """Arguments of a Program that is broken somewhere, and what must become of it: error, infeasible, solved or any.

    `any`: contradictory by less than can be told apart; optimal within tolerance or infeasible, never wrong.
    """
    p = random_program(rng, n, ("costs", "impact", "holding"))
    names = ("columns", "start", "lower", "upper", "lot", "factors", "factor_offset", "diagonal", "linear", "buy",
             "sell", "quadratic", "power", "long", "short")  # fmt: skip
    fields = {name: getattr(p, name) for name in names}
    fields = {name: np.array(v) if isinstance(v, np.ndarray) else v for name, v in fields.items()}
    i = int(rng.integers(0, n))
    row = rng.normal(size=n)
    centre = float(row @ (p.lower + p.upper) / 2)
    size = float(np.abs(row) @ np.maximum(np.abs(p.lower), np.abs(p.upper)))
    broken = int(rng.integers(0, 10))
    if broken == 0:
        name = names[int(rng.integers(1, len(names)))]
        if fields[name].size == 0:
            name = "start"
        fields[name].flat[i % fields[name].size] = rng.choice([np.nan, np.inf, -np.inf])
        return fields, "error"
    if broken == 1:
        fields["diagonal"][i] = -(10 ** rng.uniform(-12, 0))
        return fields, "error"
    if broken == 2:
        high = [rng.choice([np.nan, -np.inf])]
        return fields | {"row_names": ("r",), "rows": [row], "row_lower": [centre], "row_upper": high}, "error"
    if broken == 3:  # two rows contradict each other by 1 ... 1e-9 of their size, or less than can be told
        gap = 10 ** rng.uniform(-13, 0)
        fields |= {
            "row_names": ("a", "b"), "rows": [row, row], "row_upper": [centre, np.inf],
            "row_lower": [-np.inf, centre + gap * size],
        }  # fmt: skip
        return fields, "infeasible" if gap > 1e-8 else "any"
    if broken == 4:
        empty = {"row_names": ("zero",), "rows": [np.zeros(n)]}
        if rng.random() < 0.5:
            return fields | empty | {"row_lower": [-1.0], "row_upper": [1.0]}, "solved"
        return fields | empty | {"row_lower": [1.0], "row_upper": [2.0]}, "infeasible"
    if broken == 5:  # the same equality many times, in units far apart
        units = 10 ** rng.uniform(-6, 6, 6)
        fields |= {"row_names": tuple("abcdef"), "rows": units[:, None] * row, "row_lower": units * centre,
                   "row_upper": units * centre}  # fmt: skip
        return fields, "solved"
    if broken == 6:  # a limit outside what the box can reach
        return fields | {"row_names": ("far",), "rows": [row], "row_lower": [centre + 2 * size]}, "infeasible"
    if broken == 7:  # every contract fixed
        fields["lower"] = fields["upper"] = fields["start"].copy()
        return fields, "solved"
    if broken == 8:
        fields["buy"][:], fields["sell"][i] = 0.0, -1.0
        return fields, "error"
    for name in ("factors", "diagonal", "linear", "buy", "sell", "quadratic", "long", "short"):
        fields[name] = fields[name] * 0
    return fields | {"row_names": ("only",), "rows": [row], "row_lower": [centre], "row_upper": [centre]}, "solved"
