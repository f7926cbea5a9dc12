"""The result of a fit to counts: what a linear mixed model's has, on the scale of the link."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import for_each_row
from mixedsmooth.model.families import Family
from mixedsmooth.model.fit import Fit
from mixedsmooth.model.laplace import LEAST_WEIGHT
from mixedsmooth.model.terms import Data

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class GeneralizedFit(Fit):
    """A fitted generalized linear mixed model.

    Everything that `Fit` has is here on the scale of the link: beta, effects and smooths are parts
    of the linear predictor, and sigma is 1 unless PQL estimated it. Conditional covariances and
    effective degrees of freedom are those of the weighted linear mixed model at the mode.

    Attributes
    ----------
    method : {"Laplace", "PQL", "AGQ"}
        How the likelihood was approximated.
    family : Family
        Distribution of y given the random effects, and its link.
    offset : ndarray, shape (n,), or None
        Known part of the linear predictor.
    estimates : tuple
        Beta, and b of shape (m, k) for each term.
    covariance : ndarray, shape (p, p)
        Covariance of the fixed effects: for "Laplace" and "AGQ" from the curvature of the deviance
        in theta and beta together, as lme4's glmer has it.
    deviance : float
        Minus twice the log-likelihood with all constants; not a number for PQL, which has none.
    nodes : int
        Nodes of the quadrature; 1 for Laplace, 0 for PQL.
    """

    method: Literal["Laplace", "PQL", "AGQ"]  # type: ignore[assignment]
    family: Family
    offset: FloatArray | None
    estimates: tuple[FloatArray, list[FloatArray]]
    covariance: FloatArray
    deviance: float
    nodes: int

    # ---- parameters ----

    @property
    def _solution(self) -> tuple[FloatArray, list[FloatArray]]:
        return self.estimates

    @property
    def cov_beta(self) -> FloatArray:
        """Covariance of the fixed effects, shape (p, p)."""
        return self.covariance

    @property
    def criterion(self) -> float:
        """Minus twice the log-likelihood; not a number for PQL, which has none."""
        return self.deviance

    @property
    def loglik(self) -> float:
        """The log-likelihood, with all constants; not a number for PQL."""
        return -self.deviance / 2

    # ---- fitted values ----

    @cached_property
    def linear_predictor(self) -> FloatArray:
        """Eta, offset + X beta + Z b for the rows of the data, shape (n,)."""
        eta = self._linear_part()
        return eta if self.offset is None else eta + self.offset

    @cached_property
    def fitted(self) -> FloatArray:
        """Means of y given the predicted effects, shape (n,); for a binomial, of the successes."""
        return self.family.scale * self.family.mean(self.linear_predictor)

    @cached_property
    def pearson(self) -> FloatArray:
        """Pearson residuals, (y - mean) over the family's standard deviation, shape (n,)."""
        weight = self.family.moments(self.model.y, self.linear_predictor).weight
        return self.residuals / np.sqrt(np.maximum(weight, LEAST_WEIGHT))

    @property
    def dispersion(self) -> float:
        """Pearson's chi-square over the rows less all effective degrees of freedom.

        About 1 if the counts vary as the family says; above 1 with overdispersion. Zeros and ones
        cannot be overdispersed, so for them it is not a number.
        """
        if np.all(np.asarray(self.family.scale) == 1) and self.family.name == "binomial":
            return np.nan
        return float(np.sum(self.pearson**2)) / (self.n - sum(self.edf.values()))

    def predict(
        self,
        data: Data,
        *,
        effects: bool = True,
        new_levels: Literal["error", "population"] = "error",
        scale: Literal["response", "link"] = "response",
        offset: ArrayLike | None = None,
    ) -> FloatArray:
        """Predict the mean of the response, or the linear predictor, for new data.

        Parameters
        ----------
        data : mapping of str to array_like
            Columns by the names that the terms were given: a dict, a data frame.
        effects : bool
            Whether to add the predicted random effects of groups. Without them the prediction is
            the mean in a group with effects of zero, which is not the mean over all groups.
        new_levels : {"error", "population"}
            What to do with a label that the model does not know: raise, or predict with random
            effects of zero.
        scale : {"response", "link"}
            Means (for a binomial, the probability of a success), or linear predictors.
        offset : array_like, shape (m,), or float, optional
            Known part of the linear predictor of the new rows; needed if the model has one.

        Returns
        -------
        ndarray, shape (m,)
            Predictions.

        Raises
        ------
        ValueError
            As `Fit.predict`; if the offset is missing, does not fit, or the model has none.

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> epil = ms.load_epil()
        >>> fit = ms.glmm(epil.y, ms.linear(lbase=epil.lbase), ms.group(subject=epil.subject))
        >>> new = {"lbase": [0.0, 1.0], "subject": ["1", "1"]}
        >>> fit.predict(new).round(2), fit.predict(new, scale="link").round(2)
        (array([ 6.9 , 18.71]), array([1.93, 2.93]))
        """
        if scale not in ("response", "link"):
            raise ValueError(f'scale must be "response" or "link", found {scale!r}')
        eta = super().predict(data, effects=effects, new_levels=new_levels)
        if (offset is None) != (self.offset is None):
            raise ValueError(
                "the model has an offset; give that of the new rows, 0 for one unit of exposure"
                if offset is None
                else "offset is given, and the model was fitted without one"
            )
        if offset is not None:
            eta = eta + for_each_row("offset", offset, len(eta))
        return eta if scale == "link" else self.family.mean(eta)

    # ---- another fit ----

    def refit(self, method: Literal["laplace", "pql", "agq"]) -> "GeneralizedFit":  # type: ignore[override]
        """Fit the same model to the same data by another method.

        Parameters
        ----------
        method : {"laplace", "pql", "agq"}
            The method; its other arguments are as by default.

        Returns
        -------
        GeneralizedFit
            The new fit; this one stays as it is.

        Raises
        ------
        ValueError
            If `method` is unknown, or quadrature does not fit the model.
        """
        from mixedsmooth.model.glmm import fit_model  # glmm imports this: at the top a circle

        model = replace(self.model, sigma=1.0)
        return fit_model(model, self.family, self.offset, method)

    # ---- summaries ----

    def __repr__(self) -> str:
        """Tell the kind of model, its size and its criterion."""
        return (
            f"<GeneralizedFit by {self.method}, {self.family.name}: {self.n} rows, "
            f"criterion {self.criterion:.4f}>"
        )

    def _title(self) -> str:
        ways = {
            "Laplace": "the Laplace approximation",
            "AGQ": f"adaptive Gauss-Hermite quadrature with {self.nodes} nodes",
            "PQL": "penalized quasi-likelihood (which has no log-likelihood)",
        }
        kind = f"Generalized linear mixed model ({self.family.name}, {self.family.link} link)"
        title = f"{kind} fit by {ways[self.method]}"
        return title if self.method == "PQL" else f"{title}, -2 log-likelihood: {self.deviance:.4f}"

    def _scaled_residuals(self) -> tuple[str, FloatArray]:
        return "Pearson residuals", self.pearson

    @property
    def _has_residual(self) -> bool:
        return self.model.sigma is None

    def _further_notes(self) -> list[str]:
        if np.isnan(self.dispersion):
            return []
        return [
            f"Pearson chi-square over residual degrees of freedom: {self.dispersion:.2f} "
            f"(about 1 if the counts vary as {self.family.name})"
        ]
