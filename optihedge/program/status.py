"""What is known of an answer, in one word that decides; why it is so stands beside it as text that decides nothing."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """A word of a certificate, or of a solver about its own candidate.

    OPTIMAL     proved (of a candidate: claimed) to be within tolerance of the best
    INFEASIBLE  proved (claimed) that no quantities meet every limit
    UNBOUNDED   the answer rests on a box that no one meant as a limit; of a solver: that nothing stops the objective
    FAILED      nothing is proved; of a candidate: its solver gave up
    ROUNDED     whole lots near a proved optimum
    DECLINED    only of a candidate: not a problem for this solver, which has not tried
    ROUGH       only of a candidate: a point to start from, such as an earlier answer
    """

    OPTIMAL = "optimal"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    FAILED = "failed"
    ROUNDED = "rounded"
    DECLINED = "declined"
    ROUGH = "rough"

    @property
    def proved(self) -> bool:
        """Of a certificate: whether the question is settled, by an optimum or by a proof that there is none."""
        return self in (Status.OPTIMAL, Status.INFEASIBLE)


def told(status: Status, why: str) -> str:
    """Both for a reader: 'failed: deadline', or the word alone."""
    return f"{status}: {why}" if why else str(status)
