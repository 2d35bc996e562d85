"""One door: whatever a list is asked for by, it is rounded, checked and proved the same way, or there is none."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import optihedge as oh
from optihedge.hedge.costs import TRADING
from optihedge.hedge.spec import canonical
from optihedge.program.candidate import Candidate
from optihedge.program.program import Program
from optihedge.program.solvers import solver_named
from optihedge.program.status import Status
from optihedge.risk.sources import Stresses
from optihedge.trades.checks import Checks


def views(market: oh.Market, **limited: float) -> oh.Market:
    """Every contract promises half its value a year; no size is shown and no volume but for those named."""
    quotes = market.quotes.copy()
    quotes[["bid_size", "ask_size", "volume"]] = np.nan
    for name, volume in limited.items():
        quotes.loc[name, "volume"] = volume
    return replace(market, instruments=market.instruments.assign(alpha=0.5), quotes=quotes)


GREEDY = oh.HedgeModel(risk=oh.EwmaRisk(63), objective=(oh.Variance(1e-12), oh.ExpectedReturn("alpha")))
PLAIN = oh.HedgeModel(name="plain", risk=oh.EwmaRisk(63), objective=(oh.Variance(1e-5), oh.SpreadCost()))


@pytest.fixture(scope="module")
def market(example_folder: Path) -> oh.Market:
    return oh.read_market(example_folder)


@pytest.fixture(scope="module")
def book(example_folder: Path) -> pd.Series:
    return oh.read_book(example_folder / "book.csv")


@pytest.mark.parametrize("limited", [{}, {"QUAL": 1000.0}, {"QUAL": 0.0}, {"SIZE": 10.0, "ES-SEP16": 1.0}])
def test_limiting_some_lines_never_turns_an_unbounded_hedge_into_a_list(
    market: oh.Market, book: pd.Series, limited: dict
) -> None:
    hedge = GREEDY.hedge(views(market, **limited), book)
    assert hedge.status is Status.UNBOUNDED
    for listed in (oh.trade_list(hedge), oh.trade_list(oh.checked(hedge)[0]), oh.trade_list(oh.round_to_lots(hedge)),
                   oh.trade_list(hedge, checks=None)):  # fmt: skip
        assert listed.held and len(listed) == 0 and len(listed.proposed) > 0
        assert "unbounded" in listed.reasons[0]


def test_no_line_whose_limit_is_tightened_turns_an_unbounded_hedge_into_a_list(
    market: oh.Market, book: pd.Series
) -> None:
    """One line after the other, each by its volume to next to nothing: what rests on no one's limit stays unproved."""
    free = GREEDY.hedge(views(market), book)
    tradable = free.problem.names[free.problem.tradable]
    assert len(tradable) > 5
    for name in tradable:
        listed = oh.trade_list(GREEDY.hedge(views(market, **{name: 20.0}), book))
        assert listed.held and not len(listed), name


@pytest.mark.parametrize("status", list(Status), ids=str)
def test_there_is_no_list_without_a_proof(status: Status, market: oh.Market, book: pd.Series) -> None:
    """Only what is proved optimal, or whole lots of that, may be sent, with checks and without."""
    hedge = PLAIN.hedge(market, book)
    said = replace(hedge, answer=replace(hedge.answer, certificate=replace(hedge.certificate, status=status)))
    for checks in ("model", None):
        listed = oh.trade_list(said, checks=checks)
        assert listed.held == (status not in (Status.OPTIMAL, Status.ROUNDED)), listed.reasons
        assert not (listed.held and len(listed))
        lots = market.instruments["lot"].reindex(listed["instrument"]).to_numpy()
        assert np.allclose(listed["quantity"] / lots, np.round(listed["quantity"] / lots)), (
            "whole lots, whatever is said"
        )


def test_a_hedge_that_becomes_unbounded_where_its_lines_are_limited_is_held(market: oh.Market, book: pd.Series) -> None:
    """Two contracts that only differ in where they may go: limiting one sends the other to its default box."""
    quotes = market.quotes.copy()
    quotes[["bid_size", "ask_size", "volume"]] = np.nan
    quotes.loc["ES-SEP16", "volume"] = 10.0
    table = market.instruments.assign(alpha=np.where(market.names == "ES-DEC16", 1e-9, 0.0))
    model = oh.HedgeModel(risk=oh.EwmaRisk(63), objective=(oh.ExpectedReturn("alpha"),),
                          constraints=(oh.Neutral("delta", target=-5e7), oh.TradeLimit({"ES-SEP16": 5000.0})),
                          universe=("ES-SEP16", "ES-DEC16"))  # fmt: skip
    listed = oh.trade_list(model.hedge(replace(market, instruments=table, quotes=quotes), book))
    free = model.hedge(replace(market, instruments=table), book)
    assert listed.held or np.abs(listed["quantity"]).max() <= 5000
    assert free.status in (Status.OPTIMAL, Status.UNBOUNDED)


def test_a_held_list_has_no_orders_and_cannot_be_written(market: oh.Market, book: pd.Series, tmp_path: Path) -> None:
    listed = oh.trade_list(GREEDY.hedge(views(market), book))
    for use in (listed.text, lambda: listed.sha256, lambda: listed.to_csv(tmp_path / "trades.csv")):
        with pytest.raises(oh.SpecError, match="the list is held, there is nothing to send"):
            use()
    assert list(tmp_path.iterdir()) == []
    assert listed.verdict == "held" and listed.costs["trading"] == 0.0


def test_old_quotes_are_not_traded_by_any_door(market: oh.Market, book: pd.Series) -> None:
    quotes = market.quotes.assign(time=market.as_of - pd.Timedelta("29D"))
    hedge = PLAIN.hedge(replace(market, quotes=quotes), book)
    assert (hedge.trades != 0).any()
    assert len(oh.trade_list(hedge)) == len(oh.trade_list(oh.checked(hedge)[0])) == 0


def test_the_cost_told_is_the_lists_sum_whatever_the_objective_charged(market: oh.Market, book: pd.Series) -> None:
    """Without a FeeCost the fees are paid all the same, and told."""
    for model in (PLAIN, replace(PLAIN, objective=(oh.Variance(1e-5),)), oh.load_model("quantitative")):
        hedge = model.hedge(market, book)
        listed = oh.trade_list(hedge)
        assert not listed.held and len(listed)
        assert listed.costs["trading"] == pytest.approx(listed["cost"].sum(), abs=0.005)
        assert listed.hedge.costs["trading"] == pytest.approx(listed["cost"].sum(), abs=0.005)
        assert listed.hedge.costs["fees"] > 0
        assert listed.hedge.costs["total"] == pytest.approx(listed.hedge.costs[[*TRADING, "holding"]].sum(), rel=1e-12)


def test_what_no_term_charges_is_named_and_its_part_in_the_objective_told(market: oh.Market, book: pd.Series) -> None:
    hedge = PLAIN.hedge(market, book)
    assert any(sentence.startswith("fees of") and "FeeCost" in sentence for sentence in hedge.uncharged)
    assert hedge.cost_table.loc["fees", "charged"] == 0 < hedge.cost_table.loc["fees", "cost"]
    assert hedge.cost_table.loc["spread", "charged"] == pytest.approx(hedge.cost_table.loc["spread", "cost"])
    full = replace(PLAIN, objective=(*PLAIN.objective, oh.FeeCost())).hedge(market, book)
    assert not any(sentence.startswith("fees of") for sentence in full.uncharged)
    dear = replace(PLAIN, objective=(oh.Variance(1e-5), oh.SpreadCost(scale=3.0))).hedge(market, book)
    assert dear.cost_table.loc["spread", "charged"] == pytest.approx(3 * dear.cost_table.loc["spread", "cost"])


def test_a_list_without_checks_says_so_on_every_line(market: oh.Market, book: pd.Series) -> None:
    quotes = market.quotes.assign(time=market.as_of - pd.Timedelta("29D"))
    listed = oh.trade_list(PLAIN.hedge(replace(market, quotes=quotes), book), checks=None)
    assert not listed.held and len(listed) and not listed.checked
    assert listed["reason"].str.startswith("NOT CHECKED: ").all()
    assert any("switched off" in note for note in listed.notes)


@pytest.mark.parametrize(
    ("checks", "off", "checked"),
    [(Checks.none(), "max_age, displayed, volume, lots_cost, worth", False), ({"max_age": False}, "max_age", True),
     (dict.fromkeys(("max_age", "displayed", "volume", "lots_cost", "worth", "margin", "contradictions"), False),
     "max_age, displayed", False),
     ({"volume": 0.2}, "", True)],
)  # fmt: skip
def test_a_check_that_is_switched_off_is_named_whoever_switched_it_off(
    checks: object, off: str, checked: bool, market: oh.Market, book: pd.Series
) -> None:
    """By an argument, by the model: a list without any check says so on every line, by whichever door it lost them."""
    hedge = PLAIN.hedge(market, book)
    for listed in (
        oh.trade_list(hedge, checks=checks),
        oh.trade_list(replace(hedge, model=replace(PLAIN, checks=checks))),
    ):
        named = [note for note in listed.notes if "switched off" in note]
        assert (f"switched off: {off}" in named[0]) if off else named == []
        assert listed.checked == checked and len(listed)
        assert (listed["reason"].str.startswith("NOT CHECKED: ") == (not checked)).all()
    with pytest.raises(oh.SpecError, match="write 'model', a table of checks, or None"):
        oh.trade_list(hedge, checks="none")  # type: ignore[arg-type]


def test_the_side_that_is_limited_names_its_own_check(market: oh.Market, book: pd.Series) -> None:
    quotes = market.quotes.assign(bid_size=1.0, ask_size=1e9, volume=50.0)
    listed = oh.trade_list(PLAIN.hedge(replace(market, quotes=quotes), book))
    assert (listed.lines["buy_check"] == "1 x displayed size").all()
    assert (listed.lines["sell_check"] == "10% of daily volume").all()
    sold = [note for note in listed.notes if "limited to 5 contracts" in note]
    assert sold and all("daily volume" in note for note in sold)


class Watched:
    """A solver that notes how long each of its calls may take."""

    name = "watched"

    def __init__(self) -> None:
        self.given: list[float | None] = []

    def solve(self, program: Program, *, deadline: float | None = None, warm: object = None) -> Candidate:
        self.given.append(deadline)
        return solver_named("structured").solve(program, deadline=deadline, warm=warm)


def test_a_deadline_reaches_hedge_rounding_and_what_is_answered_again(market: oh.Market, book: pd.Series) -> None:
    watched, table = Watched(), market.instruments
    coarse = replace(market, instruments=table.assign(lot=table["lot"].where(table["type"] != "equity", 50.0)))
    bands = (oh.Neutral("vega", band=50.0), oh.Neutral("delta", band=1_000.0))
    model = replace(PLAIN, solver=watched, checks={"volume": 1e-3}, constraints=bands)
    hedge = model.hedge(coarse, book, deadline=600.0)
    first, watched.given = watched.given, []
    listed = oh.trade_list(hedge, deadline=500.0)
    assert any("limited to" in note for note in listed.notes), "lines are limited, so it is answered again"
    assert len(watched.given) > len(first) > 0
    assert all(left is not None and left <= 600.0 for left in first)
    assert all(left is not None and left <= 500.0 for left in watched.given)
    watched.given = []
    with pytest.raises(oh.SolverError, match="within 0 s; give more time"):
        oh.round_to_lots(hedge, deadline=0.0)
    assert oh.trade_list(hedge, deadline=0.0).held and watched.given == []


def test_a_list_past_its_deadline_is_held(market: oh.Market, book: pd.Series) -> None:
    listed = oh.trade_list(PLAIN.hedge(market, book), deadline=0.0)
    assert listed.held and any("deadline" in reason for reason in listed.reasons)


def test_no_list_is_made_past_its_door_and_none_is_changed_behind_it(market: oh.Market, book: pd.Series) -> None:
    hedge = PLAIN.hedge(market, book)
    listed = oh.trade_list(hedge)
    before = listed.text()
    for make in (lambda: oh.TradeList(), lambda: oh.TradeList(listed.proposed), lambda: replace(listed, reasons=())):
        with pytest.raises(oh.SpecError, match=r"call oh\.trade_list\(hedge\)"):
            make()
    for change in (
        lambda: listed.table.loc.__setitem__((0, "quantity"), 1e9),
        lambda: listed.proposed.pop("cost"),
        lambda: hedge.trades.__setitem__("ES-SEP16", 1e9),
        lambda: hedge.h.__setitem__(0, 1e9),
        lambda: hedge.problem.start.__setitem__(0, 1e9),
        lambda: listed["quantity"].array.__setitem__(0, 1e9),
    ):
        with pytest.raises((oh.DataError, ValueError, TypeError)):
            change()
    assert listed.text() == before == oh.trade_list(hedge).text()


def test_a_hedge_of_one_market_makes_no_list_at_the_prices_of_another(market: oh.Market, book: pd.Series) -> None:
    hedge = PLAIN.hedge(market, book)
    lower = market.quotes.assign(bid=market.quotes["bid"] * 0.98, ask=market.quotes["ask"] * 0.98, mark=np.nan)
    for given in (hedge, oh.round_to_lots(hedge)):
        listed = oh.trade_list(replace(given, market=replace(market, quotes=lower)), checks=None)
        assert listed.held and "in another market" in listed.reasons[-1]
    again = pickle.loads(pickle.dumps(hedge))
    assert oh.trade_list(again).text() == oh.trade_list(hedge).text(), "a hedge from another process is its own"


def test_quantities_under_the_certificate_of_others_are_held(market: oh.Market, book: pd.Series) -> None:
    hedge = PLAIN.hedge(market, book)
    for given in (hedge, oh.round_to_lots(hedge)):
        assert not oh.trade_list(given).held
        other = given.with_quantities(given.program.start + 0.5 * (given.h - given.program.start), given.certificate)
        listed = oh.trade_list(other, checks=None)
        assert listed.held and "certificate is of other quantities" in listed.reasons[-1]


def test_writing_a_list_leaves_its_bytes_whole(market: oh.Market, book: pd.Series, tmp_path: Path) -> None:
    listed = oh.trade_list(PLAIN.hedge(market, book), book="main")
    listed.to_csv(tmp_path / "trades.csv")
    assert (tmp_path / "trades.csv").read_bytes() == listed.text().encode()
    assert [p.name for p in tmp_path.iterdir()] == ["trades.csv"]
    with pytest.raises(oh.DataError, match="cannot be written"):
        listed.to_csv(tmp_path / "absent" / "trades.csv")


def test_fingerprints_hash_content() -> None:
    def limit(h: object, p: object) -> object:
        return h

    def other(h: object, p: object) -> object:
        return -h  # type: ignore[operator]

    other.__qualname__ = limit.__qualname__
    assert canonical(limit) != canonical(other)
    values = np.array([1.0, 2.0, np.nan])
    assert canonical(values) == canonical(values * (1 + 1e-13)) != canonical(values * (1 + 1e-6))
    with pytest.raises(oh.SpecError, match="a lambda has no name"):
        canonical(lambda h, p: h)
    unnamed = replace(PLAIN, constraints=(oh.CvxpyTerm(lambda h, p: []),))
    named = replace(PLAIN, constraints=(oh.CvxpyTerm(lambda h, p: [], name="mine"),))
    with pytest.raises(oh.SpecError, match="give its term `name="):
        _ = unnamed.fingerprint
    assert named.fingerprint != PLAIN.fingerprint


def test_a_users_own_class_that_is_written_anew_is_another_one(market: oh.Market, book: pd.Series) -> None:
    """As a notebook's cell defines it twice: no fingerprint and no fitted risk is reused."""

    def cell(factor: float) -> tuple[type, type]:
        class Toll(oh.Term):
            def contribute(self, p: object) -> None:
                p.cost(buy=factor, sell=factor) if factor > 1 else None  # type: ignore[attr-defined]

        class Louder(oh.EwmaRisk):
            def fit(self, moves: pd.DataFrame, y: object = None) -> object:
                super().fit(moves)
                self.risk_ = self.risk_.scaled(2.0)
                return self

        class Quiet(oh.EwmaRisk):
            def fit(self, moves: pd.DataFrame, y: object = None) -> object:
                super().fit(moves)
                self.risk_ = self.risk_.scaled(0.5)
                return self

        Louder.__qualname__ = Quiet.__qualname__ = "Mine"
        return Toll, Louder if factor > 1 else Quiet

    (toll, loud), (_, quiet) = cell(2.0), cell(1.0)
    assert replace(PLAIN, risk=loud(63)).fingerprint != replace(PLAIN, risk=quiet(63)).fingerprint
    assert replace(PLAIN, objective=(toll(),)).fingerprint == replace(PLAIN, objective=(cell(2.0)[0](),)).fingerprint
    before = [
        replace(PLAIN, risk=kind(63)).hedge(market, book).risk.loc["volatility", "before"] for kind in (loud, quiet)
    ]
    assert before[0] > 3 * before[1], "four times the volatility, but for gamma"
    assert len(oh.load_model("beta_hedge").fingerprint) == 12


def test_a_files_bytes_count_in_a_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "pnl.csv"
    path.write_text("a,b\n1,2\n")
    before = canonical(path)
    path.write_text("a,b\n1,3\n")
    assert canonical(path) != before


RULES = oh.terms.MarginRules(source="a rule", date="2016-06-30", share={"future": 0.1})
SHARES = {
    "Variance": lambda: oh.Variance(relative=300), "Neutral": lambda: oh.Neutral("delta", band_share=0.01),
    "GrossLimit": lambda: oh.GrossLimit(share=2.0), "TurnoverLimit": lambda: oh.TurnoverLimit(share=2.0),
    "PositionLimit": lambda: oh.terms.PositionLimit(share=0.5), "TradeLimit": lambda: oh.TradeLimit(share=0.5),
    "VolatilityLimit": lambda: oh.VolatilityLimit(share=0.5),
    "Shortfall": lambda: oh.terms.Shortfall(Stresses(), share=0.1),
    "WorstCase": lambda: oh.terms.WorstCase(Stresses(), share=0.1),
    "MarginLimit": lambda: oh.terms.MarginLimit(RULES, share=0.1),
}  # fmt: skip


def test_every_term_with_a_share_is_known_to_the_law_of_shares() -> None:
    named, known = {"share", "band_share", "relative"}, {name: getattr(oh.terms, name) for name in oh.terms.__all__}
    terms = {name: kind for name, kind in known.items() if isinstance(kind, type) and issubclass(kind, oh.Term)}
    assert {name for name, kind in terms.items() if named & set(getattr(kind, "__dataclass_fields__", ()))} == set(
        SHARES
    )


@pytest.mark.parametrize("name", SHARES)
def test_a_share_is_of_the_larger_of_gross_and_capital(name: str, market: oh.Market, book: pd.Series) -> None:
    """Twice the capital, above the book's gross: twice the limit, half the aversion. Below it: nothing changes."""
    term = SHARES[name]()
    held, risk = (
        book[market.instruments["type"].reindex(book.index) != "option"],
        oh.EwmaRisk(63).fit(market.moves()).risk_,
    )
    gross = float((held.abs() * market.notional.reindex(held.index)).sum())

    def size(capital: float) -> float:
        """The limit that the term sets, or one over its aversion."""
        parts = (
            {"objective": (term,)}
            if name == "Variance"
            else {"objective": (oh.Variance(1e-6),), "constraints": (term,)}
        )
        problem = oh.HedgeModel(risk=risk, capital=capital, universe=("ES-SEP16",), **parts).problem(market, held)
        p = problem.program
        if name == "Variance":
            return 1 / term.at(problem.size)
        if name == "VolatilityLimit":
            return p.volatility_limit.limit
        if name in ("TradeLimit", "PositionLimit"):
            return p.upper[0]
        return (p.row_upper + problem.row_offset)[p.row_tier >= 0].max()

    small, large = size(gross * 2), size(gross * 4)
    assert large == pytest.approx(2 * small, rel=1e-9) and small > 0
    assert size(gross / 2) == pytest.approx(size(0.0), rel=1e-12) == pytest.approx(small / 2, rel=1e-9)


def test_shares_bands_and_relative_aversions_are_of_the_larger_of_gross_and_capital(
    market: oh.Market, book: pd.Series
) -> None:
    model = replace(PLAIN, objective=(oh.Variance(relative=300), oh.SpreadCost()), capital=1e9,
                    constraints=(oh.Neutral("delta", band_share=0.01), oh.GrossLimit(share=2.0, name="g"),
                                 oh.VolatilityLimit(share=0.5)))  # fmt: skip
    problem = model.problem(market, book)
    size = max(problem.gross, 1e9)
    limits = model.hedge(market, book).limits
    assert limits.loc["delta", "upper"] == pytest.approx(0.01 * size)
    assert limits.loc["g", "upper"] == pytest.approx(2.0 * size)
    assert limits.loc["volatility", "upper"] == pytest.approx(0.5 * size)
