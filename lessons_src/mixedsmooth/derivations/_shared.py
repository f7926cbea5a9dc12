"""What the derivations share: checked inputs, and a little dense linear algebra."""

from collections.abc import Callable

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from mixedsmooth._checks import as_matrix, as_vector, full_rank

FloatArray = NDArray[np.float64]

ROUNDING = 1e-12  # eigenvalues of a penalty below this share of the largest are zeros


# ---- inputs ----


def regression_data(
    y: ArrayLike, X: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Response and design of a regression."""
    y = as_vector("y", y)
    X = as_matrix("X", X, n=len(y))
    full_rank("X", X)
    return y, X


def mixed_data(
    y: ArrayLike, X: ArrayLike, Z: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Response and both designs of a mixed model."""
    y = as_vector("y", y)
    X = as_matrix("X", X, n=len(y))
    Z = as_matrix("Z", Z, n=len(y))
    full_rank("X", X)
    return y, X, Z


def count_data(
    y: ArrayLike,
    X: ArrayLike,
    Z: ArrayLike | None = None,
    offset: ArrayLike | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return counts, designs and offset; without random effects, Z has no columns."""
    y, X = regression_data(as_counts(y), X)
    n = len(y)
    if not y.any():
        raise ValueError(
            "y has no count above zero, so the best mean is zero and its logarithm infinite; "
            "check the response"
        )
    Z = np.empty((n, 0)) if Z is None else as_matrix("Z", Z, n=n)
    offset = (
        np.zeros(n) if offset is None else as_vector("offset", offset, n=n)
    )
    return y, X, Z, offset


def as_counts(y: ArrayLike) -> FloatArray:
    """Return counts 0, 1, 2, ... as floats."""
    y = as_vector("y", y)
    bad = (y < 0) | (y != np.floor(y))
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"y must hold counts 0, 1, 2, ...; found {y[row]:g} in row {row}; give the counts "
            "themselves, and exposures as the offset log(exposure)"
        )
    return y


def as_coefficients(
    name: str, values: ArrayLike, matrix: str, columns: int
) -> FloatArray:
    """One number for each column of a matrix."""
    vector = as_vector(name, values)
    if len(vector) != columns:
        raise ValueError(
            f"{name} has {len(vector)} numbers and {matrix} has {columns} columns; "
            "give one number for each column"
        )
    return vector


def standard_deviations(theta: ArrayLike) -> tuple[float, float]:
    """Both standard deviations, tau and sigma, from their logarithms."""
    log_sd = as_vector("theta", theta)
    if log_sd.shape != (2,) or np.abs(log_sd).max() > 300:
        raise ValueError(
            "theta must be (log tau, log sigma), two numbers between -300 and 300; "
            f"found {log_sd.tolist()}"
        )
    tau, sigma = np.exp(log_sd)
    return float(tau), float(sigma)


def penalty_of(p: int, S: ArrayLike) -> FloatArray:
    """Penalty for the p columns of X."""
    S = as_matrix("S", S)
    if S.shape != (p, p):
        raise ValueError(
            f"S has shape {S.shape} and X has {p} columns; give one row and column for each"
        )
    return S


# ---- linear algebra, and a search ----


def cholesky(V: ArrayLike, n: int) -> FloatArray:
    """Lower triangular L with L L' = V."""
    V = as_matrix("V", V, n=n)
    try:
        return scipy.linalg.cholesky(V, lower=True)  # type: ignore[no-any-return]
    except (scipy.linalg.LinAlgError, ValueError):
        raise ValueError(
            f"V must be a positive definite {n} x {n} matrix, and this one is not"
        ) from None


def solve_lower(L: FloatArray, B: FloatArray) -> FloatArray:
    """L^-1 B for a lower triangular L."""
    return scipy.linalg.solve_triangular(L, B, lower=True)  # type: ignore[no-any-return]


def least_squares(X: FloatArray, y: FloatArray) -> FloatArray:
    """Coefficients of y on the columns of X, by X = Q R."""
    Q, R = np.linalg.qr(X)
    return scipy.linalg.solve_triangular(R, Q.T @ y)  # type: ignore[no-any-return]


def eigen(
    S: ArrayLike, rounding: float = ROUNDING
) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues of a penalty in falling order, rounding errors set to zero, and eigenvectors."""
    S = as_matrix("S", S)
    if S.shape[0] != S.shape[1]:
        raise ValueError(f"S must be square, found shape {S.shape}")
    asymmetry = np.abs(S - S.T).max()
    if asymmetry > ROUNDING * np.abs(S).max():
        raise ValueError(
            f"S must be symmetric, and S - S' has an entry of {asymmetry:.2g}; "
            "the penalty beta' S beta is that of (S + S') / 2: use this"
        )
    d, U = np.linalg.eigh(S)
    d, U = d[::-1], U[:, ::-1]
    threshold = rounding * np.abs(d).max()
    if d[-1] < -threshold:
        raise ValueError(
            f"S must be positive semidefinite, and has an eigenvalue of {d[-1]:.3g} beside a "
            f"largest of {d[0]:.3g}: such a penalty would reward wiggliness"
        )
    return np.where(d > threshold, d, 0.0), U


def argmin(f: Callable[[float], float], lower: float, upper: float) -> float:
    """Best point of a grid in steps of one half or less, refined between its neighbors."""
    grid = np.linspace(lower, upper, 1 + int(np.ceil(2 * (upper - lower))))
    values = [f(point) for point in grid]
    best = int(np.argmin(values))
    around = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    refined = minimize_scalar(
        f, bounds=around, method="bounded", options={"xatol": 1e-10}
    )
    return float(refined.x if refined.fun < values[best] else grid[best])
