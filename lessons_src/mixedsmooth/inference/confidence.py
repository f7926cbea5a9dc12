"""Three ways to an interval: the standard error, the profile, the bootstrap (chapter 13)."""

import scipy.special

from mixedsmooth._checks import choice, share
from mixedsmooth.inference.bootstrap import bootstrap
from mixedsmooth.inference.intervals import Intervals
from mixedsmooth.inference.parameters import named_likelihood, parameters, with_likelihood
from mixedsmooth.inference.profile import trace
from mixedsmooth.inference.progress import Progress
from mixedsmooth.inference.sections import space_of
from mixedsmooth.model.fit import Fit


def confint(
    fit: Fit,
    level: float = 0.95,
    kind: str = "profile",
    likelihood: str = "ML",
    *,
    n: int = 1000,
    seed: int | None = None,
    progress: Progress = None,
) -> Intervals:
    """Compute intervals for all parameters: the door is `Fit.confint`.

    Parameters
    ----------
    fit : Fit
        The fit.
    level : float
        Coverage, between 0 and 1.
    kind : {"wald", "profile", "bootstrap"}
        Estimates plus and minus standard errors, the values whose deviance is not too high, or
        percentiles of a parametric bootstrap.
    likelihood : {"ML", "REML"}
        Which likelihood.
    n, seed, progress
        Of the bootstrap, as `mixedsmooth.inference.bootstrap.bootstrap` has them.

    Returns
    -------
    Intervals
        The intervals.

    Raises
    ------
    ValueError
        If an argument is unknown, or the fit has no likelihood.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> fit = ms.lmm_formula("reaction ~ days + (1 | subject)", ms.load_sleepstudy())
    >>> print(confint(fit, 0.9))
    90 % profile intervals, likelihood: ML
    <BLANKLINE>
    Parameter                 Estimate   Lower   Upper
    sd (Intercept) | subject    36.012  27.324  49.498
    sigma                       30.895  28.274  33.949
    (Intercept)                 251.41  235.32  267.49
    days                        10.467   9.143  11.792
    """
    bound = float(scipy.special.ndtri((1 + share("level", level)) / 2))
    choice("kind", kind, ("wald", "profile", "bootstrap"))
    fit = with_likelihood(fit, likelihood)
    if kind == "bootstrap":
        return bootstrap(fit, n, seed, progress=progress).confint(level)
    reml = fit.method == "REML"
    if kind == "profile":
        return trace(fit, reml, bound).confint(level)
    names, estimate = parameters(fit)
    se, notes = space_of(fit, reml).standard_errors()
    # the standard errors of a generalized fit's beta are its own
    se[len(se) - len(fit.names) :] = fit.se
    # estimate +- z se  (eq-sure-wald)
    half = bound * se
    return Intervals(
        names=names,
        estimate=estimate,
        lower=estimate - half,
        upper=estimate + half,
        level=level,
        kind=kind,
        likelihood=named_likelihood(fit),
        notes=tuple(notes),
    )
