"""Model files: what TOML says is what the constructors say, and every mistake is named at once."""

import json
import subprocess
import sys
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

import pytest
from desks import options, stocks

from optihedge.errors import SpecError
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.modelfile import load_model, model_names, models_folder, parse_model
from optihedge.hedge.spec import canonical
from optihedge.hedge.terms.base import Term
from optihedge.hedge.terms.costs import SpreadCost
from optihedge.hedge.terms.limits import PositionLimit, TurnoverLimit
from optihedge.hedge.terms.neutrality import Neutral
from optihedge.hedge.terms.objective import Variance
from optihedge.hedge.universe import Universe
from optihedge.market.snapshot import Market
from optihedge.risk.beta import Beta
from optihedge.risk.ewma import EwmaRisk
from optihedge.trades.checks import Checks

FIVE = ("beta_hedge", "delta_neutral", "market_neutral", "optimal_hedge", "quantitative")


@dataclass(frozen=True)
class Own(Term):
    """A user's term, for the allow-list."""

    level: float

    def contribute(self, p):
        p.cost(buy=self.level, sell=self.level)


def test_a_file_says_what_the_constructors_say():
    model = parse_model(
        """
        description = "x"
        horizon = "5d"
        capital = 1e6
        on_infeasible = "relax"
        solver = ["clarabel", "piqp"]
        risk = { type = "EwmaRisk", halflife = 42 }
        betas = { type = "Beta", market = ["BTC", "ETH"] }
        universe = { where = { type = ["future"] }, frozen = ["A"] }
        [[objective]]
        type = "Variance"
        aversion = 1e-6
        [[objective]]
        type = "SpreadCost"
        [[constraints]]
        type = "Neutral"
        exposure = "delta"
        by = "underlying"
        band = [1, 2.5]
        soft = 3
        [[constraints]]
        type = "TurnoverLimit"
        limit = { deribit = 10 }
        by = "venue"
        [[constraints]]
        type = "PositionLimit"
        upper = { BTC = 5 }
        """
    )
    said = HedgeModel(
        risk=EwmaRisk(halflife=42), betas=Beta(market=("BTC", "ETH")), horizon="5d", capital=1e6, on_infeasible="relax",
        solver=("clarabel", "piqp"), universe=Universe(where={"type": ("future",)}, frozen=("A",)),
        objective=(Variance(1e-6), SpreadCost()),
        constraints=(
            Neutral("delta", by="underlying", band=(1, 2.5), soft=3), TurnoverLimit({"deribit": 10}, by="venue"),
            PositionLimit(upper={"BTC": 5}),
        ),
    )  # fmt: skip
    assert model.fingerprint == said.fingerprint


def test_every_mistake_is_named_at_once_with_file_table_key_and_the_nearest_word():
    text = """
    horzon = "1d"
    capital = "x"
    solver = "clarabell"
    lots = 3
    [risk]
    type = "EwmaRsk"
    [betas]
    halflife = 3
    [universe]
    were = {}
    [[objective]]
    type = "Variance"
    aversionn = 1
    aversion = nan
    [[objective]]
    type = "SpreadCost"
    soft = 1.0
    [[constraints]]
    type = "Neutrall"
    [[constraints]]
    type = "Neutral"
    exposure = 3
    [[constraints]]
    type = "Neutral"
    [[constraints]]
    type = "SpreadCost"
    [[constraints]]
    type = "Neutral"
    exposure = "delta"
    band = -1.0
    [[constraints]]
    type = "os:system"
    [[constraints]]
    type = "Neutral"
    exposure = "vega"
    band = true
    """
    with pytest.raises(SpecError) as caught:
        parse_model(text, file="bad.toml")
    lines = str(caught.value).splitlines()
    assert all(line.startswith("bad.toml: ") for line in lines)
    for wanted in (
        "there is no key 'horzon' (did you mean horizon?)",
        "description is missing",
        "top level: capital is 'x'",
        "solver: there is no solver 'clarabell'; did you mean clarabel?",
        "lots is no table",
        "risk: there is no type 'EwmaRsk' (did you mean EwmaRisk?)",
        "betas: type is missing",
        "[universe]: there is no key 'were' (did you mean where?)",
        "[[objective]] 1 (Variance): there is no key 'aversionn' (did you mean aversion?)",
        "[[objective]] 1 (Variance): aversion is nan",
        "[[objective]] 2 (spread): soft and priority belong to constraints",
        "[[constraints]] 1: there is no type 'Neutrall' (did you mean Neutral?)",
        "[[constraints]] 2 (Neutral): exposure is 3",
        "[[constraints]] 3 (Neutral): exposure is missing",
        "[[constraints]] 4: there is no type 'SpreadCost'; it belongs to objective",
        "[[constraints]] 5 (Neutral): delta: band is -1",
        "[[constraints]] 6: os:system is not allowed",
        "[[constraints]] 7 (Neutral): band is True",
    ):
        assert any(wanted in line for line in lines), wanted


@pytest.mark.parametrize("text", ["a = ", 'description = "x"\ndescription = "y"', "[risk\n"])
def test_text_that_is_no_toml_is_refused_by_line(text):
    with pytest.raises(SpecError, match=r"model\.toml: .*line"):
        parse_model(text)


def test_the_models_own_checks_are_reported_too():
    twice = '[[constraints]]\ntype = "Neutral"\nexposure = "delta"\n'
    with pytest.raises(SpecError, match="two terms are called 'delta'"):
        parse_model('description = "x"\n' + twice + twice)
    with pytest.raises(SpecError, match="horizon is 'soon'"):
        parse_model('description = "x"\nhorizon = "soon"')


@pytest.mark.parametrize("name", ["LedoitWolf", "OAS", "ShrunkCovariance"])
def test_a_covariance_estimator_of_scikit_learn_is_a_risk_by_its_name(name):
    risk = parse_model(f'description = "x"\nrisk = {{ type = "{name}" }}').risk
    spelt = f'description = "x"\nrisk = {{ type = "SampleRisk", estimator = {{ type = "{name}" }} }}'
    assert canonical(risk) == canonical(parse_model(spelt).risk)
    fitted = risk.fit(stocks(3).moves())
    assert len(fitted.risk_.drivers) == 3


def test_estimators_nest():
    risk = parse_model(
        """
        description = "x"
        [risk]
        type = "RegimeRisk"
        [risk.base]
        type = "AdaptiveRisk"
        base = { type = "StackedRisk", stages = [{ type = "FactorRisk", factors = 1 }, { type = "FactorRisk" }] }
        """
    ).risk
    assert [type(stage).__name__ for stage in risk.base.base.stages] == ["FactorRisk", "FactorRisk"]
    text = 'description = "x"\nrisk = { type = "BetaRisk", betas = { type = "Beta", market = ["BTC"] } }'
    beta = parse_model(text).risk
    assert beta.betas.market == ("BTC",)
    with pytest.raises(SpecError, match=r"risk\.base: there is no type 'EwmRisk' \(did you mean EwmaRisk\?\)"):
        parse_model('description = "x"\nrisk = { type = "RegimeRisk", base = { type = "EwmRisk" } }')


def test_settings_of_the_trade_list_are_those_it_knows():
    text = 'description = "x"\n[checks]\nvolume = 0.2\nmax_age = false\n[lots]\nmin_notional = 10\n'
    model = parse_model(text)
    assert Checks.of(model.checks) == Checks(volume=0.2, max_age=None)
    assert model.lots == {"min_notional": 10}
    with pytest.raises(SpecError) as caught:
        parse_model(text.replace("volume", "volumes").replace("min_notional = 10", "size = 1\nmin_notional = true"))
    for wanted in (r"[checks]: there is no key 'volumes' (did you mean volume?)", "[lots]: there is no key 'size'",
                   "[lots]: min_notional is True"):  # fmt: skip
        assert wanted in str(caught.value)
    written = {
        f.name: json.dumps(f.default) if isinstance(f.default, bool | str) else "false"
        for f in fields(Checks)
        if f.name != "venues"
    }  # venues are a desk's
    every = parse_model(
        'description = "x"\n[checks]\n' + "".join(f"{key} = {value}\n" for key, value in written.items())
    )
    assert Checks.of(every.checks).displayed is None


def test_a_users_class_needs_the_allow_list():
    text = 'description = "x"\n[[objective]]\ntype = "test_modelfile:Own"\nlevel = 2.0\n'
    with pytest.raises(SpecError, match="test_modelfile:Own is not allowed; pass it in the allow-list"):
        parse_model(text)
    assert type(parse_model(text, allow=("test_modelfile:Own",)).objective[0]).__name__ == "Own"
    with pytest.raises(SpecError, match="nowhere:Own cannot be loaded"):
        parse_model(text.replace("test_modelfile", "nowhere"), allow=("nowhere:Own",))


def test_models_ship_and_load_by_name_and_by_path():
    assert set(model_names()) == {*FIVE, "neutral", "stress_limited"}
    for name in model_names():
        by_name, by_path = load_model(name), load_model(models_folder() / f"{name}.toml")
        assert by_name.fingerprint == by_path.fingerprint
        assert by_name.name == name
        assert by_name.description.endswith(".")


def test_an_unknown_model_is_refused_with_the_nearest_name(tmp_path):
    with pytest.raises(SpecError, match=r"no model 'delta_neutrl' \(did you mean delta_neutral\?\); shipped are"):
        load_model("delta_neutrl")
    with pytest.raises(SpecError, match=r"absent\.toml: cannot be read"):
        load_model(tmp_path / "absent.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SpecError, match=r"bytes\.toml: cannot be read"):
        load_model(tmp_path / "bytes.toml")


def test_shipped_files_hold_no_path_and_no_date_and_their_table_names_them_all():
    table = (models_folder() / "README.md").read_text(encoding="utf-8")
    for name in FIVE:
        text = (models_folder() / f"{name}.toml").read_text(encoding="utf-8")
        assert f"| `{name}` |" in table
        assert "/" not in "".join(line.split("#")[0] for line in text.splitlines())
        assert not any("date" in str(type(v)) for v in tomllib.loads(text).values())


def marked(market: Market, **quotes) -> Market:
    drivers = market.drivers.assign(market=[i == len(market.drivers) - 1 for i in range(len(market.drivers))])
    return Market(
        instruments=market.instruments, quotes=market.quotes.assign(**quotes), base_currency="USD", drivers=drivers,
        history=market.history, as_of=market.as_of,
    )  # fmt: skip


@pytest.mark.parametrize("name", FIVE)
def test_each_model_reduces_the_risk_of_a_book_it_is_for(name):
    if name == "optimal_hedge":
        market, book = options(days=(30, 90), half_spread=0.002), {"C110-30": -1000.0, "P90-90": 500.0, "U": 300.0}
    else:
        sectors = ["x", "x", "y", "y", "y", "x"]
        market = marked(stocks(6, days=300, sector=sectors, hedge=[False] * 4 + [True] * 2), volume=1e6)
        book = {"S0": 1000.0, "S1": 300.0, "S2": 500.0, "S3": -200.0}
    if name == "delta_neutral":
        market, book = options(days=(30, 90)), {"C110-30": -1000.0, "P90-90": 500.0}
    hedge = load_model(name).hedge(market, book)
    assert hedge.certificate.optimal
    assert f"Hedge {name}" in str(hedge)
    assert not load_model(name).hedge(market, {}).trades.any()
    assert hedge.risk.loc["volatility", "after"] < 0.8 * hedge.risk.loc["volatility", "before"]


def test_shipped_models_do_not_depend_on_the_books_size_or_currency():
    market = options(days=(30, 90))
    model = load_model("optimal_hedge")
    small, large = (model.hedge(market, {"C110-30": -10.0 * k, "U": 3.0 * k}) for k in (1, 1000))
    assert large.trades.to_numpy() == pytest.approx(1000 * small.trades.to_numpy(), rel=1e-5, abs=1e-3)


def test_loading_a_model_file_does_not_import_cvxpy():
    code = (
        "import sys; from optihedge.hedge.modelfile import load_model; load_model('delta_neutral'); "
        "sys.exit('cvxpy' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[1]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_scenarios_come_from_a_source_that_is_named():
    with pytest.raises(SpecError, match="pnl is missing"):
        parse_model('description = "x"\n[[objective]]\ntype = "Shortfall"\n')
