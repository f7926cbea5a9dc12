"""Intervals for the parameters of a fit, whatever they come from (chapter 13)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixedsmooth._checks import locked
from mixedsmooth._tables import Table
from mixedsmooth.inference.parameters import position
from mixedsmooth.model.summary import Printed, Summary

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Intervals(Printed):
    """Intervals for the parameters of a fit.

    Attributes
    ----------
    names : list of str
        The parameters.
    estimate, lower, upper : ndarray
        Estimates, and the ends of their intervals. An end that the data do not bound is 0, -1, 1 or
        infinite; an interval that there is not is not a number. The notes tell of both.
    level : float
        Coverage, between 0 and 1.
    kind : str
        Where they come from: "wald", "profile" or "bootstrap".
    likelihood : str
        Which likelihood they are of.
    notes : tuple of str
        What else a reader should know.

    Examples
    --------
    >>> ends = np.array([7.0]), np.array([13.0])
    >>> intervals = Intervals(["days"], np.array([10.0]), *ends, 0.95, "wald", "ML")
    >>> intervals["days"]
    (7.0, 13.0)
    >>> print(intervals)
    95 % Wald intervals, likelihood: ML
    <BLANKLINE>
    Parameter  Estimate  Lower  Upper
    days             10      7     13
    """

    names: list[str]
    estimate: FloatArray
    lower: FloatArray
    upper: FloatArray
    level: float
    kind: str
    likelihood: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Make the arrays read-only."""
        for values in (self.estimate, self.lower, self.upper):
            locked(values)

    def __getitem__(self, name: str) -> tuple[float, float]:
        """Lower and upper end of the interval of one parameter."""
        i = position(name, self.names)
        return float(self.lower[i]), float(self.upper[i])

    def to_pandas(self) -> "pd.DataFrame":
        """Return a data frame with the parameters as index, which needs pandas."""
        import pandas as pd

        columns = {"estimate": self.estimate, "lower": self.lower, "upper": self.upper}
        return pd.DataFrame(columns, index=pd.Index(self.names, name="parameter"))

    def _summary(self) -> Summary:
        rows = tuple(
            (name, *(f"{value:.5g}" for value in row))
            for name, *row in zip(self.names, self.estimate, self.lower, self.upper, strict=True)
        )
        table = Table("", ("Parameter", "Estimate", "Lower", "Upper"), rows, labels=1)
        kind = "Wald" if self.kind == "wald" else self.kind
        title = f"{100 * self.level:.6g} % {kind} intervals, likelihood: {self.likelihood}"
        return Summary(title, (table,), self.notes)
