"""From a basis to fixed and random columns: constraint and split (chapters 9 and 10).

    B, E -> sum-to-zero constraint -> scale of the penalty -> fixed columns, blocks of random ones

A smooth is a list of blocks of columns over named covariates. Each random block has a variance of
its own, which is a smoothing parameter; the fixed one has no penalty.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import choice
from mixedsmooth.model.bases import BASES, OF_SEVERAL, Basis, own_options

FloatArray = NDArray[np.float64]
Scaling = Literal["norm", "mean"]

SIZE = 10  # columns or knots of a basis of one covariate, unless they are given
TIE = 1e-6  # an entry below this part of the largest is too small to decide a sign


@dataclass(frozen=True, eq=False)
class Split:
    """A smooth as fixed and random columns: f(x) = fixed(x) beta + random(x) b, b ~ N(0, tau^2 I).

    Over the data it was made from the smooth sums to zero, unless its basis is not centered. A
    penalty lambda b'b on the random part is lambda times the scaled penalty of the basis;
    lambda = sigma^2 / tau^2.

    Attributes
    ----------
    basis : Basis
        Its basis.
    constraint : ndarray, shape (k, k - 1)
        Z_c, orthonormal: coefficients Z_c gamma give a smooth that sums to zero over the data; the
        identity where the basis is not centered.
    scale : float
        What the penalty of the basis was divided by; mgcv's ``S.scale``.
    to_fixed : ndarray, shape (k, m)
        Takes beta to coefficients of the basis.
    to_random : tuple of ndarray, each of shape (k, r)
        Take the b of each block to coefficients of the basis.
    blocks : tuple of str
        What tells the blocks apart; nothing where there is one.
    """

    basis: Basis
    constraint: FloatArray
    scale: float
    to_fixed: FloatArray
    to_random: tuple[FloatArray, ...]
    blocks: tuple[str, ...] = ("",)

    def fixed(self, *x: ArrayLike) -> FloatArray:
        """Return the columns without penalty at any x.

        Parameters
        ----------
        *x : array_like, each of shape (n,)
            Values of the covariates.

        Returns
        -------
        ndarray, shape (n, m)
            One straight line, increasing (cr, ps, rk), or none (cs, cc); of several covariates
            what their penalty leaves free.

        Raises
        ------
        ValueError
            If a value is not finite, or outside the domain of the basis.

        Examples
        --------
        >>> construct([0, 1, 2, 3, 4], "cr", k=4).fixed([0, 2, 4]).ravel().round(3)
        array([-0.671,  0.   ,  0.671])
        """
        return self.basis.columns(*x) @ self.to_fixed

    def random(self, *x: ArrayLike) -> FloatArray:
        """Return the columns with penalty at any x.

        Parameters
        ----------
        *x : array_like, each of shape (n,)
            Values of the covariates.

        Returns
        -------
        ndarray, shape (n, r)
            Columns of Z, block after block, the most heavily penalized function of a block first.

        Raises
        ------
        ValueError
            If a value is not finite, or outside the domain of the basis.

        Examples
        --------
        >>> construct([0, 1, 2, 3, 4], "cr", k=4).random([0, 2, 4]).shape
        (3, 2)
        """
        return self.basis.columns(*x) @ np.hstack(self.to_random)


def construct(
    x: ArrayLike | Mapping[str, ArrayLike],
    basis: str = "cs",
    k: int | None = None,
    *,
    scaling: Scaling = "norm",
    period: tuple[float, float] | None = None,
    kernel: str | None = None,
    range: float | None = None,
    trend: bool = True,
) -> Split:
    """Make a smooth of covariates, with a basis of the given name.

    Parameters
    ----------
    x : array_like, shape (n,), or mapping of str to array_like
        Covariate; several of them by name.
    basis : {"cr", "cs", "cc", "ps", "rk", "tp", "gp"}
        Name in `BASES` or `OF_SEVERAL`.
    k : int, optional
        Size of the basis: 10 for one covariate; see `OF_SEVERAL` for the others.
    scaling : {"norm", "mean"}
        Unit of the penalty; see `split`.
    period : tuple of float, optional
        Of "cc": where the period begins and ends.
    kernel : str, optional
        Of "gp": name of the correlation.
    range : float, optional
        Of "gp": range of the correlation.
    trend : bool
        Of "gp": whether a constant and the covariates are free.

    Returns
    -------
    Split
        Fixed and random columns for any x.

    Raises
    ------
    ValueError
        If `basis` or `scaling` is unknown, the basis has no such option or is not for so many
        covariates, k is too small, or x is not finite, constant, or has too few distinct values.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> smooth = construct(ms.load_sleepstudy().days, "cr", k=10)
    >>> smooth.fixed([0, 9]).shape, smooth.random([0, 9]).shape
    ((2, 1), (2, 8))
    """
    columns = dict(x) if isinstance(x, Mapping) else {"x": x}
    choice("basis", basis, (*BASES, *OF_SEVERAL))
    options = own_options(basis, k=k, period=period, kernel=kernel, range=range, trend=trend)
    values = list(columns.values())
    if basis in OF_SEVERAL:
        made = OF_SEVERAL[basis](*values, names=tuple(columns), **options)
        return split(made, *values, scaling=scaling)
    if len(columns) > 1:
        raise ValueError(
            f"basis {basis!r} takes one covariate, found {len(columns)}, "
            f"{' and '.join(columns)}; for a surface there are basis='tp', 'gp' and 't2'"
        )
    (name,) = columns
    made = BASES[basis](values[0], name=name, **{"k": SIZE} | options)
    return split(made, *values, scaling=scaling)


def split(basis: Basis, *x: ArrayLike, scaling: Scaling = "norm") -> Split:
    """Constrain a basis to sum to zero over x, and split it into fixed and random columns.

    A basis that is not centered has no constraint, and one that is not scaled keeps its penalty.

    Parameters
    ----------
    basis : Basis
        The basis.
    *x : array_like, each of shape (n,)
        The data: B(x) has column sums that the constraint is made from, and a size that the
        penalty is scaled to.
    scaling : {"norm", "mean"}
        Size of the penalty: S is divided by ``||S||_1 / ||B||_inf^2`` ("norm", as in mgcv now), or
        by mean abs(S) / mean abs(B'B) ("mean", as in its older versions). It sets the unit of
        tau^2 and of lambda, and changes no fit whose tau^2 is estimated.

    Returns
    -------
    Split
        Fixed and random columns for any x.

    Raises
    ------
    ValueError
        If x is outside the domain of the basis, `scaling` is unknown, or eigenvalues of the
        penalty are further apart than the digits of a double.

    References
    ----------
    Wood (2017), sections 5.4.1 and 5.8; mgcv 1.8-41, ``smoothCon`` and ``smooth2random``.

    Examples
    --------
    >>> from mixedsmooth.model.bases import cr
    >>> smooth = split(cr([0, 1, 2, 2], k=3), [0, 1, 2, 2])
    >>> print(abs(smooth.random([0, 1, 2, 2]).sum(axis=0).round(12)))
    [0.]
    """
    B = basis.columns(*x)
    choice("scaling", scaling, ("norm", "mean"))
    scale = scale_of(B, basis.S, scaling) if basis.scaled else 1.0
    Z_c: FloatArray = np.eye(B.shape[1])
    if basis.centered:
        # 1'B beta = 0 where beta = Z_c gamma  (eq-10-zero):  B'1 = Q R,  Z_c = Q without column 1
        Z_c = scipy.linalg.qr(B.sum(axis=0)[:, None])[0][:, 1:]
    # E Z_c / sqrt(scale) = U diag(d) V',  so  Z_c' S Z_c / scale = V diag(d^2) V'
    _, d, Vt = scipy.linalg.svd(basis.root @ Z_c / np.sqrt(scale))
    if d[-1] <= d[0] * max(basis.root.shape) * np.finfo(float).eps:
        raise ValueError(
            f"{' and '.join(basis.names)} has values so unevenly spaced that the penalty of its "
            f"basis {basis.kind!r} is singular to working precision; use a smaller k, or transform "
            "it"
        )
    W = Z_c @ Vt.T
    # the sign of an eigenvector is free: its last entry that is not about zero is positive
    W = W * np.array([np.sign(w[np.abs(w) > TIE * np.abs(w).max()][-1]) for w in W.T])
    # gamma = V_r diag(1/d) b + V_0 beta,  penalty b'b  (eq-10-columns)
    r = len(d)
    return Split(basis, Z_c, scale, to_fixed=basis.unit * W[:, r:], to_random=(W[:, :r] / d,))


def scale_of(B: FloatArray, S: FloatArray, scaling: Scaling) -> float:
    """Return what a penalty is divided by, to have the size of its columns.

    Parameters
    ----------
    B : ndarray, shape (n, k)
        Columns over the data.
    S : ndarray, shape (k, k)
        Penalty.
    scaling : {"norm", "mean"}
        Which size; see `split`.

    Returns
    -------
    float
        The scale.

    Examples
    --------
    >>> scale_of(np.array([[1.0, 1.0], [0.0, 1.0]]), np.eye(2), "norm")  # the largest row sum is 2
    0.25
    """
    if scaling == "norm":
        return float(np.linalg.norm(S, 1) / np.linalg.norm(B, np.inf) ** 2)
    return float(np.abs(S).mean() / np.abs(B.T @ B).mean())
