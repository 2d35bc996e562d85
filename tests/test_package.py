"""What workers share: one file that each of them maps, not a copy a worker."""

import numpy as np
import pandas as pd
from desks import stocks

from optihedge.batch.job import Job
from optihedge.batch.package import pack, unpack
from optihedge.hedge.fitted import fitted_once
from optihedge.hedge.model import HedgeModel
from optihedge.hedge.terms.costs import SpreadCost
from optihedge.hedge.terms.objective import Variance
from optihedge.risk.ewma import EwmaRisk


def job(held: pd.Series) -> Job:
    model = HedgeModel(risk=EwmaRisk(63), objective=(Variance(1e-6), SpreadCost()))
    return Job("book", held, "m", model, sent=True)


def test_a_worker_hedges_what_it_maps_as_the_driver_does(tmp_path):
    market, held = stocks(5, days=80), pd.Series({"S0": 100.0, "S1": -30.0})
    pack(tmp_path / "jobs", market, [job(held)])
    theirs, (given,) = unpack(tmp_path / "jobs")
    assert theirs.hash == market.hash
    assert dict(given.run(theirs).files) == dict(job(held).run(market).files)


def test_tables_of_a_market_and_what_was_learnt_lie_in_the_file_alone(tmp_path):
    market = stocks(200, days=400)
    root = fitted_once(market, "a root", lambda: np.arange(1e5).reshape(100, 1000))
    pack(tmp_path / "jobs", market, [job(pd.Series({"S0": 1.0}))])
    theirs, _ = unpack(tmp_path / "jobs")
    known = fitted_once(theirs, "a root", lambda: None)
    for ours, mapped in ((market.history.to_numpy(), theirs.history.to_numpy()), (root, known)):
        assert np.array_equal(ours, mapped) and not mapped.flags.writeable and not mapped.flags.owndata
    arrays = market.history.to_numpy().nbytes + root.nbytes
    assert (tmp_path / "jobs.head").stat().st_size < 0.3 * arrays < (tmp_path / "jobs").stat().st_size
