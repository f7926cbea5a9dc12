"""Boosting: the penalty in small steps (chapter 12).

Each term j has a design Z_j and a penalty S_j. Its base learner is the penalized fit

    b_j = (Z_j'Z_j + lambda_j S_j)^-1 Z_j' r,   H_j = Z_j (Z_j'Z_j + lambda_j S_j)^-1 Z_j'

of residuals r, stiff on purpose: lambda_j gives each learner the same few degrees of freedom, so
that no term is taken because it bends more easily. Component-wise boosting begins with the mean of
y. In each step all learners try the residuals, and the best takes a small part nu of its fit:

    f <- f + nu H_j (y - f)

What is left after m steps of one learner is (I - nu H)^m of the first residuals. So steps are
another way to shrink, and their number takes the place of lambda: few steps, few degrees of
freedom.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from mixedsmooth._checks import as_vector, full_rank, positive, whole
from mixedsmooth._linalg import cholesky, solve_lower
from mixedsmooth.derivations.data import matrix
from mixedsmooth.derivations.design import ROUNDING, eigen

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MOST_ROWS = 2_000  # a hat matrix has as many rows and columns


# ---- the base learner ----


def smoother(Z: ArrayLike, S: ArrayLike, lam: float) -> FloatArray:
    """Hat matrix of a penalized fit: it takes y to the fitted values.

    Parameters
    ----------
    Z : array_like, shape (n, k)
        Design.
    S : array_like, shape (k, k)
        Penalty, symmetric and positive semidefinite.
    lam : float
        Smoothing parameter, zero or larger.

    Returns
    -------
    ndarray, shape (n, n)
        H. Its trace is the number of degrees of freedom.

    Raises
    ------
    ValueError
        If n is above 2,000, shapes do not fit, a value is not finite, `lam` is negative, or
        Z'Z + lam S is singular.

    References
    ----------
    Buehlmann and Yu (2003), Journal of the American Statistical Association 98, 324-339.

    Examples
    --------
    >>> smoother([[1], [1], [1]], [[1]], 1.0)  # three rows, shrunk as one group
    array([[0.25, 0.25, 0.25],
           [0.25, 0.25, 0.25],
           [0.25, 0.25, 0.25]])
    """
    Z = matrix("Z", Z)
    _few_rows(len(Z))
    # H_lambda = Z (Z'Z + lambda S)^-1 Z'  (eq-term-smoother)
    root = _root(Z, _penalty(Z.shape[1], S), _penalty_weight(lam))
    return root.T @ root


def lambda_for(df: float, Z: ArrayLike, S: ArrayLike) -> float:
    """Find the lambda at which a penalized fit has `df` degrees of freedom.

    Parameters
    ----------
    df : float
        Wanted: trace of the hat matrix.
    Z : array_like, shape (n, k)
        Design.
    S : array_like, shape (k, k)
        Penalty, symmetric and positive semidefinite.

    Returns
    -------
    float
        lambda. The trace falls from the rank of Z, at lambda = 0, to the number of columns that S
        does not penalize.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is not finite, or no lambda has that trace.

    References
    ----------
    Hofner, Hothorn, Kneib and Schmid (2011), Journal of Computational and Graphical Statistics 20,
    956-971, section 2.2. Their package mboost counts the trace of 2 H - H'H unless told otherwise.

    Examples
    --------
    >>> Z = np.repeat(np.eye(2), 3, axis=0)  # two groups of three rows
    >>> round(lambda_for(1.0, Z, np.eye(2)), 6)  # 2 * 3 / (3 + lambda) = 1
    3.0
    """
    Z = matrix("Z", Z)
    S = _penalty(Z.shape[1], S)
    df = positive("df", df)
    if not S.any() or not Z.any():
        raise ValueError(
            "Z and S must not be zero: then lambda changes nothing"
        )
    # a basis in which Z'Z and S are both diagonal, with the entries g and (1 - g) / s
    s = np.sum(Z**2) / np.trace(S)
    L = _factor(Z, S, s)
    g = np.linalg.eigvalsh(solve_lower(L, solve_lower(L, Z.T @ Z).T))
    g = np.where(g < ROUNDING, 0.0, np.where(g > 1 - ROUNDING, 1.0, g))
    least, most = np.sum(g == 1), np.sum(g > 0)
    if not least < df < most:
        raise ValueError(
            f"df must be above {least} and below {most} for these columns and this penalty, "
            f"found {df:g}"
        )

    def excess(log_lambda: float) -> float:
        # trace H_lambda = df  (eq-term-equaldf)
        t = np.exp(log_lambda) * (1 - g[g > 0])
        return float(np.sum(g[g > 0] / (g[g > 0] + t))) - df

    return float(s * np.exp(brentq(excess, -60, 60, xtol=1e-13)))


@dataclass(frozen=True)
class Learner:
    """A base learner: made by `learner`.

    Attributes
    ----------
    Z : ndarray, shape (n, k)
        Its columns, with mean zero.
    center : ndarray, shape (k,)
        What was subtracted from them.
    S : ndarray, shape (k, k)
        Penalty.
    lam : float
        Smoothing parameter.
    solve : ndarray, shape (k, n)
        (Z'Z + lam S)^-1 Z': takes residuals to coefficients.
    """

    Z: FloatArray
    center: FloatArray
    S: FloatArray
    lam: float
    solve: FloatArray


def learner(
    Z: ArrayLike, S: ArrayLike | None = None, df: float = 1.0
) -> Learner:
    """Make a base learner of `df` degrees of freedom.

    Boosting begins with the mean, and so the columns are centered: no learner need look after it.
    A column that S does not penalize takes a whole degree of freedom. To give a smooth one degree
    in all, take its line away, with `eigen_split`, and let the line be a learner of its own.

    Parameters
    ----------
    Z : array_like, shape (n, k), or shape (n,)
        Design of a term; one covariate may be a vector.
    S : array_like, shape (k, k), optional
        Penalty. Without it the learner is least squares, and has as many degrees of freedom as
        columns.
    df : float
        Degrees of freedom, the same for all learners that compete.

    Returns
    -------
    Learner
        Frozen record of the centered columns and their solution.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is not finite, no lambda gives `df`, or there is no penalty
        and the number of columns is not `df` or they are collinear.

    References
    ----------
    Hofner, Hothorn, Kneib and Schmid (2011), Journal of Computational and Graphical Statistics 20,
    956-971, section 2.

    Examples
    --------
    >>> line = learner([1.0, 2.0, 3.0])
    >>> groups = learner(np.repeat(np.eye(3), 2, axis=0), np.eye(3))
    >>> line.lam, round(groups.lam, 6)  # 2 * 2 / (2 + lambda) = 1
    (0.0, 2.0)
    >>> round(float(np.trace(groups.Z @ groups.solve)), 6)
    1.0
    """
    raw = as_vector("Z", Z)[:, None] if np.ndim(Z) == 1 else matrix("Z", Z)
    center = raw.mean(axis=0)
    columns, k = raw - center, raw.shape[1]
    if S is not None:
        S = _penalty(k, S)
        return _learner(columns, center, S, lambda_for(df, columns, S))
    if df != k:
        raise ValueError(
            f"df must be the number of columns, {k}, where there is no penalty, found {df}; give "
            "S, or make a learner of each column"
        )
    full_rank("Z", columns)
    return _learner(columns, center, np.zeros((k, k)), 0.0)


# ---- the steps ----


@dataclass(frozen=True)
class Boosted:
    """What boosting did, step by step.

    Attributes
    ----------
    offset : float
        Mean of y, with which it begins.
    nu : float
        Share of a fit that a step takes.
    chosen : ndarray, shape (m,)
        The learner that each step took, counted from 0.
    path : tuple of ndarray, each of shape (m + 1, k)
        Coefficients of each learner, before the first step and after each.
    fitted : ndarray, shape (m + 1, n)
        Fitted values, likewise.
    """

    offset: float
    nu: float
    chosen: IntArray
    path: tuple[FloatArray, ...]
    fitted: FloatArray


def boost(
    y: ArrayLike,
    learners: Sequence[Learner],
    nu: float = 0.1,
    steps: int = 100,
) -> Boosted:
    """Component-wise boosting with squared loss: in each step the best learner moves a little.

    Parameters
    ----------
    y : array_like, shape (n,)
        Response.
    learners : sequence of Learner
        One for each term, of equal degrees of freedom.
    nu : float
        Share of its fit that the best learner takes, from above 0 to 1.
    steps : int
        How many.

    Returns
    -------
    Boosted
        Frozen record of all steps.

    Raises
    ------
    ValueError
        If there is no learner, one has another number of rows, a value is not finite, or `nu` or
        `steps` is out of range.

    References
    ----------
    Buehlmann and Yu (2003), Journal of the American Statistical Association 98, 324-339, section 3.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> fat = ms.load_bodyfat()
    >>> terms = [learner(x) for x in (fat.hipcirc, fat.kneebreadth, fat.anthro3a)]
    >>> fit = boost(fat.dexfat, terms)
    >>> [round(float(b[-1, 0]), 3) for b in fit.path]
    [0.511, 1.901, 8.907]
    """
    y = as_vector("y", y)
    _same_rows(learners, len(y))
    nu, steps = _step_length(nu), whole("steps", steps, least=0)
    offset = float(y.mean())
    chosen = np.zeros(steps, dtype=np.int64)
    path = tuple(np.zeros((steps + 1, t.Z.shape[1])) for t in learners)
    fitted = np.full((steps + 1, len(y)), offset)
    for m in range(steps):
        r = y - fitted[m]
        b = [t.solve @ r for t in learners]
        fits = [t.Z @ b_t for t, b_t in zip(learners, b, strict=True)]
        # j = argmin_j |r - H_j r|^2,   f <- f + nu H_j r  (eq-term-boost)
        j = int(np.argmin([np.sum((r - f) ** 2) for f in fits]))
        fitted[m + 1] = fitted[m] + nu * fits[j]
        for coefficients in path:
            coefficients[m + 1] = coefficients[m]
        path[j][m + 1] += nu * b[j]
        chosen[m] = j
    return Boosted(offset, nu, chosen, path, fitted)


def boosted_values(
    fit: Boosted, learners: Sequence[Learner], designs: Sequence[ArrayLike]
) -> FloatArray:
    """Predict at new rows, after each step.

    Parameters
    ----------
    fit : Boosted
        What `boost` returned.
    learners : sequence of Learner
        The learners that it had.
    designs : sequence of array_like, each of shape (q, k), or (q,)
        The columns of each learner at the new rows, as they were given to `learner`.

    Returns
    -------
    ndarray, shape (m + 1, q)
        Predicted values. Where all columns are zero, they are the intercept.

    Raises
    ------
    ValueError
        If there are not as many designs as learners, shapes do not fit, or a value is not finite.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> fat = ms.load_bodyfat()
    >>> terms = [learner(x) for x in (fat.hipcirc, fat.kneebreadth, fat.anthro3a)]
    >>> fit = boost(fat.dexfat, terms)
    >>> print(boosted_values(fit, terms, [[0.0], [0.0], [0.0]])[-1].round(3))
    [-75.207]
    """
    if not len(designs) == len(learners) == len(fit.path):
        raise ValueError(
            f"designs has {len(designs)} items for {len(learners)} learners and "
            f"{len(fit.path)} terms of the fit; give one for each"
        )
    values = np.full((len(fit.fitted), 1), fit.offset)
    for t, path, Z in zip(learners, fit.path, designs, strict=True):
        Z = matrix("designs", np.reshape(Z, (-1, len(t.center))))
        values = values + path @ (Z - t.center).T
    return values


# ---- steps are shrinkage ----


def boosted_smoother(H: ArrayLike, nu: float, steps: int) -> FloatArray:
    """Hat matrix of one learner that is boosted by itself.

    Parameters
    ----------
    H : array_like, shape (n, n)
        Hat matrix of the learner.
    nu : float
        Share of a fit that a step takes, from above 0 to 1.
    steps : int
        Their number m.

    Returns
    -------
    ndarray, shape (n, n)
        I - (I - nu H)^m. An eigenvalue h of H becomes 1 - (1 - nu h)^m.

    Raises
    ------
    ValueError
        If n is above 2,000, H is not square, a value is not finite, or `nu` or `steps` is out of
        range.

    References
    ----------
    Buehlmann and Yu (2003), proposition 1 and theorem 1.

    Examples
    --------
    >>> print(boosted_smoother([[0.5]], 0.1, 2))  # 1 - 0.95^2
    [[0.0975]]
    """
    H = matrix("H", H)
    _few_rows(len(H))
    if H.shape[0] != H.shape[1]:
        raise ValueError(f"H must be square, found shape {H.shape}")
    nu, steps = _step_length(nu), whole("steps", steps, least=0)
    eye = np.eye(len(H))
    # y_hat = (I - (I - nu H)^m) y  (eq-term-path)
    left = np.linalg.matrix_power(eye - nu * H, steps)
    return np.asarray(eye - left)


def degrees_of_steps(fit: Boosted, learners: Sequence[Learner]) -> FloatArray:
    """Degrees of freedom after each step: traces of the hat matrix, the mean included.

    The choice of the learners is not counted, as if it had been fixed before: the search among
    them costs more degrees of freedom than this.

    Parameters
    ----------
    fit : Boosted
        What `boost` returned.
    learners : sequence of Learner
        The learners that it had.

    Returns
    -------
    ndarray, shape (m + 1,)
        Traces, from 1 for the mean alone.

    Raises
    ------
    ValueError
        If n is above 2,000, or there are not the learners of the fit.

    References
    ----------
    Buehlmann and Hothorn (2007), Statistical Science 22, 477-505, section 5.3; and Hastie's
    comment, 513-515, on what is not counted.

    Examples
    --------
    >>> line = learner([-1.0, 0.0, 1.0])
    >>> fit = boost([1.0, 2.0, 6.0], [line], nu=0.5, steps=2)
    >>> print(degrees_of_steps(fit, [line]))
    [1.   1.5  1.75]
    """
    n = fit.fitted.shape[1]
    _few_rows(n)
    _same_rows(learners, n)
    if len(learners) != len(fit.path):
        raise ValueError(
            f"learners has {len(learners)} items, and the fit {len(fit.path)}; give those of the "
            "fit"
        )
    # y - y_hat = B y:  B = I - 11'/n before the first step
    B = np.eye(n) - 1 / n
    traces = [n - np.trace(B)]
    for j in fit.chosen:
        # B <- (I - nu H_j) B
        B = B - fit.nu * learners[j].Z @ (learners[j].solve @ B)
        traces.append(n - np.trace(B))
    return np.array(traces)


# ---- when to stop ----


def corrected_aic(
    y: ArrayLike, fitted: ArrayLike, df: ArrayLike
) -> FloatArray:
    """Corrected information criterion after each step: stop where it is lowest.

    Parameters
    ----------
    y : array_like, shape (n,)
        Response.
    fitted : array_like, shape (m + 1, n)
        Fitted values.
    df : array_like, shape (m + 1,)
        Degrees of freedom, below n - 2.

    Returns
    -------
    ndarray, shape (m + 1,)
        log(RSS / n) + (1 + df / n) / (1 - (df + 2) / n).

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, or `df` is too large for n rows.

    References
    ----------
    Hurvich, Simonoff and Tsai (1998), Journal of the Royal Statistical Society B 60, 271-293;
    Buehlmann and Hothorn (2007), Statistical Science 22, 477-505, equation 5.4.

    Examples
    --------
    >>> print(corrected_aic([1, 2, 3, 6], [[3.0, 3, 3, 3]], [1.0]).round(4))  # log 3.5 + 5
    [6.2528]
    """
    y = as_vector("y", y)
    fitted = matrix("fitted", fitted)
    df = as_vector("df", df, n=len(fitted))
    n = len(y)
    if fitted.shape[1] != n:
        raise ValueError(
            f"fitted has {fitted.shape[1]} columns for {n} rows of y; give one for each"
        )
    if df.max() >= n - 2:
        raise ValueError(
            f"df must be below n - 2 = {n - 2}, found {df.max():.4g}; stop earlier"
        )
    variance = np.mean((y - fitted) ** 2, axis=1)
    return np.asarray(np.log(variance) + (1 + df / n) / (1 - (df + 2) / n))


def cross_validated(
    y: ArrayLike,
    learners: Sequence[Learner],
    nu: float = 0.1,
    steps: int = 100,
    folds: int = 10,
    seed: int = 0,
) -> FloatArray:
    """Mean squared error of prediction after each step, by cross-validation.

    The rows are dealt to folds at random. Each fold is predicted by what was boosted without it,
    with the learners' smoothing parameters.

    Parameters
    ----------
    y : array_like, shape (n,)
        Response.
    learners : sequence of Learner
        One for each term.
    nu : float
        Share of a fit that a step takes, from above 0 to 1.
    steps : int
        How many.
    folds : int
        How many, from 2 to n.
    seed : int
        Seed of the dealing.

    Returns
    -------
    ndarray, shape (steps + 1,)
        Mean over all rows. Stop where it is lowest.

    Raises
    ------
    ValueError
        As `boost`; or if `folds` is out of range, or `seed` is negative.

    References
    ----------
    Buehlmann and Hothorn (2007), Statistical Science 22, 477-505, section 2.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 20)
    >>> risk = cross_validated(x, [learner(x)], nu=1.0, steps=1)
    >>> bool(risk[0] > 0.3), bool(risk[1] < 1e-20)
    (True, True)
    """
    y = as_vector("y", y)
    n = len(y)
    _same_rows(learners, n)
    folds = whole("folds", folds, least=2, most=n)
    rng = np.random.default_rng(whole("seed", seed, least=0))
    fold = rng.permutation(n) % folds
    squares = 0.0
    for k in range(folds):
        kept, out = fold != k, fold == k
        without = [_learner_of_rows(t, kept) for t in learners]
        fit = boost(y[kept], without, nu, steps)
        new = boosted_values(fit, without, [t.Z[out] for t in learners])
        squares = squares + np.sum((y[out] - new) ** 2, axis=1)
    return np.asarray(squares / n)


# ---- parts ----


def _root(Z: FloatArray, S: FloatArray, lam: float) -> FloatArray:
    """L^-1 Z' with L L' = Z'Z + lam S, so that the hat matrix is its square."""
    return solve_lower(_factor(Z, S, lam), Z.T)


def _factor(Z: FloatArray, S: FloatArray, lam: float) -> FloatArray:
    return cholesky(
        Z.T @ Z + lam * S,
        "Z'Z + lambda S is singular, so that the coefficients are not determined; leave out a "
        "column, or penalize it",
    )


def _learner(
    Z: FloatArray, center: FloatArray, S: FloatArray, lam: float
) -> Learner:
    L = _factor(Z, S, lam)
    b_of_r = solve_lower(L, solve_lower(L, Z.T), transposed=True)
    return Learner(Z, center, S, lam, b_of_r)


def _learner_of_rows(t: Learner, rows: NDArray[np.bool_]) -> Learner:
    """Return the learner of some of the rows, with the same lambda."""
    center = t.Z[rows].mean(axis=0)
    return _learner(t.Z[rows] - center, center, t.S, t.lam)


def _same_rows(learners: Sequence[Learner], n: int) -> None:
    if len(learners) == 0:
        raise ValueError("learners is empty: give one for each term")
    for j, t in enumerate(learners):
        if len(t.Z) != n:
            raise ValueError(
                f"learners[{j}] has {len(t.Z)} rows where y has {n}; make it from the same rows"
            )


def _step_length(nu: float) -> float:
    nu = positive("nu", nu)
    if nu > 1:
        raise ValueError(
            f"nu must be at most 1, a whole fit in one step, found {nu:g}"
        )
    return nu


def _penalty(k: int, S: ArrayLike) -> FloatArray:
    S = matrix("S", S)
    if S.shape != (k, k):
        raise ValueError(
            f"S has shape {S.shape} for {k} columns of Z; give one row and column for each"
        )
    eigen(S)  # raises if it is not symmetric, or negative somewhere
    return S


def _penalty_weight(lam: float) -> float:
    return 0.0 if lam == 0 else positive("lam", lam)


def _few_rows(n: int) -> None:
    if n > MOST_ROWS:
        raise ValueError(
            f"a hat matrix of {n} rows has as many columns; this derivation forms it and stops at "
            f"{MOST_ROWS}"
        )
