"""The ledger: the same key twice is once, A B A ends in A, nothing is lost, nothing leaves twice or unapproved."""

import uuid
from dataclasses import replace

import pandas as pd
import postgres
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from optihedge.accounts.state import Fill, Report, State
from optihedge.content import canonical_text, text_hash
from optihedge.desk.ledger import lists
from optihedge.desk.ledger.database import StorageError, get_text, open_ledger, put_text
from optihedge.desk.ledger.facts import due_fills, due_reports, import_fills, import_reports
from optihedge.desk.ledger.reading import find_run, made_of, run_of, runs_of
from optihedge.desk.ledger.runs import Asked, Made, claim, died, finish, standing
from optihedge.desk.ledger.schema import FOREVER, METADATA, TEXTS
from optihedge.errors import DataError, SpecError

FIRST, SECOND = "2026-01-20T12:00:00.000000000Z", "2026-01-21T12:00:00.000000000Z"
TRADES = "order_id,instrument\no1,PERP\n"
DONE = Made("done", "first", "always", after="{}", unsent='{"x":1}', trades=TRADES, orders=("o1",),
            files={"proposed.csv": TRADES}, applied=())  # fmt: skip


@pytest.fixture(scope="module")
def server():
    with postgres.server() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def ledger(request, tmp_path):
    if request.param == "sqlite":
        yield open_ledger(f"sqlite:///{tmp_path}/ledger.db")
        return
    found = open_ledger(postgres.fresh(request.getfixturevalue("server"), uuid.uuid4().hex))
    yield found
    found.engine.dispose()


def asked(word: str, as_of: str = FIRST, **fields) -> Asked:
    known = {"parent": None, "before": "", "parent_left": False, "submitter": "ann", "versions": "{}"}
    known |= {"book": "one", "model": "m", "role": "send", "snapshot": text_hash("market"), **fields}
    return Asked(inputs=canonical_text({"word": word, "as_of": as_of}), as_of=as_of, **known)


def run(ledger, what: Asked, made: Made = DONE) -> str:
    with ledger.write() as connection:
        name, fresh = claim(connection, what)
    if fresh:
        with ledger.write() as connection:
            finish(connection, name, what, made)
    return name


def row(ledger, name: str) -> dict:
    with ledger.read() as connection:
        return run_of(connection, name)


def approved(ledger, name: str, who: str = "bob", **settings) -> None:
    with ledger.write() as connection:
        lists.judge(connection, name, text_hash(TRADES), who, lists.APPROVED, **settings)


def leave(ledger, name: str) -> None:
    with ledger.write() as connection:
        lists.sending(connection, name)
    with ledger.write() as connection:
        lists.sent(connection, name)


def test_migrations_lead_to_the_tables_of_the_schema(ledger):
    with ledger.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    with ledger.write() as connection:
        connection.execute(sa.text("update alembic_version set version_num = 'of tomorrow'"))
    with pytest.raises(StorageError, match="later version"):
        open_ledger(ledger.engine.url.render_as_string(hide_password=False))


@pytest.mark.parametrize("table", sorted(FOREVER))
def test_the_database_itself_refuses_to_change_or_to_take_away_what_was_said(ledger, table):
    name = run(ledger, asked("a"))
    fill = Fill("f1", "o1", "PERP", 1.0, 100.0, pd.Timestamp(SECOND))
    approved(ledger, name)
    with ledger.write() as connection:
        import_fills(connection, [fill])
        import_reports(connection, [Report("o1", fill.time, "filled")])
    run(ledger, asked("b", SECOND, parent=name, parent_left=True), replace(DONE, orders=("o2",), applied=("f1",)))
    for verb in (METADATA.tables[table].delete(), METADATA.tables[table].update().values(_same(table))):
        with pytest.raises(StorageError, match="for ever"), ledger.write() as connection:
            connection.execute(verb)


def _same(table: str) -> dict:
    column = next(iter(METADATA.tables[table].columns))
    return {column.name: column}


def test_the_same_key_twice_is_once(ledger):
    first, second = (run(ledger, asked("a")) for _ in range(2))
    with ledger.read() as connection:
        assert first == second and len(runs_of(connection)) == 1


def test_a_b_a_ends_in_a(ledger):
    a, b = run(ledger, asked("a")), run(ledger, asked("b"))
    assert (row(ledger, a)["stands"], row(ledger, a)["list"]) == (False, "superseded")
    assert (row(ledger, b)["stands"], row(ledger, b)["list"]) == (True, "made")
    assert run(ledger, asked("a")) == a
    assert (row(ledger, a)["stands"], row(ledger, a)["list"]) == (True, "made")
    assert (row(ledger, b)["stands"], row(ledger, b)["list"]) == (False, "superseded")
    with ledger.read() as connection:
        assert made_of(connection, a) == DONE


def test_an_approval_is_of_these_bytes_by_another_person(ledger):
    name = run(ledger, asked("a"))
    with pytest.raises(SpecError, match="another person"):
        approved(ledger, name, who="ann")
    with pytest.raises(SpecError, match="not among the approvers"):
        approved(ledger, name, who="bob", approvers=("cy",))
    with pytest.raises(SpecError, match="look at it again"), ledger.write() as connection:
        lists.judge(connection, name, text_hash("other"), "bob", lists.APPROVED)
    with pytest.raises(SpecError, match="look at it again"), ledger.write() as connection:
        lists.judge(connection, name, text_hash(TRADES)[:6], "bob", lists.APPROVED)
    approved(ledger, name)
    assert row(ledger, name)["list"] == "approved"


def test_a_list_that_nobody_approved_or_that_was_vetoed_or_withdrawn_never_goes(ledger):
    a = run(ledger, asked("a"))
    with pytest.raises(DataError, match="approve it first"):
        leave(ledger, a)
    approved(ledger, a)
    with ledger.write() as connection:
        lists.judge(connection, a, text_hash(TRADES), "ann", lists.VETOED, "too large")
    with pytest.raises(DataError, match="vetoed"):
        leave(ledger, a)
    approved(ledger, a)
    run(ledger, asked("b"))
    with pytest.raises(DataError, match="superseded"):
        leave(ledger, a)
    run(ledger, asked("a"))
    with pytest.raises(DataError, match="is made"):  # stands again: approved anew or not at all
        leave(ledger, a)


def test_a_list_leaves_once_and_then_stands(ledger):
    a = run(ledger, asked("a"))
    approved(ledger, a)
    leave(ledger, a)
    with pytest.raises(DataError, match="leaves once"):
        leave(ledger, a)
    with pytest.raises(DataError, match="it stands"):
        run(ledger, asked("b"))
    with pytest.raises(DataError, match="already"):
        approved(ledger, a)
    assert run(ledger, asked("a")) == a and row(ledger, a)["list"] == "sent"


def test_the_next_night_cancels_a_list_that_never_left_and_only_the_last_night_may_be_run_again(ledger):
    a = run(ledger, asked("a"))
    b = run(ledger, asked("b", SECOND, parent=a), replace(DONE, orders=("o2",)))
    assert row(ledger, a)["list"] == "cancelled"
    with pytest.raises(DataError, match="only the last"):
        run(ledger, asked("c"))
    with ledger.read() as connection:
        assert [one["id"] for one in standing(connection, "one")] == [a, b]
        assert [one["id"] for one in standing(connection, "one", before=SECOND)] == [a]


def test_a_list_that_leaves_while_the_next_night_begins_stops_that_night(ledger):
    a = run(ledger, asked("a"))
    approved(ledger, a)
    leave(ledger, a)
    with pytest.raises(DataError, match="just being sent"):
        run(ledger, asked("b", SECOND, parent=a, parent_left=False))


def test_a_run_that_died_is_named_and_may_be_run_again(ledger):
    with ledger.write() as connection:
        name, _ = claim(connection, asked("a"))
    with ledger.write() as connection:
        assert [one["id"] for one in died(connection)] == [name]
    assert row(ledger, name)["status"] == "died"
    assert run(ledger, asked("a")) == name and row(ledger, name)["status"] == "done"


def test_a_transaction_that_fails_leaves_nothing(ledger):
    with pytest.raises(RuntimeError), ledger.write() as connection:
        claim(connection, asked("a"))
        raise RuntimeError
    with ledger.read() as connection:
        assert runs_of(connection) == []


def test_fills_are_imported_once_and_applied_once_in_the_chain_that_stands(ledger):
    a = run(ledger, asked("a"))
    fill = Fill("f1", "o1", "PERP", 0.1 + 0.2, 100.0, pd.Timestamp("2026-01-20T13:00:00Z"))
    with ledger.write() as connection:
        assert import_fills(connection, [fill]) == (1, 0)
        assert import_fills(connection, [fill]) == (0, 1)
        with pytest.raises(DataError, match="other figures"):
            import_fills(connection, [replace(fill, price=101.0)])
        with pytest.raises(DataError, match="--book"):
            import_fills(connection, [replace(fill, fill_id="f2", order_id="alien")])
        assert due_fills(connection, "one", FIRST) == []
        assert due_fills(connection, "one", SECOND) == [fill]
    b = run(ledger, asked("b", SECOND, parent=a, parent_left=True), replace(DONE, orders=("o2",), applied=("f1",)))
    third = SECOND.replace("-21", "-22")
    with ledger.read() as connection:
        assert due_fills(connection, "one", third) == [] and due_fills(connection, "one", SECOND) == [fill]
    run(ledger, asked("c", SECOND, parent=a, parent_left=True), replace(DONE, orders=("o2",), applied=()))
    with ledger.read() as connection:
        assert run_of(connection, b)["stands"] is False and due_fills(connection, "one", third) == [fill]


def test_final_words_are_kept_once_and_only_on_our_orders(ledger):
    run(ledger, asked("a"))
    word = Report("o1", pd.Timestamp("2026-01-20T13:00:00Z"), "cancelled", "too late")
    with ledger.write() as connection:
        assert import_reports(connection, [word]) == 1 and import_reports(connection, [word]) == 0
        with pytest.raises(DataError, match="keep one word"):
            import_reports(connection, [replace(word, verdict="filled")])
        with pytest.raises(DataError, match="no list"):
            import_reports(connection, [replace(word, order_id="alien")])
        state = State("one", 1, FIRST)
        assert due_reports(connection, state, SECOND) == []


def test_a_text_that_was_altered_is_named(ledger):
    with ledger.write() as connection:
        name = put_text(connection, "as it was")
        assert put_text(connection, "as it was") == name
        sqlite = connection.dialect.name == "sqlite"
        connection.execute(sa.text(f"drop trigger {'texts_UPDATE' if sqlite else 'texts_forever on texts'}"))
        connection.execute(TEXTS.update().values(body=b"x\x9c\x03\x00\x00\x00\x00\x01"))
    with pytest.raises(StorageError, match="altered"), ledger.read() as connection:
        get_text(connection, name)


def test_runs_are_found_by_their_first_digits_or_by_book_and_date(ledger):
    a = run(ledger, asked("a"))
    with ledger.read() as connection:
        assert find_run(connection, a[:8]) == find_run(connection, "one@2026-01-20") == a
        for word, error in (("one@2026-01-21", "no night"), ("on@2026", "did you mean one"), ("zzzzzz", "0 runs")):
            with pytest.raises(DataError, match=error):
                find_run(connection, word)
        with pytest.raises(SpecError, match="six digits"):
            find_run(connection, a[:3])


def test_urls_are_refused_with_a_remedy(tmp_path):
    for url, told in (("sqlite:////nowhere/at/all/x.db", "make it"), ("mysql://host/x", "of mysql"), ("what", "read"),
                      ("postgresql://ann:secret@host/x", "PGPASSWORD")):  # fmt: skip
        with pytest.raises(SpecError, match=told) as error:
            open_ledger(url)
        assert "secret" not in str(error.value)
    (tmp_path / "no.db").write_text("this is no database, whatever it is called")
    with pytest.raises(StorageError, match="not a database"):
        open_ledger(f"sqlite:///{tmp_path}/no.db")
