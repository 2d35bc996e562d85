"""Written by `python tests/test_names.py`; test_names.py keeps it true."""

from optihedge.hedge.terms.base import CvxpyTerm as CvxpyTerm
from optihedge.hedge.terms.base import Term as Term
from optihedge.hedge.terms.limits import GrossLimit as GrossLimit
from optihedge.hedge.terms.limits import ParticipationLimit as ParticipationLimit
from optihedge.hedge.terms.limits import PositionLimit as PositionLimit
from optihedge.hedge.terms.limits import TradeLimit as TradeLimit
from optihedge.hedge.terms.limits import TurnoverLimit as TurnoverLimit
from optihedge.hedge.terms.limits import VolatilityLimit as VolatilityLimit
from optihedge.hedge.terms.neutrality import Neutral as Neutral
from optihedge.hedge.terms.objective import CarryCost as CarryCost
from optihedge.hedge.terms.objective import DepthCost as DepthCost
from optihedge.hedge.terms.objective import ExpectedReturn as ExpectedReturn
from optihedge.hedge.terms.objective import FeeCost as FeeCost
from optihedge.hedge.terms.objective import HoldingCost as HoldingCost
from optihedge.hedge.terms.objective import ImpactCost as ImpactCost
from optihedge.hedge.terms.objective import SpreadCost as SpreadCost
from optihedge.hedge.terms.objective import Tracking as Tracking
from optihedge.hedge.terms.objective import Variance as Variance
from optihedge.hedge.terms.objective import Volatility as Volatility
from optihedge.hedge.terms.tail import ScenarioVariance as ScenarioVariance
from optihedge.hedge.terms.tail import Shortfall as Shortfall
from optihedge.hedge.terms.tail import WorstCase as WorstCase
