"""Written by `python tests/test_names.py`; test_names.py keeps it true."""

from optihedge.backtest.effectiveness import Effectiveness as Effectiveness
from optihedge.backtest.evaluate import RiskEvaluation as RiskEvaluation
from optihedge.backtest.evaluate import evaluate_risk as evaluate_risk
from optihedge.backtest.evaluate import usual_estimators as usual_estimators
from optihedge.backtest.hedge_evaluation import anchored_path as anchored_path
from optihedge.backtest.hedge_evaluation import evaluate_hedges as evaluate_hedges
from optihedge.backtest.hedge_evaluation import ols_path as ols_path
from optihedge.backtest.result import Backtest as Backtest
from optihedge.market.depth import calibrated_impact as calibrated_impact
from optihedge.risk.hedge_ratio import beta_weighted_delta as beta_weighted_delta
from optihedge.risk.hedge_ratio import contracts_for_beta as contracts_for_beta
from optihedge.risk.hedge_ratio import contracts_for_duration as contracts_for_duration
from optihedge.risk.hedge_ratio import dollar_offset as dollar_offset
from optihedge.risk.hedge_ratio import effectiveness as effectiveness
from optihedge.risk.hedge_ratio import futures_contracts as futures_contracts
from optihedge.risk.hedge_ratio import minimum_variance_hedge as minimum_variance_hedge
from optihedge.risk.hedge_ratio import minimum_variance_ratio as minimum_variance_ratio
from optihedge.risk.hedge_ratio import r_squared as r_squared
from optihedge.risk.regime import correlation_breakdown as correlation_breakdown
from optihedge.risk.regime import leptokurtosis as leptokurtosis
from optihedge.risk.relations import basis_drivers as basis_drivers
from optihedge.risk.relations import cointegrated_pairs as cointegrated_pairs
from optihedge.risk.relations import cointegration as cointegration
from optihedge.risk.relations import funding_driver as funding_driver
from optihedge.risk.relations import lead_lag as lead_lag
