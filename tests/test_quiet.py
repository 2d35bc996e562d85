"""Nothing but what the program says reaches standard output, whatever a solver prints by itself."""

import ctypes
import os
import sys

import pytest

from optihedge.program.quiet import quiet_output

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the C library is another one")


def test_native_lines_inside_go_nowhere_and_those_around_stay_in_order(capfd):
    native = ctypes.CDLL(None)
    native.puts(b"before")
    with quiet_output():
        native.puts(b"inside")
        os.write(1, b"raw\n")
    native.puts(b"after")
    native.fflush(None)
    print("last", flush=True)
    assert capfd.readouterr().out == "before\nafter\nlast\n"


def test_an_error_inside_gives_output_back(capfd):
    with pytest.raises(ZeroDivisionError), quiet_output():
        raise ZeroDivisionError
    os.write(1, b"still here\n")
    assert capfd.readouterr().out == "still here\n"


def test_no_output_at_all_is_no_error(capfd):
    kept = os.dup(1)
    os.close(1)
    try:
        with quiet_output():
            pass
    finally:
        os.dup2(kept, 1)
        os.close(kept)
    os.write(1, b"back\n")
    assert capfd.readouterr().out == "back\n"
