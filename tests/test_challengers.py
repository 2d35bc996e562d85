"""What a challenger's list would have gained is what a desk that sent it has gained."""

import pandas as pd
from desk_nights import DESK, desk_in, one_night
from nights import coin_markets, path
from test_desk_nights import BOOK, MODEL

from optihedge.cli import main
from optihedge.desk.challengers import beside_challengers
from optihedge.desk.looking import nights_table, runs_table
from optihedge.desk.replay import replay
from optihedge.step.broker import AtQuote

OTHER = MODEL.replace("band = 2000.0", "band = 20000.0").replace('["PERP", "LIN"]', '["LIN"]')
TEXT = DESK.replace('positions = "one.csv"', 'positions = "one.csv"\nchallengers = ["other"]').replace(
    "[models]", '[models]\nother = "other.toml"'
)


def desk_of(folder, markets, model: str, text: str):
    folder.mkdir()
    (folder / "model.toml").write_text(MODEL)
    (folder / "other.toml").write_text(OTHER)
    return desk_in(folder, markets, BOOK, model=model, text=text)


def equities(desk, markets) -> pd.Series:
    """Two nights with every order filled at its quote; equity by night."""
    before = None
    for market in markets:
        one_night(desk, market, AtQuote(), before)
        before = market
    return nights_table(desk).nights["equity"].astype(float)


def test_the_gain_over_the_champion_is_that_of_a_desk_of_its_own(tmp_path, capsys):
    spots = path(2)
    markets = coin_markets(spots)
    champion = desk_of(tmp_path / "champion", markets, "model.toml", TEXT)
    ours = equities(champion, markets)
    theirs = equities(desk_of(tmp_path / "challenger", markets, "other.toml", DESK), markets)
    (row,) = beside_challengers(champion).itertuples()
    assert row.challenger == "other" and row.as_of == f"{markets[0].as_of:%Y-%m-%dT%H:%M}"
    assert abs(row.gain) > 1.0
    move = abs(spots[1] / spots[0] - 1.0)
    apart = (theirs - ours).iloc[-1] - (theirs - ours).iloc[0]
    costs = nights_table(champion).nights["expected cost"].astype(float).iloc[0] + abs(row.cost)
    assert abs(row.gain - apart) <= costs * move, "costs paid in coin have moved with it, and nothing else"
    assert abs(row.gain - apart) < 1e-3 * abs(row.gain)
    assert main(["report", "--desk", str(champion.path)]) == 0
    assert "challengers" in capsys.readouterr().out


def test_the_run_of_a_challenger_replays_to_the_byte_as_the_champions_does(tmp_path):
    markets = coin_markets(path(2))
    desk = desk_of(tmp_path / "one", markets, "model.toml", TEXT)
    equities(desk, markets)
    runs = runs_table(desk)
    assert runs["role"].value_counts().to_dict() == {"send": 2, "challenger": 2}
    assert [replay(desk, run).differences for run in runs["run"]] == [()] * 4


def test_a_night_that_no_other_followed_says_nothing_yet(tmp_path):
    markets = coin_markets(path(2))
    desk = desk_of(tmp_path / "one", markets, "model.toml", TEXT)
    one_night(desk, markets[0])
    assert beside_challengers(desk).empty
