"""Formulas of lme4, for those who come from there: ``Reaction ~ Days + (Days | Subject)``.

The package formulae reads the text. Its syntax tree is expanded to terms, and these become those
of `linear` and `group`:

    formula -> syntax tree -> terms -> linear(...), group(...) -> lmm
"""

from dataclasses import dataclass, fields, replace
from functools import reduce
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import as_labels
from mixedsmooth.model.fit import Fit, Method
from mixedsmooth.model.lmm import lmm
from mixedsmooth.model.terms import Covariate, Data, Group, Linear, group, linear

FloatArray = NDArray[np.float64]
LabelArray = NDArray[np.str_]
Product = tuple[str, ...]  # the names of the columns that are multiplied; none: the intercept

INTERCEPT: Product = ()
RESERVED = ("intercept", "correlated")  # what linear and group call their own arguments


def lmm_formula(
    formula: str, data: Data, *, method: Method = "REML", weights: ArrayLike | None = None
) -> Fit:
    """Fit the linear mixed model that a formula of lme4 describes.

    The formula may have numbers and labels, their interactions (``x:z``, ``x * z``), and random
    terms ``(x | g)``, ``(x || g)``, ``(0 + x | g)``, ``(1 | a/b)`` and ``(1 | a:b)``. Labels have
    treatment coding, with the first in sorted order as the baseline. A function such as ``log(x)``
    belongs in a column of its own.

    Parameters
    ----------
    formula : str
        Response, fixed effects and random terms.
    data : mapping of str to array_like
        Columns by name: a dict, a data frame.
    method : {"REML", "ML"}
        Restricted or full maximum likelihood.
    weights : array_like, shape (n,), optional
        Positive numbers w: the residual variance of a row is sigma^2 / w.

    Returns
    -------
    Fit
        That of `lmm`, with terms in the order of the formula; `Fit.predict` takes data with the
        same columns.

    Raises
    ------
    ImportError
        If formulae is not installed.
    ValueError
        If the formula cannot be read or has something that is not supported, a column is missing,
        or `lmm` finds the data wanting.

    References
    ----------
    Bates, Maechler, Bolker and Walker (2015), Journal of Statistical Software 67(1), section 2.2.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> sleep = ms.load_sleepstudy()
    >>> data = {"Reaction": sleep.reaction, "Days": sleep.days, "Subject": sleep.subject}
    >>> fit = lmm_formula("Reaction ~ Days + (Days | Subject)", data)
    >>> print(f"{fit.criterion:.4f}")
    1743.6283
    >>> fit.predict({"Days": [0, 9], "Subject": ["308", "308"]}).round(2)
    array([253.66, 430.66])
    """
    response, fixed, bars = _read(formula)
    fit = lmm(
        _column(response, data),
        Linear(INTERCEPT in fixed, _covariates(fixed, data)),
        *(_group(bar, factor, data) for bar in bars for factor in bar.factors),
        method=method,
        weights=weights,
    )
    crossed = tuple(factor for bar in bars for factor in bar.factors if len(factor) > 1)
    if not crossed:
        return fit
    return _CrossedFit(**{f.name: getattr(fit, f.name) for f in fields(fit)}, crossed=crossed)


# ---- from text to terms ----


@dataclass(frozen=True)
class _Bar:
    """A random term, effects | factors."""

    effects: list[Product]
    factors: list[Product]
    correlated: bool


def _read(formula: str) -> tuple[str, list[Product], list[_Bar]]:
    """Return the name of the response, the fixed effects and the random terms."""
    tree = _syntax_tree(formula)
    try:
        if tree is None or _kind(tree) != "Binary ~":
            raise ValueError("a formula is y ~ x + (x | g), each random term in parentheses")
        if _kind(tree.left) not in ("Variable", "QuotedName"):
            raise ValueError("the response must be one column; put its values in a column")
        ((response,),) = _expand(tree.left)
        terms = _sum(tree.right, [INTERCEPT])
    except ValueError as error:
        raise ValueError(f"formula {formula!r}: {error}") from None
    fixed = [term for term in terms if not isinstance(term, _Bar)]
    return response, fixed, [term for term in terms if isinstance(term, _Bar)]


def _syntax_tree(formula: str) -> Any:
    """Let formulae read the text; None if a part of it is left over."""
    try:
        from formulae.parser import Parser
        from formulae.scanner import Scanner
        from formulae.token import Token
    except ImportError:
        raise ImportError(
            "lmm_formula() needs the package formulae, which is not installed: "
            "pip install mixedsmooth[formula]"
        ) from None
    try:
        tokens: list[Any] = []
        for token in Scanner(formula).scan(add_intercept=False):
            # formulae reads the double bar as two
            if token.kind == "PIPE" and tokens and tokens[-1].lexeme == "|":
                tokens[-1] = Token("PIPE", "||")
            else:
                tokens.append(token)
        parser = Parser(tokens)
        tree = parser.parse()
    except Exception as error:  # what formulae raises has no common class
        raise ValueError(f"formula {formula!r} cannot be read: {error}") from error
    return tree if parser.at_end() else None


def _kind(tree: Any) -> str:
    """Class of a node, with its operator or number: ``Binary +``, ``Literal 1``, ``Variable``."""
    kind = type(tree).__name__
    if kind in ("Binary", "Unary"):
        return f"{kind} {tree.operator.lexeme}"
    return f"{kind} {tree.value!r}" if kind == "Literal" else kind


def _sum(tree: Any, terms: list[Any]) -> list[Any]:
    """Return the terms with those of the tree added, or taken away."""
    match _kind(tree):
        case "Grouping":
            return _sum(tree.expression, terms)
        case "Binary +":
            return _sum(tree.right, _sum(tree.left, terms))
        case "Binary -":
            return _without(_plain(_expand(tree.right)), _sum(tree.left, terms))
        case "Unary -":
            return _without(_plain(_expand(tree.right)), terms)
        case "Literal 0":
            return _without([INTERCEPT], terms)
        case _:
            return _union(terms, _expand(tree))


def _expand(tree: Any) -> list[Any]:
    """Return the terms that a tree stands for."""
    match _kind(tree):
        case "Variable" if tree.level is None:
            return [(tree.name.lexeme,)]
        case "QuotedName":
            return [(tree.expression.lexeme[1:-1],)]
        case "Literal 1":
            return [INTERCEPT]
        case "Grouping" | "Binary +" | "Binary -":
            return _sum(tree, [])
        case "Binary :":
            return _products(_expand(tree.left), _expand(tree.right))
        case "Binary *":
            left, right = _expand(tree.left), _expand(tree.right)
            return _union(_union(left, right), _products(left, right))
        case "Binary /":
            left = _plain(_expand(tree.left))
            whole = tuple(name for term in left for name in term)
            return _union(left, _products([whole], _expand(tree.right)))
        case "Binary |" | "Binary ||":
            effects = _plain(_sum(tree.left, [INTERCEPT]))
            factors = _plain(_expand(tree.right))
            if INTERCEPT in factors:
                raise ValueError("what stands right of | must be grouping columns: (1 | g)")
            return [_Bar(effects, factors, tree.operator.lexeme == "|")]
        case "Call":
            name = tree.callee.name.lexeme
            raise ValueError(
                f"the function {name}(...) is not supported; put its values in a column"
            )
        case other:
            raise ValueError(f"{other} is not supported")


def _plain(terms: list[Any]) -> list[Product]:
    if any(isinstance(term, _Bar) for term in terms):
        raise ValueError("a random term can only be added: y ~ x + (x | g)")
    return terms


def _union(terms: list[Any], others: list[Any]) -> list[Any]:
    return [*terms, *_without(terms, others)]


def _without(unwanted: list[Any], terms: list[Any]) -> list[Any]:
    """Return the terms but for the unwanted ones; x:z is z:x."""
    factors = [set(term) for term in unwanted if not isinstance(term, _Bar)]
    return [term for term in terms if isinstance(term, _Bar) or set(term) not in factors]


def _products(left: list[Any], right: list[Any]) -> list[Product]:
    pairs = product(_plain(left), _plain(right))
    return [tuple(dict.fromkeys(a + b)) for a, b in pairs]  # x:x is x


# ---- from terms to columns ----


@dataclass(frozen=True, eq=False)
class _Interaction(Covariate):
    """Products of the columns of its factors; `values` are those of the first."""

    factors: tuple[Covariate, ...]

    @property
    def names(self) -> list[str]:
        backwards = product(*(factor.names for factor in reversed(self.factors)))
        return [":".join(names[::-1]) for names in backwards]

    def columns(self) -> list[FloatArray]:
        # as in R, the levels of the first factor change fastest
        backwards = product(*(factor.columns() for factor in reversed(self.factors)))
        return [np.multiply.reduce(columns[::-1]) for columns in backwards]

    def at(self, data: Data) -> "_Interaction":
        factors = tuple(factor.at(data) for factor in self.factors)
        return replace(self, values=factors[0].values, factors=factors)


@dataclass(frozen=True, eq=False, repr=False)
class _CrossedFit(Fit):
    """A fit with grouping factors that cross columns: (1 | a:b)."""

    crossed: tuple[Product, ...]

    def predict(
        self,
        data: Data,
        *,
        effects: bool = True,
        new_levels: Literal["error", "population"] = "error",
    ) -> FloatArray:
        if effects:
            joined = {":".join(names): _labels(names, data) for names in self.crossed}
            data = {**{name: data[name] for name in data}, **joined}
        return super().predict(data, effects=effects, new_levels=new_levels)


def _covariates(terms: list[Product], data: Data) -> tuple[Covariate, ...]:
    """Return main effects, then interactions by their order, as R sorts them."""
    found = []
    for term in sorted(terms, key=len):
        columns = {name: _column(name, data) for name in term}
        _refuse_numbers_as_categories(columns)
        factors = linear(intercept=True, **columns).covariates
        for factor in factors:
            margin = tuple(name for name in term if name != factor.name)
            if factor.levels is not None and not any(set(margin) == set(t) for t in terms):
                raise ValueError(
                    f"{':'.join(term)} without {':'.join(margin) or 'an intercept'} is not "
                    f"supported, since {factor.name} has labels; add "
                    f"{':'.join(margin) or 'the intercept'}"
                )
        if len(factors) == 1:
            found.append(factors[0])
        elif factors:
            found.append(_Interaction(":".join(term), factors[0].values, None, factors))
    return tuple(found)


def _group(bar: _Bar, factor: Product, data: Data) -> Group:
    covariates = _covariates(bar.effects, data)
    name = ":".join(factor)
    if not bar.effects:
        raise ValueError(f"(0 | {name}) has no effect; write (1 | {name})")
    labels = [c.name for c in covariates if c.names != [c.name]]
    if labels and not bar.correlated:
        raise ValueError(
            f"the labels of {labels[0]} are not supported left of ||, where lme4 keeps their "
            "effects correlated; use |"
        )
    term = group(correlated=bar.correlated, intercept=True, **{name: _labels(factor, data)})
    return replace(term, intercept=INTERCEPT in bar.effects, covariates=covariates)


def _refuse_numbers_as_categories(columns: dict[str, ArrayLike]) -> None:
    for name, column in columns.items():
        categories = getattr(getattr(column, "dtype", None), "categories", None)
        if categories is not None and categories.dtype.kind in "biuf":
            raise ValueError(
                f"{name} is categorical, but its categories are numbers; make them text with "
                ".astype(str), or make the column numbers"
            )


def _labels(factor: Product, data: Data) -> ArrayLike:
    """Return the labels of a grouping factor; those of a:b are joined by a colon."""
    if len(factor) == 1:
        return _column(factor[0], data)
    columns: list[LabelArray] = []
    for name in factor:
        n = len(columns[0]) if columns else None
        labels = as_labels(name, _column(name, data), n).astype(np.str_)
        if np.any(np.char.find(labels, ":") >= 0):
            raise ValueError(
                f"{name} has a label with a colon, which would be ambiguous in {':'.join(factor)}; "
                "rename it"
            )
        columns.append(labels)
    return reduce(lambda joined, labels: np.char.add(np.char.add(joined, ":"), labels), columns)


def _column(name: str, data: Data) -> ArrayLike:
    if name in RESERVED:
        raise ValueError(f"a column must not be called {name}; rename it")
    try:
        column = data[name]
    except KeyError:
        raise ValueError(f"data has no column {name}; it has {', '.join(data)}") from None
    return column
