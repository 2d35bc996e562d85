"""The normal distribution function for millions of values: a table of cubics, read by position.

Absolute error below 1e-15; by blocks of ten thousand, faster than `scipy.special.ndtr`. Two neighbours may be out of
order by a rounding, and the wings have no relative accuracy (beyond 8.5 they are constant): where they matter, take
`ndtr`.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]

_CELLS = 1024  # per unit
_REACH = 8.5 * _CELLS  # beyond, N is 0 or 1 to 1e-17
_CENTRES = np.arange(-_REACH, _REACH + 1)
_NODES = np.cos(np.pi * (np.arange(4) + 0.5) / 4) / 2  # Chebyshev's, where the cubic's error is least
_CUBICS = np.linalg.solve(np.vander(_NODES), ndtr((_CENTRES + _NODES[:, None]) / _CELLS))
_ROUNDER = 1.5 * 2.0**52  # added to a double, it leaves the nearest integer in the last bits
_FIRST = np.float64(_ROUNDER - _REACH).view(np.int64)


def normal_cdf(z: Floats) -> Floats:
    """N(z), elementwise, NaN where z is NaN; z is overwritten, which saves the memory's time."""
    z *= _CELLS
    np.clip(z, -_REACH, _REACH, out=z)
    centre = z + _ROUNDER
    cell = centre.view(np.int64) - _FIRST
    centre -= _ROUNDER
    z -= centre
    value, term = np.empty_like(z), centre
    _CUBICS[0].take(cell, out=value, mode="clip")
    for coefficients in _CUBICS[1:]:
        value *= z
        value += coefficients.take(cell, out=term, mode="clip")
    return value
