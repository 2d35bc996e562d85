"""Many books of which some are broken, each in its own way: the others are whole, the broken ones named."""

import pytest
from desk_nights import DESK, write_book
from test_desk_nights import BOOK, coin_desk

from optihedge.desk.night import run_night
from optihedge.desk.replay import verify

BROKEN = {
    "no file": None, "an unknown contract": "instrument,quantity\nNOTHING,1\n", "no header": "1,2\n3,4\n",
    "no number": "instrument,quantity\nC0,many\n", "not finite": "instrument,quantity\nC0,nan\n",
    "infinite": "instrument,quantity\nC0,inf\n", "twice": "instrument,quantity\nC0,1\nC0,2\n",
    "no text": b"\xff\xfe\x00",
    "another's book": "book,instrument,quantity\nother,C0,1\nthird,C0,1\n",
}  # fmt: skip


def many(folder, books: int):
    """A desk of so many books and the broken ones; whether each stands is asked of its night."""
    text = DESK
    for number in range(books):
        write_book(folder / f"b{number}.csv", {name: q * (1 + number / books) for name, q in BOOK.items()})
        text += f'[books.b{number}]\nmodel = "neutral"\npositions = "b{number}.csv"\n'
    for number, content in enumerate(BROKEN.values()):
        if content is not None:
            body = content if isinstance(content, bytes) else content.encode()
            (folder / f"broken{number}.csv").write_bytes(body)
        text += f'[books.broken{number}]\nmodel = "neutral"\npositions = "broken{number}.csv"\n'
    return coin_desk(folder, 1, text)


@pytest.mark.slow
def test_whole_books_are_done_and_broken_ones_named_whatever_is_wrong_with_them(tmp_path):
    desk, markets, _ = many(tmp_path, 40)
    night = run_night(desk, as_of=markets[0].as_of)
    failed = {one.book: one.why for one in night.results if one.status == "failed"}
    assert list(failed) == [f"broken{number}" for number in range(len(BROKEN))] and night.code == 1
    assert all(one.status == "first" for one in night.results if one.book not in failed)
    assert all(why and "internal" not in why for why in failed.values()), failed
    assert verify(desk).empty
    again = run_night(desk, as_of=markets[0].as_of)
    assert not any(one.new for one in again.results) and again.code == 1
