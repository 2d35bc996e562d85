"""Written by `python tests/test_names.py`; test_names.py keeps it true."""

from optihedge.risk.adaptive import AdaptiveRisk as AdaptiveRisk
from optihedge.risk.beta import Beta as Beta
from optihedge.risk.beta_risk import BetaRisk as BetaRisk
from optihedge.risk.cleaning import clean as clean
from optihedge.risk.combined import CombinedEwmaRisk as CombinedEwmaRisk
from optihedge.risk.contract_risk import ContractRisk as ContractRisk
from optihedge.risk.ewma import EwmaRisk as EwmaRisk
from optihedge.risk.factor import FactorRisk as FactorRisk
from optihedge.risk.factor import StackedRisk as StackedRisk
from optihedge.risk.garch import GarchRisk as GarchRisk
from optihedge.risk.observed import FundamentalRisk as FundamentalRisk
from optihedge.risk.observed import ObservedFactorRisk as ObservedFactorRisk
from optihedge.risk.problems import find_problems as find_problems
from optihedge.risk.regime import GaussianHmm as GaussianHmm
from optihedge.risk.regime import RegimeRisk as RegimeRisk
from optihedge.risk.root import Risk as Risk
from optihedge.risk.sample import GivenRisk as GivenRisk
from optihedge.risk.sample import SampleRisk as SampleRisk
from optihedge.risk.shrinkage import AnalyticalShrinkage as AnalyticalShrinkage
from optihedge.risk.smile import draw_shocks as draw_shocks
from optihedge.risk.smile import smile_history as smile_history
from optihedge.risk.smile import smile_noise as smile_noise
from optihedge.risk.smile_law import SmilePrior as SmilePrior
from optihedge.risk.smile_risk import SmileRisk as SmileRisk
from optihedge.risk.smile_table import smile_rows as smile_rows
