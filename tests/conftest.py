"""Fixtures shared by all tests: the recorded market data, which may be absent."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ["COLUMNS"] = "160"  # pages are as wide in every process; tests of widths set their own
# drawn cases are judged by what they give, never by how long this machine took
settings.register_profile("laws", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("laws")
ROOT = Path(__file__).resolve().parents[1]


def data_folder(name: str) -> Path:
    """The folder of one recorded market, from $OPTIHEDGE_DATA or beside the project."""
    return Path(os.environ.get("OPTIHEDGE_DATA", ROOT.parent / "shared" / "data")) / name


@pytest.fixture(scope="session")
def recorded() -> Callable[[str], Path]:
    """recorded("spx_options_2019") -> its folder; the test is skipped where the data are absent."""

    def folder(name: str) -> Path:
        path = data_folder(name)
        if not path.is_dir():
            pytest.skip(f"recorded data {name} is not here; set OPTIHEDGE_DATA to its parent folder")
        return path

    return folder


@pytest.fixture(scope="session")
def example_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded example's market folder, written once; read it, do not change it."""
    from optihedge.example import write_example

    return write_example(tmp_path_factory.mktemp("example"))
