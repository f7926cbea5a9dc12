"""The parameters of a fit as a reader names them, and its likelihood (chapter 13).

A search works with theta. A reader asks for the standard deviation of the slopes: one list of names
and values serves intervals, profiles and the bootstrap.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixedsmooth._checks import choice, listed
from mixedsmooth.model.covariance import Covariance
from mixedsmooth.model.fit import Fit, GeneralizedFit

FloatArray = NDArray[np.float64]


class Estimates(NamedTuple):
    """Names and values, in the order in which lme4 has them.

    Attributes
    ----------
    names : list of str
        Of each term its covariance, column by column: ``sd days | subject`` and ``corr days,
        (Intercept) | subject``, or ``sd s(x)`` for a smooth; then ``sigma``, ``size`` or ``shape``,
        and ``range s(x)``, if they are estimated; then the columns of X.
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
    for (term, r), g in zip(fit.random.items(), fit.model.groups, strict=True):
        covariance = g.covariance
        values += natural(r.cov, covariance).tolist()
        if g.is_smooth:
            names.append(f"sd {term}")
            continue
        for d, c in zip(*covariance.entries, strict=True):
            of = r.names[c]
            names.append(f"sd {of} | {term}" if c == d else f"corr {r.names[d]}, {of} | {term}")
    if fit.model.sigma is None:
        names.append("sigma")
        values.append(fit.sigma)
    if isinstance(fit, GeneralizedFit) and fit.family.parameter:
        names.append(fit.family.parameter)
        values.append(float(np.exp(fit.family.log_parameters[0])))
    names += [tuning.name for tuning in fit.model.tunings]
    values += fit.ranges.values()
    return Estimates(names + fit.names, np.array([*values, *fit.beta]))


def natural(cov: FloatArray, covariance: Covariance) -> FloatArray:
    """Read standard deviations and correlations from covariances of one term.

    Parameters
    ----------
    cov : ndarray, shape (..., k, k)
        Covariances of the effects of a level.
    covariance : Covariance
        Which of their entries are parameters.

    Returns
    -------
    ndarray, shape (..., size)
        One number for each entry of theta: a standard deviation where that is on the diagonal of T,
        else a correlation; not a number where a variance is zero.

    Examples
    --------
    >>> from mixedsmooth.model.covariance import Full
    >>> print(natural(np.array([[4.0, 3.0], [3.0, 9.0]]), Full(2)))
    [2.  0.5 3. ]
    """
    rows, columns = covariance.entries
    sd = np.sqrt(np.diagonal(cov, axis1=-2, axis2=-1))
    scale = sd[..., rows] * sd[..., columns]
    missing = np.full_like(scale, np.nan)
    corr = np.divide(cov[..., rows, columns], scale, out=missing, where=scale > 0)
    return np.where(rows == columns, sd[..., rows], corr)


def position(name: str, names: Sequence[str]) -> int:
    """Find a parameter by its name.

    Parameters
    ----------
    name : str
        Its name.
    names : sequence of str
        Those of all.

    Returns
    -------
    int
        Its place.

    Raises
    ------
    ValueError
        If there is none of this name.

    Examples
    --------
    >>> position("days", ["sigma", "(Intercept)", "days"])
    2
    """
    if name not in names:
        raise ValueError(f"name {name!r} is no parameter of the fit; it has {listed(names)}")
    return list(names).index(name)


def with_likelihood(fit: Fit, likelihood: str) -> Fit:
    """Return the fit by a likelihood, made again if it was by the other.

    Parameters
    ----------
    fit : Fit
        The fit.
    likelihood : {"ML", "REML"}
        Which likelihood.

    Returns
    -------
    Fit
        The same, or another.

    Raises
    ------
    ValueError
        If `likelihood` is unknown, or is "REML" for a generalized model; or the fit is by GCV or
        PQL, which have none.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> fit = ms.lmm_formula("reaction ~ days + (1 | subject)", ms.load_sleepstudy())
    >>> with_likelihood(fit, "ML")
    <Fit by ML: 180 rows, criterion 1794.0786>
    """
    choice("likelihood", likelihood, ("ML", "REML"))
    if fit.method in ("GCV", "pql"):
        other = "REML" if fit.method == "GCV" else "laplace"
        name = fit.method.upper()
        raise ValueError(f'a fit by {name} has no likelihood; use fit.refit("{other}") first')
    if isinstance(fit, GeneralizedFit):
        if likelihood == "REML":
            raise ValueError('likelihood "REML" is that of lmm; a generalized model has "ML" only')
        return fit
    return fit if fit.method == likelihood else fit.refit("REML" if likelihood == "REML" else "ML")


def named_likelihood(fit: Fit) -> str:
    """Tell the likelihood of a fit in a few words.

    Parameters
    ----------
    fit : Fit
        The fit.

    Returns
    -------
    str
        Its name.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> named_likelihood(ms.lmm_formula("reaction ~ 1 + (1 | subject)", ms.load_sleepstudy()))
    'REML'
    """
    if not isinstance(fit, GeneralizedFit):
        return str(fit.method)
    if not fit.model.groups:
        return "ML"
    return "Laplace" if fit.nodes == 1 else f"quadrature with {fit.nodes} nodes"
