"""Orders out: each format, read back by a reader that is not ours, is the list; increments are exact."""

import io
import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import simplefix
from raw_messages import write_deribit
from recorded_markets import deribit_snapshots

from optihedge.batch.standing import standing
from optihedge.cli.main import main
from optihedge.errors import DataError, SpecError
from optihedge.hedge.modelfile import load_model
from optihedge.market.book import read_book
from optihedge.market.folder import read_market
from optihedge.market.snapshot import Market
from optihedge.trades.orders.formats import FORMATS, orders_bytes
from optihedge.trades.orders.table import COLUMNS, OrderStyle, beside, order_table
from optihedge.trades.table import trade_table
from optihedge.trades.tradelist import TradeList, trade_list

POSITIONS = [{"instrument_name": "BTC-27MAR26-90000-P", "size": -25.0, "direction": "sell", "average_price": 0.05}]
ACCOUNT = {"currency": "BTC", "equity": 10.5, "balance": 11.2, "options_value": -1.9, "margin_balance": 12.4}


@pytest.fixture(scope="module")
def sent(example_folder) -> TradeList:
    market, book = read_market(example_folder), read_book(example_folder / "book.csv")
    return trade_list(load_model("optimal_hedge").hedge(market, book), book="alpha")


@pytest.fixture(scope="module")
def coins(recorded, tmp_path_factory) -> Market:
    """A whole Deribit day from its own messages."""
    source, raw, folder = recorded("deribit_btc_2026"), tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("coins")
    assert deribit_snapshots(source)
    write_deribit(source, raw, 3, POSITIONS, ACCOUNT)
    assert main(["import", "deribit", str(raw), "--to", str(folder)]) == 0
    return read_market(folder)


def fix_messages(body: bytes) -> list[simplefix.FixMessage]:
    parser = simplefix.FixParser()
    parser.append_buffer(body)
    found = []
    while (message := parser.get_message()) is not None:
        found.append(message)
    return found


def field(message: simplefix.FixMessage, tag: int, nth: int = 1) -> str:
    return message.get(tag, nth).decode()


def signed(lines: pd.DataFrame) -> list[tuple[str, Decimal, Decimal]]:
    """Of a list's lines: order id, amount (buys above 0) and price."""
    rows = zip(lines["order_id"], lines["quantity"], lines["venue_amount"], lines["limit_price"], strict=True)
    return sorted((i, Decimal(repr(float(np.sign(q) * a))), Decimal(repr(float(p)))) for i, q, a, p in rows)


def read_back(orders: pd.DataFrame, format: str) -> list[tuple[str, Decimal, Decimal]]:
    """Id, signed amount and price of each order, by readers of the format."""
    body = orders_bytes(orders, format)
    sign = {"BUY": 1, "SELL": -1, "buy": 1, "sell": -1, "1": 1, "2": -1}
    if format in ("csv", "ibkr", "parquet"):
        frame = pd.read_parquet(io.BytesIO(body)) if format == "parquet" else pd.read_csv(io.BytesIO(body), dtype=str)
        names = ("OrderRef", "Action", "Quantity", "LmtPrice") if format == "ibkr" else (
            "order_id", "side", "amount", "price")  # fmt: skip
        rows = frame[list(names)].itertuples(index=False)
    elif format == "jsonl":
        rows = [[row[k] for k in ("order_id", "side", "amount", "price")] for row in map(json.loads, body.splitlines())]
    elif format == "ccxt":
        calls = [json.loads(line)["arguments"] for line in body.splitlines()]
        rows = [[c["params"]["clientOrderId"], c["side"], repr(c["amount"]), repr(c["price"])] for c in calls]
    elif format == "fix":
        rows = [[field(m, t) for t in (11, 54, 38, 44)] for m in fix_messages(body)]
    else:
        rows = [
            [field(m, t, n) for t in (11, 54, 38, 44)]
            for m in fix_messages(body)
            for n in range(1, int(field(m, 73)) + 1)
        ]
    return sorted((i, sign[s] * Decimal(a), Decimal(p)) for i, s, a, p in rows)


@pytest.mark.parametrize("format", list(FORMATS))
def test_each_format_read_back_is_the_list(sent, format):
    if format == "parquet":
        pytest.importorskip("pyarrow")
    assert read_back(sent.orders(), format) == signed(sent.table) and len(sent)


@pytest.mark.parametrize("format", ["fix", "fix-list"])
def test_a_fix_message_has_its_length_sum_and_required_fields(sent, format):
    body = orders_bytes(sent.orders(), format, sender="DESK7", target="BROKER")
    frames = [b"8=FIX.4.4" + part for part in body.split(b"8=FIX.4.4")[1:]]
    required = {"fix": (11, 21, 55, 54, 60, 38, 40, 59), "fix-list": (66, 394, 68, 73, 11, 67, 55, 54)}[format]
    for number, (frame, message) in enumerate(zip(frames, fix_messages(body), strict=True), start=1):
        head, _, rest = frame.partition(b"\x01")
        length, _, inside = rest.partition(b"\x01")
        end = inside.rindex(b"10=")
        assert head == b"8=FIX.4.4" and int(length[2:]) == end
        assert int(inside[end + 3 : -1]) == sum(frame[: len(frame) - len(inside) + end]) % 256
        assert (field(message, 34), field(message, 49), field(message, 56)) == (str(number), "DESK7", "BROKER")
        assert all(message.get(tag) is not None for tag in required)


def test_every_order_is_a_whole_multiple_of_the_venues_lot_and_tick(coins, random_orders=10_000):
    """Filters of a whole recorded venue: amounts and prices are exact decimals, above the minimum."""
    rng, made = np.random.default_rng(7), 0
    names = coins.instruments.index[coins.instruments["hedge"] & coins.quotes[["bid", "ask"]].notna().all(axis=1)]
    facts = coins.instruments.loc[names]
    while made < random_orders:
        lots = rng.integers(1, 500, len(names)) * rng.choice([-1, 1], len(names))
        least = np.ceil(facts["min_quantity"] / facts["lot"] - 1e-9)
        quantity = pd.Series(np.sign(lots) * np.maximum(np.abs(lots), least) * facts["lot"], index=names)
        for urgency in ("take", "middle", "join"):
            orders = order_table(coins, trade_table(coins, quantity), style=OrderStyle(urgency=urgency))
            own = facts.loc[orders["instrument"]]
            for o, lot, tick, unit in zip(
                orders.itertuples(), own["lot"], own["tick"], own["venue_amount"], strict=True
            ):
                assert Decimal(o.amount) % (Decimal(repr(lot)) * Decimal(repr(unit))) == 0 < Decimal(o.amount)
                assert Decimal(o.price) % Decimal(repr(tick)) == 0 < Decimal(o.price), (o.symbol, o.price, tick)
            assert (orders["symbol"] == own["symbol"].to_numpy()).all()
            made += len(orders)


def test_an_order_that_waits_never_pays_more_than_the_proved_one(coins):
    names = coins.instruments.index[coins.instruments["hedge"] & coins.quotes[["bid", "ask"]].notna().all(axis=1)][:200]
    for sign in (1.0, -1.0):
        lines = trade_table(coins, sign * 5 * coins.instruments.loc[names, "lot"])
        price = {u: order_table(coins, lines, style=OrderStyle(urgency=u))["price"].astype(float)
                 for u in ("take", "middle", "join")}  # fmt: skip
        assert (sign * (price["take"] - price["middle"]) >= 0).all()
        assert (sign * (price["middle"] - price["join"]) >= 0).all()


def test_a_line_off_its_lot_or_tick_or_below_its_minimum_is_refused_by_name(sent):
    market, lines = sent.hedge.market, sent.table
    first = lines["instrument"].iloc[0]
    for change, word in (({"quantity": lines["quantity"] + 0.37}, "lot|increment"),
                         ({"limit_price": lines["limit_price"] + 0.0031}, "tick")):  # fmt: skip
        with pytest.raises(DataError, match=word) as raised:
            order_table(market, lines.assign(**change))
        assert first in str(raised.value)
    with pytest.raises(DataError, match="no instrument"):
        order_table(market, lines.assign(instrument="ELSE"))


def test_a_held_list_has_no_orders(sent, tmp_path):
    held = trade_list(sent.hedge, checks={"total_notional": 1.0})
    with pytest.raises(SpecError, match="held"):
        held.to_orders(tmp_path / "orders.fix", "fix")
    assert not (tmp_path / "orders.fix").exists()


def test_open_orders_are_repeated_replaced_or_cancelled(sent):
    orders = sent.orders()
    again = sent.orders(open_orders=orders)
    assert (again["action"] == "repeat").all() and orders_bytes(again, "fix") == b""
    moved = sent.table.assign(order_id=["o" + f"{i:015d}" for i in range(len(sent))])
    earlier = pd.concat([moved.iloc[1:], moved.iloc[:1].assign(instrument="GONE")])
    after = beside(orders, earlier)
    assert list(after["action"]) == ["cancel", "new"] + ["replace"] * (len(orders) - 1)
    assert list(after["replaces"].iloc[2:]) == list(moved["order_id"].iloc[1:])
    kinds = [field(m, 35) for m in fix_messages(orders_bytes(after.iloc[1:], "fix"))]
    assert sorted(kinds) == ["D"] + ["G"] * (len(orders) - 1)
    methods = [json.loads(line)["method"] for line in orders_bytes(after, "ccxt").splitlines()]
    assert methods.count("cancelOrder") == len(orders) and methods.count("createOrder") == len(orders)
    with pytest.raises(SpecError, match="basket cannot"):
        orders_bytes(after, "ibkr")


def test_a_call_of_ccxt_without_an_exchange_is_refused_by_name(sent):
    orders = sent.orders()
    name = orders["instrument"].iloc[0]
    at = orders.assign(venue="binance")
    assert b'"exchange": "binance"' in orders_bytes(at, "ccxt")
    for nowhere in ("", None, " "):
        with pytest.raises(DataError, match=f"{name}: no venue.*a column venue"):
            orders_bytes(at.assign(venue=at["venue"].mask(at["instrument"] == name, nowhere)), "ccxt")


def test_an_order_that_closes_is_reduce_only_and_no_other(sent):
    name = sent.table["instrument"].iloc[0]
    traded = float(sent.table["quantity"].iloc[0])
    for held, closes in ((-traded, True), (-2 * traded, True), (-0.5 * traded, False), (traded, False), (0.0, False)):
        table = order_table(sent.hedge.market, sent.table, held=pd.Series({name: held}))
        assert table["reduce_only"].tolist() == [closes] + [False] * (len(table) - 1)


@pytest.mark.parametrize("name", ["=1+1", "a\x01b", "\u202eevil", "ÄÖ"])
def test_hostile_symbols_are_text_or_refused(sent, name):
    orders = sent.orders().assign(symbol=name)
    cells = pd.read_csv(io.BytesIO(orders_bytes(orders, "csv")), dtype=str)["symbol"]
    assert not cells.str.startswith(("=", "+", "-", "@")).any()
    if name.isascii() and name.isprintable():
        assert fix_messages(orders_bytes(orders, "fix"))
    else:
        with pytest.raises(DataError, match="FIX field 55"):
            orders_bytes(orders, "fix")


def test_the_command_line_writes_orders_of_lists_that_stand_and_of_no_other(example_folder, tmp_path):
    out = tmp_path / "out"
    assert main(["run", "beta_hedge", "--data", str(example_folder), "--out", str(out), "--as-of",
                 str(read_market(example_folder).as_of)]) == 0  # fmt: skip
    (folder,) = [p for p in out.iterdir() if p.is_dir()]
    to = tmp_path / "orders.fix"
    call = ["orders", str(folder), "--data", str(example_folder), "--format", "fix", "--to", str(to)]
    assert main(call) == 0
    (lines,) = standing(folder).lists.values()
    assert sorted(field(m, 11) for m in fix_messages(to.read_bytes())) == sorted(lines["order_id"])
    first, table = lines.iloc[0], tmp_path / "orders.csv"
    (tmp_path / "book.csv").write_text(f"instrument,quantity\n{first['instrument']},{-2 * first['quantity']}\n")
    for positions, closes in (([], 0), (["--positions", str(tmp_path / "book.csv")], 1)):
        assert main([*call[:-3], "csv", "--to", str(table), *positions]) == 0
        assert pd.read_csv(table)["reduce_only"].sum() == closes
    (path,) = folder.glob("*/*/trades.csv")
    path.write_text(path.read_text().replace("SELL", "BUY"))
    to.unlink()
    assert main(call) == 3 and not to.exists()


def test_styles_and_formats_are_refused_by_name(sent):
    with pytest.raises(SpecError, match="did you mean day"):
        OrderStyle(time_in_force="dai")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="ccxt"):
        orders_bytes(sent.orders(), "cxxt")


def test_the_documentation_names_every_format_and_column() -> None:
    page = (Path(__file__).parents[1] / "docs" / "howto" / "orders.md").read_text()
    assert all(f"`{name}`" in page for name in FORMATS)
    told = "".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    assert all(f"`{name}`" in told for name in COLUMNS)
