"""Hedging by scenario risk on recorded SPX closes beats Greek hedging at the same cost: benchmarks/spx_hedging.py."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["random", "ladder"])
def test_next_days_profit_deviates_less_than_under_greek_hedges_at_no_more_cost(recorded, kind):
    from spx_hedging import COMPARISONS, ratio, run

    table = run(recorded("spx_options_2019"), 200, kind)
    for ours, peer, most in COMPARISONS[kind]:
        middle, low, high = ratio(table, ours, peer)
        print(f"\n{kind}: {ours} / {peer}: {middle:.2f} ({low:.2f} to {high:.2f})")
        assert middle <= most
        if peer != "delta":
            assert table["cost"][ours].mean() <= table["cost"][peer].mean() * (1 + 1e-9)


def test_a_few_books_run_through_the_whole_comparison(recorded):
    from recorded_markets import spx_days, spx_market
    from spx_hedging import PEERS, draw_book, greek_hedges, spread_paid

    from optihedge.market.earned import contract_pnl

    folder = recorded("spx_options_2019")
    day, after = spx_days(folder)[-2:]
    market, later = (spx_market(folder, d, max_days=40) for d in (day, after))
    earned = contract_pnl(market, later)
    vega = market.exposures["vega"]
    frame = vega.to_frame("vega <30d").assign(**{"vega 30-60d": 0.0, "vega >60d": 0.0})
    book, candidates = draw_book(market, earned.index[earned.notna()], "random", 0)
    hedges = greek_hedges(market.with_exposures(frame), book, candidates)
    assert set(hedges) == set(PEERS)
    for peer in PEERS[1:3]:
        left = book.add(hedges[peer], fill_value=0.0)
        assert abs(float(left @ vega[left.index])) < 1e-6 * float(left.abs() @ vega[left.index])
    assert spread_paid(market, hedges["total vega, LP"]) <= spread_paid(market, hedges["total vega"]) * (1 + 1e-9)
