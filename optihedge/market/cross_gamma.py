"""Cross-gamma: how the delta of a book on one driver moves with another, prices and currencies together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import scipy.sparse as sp

from optihedge.market.book import book_quantities
from optihedge.market.snapshot import Market


def cross_gamma(market: Market, book: pd.Series | Mapping[str, float]) -> pd.DataFrame:
    """The change of the book's cash delta on each price or pair for +1 % of each, symmetric, base currency.

    Rows and columns are the price and currency drivers that the contracts' terms name; the desk's own loadings play no
    part. The diagonal is gamma; an option in foreign money has its delta / 100 as cross-gamma with the pair. Raises
    DataError for an unknown instrument.

    A contract is worth v(S) X, S its underlying in its currency and X that currency in base. With o and c how ln S and
    ln X move with the drivers' logs, its second derivatives in those are, in base currency,
    (S^2 v'' + S v') o o' + S v' (o c' + c o') + v c c'; in returns they have the slope less on the diagonal.

    >>> import optihedge as oh
    >>> market = oh.read_market(oh.write_example("example"))
    >>> book = oh.read_book("example/book.csv")
    >>> table = oh.cross_gamma(market, book)
    >>> bool((abs(table - table.T) < 1e-6).all().all())
    True
    """
    quantity = book_quantities(book, market)
    held = np.flatnonzero(quantity)
    s, paths, p = market.sensitivities, market.paths, market.contracts.power[held]
    value, delta = s.value[held], s.outright[held]
    own_gamma = s.gamma[held] - p * (2 * delta + (p - 1) * value)
    bend, delta, value = (sp.diags_array(quantity[held] * part) for part in (own_gamma + delta, delta, value))
    driver = paths.driver[held]
    own = np.flatnonzero(driver >= 0)
    itself = sp.coo_array((np.ones(own.size), (own, driver[own])), shape=(held.size, len(market.drivers)))
    c = paths.signs[held]
    o = sp.csr_array(itself + paths.quote_signs[held] - c)
    mixed = o.T @ delta @ c
    logs = o.T @ bend @ o + mixed + mixed.T + c.T @ value @ c
    slope = (o.T @ delta + c.T @ value).sum(axis=1)
    moved = np.flatnonzero((abs(o) + abs(c)).sum(axis=0))
    names = market.drivers.index[moved]
    matrix = (logs.tocsr()[moved][:, moved].toarray() - np.diag(slope[moved])) / 100
    frame = pd.DataFrame((matrix + matrix.T) / 2, index=names, columns=names)
    frame.attrs["unit"] = "base currency per 1 % of each"
    return frame
