"""Answers to the exercises of chapter 5."""

import numpy as np
import scipy.integrate
import scipy.optimize

from mixedsmooth.derivations.likelihood import grouping_columns
from mixedsmooth.derivations.penalized_ls import profiled_deviance, solve_penalized
from mixedsmooth.derivations.reml import restricted_deviance
from mixedsmooth.exercises import _common as common
from mixedsmooth.exercises._diagnosis import FloatArray
from mixedsmooth.exercises._registry import Solution, exercise


@exercise("5.1", "Three rows by hand", points=2)
def _three_rows() -> Solution:
    """A dict with "r2", "beta", "u" (an array of shape (2,)), "sigma" and "deviance"."""
    y, X = np.array([1.0, 3.0, 5.0]), np.ones((3, 1))
    Z, _ = grouping_columns(["A", "A", "B"])
    found = solve_penalized(y, X, Z, 2.0)
    mistakes = {
        "this is b = Lambda u": {"u": found.b},
        "maximum likelihood divides by n": {"sigma": np.sqrt(found.r2 / 2)},
        "this is the REML criterion": {"deviance": restricted_deviance(2.0, y, X, Z)},
    }
    estimates = {"beta": found.beta[0], "u": found.u, "sigma": np.sqrt(found.r2 / 3)}
    deviance = profiled_deviance(2.0, y, X, Z)
    return Solution({"r2": found.r2, **estimates, "deviance": deviance}, mistakes)


@exercise("5.2", "The order of the columns", digits=7)
def _order() -> Solution:
    """Two counts: with the columns of Z first, with those of X first."""
    y, X, Z, _ = common.gasoline_rows()
    theta = common.gasoline_fit().theta

    def entries(parts: list[FloatArray], penalized: list[int]) -> int:
        W = np.column_stack([*parts, y])
        L = np.linalg.cholesky(W.T @ W + np.diag(penalized))
        return int(np.sum(np.abs(L) > 1e-10))

    z_first = entries([theta * Z, X], [1] * 18 + [0] * 5)
    right = np.array([z_first, entries([X, theta * Z], [0] * 4 + [1] * 18 + [0])])
    mistakes = {"the diagonal counts too": right - 23, "count one triangle only": 2 * right - 23}
    return Solution(right, mistakes)


@exercise("5.3", "Theta in closed form", points=2)
def _closed_form() -> Solution:
    """Two values of theta: of the sleep study, of y_none."""
    _, X, Z, driver = common.sleep_rows()
    y_none = np.random.default_rng(8).normal(250, 30, size=180)  # as in the chapter
    samples = [common.Rows(y, X, Z, driver) for y in (common.sleep_study().reaction, y_none)]

    def theta(between_degrees: int, within_degrees: int) -> FloatArray:
        sums = np.array([common.residual_sums_of_squares(rows) for rows in samples]).T
        w = (sums[0] / between_degrees) / (sums[1] / within_degrees)
        return np.asarray(np.sqrt(np.maximum(w - 1, 0) / 10))

    right = theta(18, 162)
    mistakes = {
        "these are the REML estimates": theta(17, 161),
        "this is the ratio w; theta squared is (w - 1) / m": 10 * right**2 + 1,
    }
    return Solution(right, mistakes)


@exercise("5.4", "Standard errors without V", quantity="standard deviation")
def _errors_without_v() -> Solution:
    """An array of shape (4,)."""
    (y, X, Z, _), fit = common.gasoline_rows(), common.gasoline_fit()
    L_X = solve_penalized(y, X, Z, fit.theta).L_X
    residual = y - X @ common.least_squares(y, X)
    ols = residual @ residual / (len(y) - 4) * np.diag(np.linalg.solve(X.T @ X, np.eye(4)))
    roots = fit.sigma / np.diag(L_X)
    mistakes = {
        "the diagonal of a factor does not hold the roots of the diagonal": roots,
        "these are the standard errors of ordinary least squares": np.sqrt(ols),
    }
    return Solution(fit.se, mistakes)


@exercise("5.5", "Is it an algorithm?", points=3)
def _loop() -> Solution:
    """Two values of theta, where the loop ends: of the sleep study, of gasoline."""
    samples = common.sleep_rows(), common.gasoline_rows()
    reml = [common.fit_intercepts(rows, "REML").theta for rows in samples]
    mistakes = {"these are the REML estimates": reml}
    return Solution([common.sleep_fit().theta, common.gasoline_fit().theta], mistakes)


@exercise("5.6", "200,000 rows", points=3, quantity="deviance", digits=6)
def _many_rows() -> Solution:
    """One deviance."""
    (y, X, Z, _), fit = common.gasoline_rows(), common.gasoline_fit()
    theta = fit.theta
    log_pivots = np.sum(np.log(1 + Z.sum(axis=0) * theta**2))
    mistakes = {
        "this is the REML criterion": restricted_deviance(theta, y, X, Z),
        "the sum of the logarithms of the pivots is missing": fit.criterion - log_pivots,
        "the constant n log(2 pi) is missing": fit.criterion - len(y) * np.log(2 * np.pi),
    }
    return Solution(fit.criterion, mistakes)


@exercise("5.7", "When the logarithm is not quadratic", points=3, digits=3)
def _laplace_errors() -> Solution:
    """An array of shape (3, 2): a row for each m; counts of zero, counts of two."""

    def logarithms(m: int, count: int) -> tuple[float, float]:
        def g(u: float) -> float:
            # log p(y | u) + log p(u), up to a constant
            return float(m * count * u - m * np.exp(u) - u**2 / 2)

        # at the mode  m count - m exp(u) - u = 0
        top = scipy.optimize.brentq(lambda u: m * count - m * np.exp(u) - u, -10, 10, xtol=1e-13)
        ends, curvature = (top - 12, top + 8), m * np.exp(top) + 1
        area, _ = scipy.integrate.quad(lambda u: np.exp(g(u) - g(top)), *ends, points=[top])
        return g(top) + 0.5 * np.log(2 * np.pi / curvature), g(top) + np.log(area)

    pairs = [[logarithms(m, count) for count in (0, 2)] for m in (1, 5, 50)]
    laplace, exact = np.array(pairs).transpose(2, 0, 1)
    of_integrals = np.exp(laplace) - np.exp(exact)
    mistakes = {
        "these are the approximations, not their errors": laplace,
        "these are the integrals, not the errors of the approximations": exact,
        "these are errors of the integrals, not of their logarithms": of_integrals,
    }
    return Solution(laplace - exact, mistakes)
