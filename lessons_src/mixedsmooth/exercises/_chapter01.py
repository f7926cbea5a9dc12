"""Answers to the exercises of chapter 1."""

import numpy as np
import scipy.special

from mixedsmooth.exercises import _common as common
from mixedsmooth.exercises._diagnosis import FloatArray
from mixedsmooth.exercises._registry import Solution, exercise


@exercise("1.1", "Two uncorrelated halves")
def _two_halves() -> Solution:
    """Two sums of squares, between drivers and within, in ms²."""
    sleep = common.sleep_study()
    kept = sleep.reaction <= 350
    y, driver = sleep.reaction[kept], sleep.subject[kept]
    between, within = common.sums_of_squares(y, driver)
    means = np.array([y[driver == level].mean() for level in np.unique(driver)])
    of_all = common.sums_of_squares(sleep.reaction, sleep.subject)
    once = [np.sum((means - y.mean()) ** 2), within]
    mistakes = {
        "these are the sums of all rows: delete those above 350 ms first": of_all,
        "a mean counts once for each row of its group, not once for each group": once,
    }
    return Solution([between, within], mistakes)


@exercise("1.2", "The mean of unequal groups", points=2, quantity="variance")
def _unequal_groups() -> Solution:
    """One variance."""
    sizes, tau2, sigma2 = np.array([1, 2, 3, 14]), 4.0, 1.0
    n, of_means = sizes.sum(), np.sum(tau2 + sigma2 / sizes) / 16
    mistakes = {
        "this holds for equal groups: the mean size is not what counts": (tau2 * 5 + sigma2) / n,
        "this counts every row as independent": (tau2 + sigma2) / n,
        "this is the variance of the mean of the group means": of_means,
    }
    return Solution((tau2 * np.sum(sizes**2) / n + sigma2) / n, mistakes)


@exercise("1.3", "How often does a useless covariate look useful?", points=2, simulated=True)
def _useless_covariate() -> Solution:
    """Three shares between 0 and 1.

    Between groups on the rows, between groups on the means, within groups on the rows.
    """
    # The sums of squares are independent chi^2, times the expected mean squares of chapter 1:
    #   reject if  (n - 2) SS_slope / SS_residual > t^2
    J, m, rho, draws = 18, 19, 0.79, 400_000
    n, omega, sigma2 = J * m, m * rho + 1 - rho, 1 - rho
    rng = np.random.default_rng(13)

    def share(of_slope: float, between: int, within: int) -> float:
        slope = of_slope * rng.chisquare(1, draws)
        residual = omega * rng.chisquare(between, draws) + sigma2 * rng.chisquare(within, draws)
        t = scipy.special.stdtrit(n - 2, 0.975)
        return float(np.mean((n - 2) * slope / residual > t**2))

    right = np.array([share(omega, J - 2, n - J), 0.05, share(sigma2, J - 1, n - J - 1)])
    return Solution(right, spread=4 * common.standard_error(right, 2000) + 0.002)


@exercise("1.4", "An estimate below zero")
def _below_zero() -> Solution:
    """One probability, between 0 and 1."""
    J, m = 6, 5
    p, p_wrong = scipy.special.fdtr([J - 1, J], [J * (m - 1), J * m], 1)  # P(F < 1)
    mistakes = {
        "this is the probability of an estimate above zero": 1 - p,
        "the degrees of freedom are not those of the mean squares": p_wrong,
    }
    return Solution(p, mistakes)


@exercise("1.5", "More drivers, or more days?", points=2)
def _more_drivers() -> Solution:
    """One number, not rounded to a whole one."""
    sleep, (y, X, _, driver) = common.sleep_study(), common.sleep_rows()

    def tau2_and_sigma2(y: FloatArray, slopes: int) -> tuple[float, float]:
        between, within = common.sums_of_squares(y, driver)
        sigma2 = within / (162 - slopes)
        return (between / 17 - sigma2) / 10, sigma2

    _, slope = common.least_squares(y, X)
    tau2, sigma2 = tau2_and_sigma2(y - slope * (sleep.days - 4.5), slopes=1)
    tau2_raw, sigma2_raw = tau2_and_sigma2(y, slopes=0)
    mistakes = {
        "the trend over the days is still in this rho": np.sqrt(10 * sigma2_raw / tau2_raw),
        "rho and 1 - rho are exchanged": np.sqrt(10 * tau2 / sigma2),
        "the two costs are exchanged": np.sqrt(0.1 * sigma2 / tau2),
    }
    return Solution(np.sqrt(10 * sigma2 / tau2), mistakes)


@exercise("1.6", "Which slope answers the question?", points=2)
def _which_slope() -> Solution:
    """One slope."""
    gas = common.gasoline()
    (x_mean, x), (y_mean, y) = (common.halves(v, gas.country) for v in (gas.lrpmg, gas.lgaspcar))
    x_mean, y_mean = x_mean - x_mean.mean(), y_mean - y_mean.mean()
    year = gas.year - gas.year.mean()
    x_left = x - year * (year @ x) / (year @ year)
    own = [np.polyfit(gas.year[:19], v.reshape(18, 19).T, 1)[0] for v in (x, y)]
    x_own, y_own = (v - np.repeat(slope, 19) * year for v, slope in zip((x, y), own, strict=True))
    mistakes = {
        "the trend over the years is still in this slope": x @ y / (x @ x),
        "this is the slope between countries": x_mean @ y_mean / (x_mean @ x_mean),
        "a common trend is asked, not one for each country": x_own @ y_own / (x_own @ x_own),
        "the trend is taken out of the use only, not of the price": x_left @ y / (x @ x),
    }
    return Solution(x_left @ y / (x_left @ x_left), mistakes)
