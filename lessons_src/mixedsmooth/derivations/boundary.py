"""A variance at the edge of what it can be: the test that it is zero (chapter 13).

The model is y = X beta + Z b + e, b ~ N(0, lambda sigma^2 I) and e ~ N(0, sigma^2 I). Is lambda
zero? The restricted likelihood-ratio statistic RLRT is the fall of the restricted deviance from
lambda = 0 to its best lambda. Seen along the eigenvectors of Z'(I - H)Z, H the projection on X, the
residuals are independent: K of them have the variances sigma^2 (1 + lambda mu_s), and n - p - K
have sigma^2. So RLRT is a function of sums of squares, of which all is known where lambda is zero.
If all mu_s are equal, as in a balanced one-way layout, it is a function of F alone.
"""

from typing import NamedTuple

import numpy as np
import scipy.special
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from mixedsmooth._checks import as_vector, positive, whole
from mixedsmooth._linalg import least_squares
from mixedsmooth.derivations.data import mixed_data, not_negative, vector

FloatArray = NDArray[np.float64]

MAX_DENSE_ROWS = 5_000
ROUNDING = 1e-10  # an eigenvalue below this share of the largest is zero
LARGEST = 1e6  # of lambda times the largest eigenvalue


class Exact(NamedTuple):
    """The test in a balanced one-way layout.

    Attributes
    ----------
    statistic : float
        RLRT.
    p : float
        Its p-value, that of F.
    """

    statistic: float
    p: float


class Spectrum(NamedTuple):
    """The squares that RLRT is made of.

    Attributes
    ----------
    mu : ndarray, shape (K,)
        Eigenvalues of Z'(I - H)Z above zero.
    squares : ndarray, shape (K,)
        Square of the residuals in the direction of each.
    rest : float
        Sum of the squares in all other directions.
    degrees : int
        How many these are, n - p - K.
    """

    mu: FloatArray
    squares: FloatArray
    rest: float
    degrees: int


# ---- the balanced one-way layout ----


def zero_probability(
    a: int, n: int, ratio: float = 0.0, reml: bool = True
) -> float:
    """Probability that the variance between a groups of n rows is estimated as zero.

    F = (mean square between) / (mean square within) is 1 + n ratio times a variable with the F
    distribution. REML finds no variance where F <= 1, and ML where F <= a / (a - 1).

    Parameters
    ----------
    a : int
        Number of groups, at least 2.
    n : int
        Rows of each, at least 2.
    ratio : float
        The true variance between over that within; 0 for none.
    reml : bool
        Whether it is estimated by REML.

    Returns
    -------
    float
        The probability. As the number of groups grows it goes to 1/2 for no variance.

    Raises
    ------
    ValueError
        If a number is too small.

    References
    ----------
    Crainiceanu and Ruppert (2004), section 3.

    Examples
    --------
    >>> print(f"{zero_probability(6, 5):.5f} {zero_probability(6, 5, reml=False):.5f}")
    0.56109 0.66100
    >>> print(f"{zero_probability(1000, 5):.3f}")
    0.504
    """
    a, n = whole("a", a, least=2), whole("n", n, least=2)
    ratio = not_negative("ratio", ratio)
    # the largest F that gives zero: 1 by REML, a / (a - 1) by ML
    largest = 1.0 if reml else a / (a - 1)
    # P(F <= largest), F / (1 + n ratio) ~ F(a - 1, a (n - 1))  (eq-sure-atom)
    return float(
        scipy.special.fdtr(a - 1, a * (n - 1), largest / (1 + n * ratio))
    )


def rlrt_exact(F: float, a: int, n: int) -> Exact:
    """RLRT and its p-value from the F of a groups of n rows.

    With S_1 and S_0 the sums of squares between and within, and c = 1 + n lambda, the restricted
    deviance is (N - 1) log(S_1 / c + S_0) + (a - 1) log c, up to a constant. It is lowest at c = F,
    or at 1 if F is less.

    Parameters
    ----------
    F : float
        Mean square between over mean square within.
    a : int
        Number of groups, at least 2.
    n : int
        Rows of each, at least 2.

    Returns
    -------
    Exact
        Statistic and p-value.

    Raises
    ------
    ValueError
        If a number is too small.

    References
    ----------
    Crainiceanu and Ruppert (2004), section 3.

    Examples
    --------
    >>> statistic, p = rlrt_exact(4.598266, 6, 5)  # Dyestuff
    >>> print(f"{statistic:.4f} {p:.6f}")
    6.3690 0.004398
    """
    F = not_negative("F", F)
    a, n = whole("a", a, least=2), whole("n", n, least=2)
    if F <= 1:
        return Exact(0.0, 1.0)
    df_1, df_0 = a - 1, a * (n - 1)
    # S_1 / S_0 = F df_1 / df_0
    # RLRT = (df_1 + df_0) log((S_1 + S_0) / (S_1 / F + S_0))
    #        - df_1 log F  (eq-sure-anova)
    fall = np.log((F * df_1 + df_0) / (df_1 + df_0))
    statistic = (df_1 + df_0) * fall - df_1 * np.log(F)
    # RLRT grows with F, so that P(RLRT > statistic) = P(F' > F)
    return Exact(float(statistic), float(scipy.special.fdtrc(df_1, df_0, F)))


# ---- any design of one variance ----


def spectrum(y: ArrayLike, X: ArrayLike, Z: ArrayLike) -> Spectrum:
    """Divide the residuals of y among the eigenvectors of Z'(I - H)Z.

    Parameters
    ----------
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects.
    Z : array_like, shape (n, q)
        Design of the random effects, of no more than 5,000 rows.

    Returns
    -------
    Spectrum
        Eigenvalues, squares, and the squares of the rest.

    Raises
    ------
    ValueError
        If shapes do not fit, or Z has more than 5,000 rows.

    Examples
    --------
    >>> y, X = [1, 3, 5, 9], np.ones((4, 1))
    >>> mu, squares, rest, degrees = spectrum(y, X, [[1, 0], [1, 0], [0, 1], [0, 1]])
    >>> print(mu, squares.round(6), round(rest, 6), degrees)  # S_1 = 25, S_0 = 10
    [2.] [25.] 10.0 2
    """
    y, X, Z = mixed_data(y, X, Z)
    if len(Z) > MAX_DENSE_ROWS:
        raise ValueError(
            f"Z has {len(Z)} rows, and this function stops at {MAX_DENSE_ROWS}"
        )
    # e = (I - H) y and (I - H) Z, by X = Q R and H = Q Q'
    Q, _ = np.linalg.qr(X)
    e = y - X @ least_squares(X, y)
    residual_Z = Z - Q @ (Q.T @ Z)
    # (I - H) Z = U D V',  mu = D^2,  squares (U' e)^2
    U, D, _ = np.linalg.svd(residual_Z, full_matrices=False)
    mu = D**2
    kept = mu > ROUNDING * mu.max()
    squares = (U[:, kept].T @ e) ** 2
    rest = float(e @ e - squares.sum())
    degrees = len(y) - X.shape[1] - int(kept.sum())
    return Spectrum(mu[kept], squares, rest, degrees)


def rlrt(
    mu: ArrayLike, squares: ArrayLike, rest: float, degrees: int
) -> float:
    """Restricted likelihood-ratio statistic of squares with variances 1 + lambda mu_s.

    Parameters
    ----------
    mu, squares : array_like, shape (K,)
        Eigenvalues and squares.
    rest : float
        Sum of the squares of the rest.
    degrees : int
        How many these are.

    Returns
    -------
    float
        The fall of the restricted deviance from lambda = 0 to the best lambda.

    Raises
    ------
    ValueError
        If shapes do not fit, or `rest` is not positive.

    References
    ----------
    Crainiceanu and Ruppert (2004), equation 9.

    Examples
    --------
    >>> print(f"{rlrt([5.0] * 5, [4.598266] * 5, 24.0, 24):.4f}")  # F of Dyestuff, in a unit of its
    6.3690
    """
    mu, squares = vector("mu", mu), vector("squares", squares)
    squares = as_vector("squares", squares, len(mu))
    rest, degrees = positive("rest", rest), whole("degrees", degrees, least=1)
    m = len(mu) + degrees

    def rise(log_lambda: float) -> float:
        # d(lambda) = m log(sum squares / (1 + lambda mu) + rest)
        #             + sum log(1 + lambda mu);  d(lambda) - d(0)
        # (eq-sure-rlrt)
        c = 1 + np.exp(log_lambda) * mu
        ratio = (np.sum(squares / c) + rest) / (squares.sum() + rest)
        return float(m * np.log(ratio) + np.sum(np.log(c)))

    grid = np.log(np.geomspace(1e-6, LARGEST, 60) / mu.max())
    best = grid[np.argmin([rise(at) for at in grid])]
    step = grid[1] - grid[0]
    end = minimize_scalar(
        rise,
        bounds=(best - step, best + step),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return max(-float(end.fun), 0.0)


def rlrt_null(
    mu: ArrayLike, degrees: int, draws: int, seed: int
) -> FloatArray:
    """Draw from the distribution of RLRT where the variance is zero.

    All squares are then those of independent normal variables with one variance, which RLRT does
    not depend on.

    Parameters
    ----------
    mu : array_like, shape (K,)
        Eigenvalues of Z'(I - H)Z above zero.
    degrees : int
        The other directions, n - p - K.
    draws : int
        How many to draw.
    seed : int
        Where the random numbers begin.

    Returns
    -------
    ndarray, shape (draws,)
        The draws; a share of them is zero.

    Raises
    ------
    ValueError
        If a number is too small.

    References
    ----------
    Crainiceanu and Ruppert (2004), section 3.

    Examples
    --------
    >>> null = rlrt_null([5.0] * 5, 24, draws=400, seed=1)  # six groups of five
    >>> bool(abs(np.mean(null == 0) - zero_probability(6, 5)) < 0.05)
    True
    """
    mu = vector("mu", mu)
    draws, degrees = (
        whole("draws", draws, least=1),
        whole("degrees", degrees, least=1),
    )
    rng = np.random.default_rng(seed)
    null = np.empty(draws)
    for i in range(draws):
        squares = rng.chisquare(1, size=len(mu))
        null[i] = rlrt(mu, squares, rng.chisquare(degrees), degrees)
    return null
