"""The parameters of a fit as a reader names them: standard deviations, correlations, sigma, beta.

A search works with theta. A reader asks for the standard deviation of the slopes: one list of names
and values serves intervals, profiles and the bootstrap.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixedsmooth.model.covariance import Full, Scalar
from mixedsmooth.model.fit import Fit, GeneralizedFit

FloatArray = NDArray[np.float64]


class Estimates(NamedTuple):
    """Names and values, in the order in which lme4 has them.

    Attributes
    ----------
    names : list of str
        Of each term its covariance, column by column: ``sd days | subject`` and ``corr days,
        (Intercept) | subject``, or ``sd s(x)`` for a smooth; then ``sigma``, ``size`` or ``shape``,
        if they are estimated; then the columns of X.
    values : ndarray
        The estimates, in the units of y and of the columns. A correlation is not a number where a
        variance is zero.
    """

    names: list[str]
    values: FloatArray


def parameters(fit: Fit) -> Estimates:
    """List the parameters of a fit.

    Parameters
    ----------
    fit : Fit
        Any fit.

    Returns
    -------
    Estimates
        Names and values.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> fit = ms.lmm_formula("reaction ~ days + (days | subject)", ms.load_sleepstudy())
    >>> for name, value in zip(*parameters(fit)):
    ...     print(f"{name:32}{value:8.2f}")
    sd (Intercept) | subject           24.74
    corr days, (Intercept) | subject    0.07
    sd days | subject                   5.92
    sigma                              25.59
    (Intercept)                       251.41
    days                               10.47
    """
    names: list[str] = []
    values: list[float] = []
    for (term, r), covariance in zip(fit.random.items(), fit.model.covariances, strict=True):
        if isinstance(covariance, Scalar):
            names.append(f"sd {term}")
            values.append(float(r.sd[0]))
            continue
        for c, of in enumerate(r.names):
            names.append(f"sd {of} | {term}")
            values.append(float(r.sd[c]))
            for d in range(c + 1, len(r.names) if isinstance(covariance, Full) else 0):
                names.append(f"corr {r.names[d]}, {of} | {term}")
                values.append(float(r.corr[d, c]))
    if fit.model.sigma is None:
        names.append("sigma")
        values.append(fit.sigma)
    if isinstance(fit, GeneralizedFit) and fit.family.parameter:
        names.append(fit.family.parameter)
        values.append(float(np.exp(fit.family.log_parameters[0])))
    return Estimates(names + fit.names, np.array([*values, *fit.beta]))
