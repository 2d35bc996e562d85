"""The Newton system of the coordinates, q x q, by an arrow: local blocks are eliminated, a dense corner is factored.

With each column's response w (n) and coordinates' compliance e (q) the matrix is

    diag(e) + [local; common'] diag(w) [local; common']' + (what the hinges of common rows add)

Specifics shared inside one underlying, and rows of one underlying, couple only with each other and the common
coordinates: block by block they are factored and taken out (Schur complement), batched by size.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.linalg.blas import dsymv, dsyrk
from scipy.linalg.lapack import dpotrf, dpotrs

from optihedge.program.structured.standard_form import StandardForm

Array = np.ndarray

_LEAST = 1e-200  # a diagonal entry, where it is to be factored
_WORK = 65_536  # entries scaled at a time, so that the copy stays in the cache


class NewtonSystem:
    """Factors diag(e) + M' diag(w) M for changing w and e, and solves with it. One per solve; owns its workspace."""

    def __init__(self, form: StandardForm) -> None:
        self.form = form
        _, self.locals, total = form.sizes
        self.p = total - self.locals
        self.matrix = form.common
        self._work = np.empty((min(len(form.common), _WORK // self.p + 1), self.p))
        self._pairs = _pairs(form.local, form.blocks) if self.locals else None
        self.tilted = len(form.sized) > 0
        if self.tilted:
            self.matrix = form.common.copy()
            self._corner_of_sized = form.sized[:, None], form.sized
            self._tilts = [self._tilt_of(*one) for one in zip(form.sized, form.weights, strict=True)]

    def _tilt_of(self, row: int, weights: Array) -> tuple[int, Array, Array, Array]:
        """A common row that counts hinges: which, the hinges, their columns, and their weights with signs."""
        counted = np.flatnonzero(weights)
        return row, counted, self.form.hinges.column[counted], (weights * self.form.hinges.sign)[counted]

    def tilt(self, openness: Array) -> None:
        """Set how far each hinge is open, H in [0, 1]: the slopes of the common rows' sizes follow."""
        for row, counted, columns, signed in self._tilts if self.tilted else ():
            added = np.bincount(columns, signed * openness[counted], len(self.matrix))
            np.add(self.form.common[:, row], added, out=self.matrix[:, row])

    def values(self, h: Array) -> Array:
        """M h with the tilted rows, q."""
        common = h @ self.matrix
        return np.concatenate([self.form.local @ h, common]) if self.locals else common

    def adjoint(self, V: Array) -> Array:
        """M' V with the tilted rows, n."""
        s = self.locals
        return self.matrix @ V[s:] + V[:s] @ self.form.local if s else self.matrix @ V

    def factor(self, response: Array, compliance: Array, give: Array | None = None, regular: float = 1e-14) -> bool:
        """Factor for these responses (n >= 0), compliances (q) and hinges' own response (H). False: not definite."""
        s, self._response = self.locals, response
        corner = self._weighted_square(response)
        if give is not None and self.tilted:
            corner[self._corner_of_sized] += (self.form.weights * give) @ self.form.weights.T
        diagonal = corner.diagonal() + compliance[s:]
        own = corner.reshape(-1, order="F")[:: self.p + 1]  # a view
        own[:] = diagonal
        if s:
            self._half = self._eliminate(response, compliance[:s], regular)
            if self._half is None:
                return False
            corner -= dsyrk(1.0, self._half.T, lower=1)
        self._corner = corner
        self.diagonal = np.concatenate([self._local_diagonal, diagonal]) if s else diagonal
        work = corner.copy(order="F")
        work.reshape(-1, order="F")[:: self.p + 1] = own + regular * np.maximum(diagonal, _LEAST)
        self._factor, failed = dpotrf(work, lower=1, clean=0, overwrite_a=1)
        return not failed

    def solve(self, right: Array, refined: bool = True) -> Array:
        """The solution for one right-hand side, q, refined once in the corner unless that is not asked."""
        s = self.locals
        if not s:
            return self._solve_corner(right, refined)
        inner = self._apply(right[:s])
        common = self._solve_corner(right[s:] - inner @ self._half, refined)
        return np.concatenate([self._apply(inner - self._half @ common, transposed=True), common])

    def step(self, right: Array, missed: Array, refined: bool = True) -> tuple[Array, Array]:
        """Steps of columns (n) and coordinates (q) for what is missed in each one's own condition."""
        free = self._response * right
        dV = self.solve(self.values(free) + missed, refined)
        return free - self._response * self.adjoint(dV), dV

    def _weighted_square(self, response: Array) -> Array:
        """matrix' diag(response) matrix: lower triangle, p x p, in the order BLAS likes."""
        size = len(self._work)
        everything = np.count_nonzero(response) == len(response)
        if everything and len(response) <= size:
            work = np.multiply(self.matrix, np.sqrt(response)[:, None], out=self._work)
            return np.asarray(dsyrk(1.0, work.T, lower=1))
        moving = np.flatnonzero(response)  # what does not respond is left out
        root = np.sqrt(response[moving])
        square = np.zeros((self.p, self.p), order="F")
        for first in range(0, len(moving), size):
            part = slice(first, min(first + size, len(moving)))
            work = self._work[: part.stop - first]
            if everything:
                np.multiply(self.matrix[part], root[part, None], out=work)
            else:
                np.take(self.matrix, moving[part], axis=0, out=work, mode="clip")
                work *= root[part, None]
            square = dsyrk(1.0, work.T, beta=1.0, c=square, lower=1, overwrite_c=1)
        return square

    def _solve_corner(self, right: Array, refined: bool) -> Array:
        x: Array = dpotrs(self._factor, right, lower=1)[0]
        if refined:
            x += dpotrs(self._factor, right - dsymv(1.0, self._corner, x, lower=1), lower=1)[0]
        return x

    def _eliminate(self, response: Array, compliance: Array, regular: float) -> Array | None:
        """Factor the local blocks; the inverse root times local diag(w) common', s x p."""
        flat = self._pairs @ response
        self._roots, first, row = [], 0, 0
        self._local_diagonal = np.empty(self.locals)
        for count, size in self.form.blocks:
            block = flat[first : first + count * size * size].reshape(count, size, size)
            rows = slice(row, row + count * size)
            index = np.arange(size)
            block[:, index, index] += compliance[rows].reshape(count, size)
            self._local_diagonal[rows] = block[:, index, index].ravel()
            scale = 1.0 / np.sqrt(np.maximum(block[:, index, index], 1e-200))
            block = block * scale[:, :, None] * scale[:, None, :]
            block[:, index, index] += regular
            try:
                root = np.linalg.cholesky(block) if size > 1 else np.sqrt(block)
            except np.linalg.LinAlgError:
                return None
            inverse = np.linalg.inv(root) if size > 1 else 1.0 / root
            self._roots.append((rows, inverse * scale[:, None, :]))
            first, row = first + count * size * size, row + count * size
        weighted = sp.csr_array((self.form.local.data * response[self.form.local.indices], self.form.local.indices,
                                 self.form.local.indptr), shape=self.form.local.shape)  # fmt: skip
        return self._apply(weighted @ self.matrix)

    def _apply(self, right: Array, transposed: bool = False) -> Array:
        """The blocks' inverse root (or its transpose) times s or s x p."""
        out = np.empty_like(right)
        for rows, inverse in self._roots:
            part = right[rows].reshape(len(inverse), inverse.shape[1], -1)
            root = inverse.transpose(0, 2, 1) if transposed else inverse
            out[rows] = (root @ part).reshape(right[rows].shape)
        return out


def _pairs(matrix: sp.csr_array, blocks: tuple[tuple[int, int], ...]) -> sp.csr_array:
    """The matrix that maps w (columns) to the entries of matrix diag(w) matrix', block after block, row-major."""
    size = np.concatenate([np.full(count, b) for count, b in blocks] or [np.zeros(0)]).astype(int)
    block_of = np.repeat(np.arange(len(size)), size)
    inside = np.arange(len(block_of)) - np.repeat(np.cumsum(size) - size, size)
    first = np.cumsum(size**2) - size**2
    by_column = sp.csc_array(matrix)
    count = np.diff(by_column.indptr)
    left = np.repeat(np.arange(by_column.nnz), np.repeat(count, count))
    start = np.repeat(by_column.indptr[:-1], count**2)
    run = np.arange(len(left)) - np.repeat(np.cumsum(count**2) - count**2, count**2)
    right = start + run % np.maximum(np.repeat(count, count**2), 1)
    row, other = by_column.indices[left], by_column.indices[right]
    block = block_of[row]
    entry = first[block] + inside[row] * size[block] + inside[other]
    column = np.repeat(np.arange(matrix.shape[1]), count**2)
    data = by_column.data[left] * by_column.data[right]
    return sp.csr_array((data, (entry, column)), shape=(int((size**2).sum()), matrix.shape[1]))
