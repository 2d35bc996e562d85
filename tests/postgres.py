"""A PostgreSQL server of one's own, from Debian's package, for the tests that ask for one."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PORT = 54329
_SERVERS: dict[str, tuple[Path, list[str], Path]] = {}


def binaries() -> Path | None:
    """The folder of initdb and pg_ctl."""
    found = [Path(path).parent for name in ("initdb",) if (path := shutil.which(name))]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in found if (folder / "initdb").is_file()), None)


@contextlib.contextmanager
def server() -> Iterator[str]:
    """A server on a socket in a folder of its own; the URL of its databases, without a name at the end.

    Skips the test where the package is not there (apt-get install postgresql), or root cannot become its user.
    """
    folder = binaries()
    if folder is None:
        pytest.skip("PostgreSQL is not here: apt-get install postgresql")
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to be root
        if subprocess.run(["id", "postgres"], capture_output=True).returncode or not shutil.which("runuser"):
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres to become")
        as_user = ["runuser", "-u", "postgres", "--"]
    home = Path(tempfile.mkdtemp(prefix="pg"))
    try:
        home.chmod(0o777)
        os.environ.setdefault("PGUSER", "desk")

        _say(home, as_user, folder / "initdb", "-D", str(home / "data"), "-U", "desk", "-A", "trust", "--no-sync")
        _SERVERS[url := f"postgresql://desk@/{{name}}?host={home}&port={PORT}"] = (home, as_user, folder / "pg_ctl")
        start(url)
        try:
            yield url
        finally:
            stop(url)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def start(url: str) -> None:
    home, as_user, pg_ctl = _SERVERS[url]
    options = f"-k {home} -p {PORT} -c listen_addresses=''"
    _say(home, as_user, pg_ctl, "-D", str(home / "data"), "-w", "-o", options, "-l", str(home / "log"), "start")


def stop(url: str) -> None:
    """At once, as a machine that loses its power."""
    home, as_user, pg_ctl = _SERVERS[url]
    _say(home, as_user, pg_ctl, "-D", str(home / "data"), "-w", "-m", "immediate", "stop")


def restart(url: str, between: Callable[[], None]) -> None:
    stop(url)
    try:
        between()
    finally:
        start(url)


def _say(home: Path, as_user: list[str], *command: object) -> None:
    done = subprocess.run([*as_user, *map(str, command)], capture_output=True, text=True, cwd=home)
    assert done.returncode == 0, done.stdout + done.stderr


def fresh(url: str, name: str) -> str:
    """A new database of that name, and its URL."""
    import psycopg

    plain = url.format(name="postgres")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return url.format(name=name)
