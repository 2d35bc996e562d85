"""A full covariance with as much of each column's variance as can be as that column's own.

|factors h + offset|^2 = |root' h|^2 + sum own h^2 + 2 linear h + constant: root root' is the lower Cholesky of what the
largest share of the diagonal leaves positive definite. Columns with curvature of their own have one minimiser each, so
that Newton on the dual needs no proximal term, whose outer loop is most of such a solve.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dpotrf

from optihedge.program.program import Program

_SHARES = (0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)  # of each variance that may be the column's own
_MOST = 4000  # columns: above, the Cholesky of their covariance costs more than it saves


def with_own_variance(p: Program) -> Program:
    """The same optimum, stated with a diagonal; the Program itself where it has one, or no share leaves a covariance.

    Columns that cannot move are left out of the factors: what they bring is linear, and a constant that is left out.
    """
    moving = p.lower < p.upper
    columns = np.flatnonzero(moving)
    n, k = len(columns), len(p.factors)
    if not 0 < n <= min(k, _MOST) or p.has_cones or p.cvxpy_terms:
        return p
    factors = p.factors[:, columns]
    covariance = dsyrk(1.0, factors.T, lower=1)
    size = np.sqrt(covariance.diagonal())
    if not (size > 0).all() or (p.diagonal[columns] > _SHARES[-1] * size**2).all():
        return p
    covariance /= size
    covariance /= size[:, None]
    for share in _SHARES:
        np.fill_diagonal(covariance, 1.0 - share)
        root, failed = dpotrf(covariance, lower=1, clean=1)
        if not failed:
            break
    else:
        return p
    offset = p.factor_offset + p.factors @ np.where(moving, 0.0, p.lower)
    own, linear, full = np.zeros_like(p.start), np.zeros_like(p.start), np.zeros((n, len(p.start)))
    own[columns], linear[columns], full[:, columns] = share * size**2, offset @ factors, (root * size[:, None]).T
    return p.restated(full, np.zeros(n), p.diagonal + own, p.linear + linear)
