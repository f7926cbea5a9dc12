"""Formulas of lme4, for those who come from there: ``Reaction ~ Days + (Days | Subject)``.

The package formulae reads the text. Its syntax tree is expanded to terms, and these become those
of `linear` and `group`:

    formula -> syntax tree -> terms -> linear(...), group(...) -> lmm
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

from numpy.typing import ArrayLike

from mixedsmooth._checks import column_of, levels_and_codes
from mixedsmooth.model.fit import Fit, Method
from mixedsmooth.model.lmm import lmm
from mixedsmooth.model.terms import (
    Categories,
    Data,
    Frame,
    Group,
    Intercept,
    Labels,
    Linear,
    Part,
    Product,
    group_of,
    joined_labels,
    linear,
    merged,
)

Names = tuple[str, ...]  # of the columns that are multiplied; none: the intercept

INTERCEPT: Names = ()
TOO_DEEP = "formula {:.40}... is too long or too deep to read; give the terms to lmm() instead"


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
    parts, frame = _parts(fixed, data)
    return lmm(
        column_of(data, response),
        Linear(INTERCEPT in fixed, parts, frame),
        *(_group(bar, factor, data) for bar in bars for factor in bar.factors),
        method=method,
        weights=weights,
    )


# ---- from text to terms ----


@dataclass(frozen=True)
class _Bar:
    """A random term, effects | factors."""

    effects: list[Names]
    factors: list[Names]
    correlated: bool


def _read(formula: str) -> tuple[str, list[Names], list[_Bar]]:
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
    except RecursionError:
        raise ValueError(TOO_DEEP.format(formula)) from None
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
    except RecursionError:
        raise ValueError(TOO_DEEP.format(formula)) from None
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


def _plain(terms: list[Any]) -> list[Names]:
    if any(isinstance(term, _Bar) for term in terms):
        raise ValueError("a random term can only be added: y ~ x + (x | g)")
    return terms


def _union(terms: list[Any], others: list[Any]) -> list[Any]:
    return [*terms, *_without(terms, others)]


def _without(unwanted: list[Any], terms: list[Any]) -> list[Any]:
    """Return the terms but for the unwanted ones; x:z is z:x."""
    factors = [set(term) for term in unwanted if not isinstance(term, _Bar)]
    return [term for term in terms if isinstance(term, _Bar) or set(term) not in factors]


def _products(left: list[Any], right: list[Any]) -> list[Names]:
    pairs = product(_plain(left), _plain(right))
    return [tuple(dict.fromkeys(a + b)) for a, b in pairs]  # x:x is x


# ---- from terms to columns ----


def _parts(terms: list[Names], data: Data) -> tuple[tuple[Part, ...], Frame]:
    """Return main effects, then interactions by their order, as R sorts them; and their data."""
    found: list[Part] = []
    frames: list[Frame] = []
    for term in sorted(terms, key=len):
        if term == INTERCEPT:
            continue
        made = linear({name: column_of(data, name) for name in term})
        for factor, name in zip(made.parts, term, strict=True):
            margin = tuple(other for other in term if other != name)
            labels = isinstance(factor, Categories)
            if margin and labels and not any(set(margin) == set(t) for t in terms):
                raise ValueError(
                    f"{':'.join(term)} without {':'.join(margin)} is not supported, since {name} "
                    f"has labels; add {':'.join(margin)}"
                )
        found.append(made.parts[0] if len(term) == 1 else Product(":".join(term), made.parts))
        frames.append(made.frame)
    return tuple(found), merged(frames) if frames else Frame(0, {}, {})


def _group(bar: _Bar, factor: Names, data: Data) -> Group:
    parts, frame = _parts(bar.effects, data)
    name = ":".join(factor)
    if not bar.effects:
        raise ValueError(f"(0 | {name}) has no effect; write (1 | {name})")
    labels = [part.name for part in parts if isinstance(part, Categories)]
    if labels and not bar.correlated:
        raise ValueError(
            f"the labels of {labels[0]} are not supported left of ||, where lme4 keeps their "
            "effects correlated; use |"
        )
    ones = (Intercept(),) if INTERCEPT in bar.effects else ()
    joined = joined_labels({each: column_of(data, each) for each in factor})
    levels, codes = levels_and_codes(name, joined)
    return group_of(name, Labels(codes, levels), (*ones, *parts), frame, bar.correlated)
