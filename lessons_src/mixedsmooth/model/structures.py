"""What is known of how the levels of a factor depend on each other (chapter 12).

A covariance K or a precision Q of the effects of all levels, up to the variance tau^2 that is
estimated: b ~ N(0, tau^2 K), or b ~ N(0, tau^2 Q^-1). The neighbors on a map give a Q, a pedigree
gives a K whose inverse is sparse. A root of either makes the effects of independent ones:

    levels, and K or Q -> checked Structure -> its root C:  b = C u,  u ~ N(0, tau^2 I)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.csgraph import connected_components

from mixedsmooth._checks import (
    KINDS,
    all_names,
    as_labels,
    as_matrix,
    as_vector,
    choice,
    column_of,
    frozen,
    listed,
    locked,
    match,
    missing_in,
)
from mixedsmooth._linalg import cholesky, solve_lower
from mixedsmooth.model.precision import Precision
from mixedsmooth.model.rows import take

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

ROUNDED = 1e-10  # of the largest entry: what symmetric entries, or a sum of zero, may be off
WITH_INVERSE = 300  # animals from which on a term has the sparse inverse of A
DENSE_ANIMALS = 5_000  # up to here the relationships of all pairs are made
COLUMNS = 64  # of A that are found at a time
# what others write for a parent who is not known
UNKNOWN = frozenset({"0", "0.0", "-1", "", ".", "-", "*", "?", "na", "nan", "none", "unknown"})


# ---- a checked K or Q ----


@dataclass(frozen=True, eq=False)
class Structure:
    """A covariance or a precision of the effects of all levels, up to a variance.

    Attributes
    ----------
    name : {"covariance", "precision"}
        What it is.
    levels : ndarray, shape (m,)
        Labels, with data or without.
    matrix : ndarray or csr_array, shape (m, m)
        K, dense; or Q, sparse.
    components : tuple of ndarray of int
        Levels that depend on each other in Q, if only through others: the components of its graph.
        One with all levels for K.
    intrinsic : bool
        Whether the rows of Q sum to zero, so that the mean of each component is free.

    Examples
    --------
    >>> islands = structure_of("precision", neighbours([("a", "b"), ("c", "d"), ("d", "e")]))
    >>> [islands.levels[rows].tolist() for rows in islands.components], islands.intrinsic
    ([['a', 'b'], ['c', 'd', 'e']], True)
    """

    name: str
    levels: NDArray[Any]
    matrix: Any
    components: tuple[IntArray, ...]
    intrinsic: bool

    def root(self, counts: FloatArray) -> FloatArray:
        """Return C with b = C u: a column for each independent effect.

        Where the mean of a component is free, its effects sum to zero over the rows, as those of a
        smooth do.

        Parameters
        ----------
        counts : ndarray, shape (m,)
            Number of rows of each level; each component has some.

        Returns
        -------
        ndarray, shape (m, r)
            The root; r is m, or one less for each mean that is free.

        Raises
        ------
        ValueError
            If K or Q is not positive definite, but for the means that are free.

        Examples
        --------
        >>> both = structure_of("precision", neighbours([("a", "b")]))
        >>> print(both.root(np.array([3.0, 1.0])))  # 3 b_a + b_b = 0
        [[-0.25]
         [ 0.75]]
        """
        free = int(self.intrinsic)
        C = np.zeros((len(self.levels), len(self.levels) - free * len(self.components)))
        at = 0
        for rows in self.components:
            M = self.matrix
            if self.name == "precision":
                M = M[rows][:, rows].toarray()
            # where the mean is free only differences are known: those from the first level
            L = _factor(M[free:, free:])
            if L is None:
                raise ValueError(self._complaint(M, rows))
            own = slice(at, at + len(L))
            if self.name == "covariance":
                # K = L L',  b = L u
                C[rows, own] = L
            else:
                # Q = L L',  b = L'^-1 u
                C[rows[free:], own] = solve_lower(L, np.eye(len(L)), transposed=True)
            if free:
                # b - 1 (a'b),  a = n_i / sum n_i:  differences stay as they are
                share = counts[rows] / counts[rows].sum()
                C[rows, own] -= share @ C[rows, own]
            at = own.stop
        return C

    def sparse(self, counts: FloatArray) -> Precision:
        """Return Q as the sparse engine takes it.

        Parameters
        ----------
        counts : ndarray, shape (m,)
            Number of rows of each level; each component has some.

        Returns
        -------
        Precision
            Q, with the means of components that are free.

        Raises
        ------
        ValueError
            If Q is not positive definite, but for the means that are free.

        Examples
        --------
        >>> both = structure_of("precision", neighbours([("a", "b")]))
        >>> both.sparse(np.array([3.0, 1.0])).sums.toarray().ravel()
        array([0.75, 0.25])
        """
        component = np.full(len(self.levels), -1)
        for c, rows in enumerate(self.components if self.intrinsic else ()):
            component[rows] = c
        precision = Precision(self.matrix.tocsc(), component, counts)
        if not precision.definite:
            free = ", but for constants on its components" if self.intrinsic else ""
            raise ValueError(
                f"precision must be positive definite{free}, and to working precision it is not: "
                "look for a negative or a missing entry"
            )
        return precision

    def _complaint(self, M: FloatArray, rows: IntArray) -> str:
        """Tell why a matrix has no root."""
        e = np.linalg.eigvalsh(M)
        rounding = len(M) * np.finfo(float).eps * float(np.abs(e).max(initial=0.0))
        found = f"its smallest eigenvalue is {e[0]:.3g}, its largest {e[-1]:.3g}"
        kind = "definite" if self.name == "covariance" else "semidefinite"
        if e[0] < -rounding:
            return f"{self.name} must be positive {kind}, and {found}"
        if self.name == "covariance":
            return (
                f"covariance must be positive definite, and {found}; merge levels that are the "
                "same, such as identical twins or the ends of a branch of length zero"
            )
        constants = "constants" if self.intrinsic else "nothing"
        return (
            f"precision has a null space of dimension {np.sum(e <= rounding)} on the levels "
            f"{shown(self.levels[rows])}, where {constants} may have no penalty; with penalized() "
            "a term can have any null space"
        )

    def notes(self, name: str, counts: FloatArray) -> list[str]:
        """Tell what is free and what has no data.

        Parameters
        ----------
        name : str
            The factor.
        counts : ndarray, shape (m,)
            Number of rows of each level.

        Returns
        -------
        list of str
            Sentences.

        Examples
        --------
        >>> islands = structure_of("precision", neighbours([("a", "b"), ("c", "d"), ("d", "e")]))
        >>> print(*islands.notes("g", np.array([1.0, 2.0, 1.0, 1.0, 0.0])), sep="; ")
        g: the precision leaves the means of 2 components free, of 2 levels (a, b) and 3 levels
        (c, d, e); a column of X stands for each but the first; g: 1 of 5 levels has no data
        """
        notes, m = [], len(self.levels)
        if self.intrinsic and len(self.components) == 1:
            notes.append(f"{name}: the precision leaves the mean free, as does the intercept")
        elif self.intrinsic:
            sizes = [f"{len(rows)} levels ({shown(self.levels[rows])})" for rows in self.components]
            more = f" and {len(sizes) - 5} more" if len(sizes) > 5 else ""
            notes.append(
                f"{name}: the precision leaves the means of {len(sizes)} components free, of "
                f"{' and '.join(sizes[:5])}{more}; a column of X stands for each but the first"
            )
        without = int(np.sum(counts == 0))
        if without:
            notes.append(
                f"{name}: {without} of {m} levels {'has' if without == 1 else 'have'} no data"
            )
        return notes

    def codes(self, name: str, levels: NDArray[Any]) -> IntArray:
        """Return which of its levels those of the data are.

        Parameters
        ----------
        name : str
            The factor.
        levels : ndarray
            Labels of the data.

        Returns
        -------
        ndarray of int
            Positions.

        Raises
        ------
        ValueError
            If one is no level of it.

        Examples
        --------
        >>> map_of = structure_of("precision", neighbours([(1, 2), (2, 3)]))
        >>> map_of.codes("district", np.array([3.0, 1.0]))
        array([2, 0])
        """
        kinds = KINDS[levels.dtype.kind], KINDS[self.levels.dtype.kind]
        if kinds[0] != kinds[1]:
            raise ValueError(
                f"{name} has labels that are {kinds[0]}, such as {levels[0]}, and the levels of "
                f"{self.name} are {kinds[1]}, such as {self.levels[0]}; make them the same"
            )
        codes = match(name, levels, self.levels)
        if np.any(codes < 0):
            unknown = levels[codes < 0]
            raise ValueError(
                f"{name} has {len(unknown)} label(s) that {self.name} does not have among its "
                f"{len(self.levels)} levels: {shown(unknown)}; give it these levels, or leave "
                "their rows out"
            )
        return codes


def structure_of(name: str, given: Any) -> Structure:
    """Check a covariance or a precision that a user gives.

    Parameters
    ----------
    name : {"covariance", "precision"}
        What it is.
    given : pair of levels and matrix, or Relationship
        Labels of shape (m,), and a symmetric matrix of shape (m, m), dense or sparse.

    Returns
    -------
    Structure
        The structure. Whether it is positive definite shows when it is factored.

    Raises
    ------
    ValueError
        If it is no such pair, a level stands there twice or the matrix has another size, is not
        finite or not symmetric, or only some rows of a precision sum to zero.

    Examples
    --------
    >>> of_two = structure_of("covariance", (["a", "b"], [[2.0, 1.0], [1.0, 2.0]]))
    >>> of_two.levels, of_two.intrinsic
    (array(['a', 'b'], dtype='<U1'), False)
    """
    if isinstance(given, Relationship):
        if name == "precision":
            raise ValueError("a relationship is a covariance; give covariance=")
        if len(given.levels) > WITH_INVERSE:
            return structure_of("precision", (given.levels, given.inverse))
    if isinstance(given, Graph) and name == "covariance":
        raise ValueError("the matrix of a graph is a precision; give precision=")
    letter = "K" if choice("name", name, ("covariance", "precision")) == "covariance" else "Q"
    try:
        levels, matrix = given
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} must be a pair of levels and a matrix, such as {name}=(levels, {letter}); "
            f"found {given!r:.80}"
        ) from None
    levels = _distinct(f"levels of {name}", levels)
    if name == "covariance":
        dense = matrix.toarray() if scipy.sparse.issparse(matrix) else matrix
        K = _symmetric(name, as_matrix(name, dense), levels)
        return Structure(name, levels, locked(K), (np.arange(len(levels)),), intrinsic=False)
    sparse = scipy.sparse.issparse(matrix)
    Q = scipy.sparse.csr_array(matrix if sparse else as_matrix(name, matrix), copy=True)
    Q.sum_duplicates()
    Q.eliminate_zeros()
    if not Q.nnz:
        raise ValueError("precision has zeros only; give the matrix of a graph with edges")
    Q.data = as_vector(name, Q.data)
    Q = scipy.sparse.csr_array(_symmetric(name, Q, levels))
    diagonal = Q.diagonal()
    if diagonal.min() < 0:
        raise ValueError(
            f"precision must be positive semidefinite, and its diagonal has {diagonal.min():.3g} "
            f"for {levels[int(diagonal.argmin())]}"
        )
    count, of_level = connected_components(Q, directed=False)
    order = np.argsort(of_level, kind="stable")
    components = tuple(np.split(order, np.cumsum(np.bincount(of_level))[:-1]))
    # a constant on a component has no penalty where its rows sum to zero
    level = np.abs(Q.sum(axis=1)) <= ROUNDED * abs(Q).sum(axis=1)
    zero = np.array([bool(level[rows].all()) for rows in components])
    if zero.any() and not zero.all():
        raise ValueError(
            f"precision has {int(zero.sum())} of {count} components whose rows sum to zero, such "
            f"as that of {shown(levels[components[int(zero.argmax())]])}, and others whose rows do "
            "not; make two terms of it"
        )
    return Structure(name, levels, Q, components, bool(zero.all()))


def _distinct(name: str, levels: ArrayLike) -> NDArray[Any]:
    labels = as_labels(name, levels)
    found, times = np.unique(labels, return_counts=True)
    if len(found) < len(labels):
        raise ValueError(
            f"{name} must be distinct, and {found[times.argmax()]} is there {times.max()} times"
        )
    if len(labels) < 2:
        raise ValueError(f"{name} must be two or more, found {labels[0]} alone")
    return frozen(labels)


def _symmetric(name: str, M: Any, levels: NDArray[Any]) -> Any:
    """Return a matrix of some levels, dense or sparse, symmetric to the last digit."""
    m = len(levels)
    if M.shape != (m, m):
        raise ValueError(
            f"{name} must have a row and a column for each of its {m} levels, found shape {M.shape}"
        )
    off = abs(M - M.T)
    if off.max() > ROUNDED * abs(M).max():
        row, column = divmod(int(off.argmax()), m)
        raise ValueError(
            f"{name} must be symmetric, and has {M[row, column]:.8g} and {M[column, row]:.8g} "
            f"between {levels[row]} and {levels[column]}"
        )
    return (M + M.T) / 2


def _factor(V: FloatArray) -> FloatArray | None:
    """L with L L' = V; nothing where V is not positive definite to working precision."""
    if not len(V):
        return V
    try:
        L = cholesky(V)
    except ValueError:
        return None
    lowest = len(V) * np.finfo(float).eps * float(np.diag(V).max())
    return L if float(np.diag(L).min()) ** 2 > lowest else None


def shown(levels: NDArray[Any]) -> str:
    """Write the first of some levels.

    Parameters
    ----------
    levels : ndarray
        Labels.

    Returns
    -------
    str
        Their text.

    Examples
    --------
    >>> shown(np.arange(9)), shown(np.array(["a", "b"]))
    ('0, 1, 2, ...', 'a, b')
    """
    return ", ".join(map(str, levels[:3])) + (", ..." if len(levels) > 3 else "")


# ---- graphs ----


class Graph(NamedTuple):
    """Levels, and the Laplacian of their graph: a precision.

    Attributes
    ----------
    levels : ndarray, shape (m,)
        Labels.
    Q : csr_array, shape (m, m)
        Numbers of neighbors on the diagonal, -1 for each pair of neighbors.
    """

    levels: NDArray[Any]
    Q: scipy.sparse.csr_array


def neighbours(pairs: Any, levels: ArrayLike | None = None) -> Graph:
    """Make the precision of a Markov random field from pairs of neighbors.

    b'Qb is the sum of (b_i - b_j)^2 over all pairs.

    Parameters
    ----------
    pairs : sequence of pairs of labels, array_like of shape (k, 2), or data with two columns
        Who is next to whom. The order within a pair and pairs given twice do not matter.
    levels : array_like, shape (m,), optional
        All labels, in the order that is wanted, with those that have no neighbor. Otherwise those
        of the pairs, sorted.

    Returns
    -------
    Graph
        Levels and Q, for ``group(district=d, precision=neighbours(pairs))``.

    Raises
    ------
    ValueError
        If these are no pairs, a label is missing or paired with itself, or `levels` has one twice
        or lacks one of a pair.

    References
    ----------
    Besag, York and Mollie (1991), Annals of the Institute of Statistical Mathematics 43, 1-20; Rue
    and Held (2005), Gaussian Markov Random Fields, section 3.3.

    Examples
    --------
    >>> levels, Q = neighbours([("a", "b"), ("b", "c"), ("c", "b")])
    >>> print(levels, Q.toarray())
    ['a' 'b' 'c'] [[ 1. -1.  0.]
     [-1.  2. -1.]
     [ 0. -1.  1.]]
    """
    one, other = (as_labels("pairs", column) for column in _two_columns(pairs))
    kinds = sorted({KINDS[column.dtype.kind] for column in (one, other)})
    if len(kinds) > 1:
        raise ValueError(f"pairs mixes {' and '.join(kinds)}; make all labels text with str()")
    if len(one) != len(other):
        raise ValueError(f"pairs has columns of {len(one)} and {len(other)} rows")
    if np.any(one == other):
        itself = int(np.argmax(one == other))
        raise ValueError(
            f"pairs has {one[itself]} as a neighbor of itself, in row {itself}; leave it out"
        )
    joined = np.concatenate([one, other])
    known = frozen(np.unique(joined)) if levels is None else _distinct("levels", levels)
    if KINDS[known.dtype.kind] != kinds[0]:
        raise ValueError(
            f"levels are {KINDS[known.dtype.kind]} and the labels of pairs {kinds[0]}; make them "
            "the same"
        )
    codes = match("pairs", joined, known)
    if np.any(codes < 0):
        raise ValueError(
            f"pairs has labels that are not among levels: {shown(np.unique(joined[codes < 0]))}"
        )
    m = len(known)
    ones = np.ones(len(codes))
    W = scipy.sparse.coo_array((ones, (codes, np.roll(codes, len(one)))), (m, m)).tocsr()
    W.data[:] = 1.0  # pairs that are there twice were added
    # Q = D - W
    D = scipy.sparse.diags_array(np.asarray(W.sum(axis=1)).ravel())
    return Graph(known, scipy.sparse.csr_array(D - W))


def _two_columns(pairs: Any) -> tuple[Any, Any]:
    """Columns of data with names, of an array, or of a sequence of pairs."""
    if isinstance(pairs, Mapping) or hasattr(pairs, "columns") or hasattr(pairs, "column_names"):
        names = all_names(pairs)
        if len(names) != 2:
            raise ValueError(f"pairs must have two columns, found {listed(names)}")
        return column_of(pairs, names[0]), column_of(pairs, names[1])
    if isinstance(pairs, np.ndarray):
        if pairs.ndim != 2 or pairs.shape[1] != 2:
            raise ValueError(f"pairs must have two columns, found shape {pairs.shape}")
        return pairs[:, 0], pairs[:, 1]
    try:
        rows = [(one, other) for one, other in pairs]
    except (TypeError, ValueError):
        raise ValueError(
            f"pairs must be pairs of labels, such as [('a', 'b'), ('b', 'c')]; found {pairs!r:.80}"
        ) from None
    if not rows:
        raise ValueError("pairs is empty; give one pair or more")
    return [one for one, _ in rows], [other for _, other in rows]


# ---- pedigrees ----


@dataclass(frozen=True, eq=False)
class Relationship:
    """The relationships of the animals of a pedigree; ``levels, A = relationship(pedigree)``.

    Attributes
    ----------
    levels : ndarray, shape (m,)
        The animals: parents that are not listed, then the others as they are listed.
    sire, dam : ndarray of int, shape (m,)
        Positions of the parents in `levels`, -1 where one is not known.
    generation : ndarray of int, shape (m,)
        0 for an animal without known parents, otherwise one more than the larger of its parents.
    inbreeding : ndarray, shape (m,)
        F, the relationship of the parents over two: diag(A) = 1 + F.

    Examples
    --------
    >>> sibs = relationship([("c", "a", "b"), ("d", "a", "b"), ("e", "c", "d")])
    >>> print(sibs.levels, sibs.inbreeding)
    ['a' 'b' 'c' 'd' 'e'] [0.   0.   0.   0.   0.25]
    >>> print(sibs.A[2:, 2:])
    [[1.   0.5  0.75]
     [0.5  1.   0.75]
     [0.75 0.75 1.25]]
    """

    levels: NDArray[Any]
    sire: IntArray
    dam: IntArray
    generation: IntArray
    inbreeding: FloatArray

    def __iter__(self) -> Iterator[Any]:
        """Yield the levels, and A."""
        return iter((self.levels, self.A))

    @property
    def mendelian(self) -> FloatArray:
        """Diagonal of D: the variance that the parents leave, shape (m,)."""
        return _mendelian(self.sire, self.dam, self.inbreeding)

    @cached_property
    def inverse(self) -> scipy.sparse.csr_array:
        """The inverse of A, sparse, from the pedigree alone."""
        # A^-1 = T^-T D^-1 T^-1  (eq-term-relationship),  T^-1 = I - P
        root = scipy.sparse.eye_array(len(self.levels)) - _halves(self.sire, self.dam)
        weighted = scipy.sparse.diags_array(1 / self.mendelian) @ root
        return scipy.sparse.csr_array(root.T @ weighted)

    @cached_property
    def A(self) -> FloatArray:  # noqa: N802
        """The relationships of all pairs, shape (m, m).

        Raises
        ------
        ValueError
            If there are more than 5,000 animals.
        """
        m = len(self.levels)
        if m > DENSE_ANIMALS:
            raise ValueError(
                f"A of {m} animals has {m**2:,} entries, and its limit is {DENSE_ANIMALS} animals; "
                "use `inverse`, which is sparse"
            )
        A = np.zeros((m, m))
        order = np.argsort(self.generation, kind="stable")
        for at, i in enumerate(order):
            older = order[:at]
            # a_i = (a_s + a_d) / 2 + m_i  (eq-term-mendel)
            parents = [parent for parent in (self.sire[i], self.dam[i]) if parent >= 0]
            for parent in parents:
                A[i, older] += A[parent, older] / 2
            A[older, i] = A[i, older]
            A[i, i] = 1 + A[tuple(parents)] / 2 if len(parents) == 2 else 1.0
        return locked(A)


def relationship(pedigree: Any) -> Relationship:
    """Find the relationships of animals from their pedigree.

    Parameters
    ----------
    pedigree : sequence of triples, mapping, or data with columns animal, sire and dam
        For each animal its parents: ``(animal, sire, dam)``, or ``{animal: (sire, dam)}``. None
        stands for one that is not known. The order does not matter; parents that are not listed
        are founders, as those without known parents are: not related to each other, not inbred.

    Returns
    -------
    Relationship
        Levels, A, its inverse, and inbreeding; for ``group(animal=a, covariance=...)``.

    Raises
    ------
    ValueError
        If these are no triples, an animal is listed twice or is missing, it is its own ancestor, or
        a parent that is not listed is called 0 or otherwise as if it was not known.

    References
    ----------
    Henderson (1976), Biometrics 32, 69-83, for the inverse; Quaas (1976), Biometrics 32, 949-953,
    for its diagonal where animals are inbred; Emik and Terrill (1949), Journal of Heredity 40,
    51-55, for A.

    Examples
    --------
    >>> levels, A = relationship({"calf": ("bull", "cow"), "twin": ("bull", "cow")})
    >>> print(levels, A[2])
    ['bull' 'cow' 'calf' 'twin'] [0.5 0.5 1.  0.5]
    """
    columns = [_labels_or_none(*column) for column in _pedigree_columns(pedigree)]
    if None in columns[0]:
        raise ValueError(
            f"pedigree has no animal in row {columns[0].index(None)}; only parents may be unknown"
        )
    animals, sires, dams = columns
    as_labels("pedigree", [label for column in columns for label in column if label is not None])
    founders = dict.fromkeys(sires + dams).keys() - {*animals, None}
    levels = sorted(founders) + animals
    position = {label: at for at, label in enumerate(levels)}
    if len(position) < len(levels):
        twice = next(label for at, label in enumerate(levels) if position[label] != at)
        raise ValueError(f"pedigree has the animal {twice} twice; give each its parents once")
    for label in founders:
        if str(label).strip().lower() in UNKNOWN:
            raise ValueError(
                f"pedigree has {label!r} as a parent, and no animal is called so; write None for a "
                "parent that is not known"
            )
    first = len(founders)
    sire, dam = np.full((2, len(levels)), -1, dtype=np.intp)
    for parents, labels in ((sire, sires), (dam, dams)):
        parents[first:] = [-1 if label is None else position[label] for label in labels]
    names = frozen(as_labels("pedigree", levels))
    generation = _generations(names, sire, dam)
    F = _inbreeding(sire, dam, generation)
    return Relationship(names, *(locked(each) for each in (sire, dam, generation, F)))


def _pedigree_columns(pedigree: Any) -> list[tuple[str, Any]]:
    """Columns of data with names, of a mapping from animals to parents, or of triples."""
    wanted = "animal", "sire", "dam"
    if isinstance(pedigree, Mapping) and not set(wanted) <= pedigree.keys():
        pedigree = [(animal, *_as_pair(animal, of)) for animal, of in pedigree.items()]
    if hasattr(pedigree, "keys") or hasattr(pedigree, "columns"):
        return [(name, column_of(pedigree, name)) for name in wanted]
    try:
        rows = [(animal, sire, dam) for animal, sire, dam in pedigree]
    except (TypeError, ValueError):
        raise ValueError(
            "pedigree must be triples (animal, sire, dam), a mapping of each animal to (sire, dam) "
            f"or data with these columns; found {pedigree!r:.80}"
        ) from None
    if not rows:
        raise ValueError("pedigree is empty; give an animal and its parents")
    return list(zip(wanted, map(list, zip(*rows, strict=True)), strict=True))


def _as_pair(animal: Any, parents: Any) -> tuple[Any, Any]:
    try:
        sire, dam = parents
    except (TypeError, ValueError):
        raise ValueError(
            f"pedigree must give (sire, dam) for {animal}, found {parents!r:.60}"
        ) from None
    return sire, dam


def _labels_or_none(name: str, values: Any) -> list[Any]:
    """Labels of a column, None where one is missing; whole numbers are so beside missing ones."""
    missing = missing_in(name, values)
    if missing.ndim != 1:
        raise ValueError(f"{name} must hold one label a row, found shape {missing.shape}")
    found: list[Any] = [None] * missing.size
    rows = np.flatnonzero(~missing)
    if len(rows):
        labels = as_labels(name, take(values, rows))
        if labels.dtype.kind == "f" and np.all(labels == np.round(labels)):
            labels = labels.astype(np.int64)
        for row, label in zip(rows, labels.tolist(), strict=True):
            found[row] = label
    return found


def _generations(levels: NDArray[Any], sire: IntArray, dam: IntArray) -> IntArray:
    """Return 0 for a founder, otherwise one more than the larger of its parents."""
    generation = np.full(len(levels), -1, dtype=np.intp)
    left = np.arange(len(levels))
    g = 0
    while len(left):
        done = np.append(generation >= 0, True)  # the last is that of a parent who is not known
        ready = done[sire[left]] & done[dam[left]]
        if not ready.any():
            at, path = left[0], set()
            while at not in path:
                path.add(at)
                at = dam[at] if done[sire[at]] else sire[at]
            raise ValueError(f"pedigree has {levels[at]} among its own ancestors; mend its parents")
        generation[left[ready]] = g
        left = left[~ready]
        g += 1
    return generation


def _mendelian(sire: IntArray, dam: IntArray, inbreeding: FloatArray) -> FloatArray:
    """Variance of what an animal has beyond the mean of its parents, over that of a founder."""
    # d_i = 1 - (1 + F_s) / 4 - (1 + F_d) / 4, without the part of a parent who is not known
    share = np.append(1 + inbreeding, 0.0) / 4
    return np.asarray(1 - share[sire] - share[dam])


def _halves(sire: IntArray, dam: IntArray) -> scipy.sparse.csr_array:
    """P, with 1/2 for each parent of the animal of a row: T^-1 = I - P."""
    parents = np.concatenate([sire, dam])
    known = parents >= 0
    child = np.tile(np.arange(len(sire)), 2)[known]
    entries = (np.full(len(child), 0.5), (child, parents[known]))
    return scipy.sparse.coo_array(entries, shape=(len(sire), len(sire))).tocsr()


def _inbreeding(sire: IntArray, dam: IntArray, generation: IntArray) -> FloatArray:
    """F of all animals, generation by generation: half the relationship of its parents."""
    m = len(sire)
    F, both = np.zeros(m), (sire >= 0) & (dam >= 0)
    order = np.argsort(generation, kind="stable")
    rank = np.empty(m, dtype=np.intp)
    rank[order] = np.arange(m)
    contrasts = (scipy.sparse.eye_array(m) - _halves(sire, dam)).tocsr()[order][:, order]
    for g in range(1, int(generation.max()) + 1):
        rows = np.flatnonzero(both & (generation == g))
        # columns of A are found for that of the two parents of which there are fewer
        (many, other), (few, which) = sorted(
            (np.unique(rank[parent[rows]], return_inverse=True) for parent in (sire, dam)),
            key=lambda found: -len(found[0]),
        )
        older = int(np.searchsorted(generation[order], g))
        lower = contrasts[:older, :older].tocsc()
        T, T_transposed = (
            scipy.sparse.linalg.splu(M, permc_spec="NATURAL", diag_pivot_thresh=0)
            for M in (lower, lower.T.tocsc())
        )
        d = _mendelian(sire, dam, F)[order[:older], None]
        for start in range(0, len(few), COLUMNS):
            some = few[start : start + COLUMNS]
            unit = np.zeros((older, len(some)), order="F")  # as SuperLU has it
            unit[some, np.arange(len(some))] = 1.0
            # A e = T D T'e
            A = T.solve(d * T_transposed.solve(unit))
            own = (which >= start) & (which < start + COLUMNS)
            F[rows[own]] = A[many[other[own]], which[own] - start] / 2
    return F
