"""optihedge: certified portfolio hedges and executable trade lists.

Names load on first use, so that `import optihedge` stays light.
"""

from importlib import import_module

from optihedge.errors import DataError, InfeasibleError, NotApplicable, OptihedgeError, SolverError, SpecError

__version__ = "0.1.0"

_HOME = {
    "optihedge.market.book": ("read_book",),
    "optihedge.market.cross_gamma": ("cross_gamma",),
    "optihedge.market.snapshot": ("Market", "read_market"),
    "optihedge.market.pricing": (
        "Greeks", "black", "coin_greeks", "coin_price", "greeks", "implied_vol", "implied_vol_reason", "inverse_greeks",
        "settlement_weight", "venue_theta", "years_between",
    ),
    "optihedge.market.forwards": ("futures_forwards", "parity_forwards"),
    "optihedge.market.svi": ("SviSlice",),
    "optihedge.market.surface": ("Surface", "svi_surface"),
    "optihedge.market.surface_fit": ("fit_surface",),
    "optihedge.market.dynamics": ("fit_minimum_variance_delta", "hedging_gain", "moved_vol", "smile_delta"),
    "optihedge.market.instruments": ("annual_funding", "inverse_profit"),
    "optihedge.market.scenarios": ("STRESSES", "payoff_profile", "replay", "scenario_pnl", "shock_grid"),
    "optihedge.market.pnl": ("contract_pnl", "explain_hedge", "explain_pnl"),
    "optihedge.risk.root": ("Risk",),
    "optihedge.risk.sample": ("GivenRisk", "SampleRisk"),
    "optihedge.risk.ewma": ("EwmaRisk",),
    "optihedge.risk.factor": ("FactorRisk", "StackedRisk"),
    "optihedge.risk.shrinkage": ("AnalyticalShrinkage",),
    "optihedge.risk.observed": ("FundamentalRisk", "ObservedFactorRisk"),
    "optihedge.risk.combined": ("CombinedEwmaRisk",),
    "optihedge.risk.adaptive": ("AdaptiveRisk",),
    "optihedge.risk.regime": ("GaussianHmm", "RegimeRisk", "correlation_breakdown", "leptokurtosis"),
    "optihedge.risk.garch": ("GarchRisk",),
    "optihedge.risk.beta": ("Beta",),
    "optihedge.risk.beta_risk": ("BetaRisk",),
    "optihedge.risk.cleaning": ("clean",),
    "optihedge.risk.problems": ("find_problems",),
    "optihedge.risk.relations": ("basis_drivers", "cointegrated_pairs", "cointegration", "funding_driver", "lead_lag"),
    "optihedge.risk.smile": ("draw_shocks", "smile_history", "smile_noise"),
    "optihedge.risk.contract_risk": ("ContractRisk",),
    "optihedge.risk.smile_law": ("SmilePrior",),
    "optihedge.risk.smile_risk": ("SmileRisk",),
    "optihedge.risk.smile_table": ("smile_rows", "smile_table"),
    "optihedge.risk.hedge_ratio": (
        "beta_weighted_delta", "contracts_for_beta", "contracts_for_duration", "dollar_offset", "effectiveness",
        "futures_contracts", "minimum_variance_hedge", "minimum_variance_ratio", "r_squared",
    ),
    "optihedge.hedge.bands": (
        "band_trade", "follow_band", "leland_number", "leland_vol", "replication_cash", "whalley_wilmott_band",
    ),
    "optihedge.hedge.rolls": ("roll_plan",),
    "optihedge.hedge.model": ("HedgeModel",),
    "optihedge.hedge.result": ("Hedge",),
    "optihedge.hedge.modelfile": ("load_model", "model_names", "parse_model"),
    "optihedge.hedge.universe": ("Universe",),
    "optihedge.hedge.explain": ("explain", "shares"),
    "optihedge.program.chain": ("solve",),
    "optihedge.program.certificate": ("Certificate", "certify"),
    "optihedge.program.program": ("Program",),
    "optihedge.program.infeasible": ("conflict", "relax"),
    "optihedge.program.no_trade": ("NoTradeRegion",),
    "optihedge.program.archive": ("load_program", "save_program"),
    "optihedge.hedge.terms.base": ("CvxpyTerm", "Term"),
    "optihedge.hedge.terms.objective": (
        "CarryCost", "DepthCost", "ExpectedReturn", "FeeCost", "HoldingCost", "ImpactCost", "SpreadCost", "Tracking",
        "Variance", "Volatility",
    ),
    "optihedge.hedge.terms.neutrality": ("Neutral",),
    "optihedge.hedge.terms.limits": (
        "GrossLimit", "ParticipationLimit", "PositionLimit", "TradeLimit", "TurnoverLimit", "VolatilityLimit",
    ),
    "optihedge.hedge.terms.tail": ("ScenarioVariance", "Shortfall", "WorstCase"),
    "optihedge.trades.lots": ("round_to_lots",),
    "optihedge.trades.checks": ("Checks",),
    "optihedge.trades.tradelist": ("TradeList", "checked", "trade_list"),
    "optihedge.example": ("write_example",),
    "optihedge.accounts.state": ("Fill", "Lot", "Order", "Report", "State"),
    "optihedge.accounts.advance": ("Advance", "advance"),
    "optihedge.accounts.fills": ("fills_frame", "read_fills"),
    "optihedge.accounts.valuation": ("opening", "valued"),
    "optihedge.market.moved": ("moved",),
    "optihedge.step.broker": ("AtQuote", "Delayed", "Partial", "Reject", "WalkDepth"),
    "optihedge.step.ladder": ("monitor",),
    "optihedge.backtest.simulate": ("run_backtest",),
    "optihedge.backtest.result": ("Backtest",),
    "optihedge.backtest.effectiveness": ("Effectiveness",),
    "optihedge.backtest.walk": ("walk_forward",),
    "optihedge.backtest.evaluate": ("RiskEvaluation", "evaluate_risk", "usual_estimators"),
    "optihedge.backtest.hedge_evaluation": ("anchored_path", "evaluate_hedges", "ols_path"),
}  # fmt: skip
_MODULE = {name: module for module, names in _HOME.items() for name in names}
_MODULES = {"policy": "step.policies"}
"""Names of one kind, kept together: `oh.policy.Band`."""

__all__ = [
    "DataError", "InfeasibleError", "NotApplicable", "OptihedgeError", "SolverError", "SpecError", *_MODULE, *_MODULES,
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"optihedge.{_MODULES[name]}")
    if name not in _MODULE:
        raise AttributeError(f"module 'optihedge' has no attribute {name!r}")
    value = getattr(import_module(_MODULE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE])
