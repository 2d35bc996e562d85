"""Written by `python tests/test_names.py`; test_names.py keeps it true."""

from optihedge.market.events import Event as Event
from optihedge.market.store.store import Store as Store
from optihedge.market.store.store import open_market as open_market
from optihedge.market.store.store import open_store as open_store
