"""Answers to the exercises of chapter 13."""

from functools import cache
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.special import chdtrc, fdtr, fdtri, gammainc, nctdtr, ndtr, ndtri, stdtrit

from mixedsmooth import Fit, group, linear, lmm
from mixedsmooth.datasets import load_dyestuff, load_pastes
from mixedsmooth.derivations.design import grouping_columns
from mixedsmooth.derivations.henderson import prediction_error_covariance
from mixedsmooth.exercises._common import sleep_study, sums_of_squares
from mixedsmooth.exercises._diagnosis import FloatArray
from mixedsmooth.exercises._registry import Solution, exercise

Likelihood: TypeAlias = Literal["ML", "REML"]

_pastes = cache(load_pastes)


class _OneWay(NamedTuple):
    """A balanced one-way layout: J groups with m rows each, and its sums of squares."""

    J: int
    m: int
    between: float
    within: float

    @property
    def ratio(self) -> float:
        """Mean square between over mean square within, the F of the analysis of variance."""
        return self.between / (self.J - 1) / (self.within / (self.J * (self.m - 1)))

    def variances(self, df: int) -> tuple[float, float]:
        """Estimates of tau^2 and sigma^2; df is J by ML, J - 1 by REML."""
        s2 = self.within / (self.J * (self.m - 1))
        return (self.between / df - s2) / self.m, s2


@cache
def _dyestuff() -> _OneWay:
    """Six batches with five samples each."""
    dye = load_dyestuff()
    return _OneWay(6, 5, *sums_of_squares(dye.grams.astype(float), dye.batch))


@cache
def _cask_means() -> _OneWay:
    """Ten batches with the means of three casks each."""
    pastes = _pastes()
    means, batch = pastes.strength.reshape(30, 2).mean(axis=1), pastes.batch[::2]
    return _OneWay(10, 3, *sums_of_squares(means, batch))


def _slopes(keep: NDArray[np.bool_], method: Likelihood = "REML") -> Fit:
    """Fit a line for each driver to some rows of the sleep study."""
    sleep = sleep_study()
    days, subject = sleep.days[keep], sleep.subject[keep]
    drivers = group(subject=subject, days=days)
    return lmm(sleep.reaction[keep], linear(days=days), drivers, method=method)


@cache
def _lines() -> Fit:
    """Fit a line for each driver to all rows."""
    return _slopes(np.ones(180, dtype=bool))


def _wald(layout: _OneWay, z: float) -> list[float]:
    """Wald's interval of tau by ML."""
    J, m, (t2, s2) = layout.J, layout.m, layout.variances(layout.J)
    tau, w2 = np.sqrt(t2), s2 + m * t2
    # Var(tau^2) = (2 omega^4 / J + 2 sigma^4 / (J (m - 1))) / m^2, and Var(tau) by the slope
    se = np.sqrt(2 * w2**2 / J + 2 * s2**2 / (J * (m - 1))) / m / (2 * tau)
    return [float(tau - z * se), float(tau + z * se)]


def _profile(layout: _OneWay, z: float, method: Likelihood = "ML") -> list[float]:
    """The interval of tau by the profile of a likelihood."""
    J, m, between, within = layout
    df = J if method == "ML" else J - 1

    def deviance(tau: float) -> float:
        # the smallest over the variance of the error, up to a constant
        def of(log_s2: float) -> float:
            s2 = np.exp(log_s2)
            w2 = s2 + m * tau**2
            return float(J * (m - 1) * log_s2 + within / s2 + df * np.log(w2) + between / w2)

        return float(minimize_scalar(of, bounds=(-4, 8), method="bounded").fun)

    tau = float(np.sqrt(layout.variances(df)[0]))

    def excess(at: float) -> float:
        return deviance(at) - deviance(tau) - z**2

    lower = brentq(excess, 0, tau) if excess(0) > 0 else 0.0
    return [lower, brentq(excess, tau, 20 * tau)]


@exercise("13.1", "Two intervals for ten batches", quantity="standard deviation")
def _two_intervals() -> Solution:
    """Four numbers: the ends of Wald's interval, the ends of the profile's."""
    # Casks are told apart from measurements by the measurements alone, so that for the batches it
    # is the same to have the mean of each cask as a row.
    casks, z = _cask_means(), float(-ndtri(0.025))
    pastes = _pastes()
    no_casks = _OneWay(10, 6, *sums_of_squares(pastes.strength, pastes.batch))
    both = group(sample=pastes.sample), group(batch=pastes.batch)
    fit, name = lmm(pastes.strength, *both, method="ML"), "sd (Intercept) | sample"
    of_casks = [*fit.confint(kind="wald")[name], *fit.confint()[name]]
    right = [*_wald(casks, z), *_profile(casks, z)]
    mistakes = {
        "this is the level of 90 %": [*_wald(casks, -ndtri(0.05)), *_profile(casks, -ndtri(0.05))],
        "this is the level of 99 %": [
            *_wald(casks, -ndtri(0.005)),
            *_profile(casks, -ndtri(0.005)),
        ],
        "the deviance may rise by 1.96 squared, not by 1.96": [
            *right[:2],
            *_profile(casks, np.sqrt(z)),
        ],
        "Wald's lower end is what the formula says, even if that is impossible": [0.0, *right[1:]],
        "the profile's lower end is where the values end, at zero": [*right[:2], *right[::3]],
        "the profile first; Wald's interval is wanted before it": [*right[2:], *right[:2]],
        "this is the profile of the restricted likelihood": [
            *right[:2],
            *_profile(casks, z, method="REML"),
        ],
        "these are the intervals for casks; those for batches are wanted": of_casks,
        "casks have a variance, too: batches and casks are both in the model": [
            *_wald(no_casks, z),
            *_profile(no_casks, z),
        ],
    }
    return Solution(right, mistakes)


@exercise("13.2", "Do batches differ, beyond their casks?")
def _casks() -> Solution:
    """Three numbers: the statistic, its p-value by chi-squared with 1 df, that of the mixture."""
    pastes = _pastes()

    def answer(method: Likelihood) -> list[float]:
        small, large = (
            lmm(pastes.strength, *terms, method=method).criterion
            for terms in (
                (group(sample=pastes.sample),),
                (group(sample=pastes.sample), group(batch=pastes.batch)),
            )
        )
        p = float(chdtrc(1, small - large))
        return [small - large, p, p / 2]

    right = answer("ML")
    statistic, p, _ = right
    two = float(chdtrc(2, statistic))
    mistakes = {
        "these are the fits by REML": answer("REML"),
        "the statistic is the change of the deviance, twice that of the log-likelihood": [
            statistic / 2,
            float(chdtrc(1, statistic / 2)),
            float(chdtrc(1, statistic / 2)) / 2,
        ],
        "the mixture halves the p-value: zero has the other half": [statistic, p, 2 * p],
        "the mixture is of 0 and 1 degrees of freedom, not of 1 and 2": [
            statistic,
            p,
            (p + two) / 2,
        ],
        "one variance more is one degree of freedom": [statistic, two, two / 2],
        "the p-value is the area above the statistic": [statistic, 1 - p, (1 - p) / 2],
    }
    return Solution(right, mistakes)


@exercise("13.3", "The atom")
def _atom() -> Solution:
    """Four probabilities and a whole number.

    By REML and by ML with 10 groups, by REML and by ML with 100 groups; then a number of groups.
    """
    m, ratio = 3, 1 + 3 / 9

    def atom(J: int, method: str, ratio: float = 1.0) -> float:
        limit = J / (J - 1) if method == "ML" else 1.0
        return float(fdtr(J - 1, J * (m - 1), limit / ratio))

    def needed(ratio: float, method: str = "REML", below: float = 0.05) -> int:
        J = 2
        while atom(J, method, ratio) >= below:
            J += 1
        return J

    right = [*(atom(J, method) for J in (10, 100) for method in ("REML", "ML")), needed(ratio)]
    inside = [float(fdtr(J - 1, J * m - 1, c)) for J in (10, 100) for c in (1.0, J / (J - 1))]
    chi_squared = [float(gammainc((J - 1) / 2, c / 2)) for J in (10, 100) for c in (J - 1, J)]
    mistakes = {
        "these are probabilities that it is not zero": [*(1 - p for p in right[:4]), right[4]],
        "for REML the bound of F is 1, for ML it is J / (J - 1)": [
            *(right[i] for i in (0, 0, 2, 2)),
            right[4],
        ],
        "REML and ML are exchanged": [*(right[i] for i in (1, 0, 3, 2)), right[4]],
        "one half is the limit for many groups; here the exact probabilities are wanted": [
            *[0.5] * 4,
            right[4],
        ],
        "within groups there are J (m - 1) degrees of freedom": [*inside, right[4]],
        "the number of groups is wanted for REML": [*right[:4], needed(ratio, "ML")],
        "one group fewer is not enough: below 5 % is wanted": [*right[:4], right[4] - 1],
        "one group fewer is enough: the least number is wanted": [*right[:4], right[4] + 1],
        "groups are wanted, not rows": [*right[:4], m * right[4]],
        "F is multiplied by 1 + m tau^2 / sigma^2, with the ratio of the variances": [
            *right[:4],
            needed(1 + m / 3),
        ],
        "F is multiplied by 1 + m tau^2 / sigma^2, with m rows in each group": [
            *right[:4],
            needed(1 + 1 / 9),
        ],
        "one tenth of the variance is one ninth of the other variance": [
            *right[:4],
            needed(1 + m / 10),
        ],
        "the number of groups is wanted for 5 %, not for 10 %": [
            *right[:4],
            needed(ratio, below=0.1),
        ],
        "the mean square within varies, too: an F, and no chi-squared": [*chi_squared, right[4]],
    }
    return Solution(right, mistakes)


@exercise("13.4", "Two mean squares", points=2)
def _degrees() -> Solution:
    """Three numbers of degrees of freedom: of the slope, of day 4.5, of day 0."""
    sleep = sleep_study()
    days = sleep.days.reshape(18, 10)[0]
    x, spread = days.mean(), float(np.sum((days - days.mean()) ** 2))
    y = sleep.reaction.reshape(18, 10)
    between = 10 * float(np.sum((y.mean(axis=1) - y.mean()) ** 2))
    slope = float((y.mean(axis=0) - y.mean()) @ (days - x)) / spread
    left = y - y.mean(axis=1, keepdims=True) - slope * (days - x)
    within = float(np.sum(left**2))

    def df(
        power: int, dfs: tuple[int, int] = (17, 161), *, ml: bool = False, x: float = x
    ) -> float:
        # Var(mean) = omega^2 / 180, Var(slope) = sigma^2 / (18 spread)
        of_mean, of_slope = between / 17 / 180, x**2 * within / 161 / (18 * spread)
        if ml:
            dfs, of_mean, of_slope = (18, 162), of_mean * 17 / 18, of_slope * 161 / 162
        parts = of_mean**power / dfs[0] + of_slope**power / dfs[1]
        return float((of_mean + of_slope) ** power / parts)

    mistakes = {
        "the squares of both parts are divided by their degrees of freedom": [161.0, 17.0, df(1)],
        "day 0 needs both mean squares": [161.0, 17.0, 178.0],
        "the mean takes one of the 18, the slope and the 18 means take 19 of the 180": [
            162.0,
            18.0,
            df(2, (18, 162)),
        ],
        "these are from the fit by ML; REML is wanted": [162.0, 18.0, df(2, ml=True)],
        "the mean of day 4.5 has the few degrees of freedom, the slope the many": [
            161.0,
            17.0,
            df(2, (161, 17)),
        ],
        "these are those of a line for each driver": [17.0, 17.0, 17.0],
        "day 0 is 4.5 days from the mean, and the square of that multiplies": [
            161.0,
            17.0,
            df(2, x=np.sqrt(x)),
        ],
        "day 0 is 4.5 slopes from the mean, not one": [161.0, 17.0, df(2, x=1.0)],
        "these count the rows: n - p": [178.0, 178.0, 178.0],
    }
    return Solution([161.0, 17.0, df(2)], mistakes)


@exercise("13.5", "Two corrections that differ")
def _corrections() -> Solution:
    """Four numbers: standard error and df by Satterthwaite, then by Kenward and Roger."""
    sleep = sleep_study()
    driver = np.unique(sleep.subject, return_inverse=True)[1]
    early = sleep.days < 4
    keep = (driver % 2 == 0) | early

    def answer(fit: Fit, entry: int = 1) -> list[float]:
        found = [fit.coefficients(df=kind) for kind in ("satterthwaite", "kenward-roger")]
        return [float(v[entry]) for c in found for v in (c.se, c.df)]

    right = answer(_slopes(keep))
    # Kenward and Roger's method is for REML
    ml = _slopes(keep, method="ML").coefficients()
    by_ml = [float(ml.se[1]), float(ml.df[1]), *right[2:]]
    odd_label = np.asarray(sleep.subject, dtype=np.int64) % 2 == 1
    days = sleep.days[keep]
    alone = lmm(sleep.reaction[keep], linear(days=days), group(subject=sleep.subject[keep]))
    mistakes = {
        "these are those of the intercept": answer(_slopes(keep), entry=0),
        "these are those of all 180 rows": answer(_lines()),
        "only every second driver leaves after day 3": answer(_slopes(early)),
        "the drivers have no slopes here": answer(alone),
        "these are the fits by ML": by_ml,
        "the first driver stays, and the second leaves": answer(_slopes((driver % 2 == 1) | early)),
        "every second driver in the order of the labels, not those whose labels are even": answer(
            _slopes(odd_label | early)
        ),
        "those who left are in the study for their first days": answer(_slopes(driver % 2 == 0)),
        "day 3 is the last of those who left, and not day 4": answer(
            _slopes((driver % 2 == 0) | (sleep.days <= 4))
        ),
        "day 3 is the last of those who left, and not day 2": answer(
            _slopes((driver % 2 == 0) | (sleep.days < 3))
        ),
        "Kenward and Roger also correct the standard error": [*right[:2], right[0], right[3]],
        "the standard error of Satterthwaite is the plain one": [right[2], *right[1:]],
        "Satterthwaite first, then Kenward and Roger": [*right[2:], *right[:2]],
        "of each method the standard error first, then the degrees of freedom": [
            right[1],
            right[0],
            right[3],
            right[2],
        ],
    }
    return Solution(right, mistakes)


@exercise("13.6", "How alike are two samples of a batch?", points=2, simulated=True)
def _alike() -> Solution:
    """Four shares of variance: the ends of the percentile interval, those of the exact one."""
    layout = _dyestuff()
    J, m, F = layout.J, layout.m, layout.ratio
    dfs = J - 1, J * (m - 1)

    def icc(ratio: float) -> float:
        return max(0.0, (ratio - 1) / (ratio + m - 1))

    # a simulated F is the one that was found times an F, and the ICC grows with it
    ends = [fdtri(*dfs, share) for share in (0.025, 0.975)]
    percentile = [icc(F * end) for end in ends]
    exact = [icc(F / end) for end in reversed(ends)]
    wide = [fdtri(*dfs, share) for share in (0.05, 0.95)]
    wide_exact = [icc(F / end) for end in reversed(wide)]
    by_ml = F * (J - 1) / J
    t2, s2 = layout.variances(J - 1)
    right = [*percentile, *exact]

    def root(shares: list[float]) -> list[float]:
        return [float(np.sqrt(share)) for share in shares]

    def inverted(end: float) -> float:
        return (F * end - 1) / (F * end + m - 1)

    # In the order in which chance could take one for the other. The lower end of 1,000 replicates
    # at 90 % is anywhere from 0 to 0.03, and each of the two has a part of it.
    mistakes = {
        "the fit is to be by REML, F the ratio of the mean squares, and both at 95 %": [
            0.0,
            icc(by_ml * (J - 1) / J * ends[1]),
            *(icc(by_ml / end) for end in reversed(ends)),
        ],
        "this is the level of 90 %": [0.01, icc(F * wide[1]), *wide_exact],
        "these are intervals at 90 %; those at 95 % are wanted": [
            0.02,
            icc(F * wide[1]),
            *wide_exact,
        ],
        "the exact interval divides F by the quantiles of F": [
            *percentile,
            *(inverted(end) for end in ends),
        ],
        "an ICC is a share of variance, not of a standard deviation": root(right),
        "these are ratios of the variances, tau squared over sigma squared": [
            *((max(F * end, 1) - 1) / m for end in ends),
            *((max(F / end, 1) - 1) / m for end in reversed(ends)),
        ],
        "F / q stands for 1 + 5 tau^2 / sigma^2, and tau^2 + sigma^2 is below": [
            *percentile,
            *((F / end - 1) / (F / end + m) for end in reversed(ends)),
        ],
        "these are the variances of batches and of samples, not their share": [t2, s2, t2, s2],
    }
    # four standard errors of a quantile of 1,000 replicates; of the others the last digit
    return Solution(right, mistakes, spread=[0.005, 0.045, 5e-5, 5e-5])


@exercise("13.7", "The next driver", points=2, quantity="standard deviation")
def _next_driver() -> Solution:
    """Four standard errors on day 9, in ms.

    Of the mean line, of the line of a new driver, of a reaction time of a new driver, of a reaction
    time of driver 308.
    """
    fit, sleep = _lines(), sleep_study()
    x, s2 = np.array([1.0, 9.0]), fit.sigma**2
    mean, line = float(x @ fit.cov_beta @ x), float(x @ fit.random["subject"].cov @ x)
    # beta and b of driver 308, the first: the covariance of the errors of both
    Z, levels = grouping_columns(sleep.subject)
    X = np.column_stack([np.ones(180), sleep.days])
    both = (Z[:, :, None] * X[:, None, :]).reshape(180, -1)
    factor = np.linalg.cholesky(fit.random["subject"].cov) / fit.sigma
    Lambda = np.kron(np.eye(len(levels)), factor)
    C = prediction_error_covariance(X, both, Lambda, fit.sigma)[:4, :4]
    known = float(np.tile(x, 2) @ C @ np.tile(x, 2))
    forgotten = mean + float(x @ C[2:, 2:] @ x)

    def errors(*variances: float) -> list[float]:
        return [float(np.sqrt(variance)) for variance in variances]

    ml = _slopes(np.ones(180, dtype=bool), method="ML")
    predicted = [
        ml.predict_interval(
            {"days": [9, 9], "subject": ["308", "new"]}, kind=kind, new_levels="population"
        ).se
        for kind in ("confidence", "prediction")
    ]
    mean_by_ml = float(np.sqrt(x @ ml.cov_beta @ x))
    by_ml = [mean_by_ml, *(float(se) for se in (predicted[0][1], *predicted[1][::-1]))]
    sds = np.cumsum(np.sqrt([mean, line, s2]))
    apart = float(np.diag(fit.random["subject"].cov) @ x**2)
    mistakes = {
        "the last one is the error of the line of 308; a reaction time has sigma too": errors(
            mean, mean + line, mean + line + s2, known
        ),
        "a reaction time has its own error, with sigma, besides that of the line": errors(
            mean, mean + line, mean + line, known
        ),
        "the covariance of intercepts and slopes counts too": errors(
            mean, mean + apart, mean + apart + s2, known + s2
        ),
        "the uncertainty of the mean line counts for a new driver too": errors(
            mean, line, line + s2, known + s2
        ),
        "driver 308 has been measured: this is as for a new driver": errors(
            mean, mean + line, mean + line + s2, mean + line + s2
        ),
        "the errors of the mean line and of driver 308's effects are not independent": errors(
            mean, mean + line, mean + line + s2, forgotten + s2
        ),
        "these are from the fit by ML": by_ml,
        "variances are added, not standard deviations": [
            *(float(sd) for sd in sds),
            *errors(known + s2),
        ],
    }
    return Solution(errors(mean, mean + line, mean + line + s2, known + s2), mistakes)


@exercise("13.8", "A band around a line", points=2)
def _band() -> Solution:
    """Three numbers: the correlation, kappa, the critical value."""
    cov = _lines().cov_beta
    ends = np.array([[1.0, 0.0], [1.0, 9.0]])

    def correlation(L: FloatArray) -> float:
        C = L @ cov @ L.T
        return float(C[0, 1] / np.sqrt(C[0, 0] * C[1, 1]))

    def critical(kappa: float, tails: float = 2.0, level: float = 0.95) -> float:
        def excess(c: float) -> float:
            return float(kappa / np.pi * np.exp(-(c**2) / 2) + tails * ndtr(-c) - (1 - level))

        return float(brentq(excess, 0, 10))

    def answer(rho: float, kappa: float) -> list[float]:
        return [rho, kappa, critical(kappa)]

    rho, of_beta = correlation(ends), correlation(np.eye(2))
    to_ten = correlation(np.array([[1.0, 0.0], [1.0, 10.0]]))
    kappa = float(np.arccos(rho))
    mistakes = {
        "this is the correlation of intercept and slope; that of day 0 and day 9 is wanted": answer(
            of_beta, float(np.arccos(of_beta))
        ),
        "the last day is 9, not 10": answer(to_ten, float(np.arccos(to_ten))),
        "this is the covariance; the correlation is wanted": [
            float(ends[0] @ cov @ ends[1]),
            kappa,
            critical(kappa),
        ],
        "kappa is an angle in radians": [rho, float(np.degrees(kappa)), critical(kappa)],
        "kappa is the angle whose cosine is the correlation": answer(
            rho, float(np.arcsin(abs(rho)))
        ),
        "this is the critical value of one point": [rho, kappa, -ndtri(0.025)],
        "the critical value of Scheffé is for all days, from minus to plus infinity": [
            rho,
            kappa,
            float(np.sqrt(-2 * np.log(0.05))),
        ],
        "both tails count: 2 (1 - Phi(c))": [rho, kappa, critical(kappa, tails=1.0)],
        "this is the level of 90 %": [rho, kappa, critical(kappa, level=0.9)],
        "this is the level of 99 %": [rho, kappa, critical(kappa, level=0.99)],
    }
    return Solution(answer(rho, kappa), mistakes)


@exercise("13.9", "A prior has a unit", points=2, simulated=True)
def _unit() -> Solution:
    """Three medians, in grams: for epsilon 0.01, for epsilon 0.1, for the half-t."""
    J, m, between, within = _dyestuff()
    log_tau, log_s = np.linspace(-6, 9, 3001)[:, None], np.linspace(3, 5.2, 301)
    tau, s2 = np.exp(log_tau[:, 0]), np.exp(2 * log_s)
    w2 = s2 + m * tau[:, None] ** 2
    restricted = -J * (m - 1) * log_s - within / (2 * s2)
    restricted = restricted - (J - 1) / 2 * np.log(w2) - between / (2 * w2)
    likelihood = np.exp(restricted - restricted.max()).sum(axis=1)

    def posterior(epsilon: float, unit: float) -> FloatArray:
        # of log tau, where tau^2 / unit^2 has an inverse gamma distribution
        log_prior = -2 * epsilon * np.log(tau / unit) - epsilon * (unit / tau) ** 2
        return np.asarray(likelihood * np.exp(log_prior))

    def half_t_of(scale: float) -> FloatArray:
        return np.asarray(likelihood * tau * (1 + (tau / scale) ** 2 / 2) ** -1.5)

    half_t = half_t_of(50)
    of_half_t = [half_t, half_t, half_t]

    def medians(densities: list[FloatArray]) -> list[float]:
        shares = [np.cumsum(p) / p.sum() for p in densities]
        return [float(tau[np.searchsorted(F, 0.5)]) for F in shares]

    densities = [posterior(0.01, 1000), posterior(0.1, 1000), half_t]
    right = np.array(medians(densities))
    means = [float(np.sum(tau * p) / p.sum()) for p in densities]
    in_grams = np.array(medians([posterior(0.01, 1), posterior(0.1, 1), half_t]))
    s = float(np.sqrt(within / (J * (m - 1))))
    mistakes = {
        "this is the posterior of the yields in grams; the prior was to be for kilograms": list(
            in_grams
        ),
        # 4,000 draws of it hardly move between zero and the rest
        "these are yields in grams, and the draws linger near zero; measure in kilograms": (
            list(in_grams * [0.87, 0.85, 1])
        ),
        "these are means; medians are wanted": means,
        "epsilon 0.01 first, then 0.1": list(right[[1, 0, 2]]),
        "these are all with the half-t": medians(of_half_t),
        "epsilon is too small by a factor of ten": medians(
            [posterior(0.001, 1000), posterior(0.01, 1000), half_t]
        ),
        "epsilon is too large by a factor of ten": medians(
            [posterior(0.1, 1000), posterior(1.0, 1000), half_t]
        ),
        "the scale of the half-t is 0.05 kg, which is smaller": medians(
            [*densities[:2], half_t_of(500)]
        ),
        "the scale of the half-t is 0.05 kg, which is larger": medians(
            [*densities[:2], half_t_of(5)]
        ),
        "this is the standard deviation within batches; that between them is wanted": [s, s, s],
    }
    # chance of 4,000 draws, which depend on each other: four standard errors
    return Solution(right, mistakes, spread=right * [0.03, 0.04, 0.08])


@exercise("13.10", "The driver who matters most")
def _influence() -> Solution:
    """Three numbers: the driver, the mean slope without this driver, and the sd of slopes then."""
    sleep = sleep_study()
    without = {driver: _slopes(sleep.subject != driver) for driver in np.unique(sleep.subject)}
    whole = _lines()

    def answer(driver: str) -> list[float]:
        fit = without[driver]
        return [float(driver), float(fit.beta[1]), float(fit.random["subject"].sd[1])]

    changes = {driver: fit.beta[1] - whole.beta[1] for driver, fit in without.items()}
    right = answer(max(changes, key=lambda driver: abs(changes[driver])))
    driver = f"{right[0]:.0f}"
    most = max(changes, key=lambda driver: -changes[driver])
    place = list(without).index(driver)
    by_ml = _slopes(sleep.subject != driver, method="ML")
    mistakes = {
        "this driver's rows are far from their line; the mean slope moves little": answer("332"),
        "this driver has the largest Cook's distance, which counts the intercept too": answer(
            "309"
        ),
        "the driver's label is wanted, not the place in the list": [float(place), *right[1:]],
        "the slope is wanted, not the intercept": [
            right[0],
            float(without[driver].beta[0]),
            right[2],
        ],
        "the change that is largest without its sign is wanted": answer(most),
        "these are the estimates with all drivers": [
            right[0],
            float(whole.beta[1]),
            float(whole.random["subject"].sd[1]),
        ],
        "this is the change of the slope; the slope itself is wanted": [
            right[0],
            float(changes[driver]),
            right[2],
        ],
        "the standard deviation of slopes is wanted, not that of intercepts": [
            *right[:2],
            float(without[driver].random["subject"].sd[0]),
        ],
        "this is the fit by ML": [*right[:2], float(by_ml.random["subject"].sd[1])],
        "the last one is to be a standard deviation, not a variance": [*right[:2], right[2] ** 2],
        "the standard deviation of slopes is wanted, not the error of their mean": [
            *right[:2],
            float(without[driver].se[1]),
        ],
    }
    return Solution(right, mistakes)


@exercise("13.11", "Sixty days of drivers", points=2, simulated=True)
def _power() -> Solution:
    """Three probabilities: of 6 drivers on 10 days, 12 on 5 days, 20 on 3 days."""
    fit, studies = _lines(), (6, 12, 20)
    slopes, s2 = float(fit.random["subject"].cov[1, 1]), fit.sigma**2

    def power(
        J: int,
        *,
        drivers: int | None = None,
        n_days: int | None = None,
        mean: float = 8.0,
        slopes: float = slopes,
        s2: float = s2,
        limit: float | None = None,
        centered: bool = True,
    ) -> float:
        days = np.arange(n_days or 60 // J)
        n = drivers or J
        spread = np.sum((days - centered * days.mean()) ** 2)
        shift = mean / np.sqrt((slopes + s2 / spread) / n)
        limit = two_sided(n) if limit is None else limit
        return float(1 - nctdtr(n - 1, shift, limit) + nctdtr(n - 1, shift, -limit))

    def two_sided(J: int, level: float = 0.05) -> float:
        return float(stdtrit(J - 1, 1 - level / 2))

    right = [power(J) for J in studies]
    # in the order in which chance could take one for the other
    mistakes = {
        "these are probabilities of finding nothing": [1 - p for p in right],
        "the t distribution with J - 1 degrees of freedom is wanted, not the normal": [
            power(J, limit=-ndtri(0.025)) for J in studies
        ],
        "the test is two-sided, at 5 %": [power(J, limit=two_sided(J, 0.1)) for J in studies],
        "a standard deviation of J slopes has J - 1 below: ddof=1": [
            power(J, limit=two_sided(J) * np.sqrt((J - 1) / J)) for J in studies
        ],
        "there are J - 1 degrees of freedom, not J; the variances are those by REML": [
            power(J, limit=two_sided(J + 1)) for J in studies
        ],
        "this is the level of 1 %": [power(J, limit=two_sided(J, 0.01)) for J in studies],
        "the mean slope is to be 8, not the estimate": [
            power(J, mean=float(fit.beta[1])) for J in studies
        ],
        "these are 18 drivers each time": [power(J, drivers=18) for J in studies],
        "only the six drivers have ten days": [power(J, n_days=10) for J in studies],
        "there are 60 / J days, from day 0: the last is 60 / J - 1": [
            power(J, n_days=60 // J + 1) for J in studies
        ],
        "a driver's line has an intercept: the days less their mean count": [
            power(J, centered=False) for J in studies
        ],
        "the drivers differ in their slopes": [power(J, slopes=0.0) for J in studies],
        "slopes have a standard deviation that is the root of their variance": [
            power(J, slopes=slopes**2) for J in studies
        ],
        "the errors have a standard deviation of sigma, not of its square root": [
            power(J, s2=fit.sigma) for J in studies
        ],
    }
    # four standard errors of a share of 10,000 studies
    return Solution(right, mistakes, spread=0.02)
