"""Summaries of a fit, in text and in HTML: what lme4 prints, made once for both."""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixedsmooth._tables import Table

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Summary:
    """A title, tables and notes.

    Attributes
    ----------
    title : str
        What was fitted, and its criterion.
    tables : tuple of Table
        Residuals, random and fixed effects.
    notes : tuple of str
        What else a reader should know.

    Examples
    --------
    >>> table = fixed_table(["days"], np.array([10.0]), np.array([2.0]), "t")
    >>> summary = Summary("A fit by ML", (table,), ("Rows: 180",))
    >>> print(summary.text())
    A fit by ML
    <BLANKLINE>
    Fixed effects:
     Effect  Estimate  SE     t
     days          10   2  5.00
    <BLANKLINE>
    Rows: 180
    >>> print(summary.html().splitlines()[0])
    <p>A fit by ML</p>
    """

    title: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...]

    def text(self) -> str:
        """Write it as plain text."""
        tables = (table.text() for table in self.tables)
        return "\n\n".join([self.title, *tables, "\n".join(self.notes)])

    def html(self) -> str:
        """Write it as HTML."""
        title, *notes = (f"<p>{html.escape(line)}</p>" for line in (self.title, *self.notes))
        return "\n".join([title, *(table.html() for table in self.tables), *notes])


class Printed:
    """A result that is printed as a summary, in text and in a notebook."""

    def _summary(self) -> Summary:
        raise NotImplementedError

    def __str__(self) -> str:
        """Write the summary as text."""
        return self._summary().text().rstrip()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self._summary().html()


def residual_table(caption: str, scaled: FloatArray) -> Table:
    """Quantiles of residuals.

    Parameters
    ----------
    caption : str
        What residuals they are.
    scaled : ndarray, shape (n,)
        Residuals over their standard deviations.

    Returns
    -------
    Table
        Minimum, quartiles and maximum.

    Examples
    --------
    >>> print(residual_table("Residuals", np.array([-1.0, 0.0, 1.0])).text())
    Residuals:
         Min       1Q  Median      3Q     Max
     -1.0000  -0.5000  0.0000  0.5000  1.0000
    """
    quantiles = np.quantile(scaled, [0, 0.25, 0.5, 0.75, 1])
    header = ("Min", "1Q", "Median", "3Q", "Max")
    return Table(caption, header, (tuple(f"{q:.4f}" for q in quantiles),), labels=0)


def random_rows(
    term: str, names: Sequence[str], cov: FloatArray, corr: FloatArray | None
) -> Iterable[tuple[str, ...]]:
    """Yield the rows of one term in the table of random effects.

    Parameters
    ----------
    term : str
        Its name, for the first row.
    names : sequence of str
        Names of the effects.
    cov : ndarray, shape (k, k)
        Their covariance.
    corr : ndarray, shape (k, k), or None
        Their correlations, if they are parameters.

    Yields
    ------
    tuple of str
        Group, effect, variance, standard deviation, correlations with the effects above.

    Examples
    --------
    >>> list(random_rows("subject", ["(Intercept)"], np.array([[4.0]]), None))
    [('subject', '(Intercept)', '4', '2', '')]
    """
    for a, effect in enumerate(names):
        variance = cov[a, a]
        with_others = "" if corr is None else " ".join(f"{c:.2f}" for c in corr[a, :a])
        first = term if a == 0 else ""
        yield first, effect, f"{variance:.5g}", f"{np.sqrt(variance):.5g}", with_others


def random_table(rows: Iterable[tuple[str, ...]]) -> Table:
    """Table of random effects, from the rows of all terms.

    Parameters
    ----------
    rows : iterable of tuple of str
        Those of `random_rows`.

    Returns
    -------
    Table
        The table.

    Examples
    --------
    >>> rows = random_rows("subject", ["(Intercept)"], np.array([[4.0]]), None)
    >>> print(random_table([*rows, ("Residual", "", "9", "3", "")]).text())
    Random effects:
     Group     Effect       Variance  SD  Corr
     subject   (Intercept)         4   2
     Residual                      9   3
    """
    header = ("Group", "Effect", "Variance", "SD", "Corr")
    return Table("Random effects", header, tuple(rows), labels=2)


def fixed_table(names: Sequence[str], beta: FloatArray, se: FloatArray, ratio: str) -> Table:
    """Table of fixed effects.

    Parameters
    ----------
    names : sequence of str
        Names of the columns of X.
    beta, se : ndarray, shape (p,)
        Estimates and standard errors.
    ratio : str
        What their ratio is called, t or z.

    Returns
    -------
    Table
        The table.

    Examples
    --------
    >>> print(fixed_table(["days"], np.array([10.0]), np.array([2.0]), "t").text())
    Fixed effects:
     Effect  Estimate  SE     t
     days          10   2  5.00
    """
    rows = tuple(
        (name, f"{b:.5g}", f"{s:.5g}", f"{b / s:.2f}")
        for name, b, s in zip(names, beta, se, strict=True)
    )
    return Table("Fixed effects", ("Effect", "Estimate", "SE", ratio), rows, labels=1)
