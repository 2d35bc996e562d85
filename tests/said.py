"""What a door says of a fault: the error that refuses the market, or what the market without the fault tells of it."""

from collections.abc import Callable

import optihedge as oh


def said(make: Callable[[], oh.Market]) -> str:
    try:
        market = make()
    except oh.DataError as error:
        return str(error)
    return "\n".join([*market.left_out.values(), *market.unread.values()])
