"""Effects that know their neighbors, and their parents (chapter 12).

A Markov random field is a random effect b with one value for each node of a graph, and a penalty on
the differences of neighbors,

    b'Q b = sum over pairs of neighbors (b_i - b_j)^2,   Q = D - W

where W has a one for each pair of neighbors, and D counts them. In a pedigree an animal's value is
the mean of its parents' plus what chance adds, and the covariance of all animals is tau^2 A.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import as_labels, as_vector, positive
from mixedsmooth._linalg import cholesky, solve_lower
from mixedsmooth.derivations.data import matrix, not_negative
from mixedsmooth.derivations.design import penalty_of

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

MOST_NODES = 2_000  # the matrices are dense

# ---- neighbors ----


def laplacian(pairs: ArrayLike) -> tuple[NDArray[Any], FloatArray]:
    """Graph Laplacian of pairs of neighbors.

    Parameters
    ----------
    pairs : array_like, shape (e, 2)
        Labels of two neighbors in each row. A pair may stand twice, in either order.

    Returns
    -------
    levels : ndarray, shape (m,)
        The labels, sorted.
    Q : ndarray, shape (m, m)
        D - W: the numbers of neighbors on the diagonal, and -1 for each pair.

    Raises
    ------
    ValueError
        If the shape is another, a label is its own neighbor, or there are more than 2,000 labels.

    References
    ----------
    Rue and Held (2005), Gaussian Markov Random Fields, section 3.3.

    Examples
    --------
    >>> levels, Q = laplacian([["a", "b"], ["b", "c"]])
    >>> print(Q)
    [[ 1. -1.  0.]
     [-1.  2. -1.]
     [ 0. -1.  1.]]
    """
    ends = np.asarray(pairs)
    if ends.ndim != 2 or ends.shape[1] != 2:
        raise ValueError(
            f"pairs must have two columns, a row for each pair of neighbors; found shape "
            f"{ends.shape}"
        )
    levels, codes = np.unique(
        as_labels("pairs", ends.ravel()), return_inverse=True
    )
    if len(levels) > MOST_NODES:
        raise ValueError(
            f"pairs have {len(levels)} labels, and Q would be a matrix of as many rows and "
            f"columns; this derivation forms it and stops at {MOST_NODES}"
        )
    i, j = codes.reshape(-1, 2).T
    if np.any(i == j):
        itself = levels[i[i == j][0]]
        raise ValueError(
            f"pairs have {itself!s} as a neighbor of itself; leave it out"
        )
    # W: one for each pair of neighbors
    W = np.zeros((len(levels), len(levels)))
    W[i, j] = W[j, i] = 1.0
    # Q = D - W  (eq-term-laplacian)
    return levels, np.diag(W.sum(axis=1)) - W


def components(Q: ArrayLike) -> IntArray:
    """Find which nodes hang together: the null space of Q.

    b'Q b is zero if and only if neighbors have the same value, so the null space holds what is
    constant on each component. A component is found by going from neighbor to neighbor.

    Parameters
    ----------
    Q : array_like, shape (m, m)
        Laplacian.

    Returns
    -------
    ndarray of int, shape (m,)
        Number of the component of each node, from 0, in the order of their first nodes.

    Raises
    ------
    ValueError
        If Q is not square.

    References
    ----------
    Rue and Held (2005), section 3.3.1.

    Examples
    --------
    >>> _, Q = laplacian([["a", "b"], ["b", "c"], ["d", "e"]])
    >>> component = components(Q)
    >>> component
    array([0, 0, 0, 1, 1])
    >>> bool((Q @ np.eye(2)[component] == 0).all())
    True
    """
    Q = matrix("Q", Q)
    touches = penalty_of(len(Q), Q) != 0
    component = np.full(len(Q), -1)
    count = 0
    while (component < 0).any():
        # Q c = 0 for c constant on a component  (eq-term-components)
        reached = np.arange(len(Q)) == np.argmax(component < 0)
        while not np.array_equal(
            grown := touches[reached].any(axis=0) | reached, reached
        ):
            reached = grown
        component[reached] = count
        count += 1
    return component


def conditional(
    b: ArrayLike, Q: ArrayLike, tau: float
) -> tuple[FloatArray, FloatArray]:
    """Distribution of each effect given all others: the mean of its neighbors, and a variance.

    The density of b is proportional to exp(-b'Q b / (2 tau^2)). In b_i alone this is a square,
    Q_ii (b_i - mean)^2 / tau^2: what is not a neighbor of i does not come in, which is Markov's
    property.

    Parameters
    ----------
    b : array_like, shape (m,)
        Effects.
    Q : array_like, shape (m, m)
        Laplacian.
    tau : float
        Standard deviation of the field, in the units of b.

    Returns
    -------
    mean, variance : ndarray, shape (m,)
        Of each b_i given the others.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, tau is not positive, or a node has no neighbor.

    References
    ----------
    Besag (1974), Journal of the Royal Statistical Society B 36, 192-236; Rue and Held (2005),
    section 2.2.

    Examples
    --------
    >>> _, Q = laplacian([["a", "b"], ["b", "c"]])
    >>> conditional([1, 9, 5], Q, tau=2)
    (array([9., 3., 9.]), array([4., 2., 4.]))
    """
    b = as_vector("b", b)
    Q = penalty_of(len(b), Q)
    number = np.diag(Q)
    if not number.all():
        raise ValueError(
            f"Q has node {int(np.argmin(number))} without a neighbor, which no other tells of"
        )
    # mean of b_i = sum over neighbors b_j / number,
    # variance = tau^2 / number  (eq-term-conditional)
    mean = (number * b - Q @ b) / number
    return mean, positive("tau", tau) ** 2 / number


def borrow(
    y: ArrayLike, Z: ArrayLike, Q: ArrayLike, lam: float
) -> tuple[FloatArray, float]:
    """Estimates of all nodes where the neighbors have a given strength, by one solve.

    With lambda = 0 each node has its own mean; as lambda goes to infinity all nodes of a component
    have one. Between, a node takes from its neighbors, the more so the fewer rows it has.

    Parameters
    ----------
    y : array_like, shape (n,)
        Response.
    Z : array_like, shape (n, m)
        Indicator columns of the nodes.
    Q : array_like, shape (m, m)
        Laplacian.
    lam : float
        Strength lambda = sigma^2 / tau^2, zero or above.

    Returns
    -------
    f : ndarray, shape (m,)
        The estimates, the mean included, in the units of y.
    edf : float
        Their effective degrees of freedom: from the number of nodes to that of the components.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, lam is negative, or a component has no rows; with
        lam zero, if a node has none.

    References
    ----------
    Wood (2017), section 5.4.2.

    Examples
    --------
    >>> _, Q = laplacian([["a", "b"], ["b", "c"]])
    >>> for lam in (0, 1, 1e6):
    ...     f, edf = borrow([1, 9, 5], np.eye(3), Q, lam)
    ...     print(f.round(2), round(edf, 2))
    [1. 9. 5.] 3.0
    [3.5 6.  5.5] 1.75
    [5. 5. 5.] 1.0
    """
    y = as_vector("y", y)
    Z = matrix("Z", Z, n=len(y))
    Q = penalty_of(Z.shape[1], Q)
    # min |y - Z f|^2 + lambda f'Q f  (eq-term-general):
    # (Z'Z + lambda Q) f = Z'y
    L = cholesky(
        Z.T @ Z + not_negative("lam", lam) * Q,
        "y and Q do not determine all nodes: a component has no row, or lam is zero and a node "
        "has none; leave the component out, or give a lam above zero",
    )
    f = scipy.linalg.cho_solve((L, True), Z.T @ y)
    # EDF = tr((Z'Z + lambda Q)^-1 Z'Z) = ||L^-1 Z'||^2
    return f, float(np.sum(solve_lower(L, Z.T) ** 2))


# ---- parents ----


def mendel(
    pedigree: Sequence[tuple[Any, Any, Any]],
) -> tuple[list[Any], FloatArray, FloatArray]:
    """Values of animals as sums of what chance gave to each of their ancestors: a = T m.

    Row by row, a_i = (a_s + a_d) / 2 + m_i, and of a parent that is not known there is nothing to
    say, so that m_i holds its half too. The variance of m_i is 1/2 if both parents are known, 3/4
    if one is, and 1 if none is; less by a quarter of the parents' inbreeding, as relatives have
    less to choose from.

    Parameters
    ----------
    pedigree : sequence of (animal, sire, dam)
        Parents before their offspring; None for a parent that is not known.

    Returns
    -------
    animals : list
        The animals in that order.
    T : ndarray, shape (m, m)
        Lower triangular: the part of each ancestor's m that an animal has.
    D : ndarray, shape (m,)
        Variances of m, in units of tau^2.

    Raises
    ------
    ValueError
        If an animal stands twice or before a parent, or there are more than 2,000.

    References
    ----------
    Henderson (1976), Biometrics 32, 69-83; Mrode (2014), Linear Models for the Prediction of Animal
    Breeding Values, section 2.3.

    Examples
    --------
    A calf of unrelated parents, and its own calf by its sire:

    >>> pedigree = [("a", None, None), ("b", None, None), ("c", "a", "b"), ("d", "a", "c")]
    >>> animals, T, D = mendel(pedigree)
    >>> print(T)
    [[1.   0.   0.   0.  ]
     [0.   1.   0.   0.  ]
     [0.5  0.5  1.   0.  ]
     [0.75 0.25 0.5  1.  ]]
    >>> D
    array([1. , 1. , 0.5, 0.5])
    >>> print(np.diag((T * D) @ T.T))  # d is inbred
    [1.   1.   1.   1.25]
    """
    animals, parents = _parents(pedigree)
    m = len(animals)
    T, D = np.eye(m), np.ones(m)
    for i, known in enumerate(parents):
        # a_i = (a_s + a_d) / 2 + m_i  (eq-term-mendel)
        for parent in known:
            T[i] += T[parent] / 2
        # var(m_i) = 1 - sum over known parents (1 + F) / 4,
        # 1 + F = A_ss = (T D T')_ss
        D[i] -= sum(T[p] ** 2 @ D for p in known) / 4
    return animals, T, D


def relationship(pedigree: Sequence[tuple[Any, Any, Any]]) -> FloatArray:
    """Relationship matrix: cov(a) = tau^2 A.

    Parameters
    ----------
    pedigree : sequence of (animal, sire, dam)
        Parents before their offspring; None for a parent that is not known.

    Returns
    -------
    ndarray, shape (m, m)
        T D T', in the order of the animals. Its diagonal is 1 plus the inbreeding.

    Raises
    ------
    ValueError
        As `mendel`.

    References
    ----------
    Henderson (1976), Biometrics 32, 69-83.

    Examples
    --------
    >>> print(relationship([("a", None, None), ("b", None, None), ("c", "a", "b")]))
    [[1.  0.  0.5]
     [0.  1.  0.5]
     [0.5 0.5 1. ]]
    """
    _, T, D = mendel(pedigree)
    # A = T D T'  (eq-term-relationship)
    A: FloatArray = (T * D) @ T.T
    return A


def relationship_by_recursion(
    pedigree: Sequence[tuple[Any, Any, Any]],
) -> FloatArray:
    """Relationship matrix once more, from older animals to younger ones, without T and D.

    An animal is related to an older one as the mean of its parents is; and to itself by 1, plus
    half of the relationship of its parents.

    Parameters
    ----------
    pedigree : sequence of (animal, sire, dam)
        Parents before their offspring; None for a parent that is not known.

    Returns
    -------
    ndarray, shape (m, m)
        The same A as from `relationship`.

    Raises
    ------
    ValueError
        As `mendel`.

    References
    ----------
    Emik and Terrill (1949), Journal of Heredity 40, 51-55; Mrode (2014), section 2.2.

    Examples
    --------
    >>> pedigree = [("a", None, None), ("b", None, None), ("c", "a", "b"), ("d", "a", "c")]
    >>> print(relationship_by_recursion(pedigree)[3])
    [0.75 0.25 0.75 1.25]
    """
    animals, parents = _parents(pedigree)
    A = np.eye(len(animals))
    for i, known in enumerate(parents):
        # A_ij = (A_sj + A_dj) / 2 for j < i,  A_ii = 1 + A_sd / 2
        A[i, :i] = A[:i, i] = sum(A[p, :i] for p in known) / 2
        if len(known) == 2:
            A[i, i] = 1 + A[known[0], known[1]] / 2
    return A


def relationship_inverse(
    pedigree: Sequence[tuple[Any, Any, Any]],
) -> FloatArray:
    """Inverse of the relationship matrix by Henderson's rules, without a solve.

    T^-1 = I - P, where P has 1/2 for each parent. So each animal adds the square of m_i = a_i -
    (a_s + a_d) / 2 over its variance: nine numbers in the rows and columns of itself and its
    parents. The inverse is sparse where A is full, and this made it possible to solve Henderson's
    equations for the cows of a country.

    Parameters
    ----------
    pedigree : sequence of (animal, sire, dam)
        Parents before their offspring; None for a parent that is not known.

    Returns
    -------
    ndarray, shape (m, m)
        A^-1.

    Raises
    ------
    ValueError
        As `mendel`.

    References
    ----------
    Henderson (1976), Biometrics 32, 69-83; Quaas (1976), Biometrics 32, 949-953, on the inbred.

    Examples
    --------
    >>> print(relationship_inverse([("a", None, None), ("b", None, None), ("c", "a", "b")]))
    [[ 1.5  0.5 -1. ]
     [ 0.5  1.5 -1. ]
     [-1.  -1.   2. ]]
    """
    _, parents = _parents(pedigree)
    _, _, D = mendel(pedigree)
    A_inverse = np.zeros((len(D), len(D)))
    for i, known in enumerate(parents):
        # A^-1 = T^-T D^-1 T^-1 = sum over animals t t' / D_ii,
        # t: row i of T^-1 = I - P  (eq-term-relationship)
        t = np.zeros(len(D))
        t[i] = 1.0
        np.subtract.at(t, known, 0.5)
        A_inverse += np.outer(t, t) / D[i]
    return A_inverse


def _parents(
    pedigree: Sequence[tuple[Any, Any, Any]],
) -> tuple[list[Any], list[list[int]]]:
    """Animals, and the places of the known parents of each."""
    if len(pedigree) > MOST_NODES:
        raise ValueError(
            f"pedigree has {len(pedigree)} animals, and A would be a matrix of as many rows and "
            f"columns; this derivation forms it and stops at {MOST_NODES}"
        )
    place: dict[Any, int] = {}
    parents = []
    for animal, *sire_and_dam in pedigree:
        known = [parent for parent in sire_and_dam if parent is not None]
        for parent in known:
            if parent not in place:
                raise ValueError(
                    f"pedigree has {animal!s} before its parent {parent!s}; give parents first, "
                    "with a row of their own: (parent, None, None)"
                )
        if animal in place:
            raise ValueError(f"pedigree has {animal!s} twice; give it once")
        place[animal] = len(place)
        parents.append([place[parent] for parent in known])
    return list(place), parents
