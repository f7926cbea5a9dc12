"""The blocked engine: a Cholesky factorization by head and tail, with its gradient (chapter 7).

The columns of Z come in two parts. The *head* is the largest grouping factor: its block of A is
block diagonal, one k x k block for each level, so it is eliminated level by level. What remains,
A~ = A_tt - A_th M A_ht, is the same problem for the *tail*: all other columns of Z, then X, then y.
The square of the last pivot is r^2, the minimum of the penalized least-squares criterion.

Arrays over the levels of the head have the level as their last axis, so that a loop over the k
effects of a level runs over long vectors.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isnan
from typing import ClassVar, TypeVar

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs, dtrtrs

from mixedsmooth.model import engine
from mixedsmooth.model.engine import Factor, Shape, by_term, indicators

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
Rows = tuple[scipy.sparse.csr_array, ...]
Item = TypeVar("Item")

SMALL = 40_000  # numbers in blocks that are kept dense where they are used once or twice
QUICK = 400_000  # multiplications that are quick enough for dense blocks in any case
PAIRS = 100_000_000  # products of pairs that may be stored
ENTRIES = 4_000_000  # of a dense matrix that is needed for a moment
ROWS = 4_096  # of dense columns that are multiplied at a time, near the processor


# ---- the block between head and tail ----


@dataclass(frozen=True, eq=False)
class Blocks:
    """The block C of A between head and tail, a k x t matrix for each level of the head.

    Attributes
    ----------
    C : ndarray, shape (t, k, J)
        The blocks, the tail first, so that sums over effects and levels are one product.

    Examples
    --------
    >>> C = np.array([[[1.0, 2.0]], [[3.0, 4.0]]])  # C_1 = (1, 3) and C_2 = (2, 4)
    >>> print(Blocks(C).inner(np.ones((1, 1, 2))))
    [[ 5. 11.]
     [11. 25.]]
    >>> Blocks(C).outer(np.eye(2)).ravel()
    array([10., 20.])
    """

    C: FloatArray

    def inner(self, M: FloatArray) -> FloatArray:
        """Sum over the levels of C_j' M_j C_j, shape (t, t), for M of shape (k, k, J)."""
        MC = np.einsum("abj,tbj->taj", M, self.C)
        return np.asarray(self.C.reshape(len(self.C), -1) @ MC.reshape(len(MC), -1).T)

    def outer(self, G: FloatArray) -> FloatArray:
        """C_j G C_j' of each level, shape (k, k, J), for G of shape (t, t)."""
        GC = (G @ self.C.reshape(len(G), -1)).reshape(self.C.shape)
        return np.asarray(np.einsum("taj,tbj->abj", self.C, GC))


@dataclass(frozen=True, eq=False)
class Pairs:
    """The same block C, as products of pairs of its entries.

    The sum over levels of C_j' M_j C_j is linear in M, and C_j G C_j' is the transposed map. Where
    the levels touch few columns of the tail, the map is formed once.

    Attributes
    ----------
    products : csr_array, shape (k k J, t t)
        C_j[a, s] C_j[b, t] in row (a, b, j) and column (s, t).
    shape : tuple of int
        (k, t, J).

    Examples
    --------
    >>> products = scipy.sparse.csr_array(np.array([[1.0, 3.0, 3.0, 9.0], [4.0, 8.0, 8.0, 16.0]]))
    >>> pairs = Pairs(products, (1, 2, 2))  # of C_1 = (1, 3) and C_2 = (2, 4)
    >>> print(pairs.inner(np.ones((1, 1, 2))))
    [[ 5. 11.]
     [11. 25.]]
    >>> pairs.outer(np.eye(2)).ravel()
    array([10., 20.])
    """

    products: scipy.sparse.csr_array
    shape: tuple[int, int, int]

    def inner(self, M: FloatArray) -> FloatArray:
        """Sum over the levels of C_j' M_j C_j, shape (t, t), for M of shape (k, k, J)."""
        _, t, _ = self.shape
        # sum_jab C_j[a, s] C_j[b, t] M_j[a, b]  (eq-7-pairs)
        return np.asarray((self.products.T @ M.ravel()).reshape(t, t))

    def outer(self, G: FloatArray) -> FloatArray:
        """C_j G C_j' of each level, shape (k, k, J), for G of shape (t, t)."""
        k, _, J = self.shape
        return np.asarray((self.products @ G.ravel()).reshape(k, k, J))


@dataclass(frozen=True, eq=False)
class SparseBlocks:
    """The same block C as sparse matrices, for cross-products that are factored once or twice.

    Attributes
    ----------
    C : tuple of csr_array, each of shape (J, t)
        The rows of C_j for one effect of the head.

    Examples
    --------
    >>> C = scipy.sparse.csr_array(np.array([[1.0, 3.0], [2.0, 4.0]]))  # C_1 and C_2
    >>> print(SparseBlocks((C,)).inner(np.ones((1, 1, 2))))
    [[ 5. 11.]
     [11. 25.]]
    >>> SparseBlocks((C,)).outer(np.eye(2)).ravel()
    array([10., 20.])
    """

    C: Rows

    def inner(self, M: FloatArray) -> FloatArray:
        """Sum over the levels of C_j' M_j C_j, shape (t, t), for M of shape (k, k, J)."""
        total = sum(
            C_a.T @ C_b.multiply(M[a, b][:, None])
            for a, C_a in enumerate(self.C)
            for b, C_b in enumerate(self.C)
        )
        return np.asarray(total.toarray())

    def outer(self, G: FloatArray) -> FloatArray:
        """C_j G C_j' of each level, shape (k, k, J), for G of shape (t, t)."""
        k, J = len(self.C), self.C[0].shape[0]
        product = np.empty((k, k, J))
        chunk = max(1, ENTRIES // len(G))
        for first in range(0, J, chunk):
            rows = [C[first : first + chunk] for C in self.C]
            for b, C_b in enumerate(rows):
                CG = C_b @ G
                for a, C_a in enumerate(rows[: b + 1]):
                    product[a, b, first : first + chunk] = C_a.multiply(CG).sum(axis=1)
                    product[b, a] = product[a, b]
        return product


def _coupling(dense: FloatArray, sparse: Rows, reused: bool) -> Blocks | Pairs | SparseBlocks:
    """Choose between blocks, pairs and sparse blocks by the size of what they store."""
    k, d, J = dense.shape
    m = sparse[0].shape[1] if sparse else 0
    t = m + d
    width = np.diff(sparse[0].indptr) + d if sparse else np.empty(0, dtype=np.intp)
    # multiplications of the two ways; those of a sparse product take about four times as long
    pairs, dense_ones = k * k * int(np.sum(width.astype(np.int64) ** 2)), k * t * t * J
    if reused:
        as_blocks = dense_ones <= QUICK or 4 * pairs > dense_ones or pairs > PAIRS
    else:
        as_blocks = k * t * J <= SMALL
    if as_blocks or not sparse:
        together = [np.stack([block.toarray().T for block in sparse])] if sparse else []
        blocks = np.concatenate([*together, dense], axis=1)
        return Blocks(np.ascontiguousarray(blocks.transpose(1, 0, 2)))
    # C of effect a as a sparse matrix with a row for each level; all effects have one pattern.
    rows = [
        scipy.sparse.hstack([block, _full_rows(values)], format="csr")
        for block, values in zip(sparse, dense, strict=True)
    ]
    return _pairs(rows, width) if reused else SparseBlocks(tuple(rows))


def _pairs(blocks: list[scipy.sparse.csr_array], width: NDArray[np.intp]) -> Pairs:
    """Products of pairs of entries that stand in one row of `width` entries."""
    pattern = blocks[0]
    J, t = pattern.shape
    # Entry e of a row makes pairs with all entries of the row, from its first on.
    index = np.int32 if t * t < 2**31 else np.int64
    row_start, row_width = np.repeat(np.stack([pattern.indptr[:-1], width]), width, axis=1)
    ends = np.cumsum(row_width, dtype=np.int64)
    other = np.repeat((row_start - (ends - row_width)).astype(index), row_width)
    other += np.arange(ends[-1], dtype=index)
    columns = np.repeat(pattern.indices.astype(index) * index(t), row_width)
    columns += pattern.indices.astype(index)[other]
    rows = np.append(0, ends)[pattern.indptr]
    maps = [
        scipy.sparse.csr_array(
            (np.repeat(a.data, row_width) * b.data[other], columns, rows), shape=(J, t * t)
        )
        for a in blocks
        for b in blocks
    ]
    stacked = maps[0] if len(blocks) == 1 else scipy.sparse.vstack(maps, format="csr")
    return Pairs(stacked, (len(blocks), t, J))


# ---- cross-products ----


@dataclass(frozen=True, eq=False)
class Products(engine.Products):
    """A = [Z X y]' W [Z X y] in blocks.

    Attributes
    ----------
    first : int
        Position of the head among the terms.
    head : ndarray, shape (k, k, J)
        A_hh, a k x k block for each level of the head.
    dense : ndarray, shape (k, p + 1, J)
        A_ht, its columns of X and y.
    sparse : tuple of csr_array, each of shape (J, m)
        A_ht, its columns of Z, for each effect of the head.
    coupling : Blocks, Pairs or SparseBlocks
        A_ht, for the two products that the criterion needs.
    tail : ndarray, shape (t, t)
        A_tt; its columns are those of the other terms in their order, then X, then y.

    Examples
    --------
    >>> from mixedsmooth.model.covariance import Scalar
    >>> subject = Factor(np.repeat([0, 1], 3), (np.ones(6),), Shape(2, Scalar(1)))
    >>> item = Factor(np.tile([0, 1, 2], 2), (np.ones(6),), Shape(3, Scalar(1)))
    >>> X, y = np.ones((6, 1)), np.array([0.0, 2.0, 4.0, 2.0, 6.0, 4.0])
    >>> A = cross_products([subject, item], X, y)
    >>> head, tail = A.parted(["subject", "item"])
    >>> head, tail, A.joined(head, tail)
    ('item', ['subject'], ['subject', 'item'])
    >>> T = [np.array([[1.0]]), np.array([[2.0]])]
    >>> round(A.factorize(T).r2, 4)  # 6 / 4 + 12 / 9 + 4, squares of subjects, items and the rest
    6.8333
    >>> round(A.with_response([subject, item], X, 3 * y, None).factorize(T).r2, 4)
    61.5
    """

    exact_slopes: ClassVar[bool] = True

    first: int
    head: FloatArray
    dense: FloatArray
    sparse: Rows
    coupling: Blocks | Pairs | SparseBlocks
    tail: FloatArray

    @property
    def m(self) -> int:
        """Columns of Z in the tail."""
        return len(self.tail) - self.p - 1

    @cached_property
    def tail_shapes(self) -> list[Shape]:
        """Shapes of the other terms."""
        return self.parted(self.shapes)[1]

    @cached_property
    def tail_rows(self) -> list[tuple[slice, tuple[int, int, int]]]:
        """Rows of each other term in the tail, and how to fold them: levels, effects, the rest."""
        ends = np.cumsum([0, *(shape.size for shape in self.tail_shapes)])
        return [
            (slice(int(at), int(at) + shape.size), (shape.levels, shape.k, -1))
            for at, shape in zip(ends, self.tail_shapes, strict=False)
        ]

    def parted(self, terms: Sequence[Item]) -> tuple[Item, list[Item]]:
        """Divide something with one item a term into head and tail."""
        others = list(terms)
        return others.pop(self.first), others

    def joined(self, head: Item, tail: Sequence[Item]) -> list[Item]:
        """Put head and tail into the order of the terms."""
        return [*tail[: self.first], head, *tail[self.first :]]

    def times_lambda(self, B: FloatArray, T: Sequence[FloatArray]) -> FloatArray:
        """B Lambda over the columns of the tail; X and y stay as they are."""
        if not T:
            return B
        product = B.copy()
        for (rows, fold), T_f in zip(self.tail_rows, T, strict=True):
            if fold[1] == 1:
                product[:, rows] *= T_f[0, 0]
            else:
                folded = B[:, rows].reshape(-1, *fold[:2])
                product[:, rows] = (folded @ T_f).reshape(len(B), -1)
        return product

    def factorize(self, T: Sequence[FloatArray]) -> "Factorization":
        """Factor [Lambda'Z'WZ Lambda + I, ...] by blocks: head, reduction, tail.

        Parameters
        ----------
        T : sequence of ndarray, each of shape (k, k)
            The lower triangular factors.

        Returns
        -------
        Factorization
            The factors and the terms of the deviance.

        Raises
        ------
        numpy.linalg.LinAlgError
            If a pivot of the tail is not positive.

        References
        ----------
        Bates et al. (2015), equations 18 to 30; the appended y is that of MixedModels.jl.
        """
        T_h, T_t = self.parted(T)
        # H_j = T' A_j T + I, the k x k blocks of the head
        H = _right(_left(T_h.T, self.head), T_h)
        np.einsum("aaj->aj", H)[...] += 1  # a view of the diagonals
        H_inverse, log_det_head = _inverse(H, signed=isnan(self.log_weights))
        P = _left(T_h, H_inverse)
        M = _right(P, T_h.T)
        # A~ = A_tt - sum_j C_j' M_j C_j  (eq-7-reduced)
        reduced = self.tail - self.coupling.inner(M)
        # L L' = Lambda' A~ Lambda + I (no I for X and y)
        m = self.m
        S = self.times_lambda(self.times_lambda(reduced, T_t).T, T_t)
        np.einsum("ss->s", S)[:m] += 1
        L, failed = dpotrf(S.T, lower=1)
        if failed or not np.isfinite(L[-1, -1]):
            raise np.linalg.LinAlgError("a pivot of the tail is not positive")
        # log|L_Z|^2 = sum_j log|H_j| + sum_i log L_ii^2,  r^2 = L_tt^2  (eq-7-deviance)
        return Factorization(
            T=tuple(T),
            log_det_Z=log_det_head + 2 * float(np.log(L.diagonal()[:m]).sum()),
            L_X=L[m:-1, m:-1],
            r2=float(L[-1, -1] ** 2),
            A=self,
            H_inverse=H_inverse,
            P=P,
            M=M,
            reduced=reduced,
            L=L,
        )

    def with_response(
        self, factors: Sequence[Factor], X: FloatArray, y: FloatArray, w: FloatArray | None
    ) -> "Products":
        """Return the cross-products with another y; all else is used again."""
        wy = y if w is None else w * y
        head, others = self.parted([f.sums(wy) for f in factors])
        border = np.concatenate([*(sums.ravel() for sums in others), X.T @ wy, [y @ wy]])
        dense, tail = self.dense.copy(), self.tail.copy()
        dense[:, -1] = head.T
        tail[-1] = tail[:, -1] = border
        reused = not isinstance(self.coupling, SparseBlocks)
        return replace(self, dense=dense, coupling=_coupling(dense, self.sparse, reused), tail=tail)


def cross_products(
    factors: Sequence[Factor],
    X: FloatArray,
    y: FloatArray,
    w: FloatArray | None = None,
    *,
    slack: float = 0.0,
    reused: bool = True,
) -> Products:
    """Form A from the columns, in one pass over the rows.

    Parameters
    ----------
    factors : sequence of Factor
        Random-effects terms; that with most levels is the head, of smooths alone the smallest.
    X : ndarray, shape (n, p)
        Fixed effects.
    y : ndarray, shape (n,)
        Response.
    w : ndarray, shape (n,), optional
        Weights, all positive; ones if not given.
    slack : float
        What is added to y'Wy: room for rounding errors, where r^2 is not asked for.
    reused : bool
        Whether they will be factored for many theta, so that preparation pays.

    Returns
    -------
    Products
        The blocks.

    Examples
    --------
    >>> from mixedsmooth.model.covariance import Scalar
    >>> groups = Factor(np.array([0, 0, 1, 1]), (np.ones(4),), Shape(2, Scalar(1)))
    >>> A = cross_products([groups], np.ones((4, 1)), np.array([1.0, 2.0, 4.0, 5.0]))
    >>> print(A.head.ravel(), A.dense[0], A.tail)  # Z'Z, [X y]'Z, [X y]'[X y]
    [2. 2.] [[2. 2.]
     [3. 9.]] [[ 4. 12.]
     [12. 46.]]
    """
    n, p = X.shape
    # of terms with one level the smallest: the tail is where the dense matrices are
    sizes = [(J, k if J > 1 else -k) for J, k in ((f.shape.levels, f.shape.k) for f in factors)]
    first = sizes.index(max(sizes))
    others = list(factors)
    head = others.pop(first)
    k, J = head.shape.k, head.shape.levels
    smooths = [f for f in others if f.shape.levels == 1]
    grouped = [f for f in others if f.shape.levels > 1]
    # columns of the tail: those of terms with levels; and those of X, y and terms with one level,
    # which are as dense
    levels = np.repeat([f.shape.levels for f in others], [f.shape.size for f in others])
    m = len(levels)
    of_groups = np.flatnonzero(levels > 1)
    of_columns = np.append(np.flatnonzero(levels == 1), np.arange(m, m + p + 1))
    columns = [z for f in smooths for z in f.effects] + [*np.ascontiguousarray(X.T), y]

    tail = np.zeros((m + p + 1, m + p + 1))
    if J == 1:
        gram = _gram([*head.effects, *columns], w)
        head_block, by_level = gram[:k, :k, None], gram[:k, k:, None]
        tail[np.ix_(of_columns, of_columns)] = gram[k:, k:]
    else:
        head_block, by_level = _of_levels(head, columns, w)
        tail[np.ix_(of_columns, of_columns)] = _gram(columns, w)
    tail[-1, -1] += slack
    if grouped:
        for t, column in zip(of_columns, columns, strict=True):
            wz = column if w is None else w * column
            tail[of_groups, t] = np.concatenate([f.sums(wz).ravel() for f in grouped])
        tail[np.ix_(of_columns, of_groups)] = tail[np.ix_(of_groups, of_columns)].T
        Z = indicators(grouped, np.arange(n), n, None)
        WZ = Z if w is None else Z.multiply(w[:, None]).tocsr()
        tail[np.ix_(of_groups, of_groups)] = (Z.T @ WZ).toarray()
    sparse: Rows = ()
    if others:
        z_head = head.effects if w is None else tuple(w * z for z in head.effects)
        sparse = tuple(
            _beside(others, head.codes, z, of_effect)
            for z, of_effect in zip(z_head, by_level[:, : -p - 1], strict=True)
        )
    dense = np.ascontiguousarray(by_level[:, -p - 1 :])
    return Products(
        n=n,
        p=p,
        log_weights=engine.log_weights(w),
        shapes=tuple(f.shape for f in factors),
        first=first,
        head=head_block,
        dense=dense,
        sparse=sparse,
        coupling=_coupling(dense, sparse, reused),
        tail=tail,
    )


def _gram(columns: Sequence[FloatArray], w: FloatArray | None) -> FloatArray:
    """Products of dense columns, some rows at a time, so that no copy of all is made."""
    gram = np.zeros((len(columns), len(columns)))
    for at in range(0, len(columns[0]), ROWS):
        rows = slice(at, at + ROWS)
        block = np.stack([column[rows] for column in columns])
        gram += block @ (block if w is None else block * w[rows]).T
    return gram


def _of_levels(
    head: Factor, columns: Sequence[FloatArray], w: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """Products of the head with itself, (k, k, J), and with dense columns, (k, d, J)."""
    k, J = head.shape.k, head.shape.levels
    block, by_level = np.empty((k, k, J)), np.empty((k, len(columns), J))
    for a, z in enumerate(head.effects):
        wz = z if w is None else w * z
        for b in range(a + 1):
            of_pair = np.bincount(head.codes, wz * head.effects[b], minlength=J)
            block[a, b] = block[b, a] = of_pair
        for t, column in enumerate(columns):
            by_level[a, t] = np.bincount(head.codes, wz * column, minlength=J)
    return block, by_level


def _beside(
    others: Sequence[Factor], codes: IntArray, z: FloatArray, by_level: FloatArray
) -> scipy.sparse.csr_array:
    """Products of an effect of the head with the other terms; with those of one level, as known."""
    if all(f.shape.levels > 1 for f in others):
        return indicators(others, codes, by_level.shape[1], z)
    parts, at = [], 0
    for f in others:
        if f.shape.levels == 1:
            parts.append(_full_rows(by_level[at : at + f.shape.k]))
            at += f.shape.k
        else:
            parts.append(indicators([f], codes, by_level.shape[1], z))
    return scipy.sparse.hstack(parts, format="csr") if len(parts) > 1 else parts[0]


def _full_rows(values: FloatArray) -> scipy.sparse.csr_array:
    """Sparse matrix with a row for each level, whose zeros are entries too."""
    d, J = values.shape
    entries = values.T.ravel(), np.tile(np.arange(d), J), np.arange(0, J * d + 1, d)
    return scipy.sparse.csr_array(entries, shape=(J, d))


# ---- factorization ----


@dataclass(frozen=True, eq=False)
class Factorization(engine.ExactFactorization):
    """The blocked factorization: head, reduction, tail.

    Attributes
    ----------
    A : Products
        The cross-products.
    H_inverse, P, M : ndarray, shape (k, k, J)
        H_j^-1, T H_j^-1 and T H_j^-1 T' with H_j = T' A_j T + I.
    reduced : ndarray, shape (t, t)
        A~, what the head leaves to the tail.
    L : ndarray, shape (t, t)
        Cholesky factor of Lambda' A~ Lambda + I.

    Examples
    --------
    >>> from mixedsmooth.model.covariance import Scalar
    >>> subject = Factor(np.repeat([0, 1], 3), (np.ones(6),), Shape(2, Scalar(1)))
    >>> item = Factor(np.tile([0, 1, 2], 2), (np.ones(6),), Shape(3, Scalar(1)))
    >>> X, y = np.ones((6, 1)), np.array([0.0, 2.0, 4.0, 2.0, 6.0, 4.0])
    >>> T = [np.array([[1.0]]), np.array([[2.0]])]
    >>> f = cross_products([subject, item], X, y).factorize(T)
    >>> beta, (u_subject, u_item) = f.solve()
    >>> print(beta, u_subject.ravel(), u_item.ravel().round(4))
    [3.] [-0.75 0.75] [-0.8889 0.4444 0.4444]
    >>> [edf.round(4) for edf in f.degrees_of_freedom(reml=True)]  # 3/4 and 2 * 8/9
    [array([0.75]), array([1.7778])]
    >>> [by_T.round(4) for by_T in f.gradient(reml=False)]
    [array([[0.0244]]), array([[1.4038]])]
    """

    A: Products
    H_inverse: FloatArray
    P: FloatArray
    M: FloatArray
    reduced: FloatArray
    L: FloatArray

    def gradient(self, reml: bool, variance: float | None = None) -> list[FloatArray]:
        """Differentiate the profiled deviance by the entries of each T.

        Parameters
        ----------
        reml : bool
            Whether to use the restricted likelihood.
        variance : float, optional
            sigma^2, where it is known.

        Returns
        -------
        list of ndarray, each of shape (k, k)
            Derivatives by all entries of T. Those above the diagonal are not parameters.
        """
        t = len(self.L)
        # d = log|S_R| + r^2 / sigma^2 as a function of S = Lambda' A~ Lambda + I has the derivative
        # Q = S_R^-1 + w w' / sigma^2,  w = (-u, -beta, 1)  (eq-7-q),  R = columns of Z (and X for
        # REML); the same if sigma^2 is r^2 / N, because that is its best value
        Q = self._tail_inverse(t - 1 if reml else self.A.m)
        w = np.append(-self._coefficients(), 1.0)
        Q += (1 / self.residual_variance(reml, variance)) * w[:, None] * w
        return self.slopes(Q)

    def log_det_gradient(self) -> list[FloatArray]:
        """Differentiate log|Lambda'Z'WZ Lambda + I| by the entries of each T."""
        return self.slopes(self._tail_inverse(self.A.m))

    def slopes(self, Q: FloatArray) -> list[FloatArray]:
        """Differentiate a function of the factorization by the entries of each T.

        No inverse of T occurs, so a variance of zero is no special case.

        Parameters
        ----------
        Q : ndarray, shape (t, t)
            Its derivative by S = Lambda' A~ Lambda + I; log|H_j| of the head is added to it.

        Returns
        -------
        list of ndarray, each of shape (k, k)
            Derivatives by all entries of T.
        """
        A, m = self.A, self.A.m
        # dd/dLambda = 2 A~ Lambda Q, and T_f collects the diagonal blocks of its levels
        scaled = A.times_lambda(self.reduced[:m], A.parted(self.T)[1])
        tail = [
            2 * np.einsum("lat,lbt->ab", scaled[rows].reshape(shape), Q[rows].reshape(shape))
            for rows, shape in A.tail_rows
        ]
        # the head acts through log|H_j| and through A~:  with E_j = C_j (Lambda Q Lambda') C_j',
        # dd/dT = 2 sum_j (A_j - E_j + A_j M_j E_j) P_j  (eq-7-gradient)
        E = A.coupling.outer(self._between_lambdas(Q))
        inner = A.head - E + _times(A.head, _times(self.M, E))
        if len(inner) > inner.shape[2]:  # few large blocks
            return A.joined(2 * np.tensordot(inner, self.P, axes=((1, 2), (0, 2))), tail)
        return A.joined(2 * np.einsum("acj,cbj->ab", inner, self.P), tail)

    def degrees_of_freedom(self, reml: bool) -> list[FloatArray]:
        """Effective degrees of freedom of each effect, summed over the levels: shapes (k,)."""
        A = self.A
        Q = self._tail_inverse(len(self.L) - 1 if reml else A.m)
        # the head's block of the inverse is H_j^-1 + P_j' E_j P_j, and H_j^-1 = I - P_j' A_j T
        E = A.coupling.outer(self._between_lambdas(Q))
        AT = np.einsum("acj,cb->abj", A.head, A.parted(self.T)[0])
        EP = _times(E, self.P)
        head = np.einsum("abj,abj->b", self.P, AT - EP)
        diagonals = by_term(np.diag(Q)[: A.m], A.tail_shapes)
        return A.joined(head, [len(part) - part.sum(axis=0) for part in diagonals])

    def conditional_covariances(self) -> list[FloatArray]:
        """Covariance of the effects of each level given y, over sigma^2: shapes (m, k, k).

        References
        ----------
        Bates et al. (2015), equations 57 to 59.
        """
        A = self.A
        G = self._between_lambdas(self._tail_inverse(A.m))
        tail = []
        for rows, (levels, k, _) in A.tail_rows:
            blocks, level = G[rows, rows].reshape(levels, k, levels, k), np.arange(levels)
            tail.append(blocks[level, :, level, :])
        return A.joined(self._head_covariances(G).transpose(2, 0, 1), tail)

    def _head_covariances(self, G: FloatArray) -> FloatArray:
        """M_j + M_j E_j M_j with E_j = C_j G C_j', shape (k, k, J)."""
        E = self.A.coupling.outer(G)
        return np.asarray(self.M + np.einsum("acj,cdj,dbj->abj", self.M, E, self.M))

    def joint_covariance(self, term: int, level: int) -> FloatArray:
        """Covariance of (b - b_hat, beta - beta_hat) given y over sigma^2, b of one level.

        References
        ----------
        Henderson (1975); for smooths, Nychka (1988) and Wood (2017), section 4.2.4.
        """
        A, t = self.A, len(self.L)
        G = self._between_lambdas(self._tail_inverse(t - 1))
        fixed = np.arange(A.m, t - 1)
        if term != A.first:
            rows, (_, k, _) = A.tail_rows[term - (term > A.first)]
            at = rows.start + level * k
            chosen = np.concatenate([np.arange(at, at + k), fixed])
            return np.asarray(G[np.ix_(chosen, chosen)])
        # [ M + M C G C' M'   -M C G ]
        # [     -G C' M'         G   ]
        C = np.hstack([*self._sparse_rows(level), A.dense[:, :, level]])
        M = self.M[:, :, level]
        F = np.vstack([-M @ C, np.eye(t)[fixed]])
        covariance: FloatArray = F @ G @ F.T
        covariance[: len(M), : len(M)] += M
        return covariance

    def _sparse_rows(self, level: int) -> list[FloatArray]:
        blocks = [block[[level]].toarray() for block in self.A.sparse]
        return [np.vstack(blocks)] if blocks else []

    def solve(self) -> tuple[FloatArray, list[FloatArray]]:
        """Beta and the spherical effects u of each term, the minimum of penalized least squares."""
        A, m = self.A, self.A.m
        solution = self._coefficients()
        u, beta = by_term(solution[:m], A.tail_shapes), solution[m:]
        # u_j = P_j' C_j (-b_t, -beta, 1)
        Cv = np.einsum("btj,t->bj", A.dense, np.append(-beta, 1.0)) - self._coupled(u)
        return beta, A.joined(np.einsum("baj,bj->ja", self.P, Cv), u)

    def _coupled(self, u: Sequence[FloatArray]) -> FloatArray:
        """C b of the head for the effects b = Lambda u of the tail, shape (k, J)."""
        A = self.A
        if not A.sparse:
            return np.zeros(A.head.shape[1:])
        parts = [(u_f @ T_f.T).ravel() for u_f, T_f in zip(u, A.parted(self.T)[1], strict=True)]
        b = np.concatenate(parts)
        return np.stack([block @ b for block in A.sparse])

    def solve_spherical(self, q: Sequence[FloatArray]) -> list[FloatArray]:
        """Solve (Lambda'Z'WZ Lambda + I) u = q, for parts of shape (m, k)."""
        A, m = self.A, self.A.m
        q_h, q_t = A.parted(q)
        head = np.einsum("abj,jb->ja", self.H_inverse, q_h)
        if not q_t:
            return [head]
        # S u_t = q_t - sum_j Lambda_t' C_j' P_j q_j,  and  u_j = H_j^-1 q_j - P_j' C_j Lambda_t u_t
        Pq = np.einsum("abj,jb->aj", self.P, q_h)
        known = sum(block.T @ Pq_a for block, Pq_a in zip(A.sparse, Pq, strict=True))
        v = [
            (q_f - known_f @ T_f).ravel()
            for q_f, known_f, T_f in zip(
                q_t, by_term(known, A.tail_shapes), A.parted(self.T)[1], strict=True
            )
        ]
        tail = by_term(dpotrs(self.L[:m, :m], np.concatenate(v), lower=1)[0], A.tail_shapes)
        return A.joined(head - np.einsum("baj,bj->ja", self.P, self._coupled(tail)), tail)

    def row_variances(self, factors: Sequence[Factor]) -> FloatArray:
        """Diagonal of Z Lambda (Lambda'Z'WZ Lambda + I)^-1 Lambda'Z', one entry for each row.

        Over sigma^2 they are the variances of Z b given y, and times W the leverages of the rows.

        Parameters
        ----------
        factors : sequence of Factor
            The columns of Z.

        Returns
        -------
        ndarray, shape (n,)
            Variances.
        """
        head, others = self.A.parted(factors)
        m = self.A.m
        G = self._between_lambdas(self._tail_inverse(m))
        if head.shape.levels == 1:
            return self._dense_row_variances([z for f in (head, *others) for z in f.effects], G)
        h = _quadratic(head, self._head_covariances(G) if others else self.M)
        # of the tail: G; and between the two: -M_j C_j G, for some levels at a time
        columns, at = [], 0
        for f in others:
            columns += [(at + b + f.shape.k * f.codes, z) for b, z in enumerate(f.effects)]
            at += f.shape.size
        for s, (column, z) in enumerate(columns):
            h += z * z * G[column, column]
            for other, z_other in columns[:s]:
                h += 2 * z * z_other * G[column, other]
        order = np.argsort(head.codes, kind="stable") if columns else head.codes
        ends = np.searchsorted(head.codes[order], np.arange(head.shape.levels + 1))
        chunk = max(1, ENTRIES // max(m, 1))
        for first in range(0, head.shape.levels if columns else 0, chunk):
            last = min(first + chunk, head.shape.levels)
            rows = order[ends[first] : ends[last]]
            codes = head.codes[rows] - first
            CG = [block[first:last] @ G[:m, :m] for block in self.A.sparse]
            for a, z_head in enumerate(head.effects):
                MCG = sum(self.M[a, b, first:last, None] * CG_b for b, CG_b in enumerate(CG))
                for column, z in columns:
                    h[rows] -= 2 * z_head[rows] * z[rows] * MCG[codes, column[rows]]
        return h

    def _dense_row_variances(self, columns: Sequence[FloatArray], G: FloatArray) -> FloatArray:
        """Those of a model whose terms have one level: of the head's columns, then the tail's."""
        m = self.A.m
        V = self._head_covariances(G)[:, :, 0]
        for C in self._sparse_rows(0):  # there is a tail
            # covariance of all effects: [ M + M C G C' M'   -M C G ]
            #                            [     -G C' M'         G   ]
            between = -self.M[:, :, 0] @ C @ G[:m, :m]
            V = np.block([[V, between], [between.T, G[:m, :m]]])
        h = np.empty(len(columns[0]))
        for at in range(0, len(h), ROWS):
            rows = slice(at, at + ROWS)
            z = np.stack([column[rows] for column in columns])
            h[rows] = np.einsum("cr,cr->r", V @ z, z)
        return h

    def _coefficients(self) -> FloatArray:
        """Return (u, beta) of the tail from L' (u, beta) = l_y."""
        if len(self.L) == 1:  # neither a tail nor X
            return np.empty(0)
        solution, _ = dtrtrs(self.L[:-1, :-1], self.L[-1, :-1], lower=1, trans=1)
        return np.asarray(solution, dtype=np.float64)

    def _tail_inverse(self, r: int) -> FloatArray:
        """Inverse of the first r rows and columns of L L', the rest zero, shape (t, t)."""
        Q = np.zeros(self.L.shape)
        if r:
            inverse, _ = dpotri(np.array(self.L[:r, :r], order="F"), lower=1, overwrite_c=1)
            # above the diagonal L and its inverse are zero
            np.add(inverse, inverse.T, out=Q[:r, :r])
            np.einsum("ss->s", Q)[:r] /= 2
        return Q

    def _between_lambdas(self, Q: FloatArray) -> FloatArray:
        """Return Lambda Q Lambda' of the tail, for a symmetric Q."""
        transposed = [T_f.T for T_f in self.A.parted(self.T)[1]]
        return self.A.times_lambda(self.A.times_lambda(Q, transposed).T, transposed)


# ---- small blocks, all levels at once ----


def _left(T: FloatArray, B: FloatArray) -> FloatArray:
    """T B_j for each level, B of shape (k, k, J)."""
    return (T @ B.reshape(len(B), -1)).reshape(B.shape)


def _right(B: FloatArray, T: FloatArray) -> FloatArray:
    """B_j T for each level, B of shape (k, k, J)."""
    if len(B) > B.shape[2]:  # few large blocks
        return np.asarray(np.matmul(B.transpose(2, 0, 1), T).transpose(1, 2, 0))
    return np.asarray(np.matmul(T.T, B))


def _times(A: FloatArray, B: FloatArray) -> FloatArray:
    """A_j B_j for each level, both of shape (k, k, J)."""
    if len(A) > A.shape[2]:  # few large blocks
        return np.asarray(np.matmul(A.transpose(2, 0, 1), B.transpose(2, 0, 1)).transpose(1, 2, 0))
    return np.asarray(np.einsum("acj,cbj->abj", A, B))


def _quadratic(factor: Factor, M: FloatArray) -> FloatArray:
    """Compute z' M_j z for each row, z its effects and j its level."""
    value = np.zeros(len(factor.codes))
    for a, z in enumerate(factor.effects):
        for b in range(a):
            value += 2 * z * factor.effects[b] * M[a, b][factor.codes]
        value += z * z * M[a, a][factor.codes]
    return value


def _inverse(H: FloatArray, signed: bool) -> tuple[FloatArray, float]:
    """Inverses of symmetric blocks (k, k, J), and the sum of log|H_j|.

    H_j - I is not negative unless a weight is, so a pivot below 1 is rounding. With signed weights
    it may be right as long as it has digits.
    """
    k = len(H)
    if k == 1:
        if not H.min() > (0.0 if signed else 0.5):
            raise np.linalg.LinAlgError("a block of the head is not positive")
        return 1 / H, float(np.log(H).sum())
    if k > H.shape[2]:  # few large blocks
        L = np.linalg.cholesky(H.T)
        log_diagonals = np.log(np.diagonal(L, axis1=1, axis2=2))
        inverse = np.asarray(np.linalg.inv(H.T).T, dtype=np.float64)
        return inverse, 2 * float(log_diagonals.sum())
    # sweep one effect after the other, in place, which leaves -H_j^-1; no pivot needs a search
    swept, pivots = H.copy(), np.empty(H.shape[1:])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for c in range(k):
            pivots[c] = swept[c, c]
            column = swept[:, c] / pivots[c]
            swept -= column[:, None] * swept[c]
            swept[c] = swept[:, c] = column
            swept[c, c] = -1 / pivots[c]
    sound = (pivots > 1e-15 * np.einsum("ccj->cj", H)).all() if signed else pivots.min() > 0.5
    if not sound:
        raise np.linalg.LinAlgError("a block of the head has lost its digits")
    return -swept, float(np.log(pivots).sum())
