"""A sparse precision between the levels of a term: fields on graphs, and pedigrees (chapter 12).

The effects of the levels are u ~ N(0, sigma^2 Q^-1), and Q has few entries. A component of a graph
may have a Q that says nothing of its mean, Q 1 = 0. Its effects then sum to zero over the rows of
the data, as those of smooths do, and their density is that of u'Q u on these u: with N a basis of
the u with A'u = 0, a column of A for each such component,

    u = N v,    v ~ N(0, sigma^2 (N'Q N)^-1)

N is dense and is never formed. With one level of each such component as its anchor, e in E,

    P = Q + c E E'

is sparse and positive definite. What is asked of N'(P + ..)N - c N'E E'N is asked of P + .. with a
border of a few columns: A, which holds the sum, and E, which takes c away again.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.sparse.linalg import SuperLU, splu

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


def factored(S: scipy.sparse.csc_array, ordering: str = "MMD_AT_PLUS_A") -> SuperLU:
    """Factor a symmetric matrix with pivots from its diagonal, as many negative as eigenvalues.

    Parameters
    ----------
    S : csc_array, shape (q, q)
        The matrix.
    ordering : {"MMD_AT_PLUS_A", "NATURAL"}
        Whether SuperLU looks for an order of the columns that keeps the factors sparse.

    Returns
    -------
    SuperLU
        Factors L U of the matrix with its rows and columns in the order of ``perm_c``.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a pivot is zero.

    Examples
    --------
    >>> lu = factored(scipy.sparse.csc_array([[2.0, 1.0], [1.0, 2.0]]))
    >>> round(float(np.prod(lu.U.diagonal())), 6)
    3.0
    """
    try:
        return splu(S, permc_spec=ordering, diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    except RuntimeError:  # SuperLU found the zero
        raise np.linalg.LinAlgError("a pivot is zero") from None


@dataclass(frozen=True, eq=False)
class Precision:
    """Q, and where it leaves a mean free.

    Attributes
    ----------
    Q : csc_array, shape (m, m)
        Symmetric; positive definite, but for the constants on some of its components.
    component : ndarray of int, shape (m,)
        Of each level, the number of the component whose mean is free; -1 where none is.
    rows : ndarray, shape (m,)
        How many rows of the data each level has. Over these the effects of a component with a free
        mean sum to zero, so each has some.

    Examples
    --------
    A line of three districts, with one, two and one rows:

    >>> Q = scipy.sparse.csc_array([[1.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 1.0]])
    >>> line = Precision(Q, np.zeros(3, dtype=int), np.array([1.0, 2.0, 1.0]))
    >>> line.free, line.rank, line.sums.toarray().ravel()
    (1, 2, array([0.25, 0.5 , 0.25]))
    >>> round(line.log_det, 6)  # the line is the only tree that spans its graph
    0.0
    >>> u = np.array([[2.0], [-1.0], [0.0]])
    >>> line.times(u).ravel(), float(line.squares(u)[0, 0])  # 3^2 + 1^2
    (array([ 3., -4.,  1.]), 10.0)
    """

    Q: scipy.sparse.csc_array
    component: IntArray
    rows: FloatArray

    def __reduce__(self) -> tuple[Any, ...]:
        """Factors of SuperLU cannot be sent to another process, so they are made anew."""
        return Precision, (self.Q, self.component, self.rows)

    @property
    def free(self) -> int:
        """Number of components whose mean is free."""
        return int(self.component.max()) + 1

    @property
    def rank(self) -> int:
        """Number of levels less that of the free means."""
        return len(self.component) - self.free

    @cached_property
    def sums(self) -> scipy.sparse.csc_array:
        """A, shape (m, free): its columns take means over the rows of a component."""
        (levels,) = np.nonzero(self.component >= 0)
        own = self.component[levels]
        total = np.bincount(own, self.rows[levels], self.free)
        entries = (self.rows[levels] / total[own], (levels, own))
        return scipy.sparse.csc_array(entries, shape=(len(self.component), self.free))

    @cached_property
    def anchors(self) -> scipy.sparse.csc_array:
        """Square root of c times E, shape (m, free): a level of each component with a free mean."""
        found, first = np.unique(self.component, return_index=True)
        levels = first[found >= 0]
        # as large as the rest of Q, so that no digits are lost beside it
        c = float(self.Q.diagonal().max()) or 1.0
        entries = (np.full(self.free, np.sqrt(c)), (levels, np.arange(self.free)))
        return scipy.sparse.csc_array(entries, shape=(len(self.component), self.free))

    @cached_property
    def proper(self) -> scipy.sparse.csc_array:
        """P = Q + c E E', positive definite."""
        return (self.Q + self.anchors @ self.anchors.T).tocsc()

    @cached_property
    def _factors(self) -> SuperLU:
        return factored(self.proper)

    @cached_property
    def definite(self) -> bool:
        """Whether u'Q u > 0 but for free means, to working precision."""
        try:
            pivots = self._factors.U.diagonal()
        except np.linalg.LinAlgError:
            return False
        return bool(pivots.min() > len(pivots) * np.finfo(float).eps * pivots.max())

    @cached_property
    def log_det(self) -> float:
        """log|Q|, without the row and the column of each anchor."""
        # |Q + c e e'| = |Q| + c |Q without the anchor|, and |Q| = 0
        c = float(np.sum(np.log(self.anchors.data)) * 2)
        return float(np.log(self._factors.U.diagonal()).sum()) - c

    def times(self, u: FloatArray) -> FloatArray:
        """Q u for u of shape (m, r)."""
        return np.asarray(self.Q @ u)

    def squares(self, u: FloatArray) -> FloatArray:
        """U'Q u for u of shape (m, r), shape (r, r)."""
        return np.asarray(u.T @ self.times(u))

    def within(self, q: FloatArray) -> FloatArray:
        """Q of shape (m, r) less A 1'q, which is nothing to the u with A'u = 0."""
        totals = np.zeros((self.free + 1, q.shape[1]))
        np.add.at(totals, self.component, q)
        return np.asarray(q - self.sums @ totals[:-1])

    def draw(self, normal: FloatArray) -> FloatArray:
        """Make effects of standard normal numbers, with the covariance N (N'Q N)^-1 N'.

        Parameters
        ----------
        normal : ndarray, shape (m, r)
            Independent standard normal numbers.

        Returns
        -------
        ndarray, shape (m, r)
            Effects, in columns that are independent of each other.
        """
        lu = self._factors
        # P = L D L' in the order of perm_c, and P^-1 L D^(1/2) z has the covariance P^-1
        root = lu.L @ (np.sqrt(lu.U.diagonal())[:, None] * normal)
        return self._centered(lu.solve(root[lu.perm_c]))

    def spread(self, q: FloatArray) -> FloatArray:
        """N (N'Q N)^-1 N'q for q of shape (m, r): the covariance of the effects times q."""
        return self._centered(self._factors.solve(self.within(q)))

    def _centered(self, u: FloatArray) -> FloatArray:
        """Take the means over the rows away from u with the covariance P^-1."""
        # P only adds a mean to each component, and that is independent of what is left
        means = np.vstack([self.sums.T @ u, np.zeros((1, u.shape[1]))])
        return np.asarray(u - means[self.component])
