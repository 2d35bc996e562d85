"""The errors a user can meet, split by what mends them."""


class OptihedgeError(Exception):
    """Base of every error raised on purpose. `code` is stable and machine-readable.

    >>> import optihedge as oh
    >>> try:
    ...     oh.load_model("no_such_model")
    ... except oh.OptihedgeError as error:
    ...     print(error.code)
    spec
    """

    code = "optihedge"


class DataError(OptihedgeError):
    """The input data are wrong: fix the file or frame that the message names.

    table, rows            where the fault stands: what messages call the table, rows counted from 0
    column, each           the column whose cells alone are at fault, and what is said of each row, else each instrument
    instruments, drivers   labels of what is at fault, where the message is about some

    >>> import optihedge as oh
    >>> try:
    ...     oh.read_book({"AAPL": "ten"})
    ... except oh.DataError as error:
    ...     print(error.code)
    data
    """

    code = "data"

    def __init__(
        self,
        message: str,
        *,
        table: str = "",
        rows: tuple[int, ...] = (),
        instruments: tuple[str, ...] = (),
        drivers: tuple[str, ...] = (),
        column: str = "",
        each: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.table, self.rows, self.instruments, self.drivers = table, rows, instruments, drivers
        self.column, self.each = column, each


class Expired(DataError):
    """A contract's expiry is not after the market's instant: nobody can trade it any more."""


class SpecError(OptihedgeError):
    """The request is wrong: fix the model file or the argument that the message names.

    >>> import optihedge as oh
    >>> try:
    ...     oh.Variance(aversion=-1.0)
    ... except oh.SpecError as error:
    ...     print(error.code)
    spec
    """

    code = "spec"


class NotApplicable(SpecError):
    """The hedging model asks for what this market does not have: it is skipped here, and may serve another market.

    >>> import optihedge as oh
    >>> issubclass(oh.NotApplicable, oh.SpecError)
    True
    """


class InfeasibleError(OptihedgeError):
    """No hedge meets every limit. The message says what must give way; `relaxation` is the witness.

    >>> import optihedge as oh
    >>> error = oh.InfeasibleError("no quantities meet every limit")
    >>> print(error.code, isinstance(error, oh.OptihedgeError))
    infeasible True
    """

    code = "infeasible"

    def __init__(self, message: str, relaxation: object = None) -> None:
        super().__init__(message)
        self.relaxation = relaxation


class SolverError(OptihedgeError):
    """No solver returned an answer that could be certified. Please report it, with the Program saved.

    >>> import optihedge as oh
    >>> oh.SolverError("no solver returned an answer that could be certified").code
    'solver'
    """

    code = "solver"


def require_extra(module: str, extra: str) -> OptihedgeError:
    """The error for an optional dependency that is not installed."""
    return SpecError(f"this needs {module}, which is not installed; run: pip install 'optihedge[{extra}]'")
