"""The command line: what each command prints and leaves, and the exit codes a scheduler relies on."""

import json
import os
import shutil
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest

from optihedge.batch.read import read_once
from optihedge.batch.stop import Stopped
from optihedge.cli import main, night
from optihedge.cli.codes import code_of, status_of
from optihedge.desk.doctor import doctor
from optihedge.errors import DataError
from optihedge.lock import locked
from optihedge.market.folder import read_market
from optihedge.market.snapshot import Market

AS_OF = "2016-06-30T20:00:00Z"
INSTANT = "2016-06-30T200000Z"


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and everything printed, on one line per line."""
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_run_writes_a_list_a_report_and_a_summary(
    example_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = run(
        ["run", "beta_hedge", "--data", str(example_folder), "--as-of", AS_OF, "--out", str(tmp_path)], capsys
    )
    assert code == 0, text
    folder = tmp_path / INSTANT / "book" / "beta_hedge"
    assert {p.name for p in folder.iterdir()} >= {
        "trades.csv", "exposures.csv", "limits.csv", "risk.csv", "costs.csv", "baselines.csv", "result.json",
        "report.html", "manifest.json",
    }  # fmt: skip
    trades = pd.read_csv(folder / "trades.csv")
    assert len(trades) and (trades["model"] == "beta_hedge").all()
    result = json.loads((folder / "result.json").read_text())
    assert result["certificate"]["status"] == "rounded" and result["volatility_after"] < result["volatility_before"]
    assert "beta_hedge: trades" in text and "no hedge at all can do better than" in text


def test_without_as_of_old_quotes_are_refused_with_the_remedy(
    example_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = run(["run", "beta_hedge", "--data", str(example_folder), "--out", str(tmp_path)], capsys)
    assert code == 3 and "older than max_age" in text and "--as-of" in text
    assert [p.name for p in tmp_path.iterdir()] == ["STATUS.json"]
    status = json.loads((tmp_path / "STATUS.json").read_text())
    assert (status["status"], status["exit_code"], status["instant"]) == ("refused", 3, AS_OF)
    assert "older than max_age" in status["why"]


def test_a_missing_market_or_model_is_exit_code_3_and_named(
    example_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "out")]
    code, text = run(["run", "beta_hedge", "--data", str(tmp_path / "nowhere"), *out], capsys)
    assert code == 3 and "is no folder" in text
    code, text = run(["run", "beta_hegde", "--data", str(example_folder), *out], capsys)
    assert code == 3 and "did you mean beta_hedge?" in text
    assert "did you mean beta_hedge?" in json.loads((tmp_path / "out" / "STATUS.json").read_text())["why"]
    bad = tmp_path / "bad.toml"
    bad.write_text('description = "x"\n[checks]\nvolum = 0.1\n')
    code, text = run(["check", str(bad), "nosuch", "--data", str(example_folder)], capsys)
    assert code == 3 and "did you mean volume?" in text and "'nosuch'" in text, "all mistakes at once"


def test_wrong_usage_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin = ["run", "beta_hedge", "--data", "x", "--out", str(tmp_path)]
    assert run(["run"], capsys)[0] == 2
    assert run(["nonsense"], capsys)[0] == 2
    assert run([*begin, "--workers", "0"], capsys)[0] == 2
    code, text = run([*begin, "--workers", "100000"], capsys)
    assert code == 2 and "100000 is more than this machine serves; give at most" in text
    code, text = run([*begin, "--deadline", "5"], capsys)
    assert code == 2 and "write a unit: 5m, 90s" in text
    assert run([*begin, "--deadline", "soon"], capsys)[0] == 2
    code, text = run([*begin, "--send", "delta"], capsys)
    assert code == 2 and "delta is not among the models of this run (beta_hedge)" in text


@pytest.mark.parametrize("below", ["", "deeper"])
def test_an_out_that_cannot_be_written_is_wrong_usage(
    below: str, example_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("not a folder")
    out = str(tmp_path / "file" / below)
    for arguments in (["run", "beta_hedge", "--data", str(example_folder), "--as-of", AS_OF], ["demo"]):
        code, text = run([*arguments, "--out", out], capsys)
        assert code == 2 and "cannot be written" in text and "internal error" not in text


def test_a_broken_book_is_named_the_others_are_hedged_and_the_exit_code_is_1(
    example_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "odd.csv").write_text("instrument,quantity\nNOSUCH,5\n")
    (tmp_path / "good.csv").write_text("instrument,quantity\nAAPL,1000\n")
    books = [part for name in ("odd", "good") for part in ("--book", str(tmp_path / f"{name}.csv"))]
    code, text = run(
        ["run", "beta_hedge", "--data", str(example_folder), "--as-of", AS_OF, "--out", str(tmp_path / "out"), *books],
        capsys,
    )
    assert code == 1 and "NOSUCH" in text
    assert (tmp_path / "out" / INSTANT / "good" / "beta_hedge" / "trades.csv").is_file()
    summary = json.loads((tmp_path / "out" / INSTANT / "summary.json").read_text())
    assert [(row["book"], row["status"]) for row in summary] == [("good", "done"), ("odd", "failed")]


def test_a_book_without_rows_is_held_unless_allowed(
    example_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, header in (("empty", "instrument,quantity\n"), ("named", "book,instrument,quantity\n")):
        (tmp_path / f"{name}.csv").write_text(header)
        arguments = ["run", "beta_hedge", "--data", str(example_folder), "--as-of", AS_OF, "--out", str(tmp_path),
                     "--book", str(tmp_path / f"{name}.csv")]  # fmt: skip
        code, text = run(arguments, capsys)
        assert code == 1 and "a header and no rows" in " ".join(text.split())
        code, text = run([*arguments, "--allow-empty"], capsys)
        assert code == 0, text
        assert pd.read_csv(tmp_path / INSTANT / name / "beta_hedge" / "trades.csv").empty


def test_a_second_run_of_one_process_trades_on_the_new_prices(
    example_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    shutil.copytree(example_folder, data)
    lists = []
    for factor in (1.0, 0.95):
        quotes = pd.read_csv(data / "quotes.csv")
        quotes.loc[quotes["instrument"] == "ES-SEP16", ["bid", "ask"]] *= factor
        quotes.to_csv(data / "quotes.csv", index=False)
        out = tmp_path / str(factor)
        assert run(["run", "beta_hedge", "--data", str(data), "--as-of", AS_OF, "--out", str(out)], capsys)[0] == 0
        lists.append(pd.read_csv(next(out.rglob("trades.csv"))).set_index("instrument").loc["ES-SEP16", "limit_price"])
    assert lists[1] == pytest.approx(0.95 * lists[0], rel=1e-3)


def test_a_folder_that_changes_while_it_is_read_is_read_again_or_refused(
    example_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    shutil.copytree(example_folder, data)
    reads = []

    def meddled(folder: Path, *, as_of: str | None) -> Market:
        market = read_market(folder, as_of=as_of)
        reads.append(market)
        if len(reads) < changes:
            text = (folder / "quotes.csv").read_text()
            (folder / "quotes.csv").write_text(text + "\n")  # a blank line: what it says is the same
            os.utime(folder / "quotes.csv", ns=(len(reads), len(reads)))
        return market

    monkeypatch.setattr("optihedge.batch.read.read_market", meddled)
    changes = 2
    market, digest = read_once(data, AS_OF)
    assert len(reads) == 2 and market is reads[1] and digest == read_once(data, AS_OF)[1]
    changes = 100
    with pytest.raises(DataError, match="changed while it was read, 3 times"):
        read_once(data, AS_OF)


def test_what_the_pages_say_of_a_night_is_said_of_the_bytes_that_were_hedged(
    example_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that changes between the market and the doctor, or a book: all of it is read again."""
    data, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(example_folder, data)
    book = tmp_path / "mine.csv"
    shutil.copy(data / "book.csv", book)
    looked = []

    def meddled(*arguments: object, **options: object) -> object:
        found = doctor(*arguments, **options)  # type: ignore[arg-type]
        looked.append(options["market"])
        if len(looked) == 1:
            quotes = pd.read_csv(data / "quotes.csv")
            quotes.loc[quotes["instrument"] == "ES-SEP16", ["bid", "ask"]] *= 0.95
            quotes.to_csv(data / "quotes.csv", index=False)
        if len(looked) == 2:
            book.write_text(book.read_text().replace("40780", "50780"))
        return found

    monkeypatch.setattr("optihedge.desk.doctor.doctor", meddled)
    asked = ["run", "beta_hedge", "--data", str(data), "--book", str(book), "--as-of", AS_OF, "--out", str(out)]
    assert run(asked, capsys)[0] == 0
    orders = json.loads(next(out.rglob("orders.json")).read_text())
    assert len(looked) == 3 and len({market.hash for market in looked}) == 2
    assert orders["market_hash"] == looked[2].hash == read_market(data, as_of=AS_OF).hash
    summary = pd.read_csv(next(out.rglob("summary.csv")))
    asked[-1] = str(tmp_path / "again")
    assert run(asked, capsys)[0] == 0
    again = json.loads(next((tmp_path / "again").rglob("orders.json")).read_text())
    assert orders == again and len(summary) == 1  # lists to the byte: of the third book, too


def test_another_run_at_the_same_instant_is_exit_code_75(
    example_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / INSTANT).mkdir()
    with locked(tmp_path / INSTANT):
        code, text = run(
            ["run", "beta_hedge", "--data", str(example_folder), "--as-of", AS_OF, "--out", str(tmp_path)], capsys
        )
    assert code == 75 and "another run (process" in text
    status = json.loads((tmp_path / "STATUS.json").read_text())
    assert (status["status"], status["exit_code"], status["instant"]) == ("refused", 75, AS_OF)


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [(["--workers", "9999"], 2, "more than this machine serves"), (["--deadline", "5"], 2, "write a unit: 5m"),
     (["--deadline", "soon"], 2, "soon"), (["--send", "other"], 2, "not among the models of this run"),
     (["--book", "absent.csv"], 3, "absent.csv"), (["--as-of", "2199-01-01"], 3, "is after now")],
)  # fmt: skip
def test_whatever_refuses_a_run_replaces_the_status_of_an_earlier_one(
    words: list[str], code: int, why: str, example_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "STATUS.json").write_text('{"status": "finished", "exit_code": 0}')
    given = ["run", "beta_hedge", "--data", str(example_folder), "--as-of", AS_OF, "--out", str(tmp_path), *words]
    assert run(given, capsys)[0] == code
    status = json.loads((tmp_path / "STATUS.json").read_text())
    assert (status["status"], status["exit_code"]) == ("refused", code) and why in status["why"]
    assert not list(tmp_path.rglob("trades.csv"))


@pytest.mark.parametrize("how", ["", "--quiet", "--json"])
def test_what_a_run_withdraws_is_said_however_little_it_prints(
    how: str, example_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["run", "--data", str(example_folder), "--as-of", AS_OF, "--out", str(tmp_path), *([how] if how else [])]
    assert run([*given, "delta_neutral"], capsys)[0] == 0
    assert main([*given, "beta_hedge"]) == 0
    printed = capsys.readouterr()
    told = printed.err if how else printed.out
    assert "withdrawn" in told and "the list of book by delta_neutral" in " ".join(told.split())
    if how == "--json":
        json.loads(printed.out)


def test_check_names_fees_borrow_and_funding_that_no_term_charges(
    example_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A short stock that costs to borrow, a perpetual that pays funding, and a model that charges spread alone."""
    data = shutil.copytree(example_folder, tmp_path / "data")
    instruments, quotes = pd.read_csv(data / "instruments.csv"), pd.read_csv(data / "quotes.csv")
    quotes.loc[quotes["instrument"] == "AAPL", "borrow_rate"] = 0.05
    perpetual = {
        "instrument": "SPX-PERP",
        "type": "perpetual",
        "underlying": "SPX",
        "multiplier": 1.0,
        "lot": 1.0,
        "hedge": True,
    }
    mid = quotes.loc[quotes["instrument"] == "ES-SEP16", "bid"].iloc[0]
    rates = {"instrument": "SPX-PERP", "bid": mid - 0.1, "ask": mid + 0.1, "funding_rate": 1e-4, "funding_hours": 8.0}
    pd.concat([instruments, pd.DataFrame([perpetual])]).to_csv(data / "instruments.csv", index=False)
    pd.concat([quotes, pd.DataFrame([rates])]).to_csv(data / "quotes.csv", index=False)
    book = pd.read_csv(data / "book.csv").assign(
        quantity=lambda t: t["quantity"].where(t["instrument"] != "AAPL", -1e4)
    )
    pd.concat([book, pd.DataFrame([{"instrument": "SPX-PERP", "quantity": 10.0}])]).to_csv(
        data / "book.csv", index=False
    )
    spread = '[[objective]]\ntype = "Variance"\nrelative = 300\n[[objective]]\ntype = "SpreadCost"\n'
    text = 'description = "d"\n[risk]\ntype = "EwmaRisk"\nhalflife = 63\n' + spread
    (tmp_path / "bare.toml").write_text(text)
    whole = '[[objective]]\ntype = "FeeCost"\n[[objective]]\ntype = "HoldingCost"\nfunding = true\n'
    (tmp_path / "whole.toml").write_text(text + whole)
    for name in ("bare", "whole"):
        code, told = run(["check", str(tmp_path / f"{name}.toml"), "--data", str(data), "--as-of", AS_OF], capsys)
        said = " ".join(told.replace("│", " ").split())
        assert code == 0
        for cost in ("fees of", "borrow of", "funding of"):
            assert (cost in said) == (name == "bare"), (cost, said)


def test_check_reads_everything_and_solves_nothing(
    example_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("optihedge.hedge.answer.solve", None)
    code, text = run(["check", "beta_hedge", "optimal_hedge", "--data", str(example_folder)], capsys)
    assert code == 0 and "25 equity" in text and text.count(" ok ") == 2
    assert "run would refuse" in text and "or say --as-of" in " ".join(text.split())
    assert not list(tmp_path.iterdir())


def test_explain_says_what_binds_and_what_it_costs(example_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = run(["explain", "beta_hedge", "--data", str(example_folder), "--as-of", AS_OF], capsys)
    assert code == 0 and "binding limits" in text and "baselines" in text
    assert "beta:SPX is at its" in text and " saves " in text and "of a volatility of" in text


def test_explain_names_what_must_give_way(
    example_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "tight.toml"
    model.write_text(
        'description = "x"\n'
        'constraints = [{ type = "Neutral", exposure = "vega" }, { type = "TurnoverLimit", limit = 1000.0 }]\n'
    )
    code, text = run(["explain", str(model), "--data", str(example_folder), "--as-of", AS_OF], capsys)
    assert code == 1 and "one way to make it feasible is" in text and "turnover" in text


@pytest.mark.parametrize("command", [[], ["run"], ["check"], ["explain"], ["evaluate"], ["demo"]])
def test_help_teaches_with_an_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, text = run([*command, "--help"], capsys)
    assert code == 0
    assert f"optihedge {command[0] if command else 'demo'}" in text


def test_it_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = run(["--version"], capsys)
    assert code == 0 and text.split() == ["optihedge", version("optihedge")]


def test_a_file_that_cannot_be_read_is_named_and_no_internal_error(
    example_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "quotes.csv")

    monkeypatch.setattr("optihedge.market.folder.read_market", refused)
    code, text = run(["check", "beta_hedge", "--data", str(example_folder)], capsys)
    assert code == 5 and "Permission denied: 'quotes.csv'" in text and "internal" not in text


def test_the_demo_hedges_with_every_shipped_model_in_under_a_gigabyte(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from optihedge.cli import main; code = main(['demo', '--out', sys.argv[1]]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("beta_hedge", "delta_neutral", "market_neutral", "optimal_hedge", "quantitative"):
        assert (tmp_path / INSTANT / "book" / name / "manifest.json").is_file()
    assert (tmp_path / INSTANT / "book" / "optimal_hedge" / "trades.csv").is_file()
    assert "proof: rounded" in done.stdout and "regression beta" in done.stdout
    kilobytes = int(done.stdout.split()[-1]) / (1024 if sys.platform == "darwin" else 1)
    assert kilobytes < 1024**2


def test_evaluate_ranks_estimators_and_draws(
    example_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "risk.png"
    code, text = run(
        ["evaluate", "--data", str(example_folder), "--start", "400", "--refit", "50", "--plot", str(picture)], capsys
    )
    assert code == 0, text
    assert "Ledoit-Wolf 252" in text and "EWMA 63" in text and "qlike" in text
    assert picture.read_bytes().startswith(b"\x89PNG")
    code, text = run(["evaluate", "--data", str(example_folder), "--hedge", "NOSUCH"], capsys)
    assert code == 3 and "NOSUCH" in text


def test_an_internal_error_saves_its_trace(
    example_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("optihedge.market.folder.read_market", broken)
    code, text = run(["check", "beta_hedge", "--data", str(example_folder)], capsys)
    assert code == 6 and "internal error" in text
    path = Path(text.split("trace is in ")[1].split(": please")[0].replace("\n", ""))
    assert "ZeroDivisionError: a bug" in path.read_text()


def test_an_interrupt_leaves_whole_results_and_says_so(
    example_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("optihedge.batch.job.hedge_one", interrupted)
    arguments = ["run", "beta_hedge", "--data", str(example_folder), "--as-of", AS_OF, "--out", str(tmp_path)]
    code, text = run(arguments, capsys)
    assert code == 130 and "run again" in text
    assert not list(tmp_path.rglob("trades.csv"))
    rows = json.loads((tmp_path / INSTANT / "summary.json").read_text())
    assert [(row["status"], "stopped by SIGINT" in row["note"]) for row in rows] == [("failed", True)]
    assert json.loads((tmp_path / "STATUS.json").read_text())["status"] == "stopped"


def test_a_stop_before_anything_is_hedged_leaves_its_status(
    example_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optihedge.market.folder.read_market", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    arguments = ["run", "beta_hedge", "--data", str(example_folder), "--as-of", AS_OF, "--out", str(tmp_path)]
    assert run(arguments, capsys)[0] == 143
    assert json.loads((tmp_path / "STATUS.json").read_text())["exit_code"] == 143


@pytest.mark.parametrize(("stop", "exit_code"), [(KeyboardInterrupt(), 130), (Stopped(signal.SIGTERM), 143)])
@pytest.mark.parametrize("carrier", [RuntimeError("__set_name__"), DataError("not read")], ids=repr)
def test_a_stop_that_another_error_was_raised_from_is_a_stop(
    example_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    carrier: Exception, stop: BaseException, exit_code: int,
) -> None:  # fmt: skip
    """Python before 3.12 raises RuntimeError from whatever meets it while a class is made, at an import say."""

    def interrupted(*_: object, **__: object) -> None:
        raise carrier from stop

    monkeypatch.setattr("optihedge.market.folder.read_market", interrupted)
    code, text = run(["check", "beta_hedge", "--data", str(example_folder)], capsys)
    assert code == exit_code and "run again" in text and "internal error" not in text
    arguments = ["run", "beta_hedge", "--data", str(example_folder), "--as-of", AS_OF, "--out", str(tmp_path)]
    assert run(arguments, capsys)[0] == exit_code
    assert json.loads((tmp_path / "STATUS.json").read_text())["status"] == "stopped"


def test_an_error_that_was_raised_from_itself_is_a_bug() -> None:
    error = RuntimeError("a bug")
    error.__cause__ = error
    assert (code_of(error), status_of(error)) == (6, "failed")


def test_into_a_pipe_it_prints_no_markup_and_no_progress(example_folder: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "optihedge", "run", "beta_hedge", "market_neutral", "--data", str(example_folder),
         "--as-of", AS_OF, "--out", str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "\x1b" not in done.stdout and "[/" not in done.stdout and "hedging" not in done.stdout
    assert done.stderr == ""


def test_a_move_that_may_be_an_error_is_said_and_listed(
    example_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(example_folder, data)
    history = pd.read_csv(data / "history.csv")
    history.loc[100, "AAPL"] *= 100
    history.to_csv(data / "history.csv", index=False)
    day = history["time"].iloc[100][:10]
    code, text = run(["check", "beta_hedge", "--data", str(data), "--as-of", AS_OF], capsys)
    assert code == 0 and f"wrong units of AAPL: {day}" in " ".join(text.split())
    code, text = run(["run", "beta_hedge", "--data", str(data), "--as-of", AS_OF, "--out", str(out)], capsys)
    assert code == 0 and f"wrong units of AAPL: {day}" in " ".join(text.split())
    (listed,) = out.rglob("suspect_moves.csv")
    index = (listed.parent / "index.html").read_text(encoding="utf-8")
    assert "Moves of the history that may be errors" in index and all(
        name in index for name in pd.read_csv(listed)["driver"]
    )
    assert "AAPL" in pd.read_csv(listed)["driver"].tolist()


def test_where_no_book_can_be_read_an_old_list_goes_and_names_are_no_formulas(
    example_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book, out = tmp_path / "=1+1.csv", tmp_path / "out"
    shutil.copy(example_folder / "book.csv", book)
    arguments = ["run", "beta_hedge", "--data", str(example_folder), "--as-of", AS_OF, "--out", str(out)]
    arguments += ["--book", str(book)]
    assert run(arguments, capsys)[0] == 0
    assert len(list(out.rglob("trades.csv"))) == 1
    (summary,) = out.rglob("summary.csv")
    assert summary.read_text().splitlines()[1].startswith("'=1+1,")
    book.write_text("instrument,quantity\nAAPL,ten\n")
    code, text = run(arguments, capsys)
    assert code == 3 and "'ten'" in text
    assert not list(out.rglob("trades.csv"))
    assert "failed" in summary.read_text()


def test_a_run_says_each_of_its_warnings_and_notes_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert run(["init", str(tmp_path / "desk")], capsys)[0] == 0
    quotes = pd.read_csv(tmp_path / "desk" / "quotes.csv")
    quotes.loc[quotes["instrument"] == "ACME-100-C", "volume"] = 1.0  # 40 are held
    quotes.to_csv(tmp_path / "desk" / "quotes.csv", index=False)
    data = ["--data", str(tmp_path / "desk"), "--out", str(tmp_path / "out")]
    code, text = run(["run", str(tmp_path / "desk" / "model.toml"), *data], capsys)
    assert code == 0 and text.count("days of volume") == 1 and text.count("risk of ACME") == 1
    assert "1 result in" in text and "lines" in text and "note: warning" not in text


def test_a_proof_says_what_lots_cost_and_what_they_save_beyond_a_band() -> None:
    costly = night._proof({"status": "rounded", "objective": 96.5, "bound": 96.09, "gap": 0.41}, "USD")
    assert costly.endswith("no hedge at all can do better than 96.0900: lots cost at most 0.4100")
    saving = night._proof({"status": "rounded", "objective": 95.22, "bound": 96.09, "gap": -0.87}, "USD")
    assert "better than 96.0900 inside its bands: lots save 0.8700 by ending" in saving
