"""The public names and where each lives: `oh.NAME` for what a first day needs, `oh.terms`, `oh.risk`, ... for the rest.

Names load on first use. Every name can also be reached from `optihedge` itself.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

FIRST = (
    "Market",
    "read_market",
    "read_book",
    "HedgeModel",
    "load_model",
    "Hedge",
    "TradeList",
    "trade_list",
    "Universe",
    "Term",
    "Neutral",
    "Volatility",
    "Variance",
    "SpreadCost",
    "FeeCost",
    "Beta",
    "Risk",
    "EwmaRisk",
    "FactorRisk",
    "SmileRisk",
    "run_backtest",
    "open_market",
    "write_example",
    "DataError",
    "InfeasibleError",
    "NotApplicable",
    "OptihedgeError",
    "SolverError",
    "SpecError",
)
"""What `from optihedge import *` gives."""

HOMES: dict[str, dict[str, tuple[str, ...]]] = {
    "": {
        "optihedge.errors": (
            "DataError",
            "InfeasibleError",
            "NotApplicable",
            "OptihedgeError",
            "SolverError",
            "SpecError",
        ),
        "optihedge.risk.smile_table": ("smile_table",),
        "optihedge.backtest.simulate": ("run_backtest",),
        "optihedge.example": ("write_example",),
        "optihedge.hedge.explain": (
            "explain",
            "shares",
        ),
        "optihedge.hedge.model": ("HedgeModel",),
        "optihedge.hedge.modelfile": (
            "load_model",
            "model_names",
            "parse_model",
        ),
        "optihedge.hedge.result": ("Hedge",),
        "optihedge.hedge.universe": ("Universe",),
        "optihedge.market.book": ("read_book",),
        "optihedge.market.cross_gamma": ("cross_gamma",),
        "optihedge.market.instruments": (
            "annual_funding",
            "inverse_profit",
        ),
        "optihedge.market.earned": ("contract_pnl",),
        "optihedge.market.pnl": (
            "explain_hedge",
            "explain_pnl",
        ),
        "optihedge.market.panel": ("Panel",),
        "optihedge.market.folder": ("read_market",),
        "optihedge.market.snapshot": ("Market",),
        "optihedge.program.archive": (
            "load_program",
            "save_program",
        ),
        "optihedge.program.certificate": (
            "Certificate",
            "certify",
        ),
        "optihedge.program.chain": ("solve",),
        "optihedge.program.infeasible": (
            "conflict",
            "relax",
        ),
        "optihedge.program.program": ("Program",),
        "optihedge.trades.checks": ("Checks",),
        "optihedge.trades.lots": ("round_to_lots",),
        "optihedge.trades.tradelist": (
            "TradeList",
            "checked",
            "trade_list",
        ),
    },
    "terms": {
        "optihedge.hedge.terms.base": (
            "CvxpyTerm",
            "Term",
        ),
        "optihedge.hedge.terms.margin": (
            "LiquidationLimit",
            "MarginCost",
            "MarginLimit",
            "VenueLimit",
        ),
        "optihedge.market.margin": (
            "MarginRules",
            "margin_rule_names",
            "read_margin_rules",
        ),
        "optihedge.market.margin_scan": (
            "Standing",
            "initial_margin",
            "liquidation_moves",
            "standing",
        ),
        "optihedge.hedge.terms.limits": (
            "GrossLimit",
            "ParticipationLimit",
            "PositionLimit",
            "TradeLimit",
            "TurnoverLimit",
            "VolatilityLimit",
        ),
        "optihedge.hedge.terms.neutrality": ("Neutral",),
        "optihedge.hedge.terms.rolls": ("RollOut",),
        "optihedge.hedge.terms.spread": ("Spread",),
        "optihedge.hedge.terms.costs": ("CarryCost", "DepthCost", "FeeCost", "HoldingCost", "ImpactCost", "SpreadCost"),
        "optihedge.hedge.terms.objective": ("ExpectedReturn", "Tracking", "Variance", "Volatility"),
        "optihedge.hedge.terms.tail": (
            "ScenarioVariance",
            "Shortfall",
            "WorstCase",
        ),
    },
    "risk": {
        "optihedge.risk.adaptive": ("AdaptiveRisk",),
        "optihedge.risk.beta": ("Beta",),
        "optihedge.risk.beta_risk": ("BetaRisk",),
        "optihedge.risk.cleaning": ("clean",),
        "optihedge.risk.combined": ("CombinedEwmaRisk",),
        "optihedge.risk.contract_risk": ("ContractRisk",),
        "optihedge.risk.ewma": ("EwmaRisk",),
        "optihedge.risk.factor": (
            "FactorRisk",
            "StackedRisk",
        ),
        "optihedge.risk.garch": ("GarchRisk",),
        "optihedge.risk.observed": (
            "FundamentalRisk",
            "ObservedFactorRisk",
        ),
        "optihedge.risk.contradictions": ("find_contradictions",),
        "optihedge.risk.finding": ("contradiction_table",),
        "optihedge.risk.problems": ("find_problems",),
        "optihedge.risk.regime": (
            "GaussianHmm",
            "RegimeRisk",
        ),
        "optihedge.risk.root": ("Risk",),
        "optihedge.risk.sample": (
            "GivenRisk",
            "SampleRisk",
        ),
        "optihedge.risk.shrinkage": ("AnalyticalShrinkage",),
        "optihedge.risk.smile": (
            "draw_shocks",
            "smile_history",
            "smile_noise",
        ),
        "optihedge.risk.smile_law": ("SmilePrior",),
        "optihedge.risk.smile_risk": ("SmileRisk",),
        "optihedge.risk.smile_table": ("smile_rows",),
        "optihedge.risk.sources": (
            "Frame",
            "Grid",
            "Replay",
            "SmileDraws",
            "Stresses",
            "scenario_table",
        ),
    },
    "options": {
        "optihedge.market.american": (
            "american_greeks",
            "american_implied_vol",
            "american_price",
            "exercise_boundary",
        ),
        "optihedge.market.dynamics": (
            "fit_minimum_variance_delta",
            "hedging_gain",
            "moved_vol",
            "smile_delta",
        ),
        "optihedge.market.forwards": (
            "futures_forwards",
            "parity_forwards",
        ),
        "optihedge.market.pricing": (
            "Greeks",
            "black",
            "coin_greeks",
            "coin_price",
            "greeks",
            "implied_vol",
            "implied_vol_reason",
            "inverse_greeks",
            "settlement_weight",
            "venue_theta",
            "years_between",
        ),
        "optihedge.market.rich_cheap": ("rich_cheap",),
        "optihedge.market.scenarios": (
            "STRESSES",
            "payoff_profile",
            "replay",
            "scenario_pnl",
            "shock_grid",
        ),
        "optihedge.market.surface": (
            "Surface",
            "svi_surface",
        ),
        "optihedge.market.surface_fit": ("fit_surface",),
        "optihedge.market.svi": ("SviSlice",),
    },
    "policy": {
        "optihedge.step.ladder": ("monitor",),
        "optihedge.accounts.state": (
            "Fill",
            "Lot",
            "Order",
            "Report",
            "State",
        ),
        "optihedge.accounts.advance": (
            "Advance",
            "advance",
        ),
        "optihedge.accounts.fills": (
            "fills_frame",
            "read_fills",
        ),
        "optihedge.accounts.valuation": (
            "opening",
            "valued",
            "valued_lots",
        ),
        "optihedge.market.moved": ("moved",),
        "optihedge.hedge.bands": (
            "band_trade",
            "follow_band",
            "leland_number",
            "leland_vol",
            "replication_cash",
            "whalley_wilmott_band",
        ),
        "optihedge.hedge.rolls": ("roll_plan",),
        "optihedge.program.no_trade": ("NoTradeRegion",),
        "optihedge.step.broker": (
            "AtQuote",
            "Delayed",
            "Partial",
            "Reject",
            "WalkDepth",
        ),
        "optihedge.step.policies.bands": (
            "CostBenefit",
            "WhalleyWilmott",
        ),
        "optihedge.step.policies.compose": (
            "All",
            "Any",
            "Not",
        ),
        "optihedge.step.policies.policyfile": ("policy_of",),
        "optihedge.step.policies.drift": ("Drift",),
        "optihedge.step.policies.spread": ("ZScore",),
        "optihedge.step.policies.triggers": (
            "Always",
            "Band",
            "Clock",
            "MarginTrigger",
            "OnFill",
            "RegimeChange",
            "RiskTrigger",
            "RollDue",
        ),
    },
    "stats": {
        "optihedge.backtest.effectiveness": ("Effectiveness",),
        "optihedge.backtest.evaluate": (
            "RiskEvaluation",
            "evaluate_risk",
            "usual_estimators",
        ),
        "optihedge.backtest.hedge_evaluation": (
            "anchored_path",
            "evaluate_hedges",
            "ols_path",
        ),
        "optihedge.backtest.result": ("Backtest",),
        "optihedge.market.depth": ("calibrated_impact",),
        "optihedge.trades.slippage": ("impact_rows", "slippage"),
        "optihedge.risk.hedge_ratio": (
            "beta_weighted_delta",
            "contracts_for_beta",
            "contracts_for_duration",
            "dollar_offset",
            "effectiveness",
            "futures_contracts",
            "minimum_variance_hedge",
            "minimum_variance_ratio",
            "r_squared",
        ),
        "optihedge.risk.regime": (
            "correlation_breakdown",
            "leptokurtosis",
        ),
        "optihedge.risk.relations": (
            "basis_drivers",
            "cointegrated_pairs",
            "cointegration",
            "funding_driver",
            "lead_lag",
        ),
        "optihedge.risk.spread": (
            "SpreadState",
            "spread_state",
        ),
    },
    "store": {
        "optihedge.market.events": ("Event",),
        "optihedge.market.store.store": (
            "Store",
            "open_market",
            "open_store",
        ),
    },
}
"""By namespace ("" is `optihedge` itself alone): module -> its public names."""

WHERE = {name: module for homes in HOMES.values() for module, names in homes.items() for name in names}


def lazy(
    namespace: str, values: dict[str, object]
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a namespace whose names load on first use into `values`."""
    homes = {"": WHERE}.get(namespace) or {n: m for m, names in HOMES[namespace].items() for n in names}
    owner = f"optihedge.{namespace}".rstrip(".")

    def get(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {owner!r} has no attribute {name!r}")
        values[name] = getattr(import_module(homes[name]), name)
        return values[name]

    return get, lambda: sorted({*values, *homes}), list(FIRST) if namespace == "" else sorted(homes)
