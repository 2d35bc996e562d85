"""A Dask cluster computes what processes here compute, to the byte; a worker that is lost loses nothing."""

import os
import signal
import time

import pytest
from test_batch import bytes_of, fake, model, scaled_books

import optihedge
from optihedge.batch import cluster
from optihedge.batch.pool import results
from optihedge.batch.run import run_batch
from optihedge.batch.stop import Stop
from optihedge.errors import SpecError
from optihedge.market.book import read_book
from optihedge.market.folder import read_market

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("default")  # the cluster's own


@pytest.fixture(scope="module")
def two_workers():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None, silence_logs=50, host="127.0.0.1"
    ) as local:
        yield local.scheduler_address


@pytest.fixture(scope="module")
def market(example_folder):
    return read_market(example_folder, as_of="2016-06-30T20:00:00Z")


def workers_of(address):
    with distributed.Client(address, set_as_default=False) as client:
        return list(client.run(os.getpid).values())


def test_a_cluster_gives_the_same_bytes_even_where_a_worker_is_killed_in_the_middle(
    market, example_folder, tmp_path, two_workers
):
    books, models = scaled_books(example_folder, 6), {"vega": model("vega")}
    run_batch(market, books, models, tmp_path / "here")
    killed = []

    def kill_one():
        if not killed:
            killed.append(workers_of(two_workers)[0])
            os.kill(killed[0], signal.SIGKILL)

    ended = run_batch(market, books, models, tmp_path / "there", workers=two_workers, each=kill_one)
    assert killed and {one.status for one in ended.outcomes} == {"done"}
    assert bytes_of(tmp_path / "here") == bytes_of(tmp_path / "there")


def test_what_hangs_or_kills_its_workers_is_named_and_takes_no_other_with_it(
    market, example_folder, tmp_path, two_workers, monkeypatch
):
    book = read_book(example_folder / "book.csv")
    monkeypatch.setattr("optihedge.batch.work.GRACE", (1.0, 0.5))
    models = {"vega": model("vega"), "broken": fake("broken"), "dying": fake("dying")}
    ended = run_batch(market, {"main": book}, models, tmp_path, workers=two_workers, send="vega")
    found = {one.model: one for one in ended.outcomes}
    assert [found[name].status for name in models] == ["done", "failed", "failed"]
    assert "died at it again and again" in found["dying"].note and "a bug" in found["broken"].note


class Sleeper:
    """A job that keeps no deadline by itself."""

    deadline = 0.5

    def run(self, shared):
        time.sleep(5.0)

    def failed(self, why):
        return why


def test_a_job_beyond_its_deadline_is_given_up(two_workers, monkeypatch):
    monkeypatch.setattr("optihedge.batch.work.GRACE", (1.0, 0.5))
    ((number, why),) = results(None, [Sleeper()], two_workers, Stop())
    assert number == 0 and "deadline of 0.5 s" in why


def test_a_cluster_of_other_versions_is_refused_and_one_that_is_not_there_is_named(two_workers, monkeypatch):
    true = optihedge.__version__
    with monkeypatch.context() as patched:
        patched.setattr(optihedge, "__version__", "0.0.0")
        with pytest.raises(SpecError, match=rf"optihedge {true}, here 0\.0\.0; install the same"):
            list(results(None, [Sleeper()], two_workers, Stop()))
    monkeypatch.setattr(cluster, "_CONNECT", 0.5)
    with pytest.raises(OSError, match=r"tcp://127\.0\.0\.1:9 cannot be reached"):
        list(results(None, [Sleeper()], "tcp://127.0.0.1:9", Stop()))
