"""Formulas: ``y ~ x * z + s(t) + (x | g)``, as in lme4 and mgcv.

    text -> tree -> terms -> linear(...), smooth(...), group(...) -> lmm, glmm

The rules are R's: main effects come first, then products by their order, and labels have treatment
coding where the term without them is in the model. Nothing is ever evaluated as Python.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import (
    all_names,
    as_vector,
    column_of,
    levels_and_codes,
    listed,
    missing_in,
    names_of,
)
from mixedsmooth.model.fit import Fit, GeneralizedFit, GeneralizedMethod, Method
from mixedsmooth.model.functions import OF_TERMS, Column, arguments, columns_of, known, literal
from mixedsmooth.model.glmm import FamilyName, LinkName, glmm
from mixedsmooth.model.lmm import Progress, lmm
from mixedsmooth.model.parts import (
    Bundle,
    Categories,
    Data,
    Frame,
    Intercept,
    Labels,
    Maker,
    Part,
    Product,
    joined_labels,
    merged,
)
from mixedsmooth.model.rows import (
    Missing,
    Rows,
    among,
    beside,
    common_index,
    index_of,
    rows_of,
    take,
)
from mixedsmooth.model.syntax import Node, parse, placed, refuse
from mixedsmooth.model.terms import (
    Group,
    Linear,
    Offset,
    Smooth,
    Term,
    group_of,
    linear,
    smooth,
)

FloatArray = NDArray[np.float64]
Names = frozenset[str]  # the covariates that a term multiplies

MOST, PAIRS = 1_000, 2_500  # terms; and what is multiplied to make them
TOO_MANY = "this is too many terms"
BARS = ("|", "||")
ONLY_ADDED = "a random term can only be added, and so can s() and offset(): y ~ x + s(z) + (x | g)"
# Options of s() and t2(), and what `smooth` calls them
OPTIONS = {"bs": "basis", "k": "k", "by": "by", "shared": "shared", "scaling": "scaling"}
OPTIONS |= {name: name for name in ("period", "kernel", "range", "trend")}
SMOOTHS: Mapping[str, Mapping[str, Any]] = {"s": {}, "t2": {"basis": "t2"}}
OF_SEVERAL = {"basis": "tp"}  # what s(x, z) is without bs=, as in mgcv
MARGIN = "cr"  # the basis of each covariate of t2()
OTHER_BASES = {
    "re": "write (1 | g)",
    "fs": "write s(x, by=g, shared=True)",
    "mrf": "it is a term of lmm without a formula: group(district=d, precision=neighbours(pairs))",
    "ts": 'write bs="cs", or bs="tp"',
    "cp": 'write bs="cc"',
    "t2": "write t2(x, z)",
}
INSTEAD = {
    "|": "a random term stands in parentheses: y ~ x + (x | g)",
    "||": "a random term stands in parentheses: y ~ x + (x || g)",
    "%in%": "write a:b, or b/a for both b and a:b",
    "~": "this is a second ~, and a formula has one",
    "number": "the only numbers are 1, an intercept, and 0, none; arithmetic stands in I(2 * x)",
    "text": "a name of a column stands without quotes, or in `backticks`",
}


def lmm_formula(
    formula: str,
    data: Data,
    *,
    method: Method = "REML",
    weights: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    sigma: float | None = None,
    start: ArrayLike | None = None,
    callback: Progress | None = None,
    missing: Missing = "error",
) -> Fit:
    """Fit the linear mixed model that a formula describes, as in lme4 and mgcv.

    ==============================  ==============================================================
    ``x + z``, ``- x``, ``0 +``     columns; labels have treatment coding, the first the baseline
    ``x:z``, ``x * z``, ``a/b``     products; ``x + z + x:z``; ``a + a:b``
    ``(a + b + c)^2``               all products of two
    ``log(x / 100)``, ``I(x^2)``    functions: log, log2, log10, log1p, exp, sqrt, abs; arithmetic
    ``poly(x, 2)``, ``scale(x)``    orthogonal polynomials (``raw=True``: powers); mean 0, sd 1
    ``factor(x, ref="low")``        numbers or labels as labels, with a baseline
    ``s(x, bs="cr", k=10)``         a smooth; also ``by=`` and all other options of `smooth`
    ``s(x, z)``, ``t2(x, z)``       surfaces: a thin plate spline, or ``bs="gp"``; a tensor product
    ``(x | g)``, ``(x || g)``       intercepts and slopes of a group, correlated or independent
    ``(1 | a/b)``, ``(1 | a:b)``    nested groups; groups of two columns together
    ``offset(log(x))``              a known part
    ==============================  ==============================================================

    What a function learns from the data (polynomials, means, knots, levels) is used again by
    `Fit.predict`, which takes data with the same columns.

    Parameters
    ----------
    formula : str
        Response, fixed effects, smooths and random terms. The response is a column or a function
        of columns. Names that are no plain words stand in backticks.
    data : mapping of str to array_like
        Columns by name: a dict, a data frame.
    method, weights, offset, sigma, start, callback, missing
        As for `lmm`. Rows that miss a value in a column of the formula are left out before anything
        is learned from the others.

    Returns
    -------
    Fit
        That of `lmm`, with terms in the order of the formula.

    Raises
    ------
    ValueError
        If a part of the formula is not understood, with its place; a column is missing; a value is
        outside the domain of a function; or `lmm` finds the data wanting.

    References
    ----------
    Bates, Maechler, Bolker and Walker (2015), Journal of Statistical Software 67(1), section 2.2;
    Wood (2017), section 7.1; Chambers and Hastie (1992), Statistical Models in S, section 2.4.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> fit = lmm_formula("reaction ~ days + (days | subject)", ms.load_sleepstudy())
    >>> print(f"{fit.criterion:.4f}")
    1743.6283
    >>> fit.predict({"days": [0, 9], "subject": ["308", "308"]}).round(2)
    array([253.66, 430.66])
    """
    wanted = read_formula(formula, data, missing, weights=weights, offset=offset)
    if wanted.trials is not None:
        refuse(wanted.response, 'this is for glmm_formula with family="binomial"')
    with among(wanted.rows):
        options = wanted.given | {"sigma": sigma, "start": start, "callback": callback}
        fit = lmm(wanted.y, *wanted.terms, method=method, **options)
    return _of_formula(fit, formula, wanted.rows)


def glmm_formula(
    formula: str,
    data: Data,
    *,
    family: FamilyName = "poisson",
    link: LinkName | None = None,
    method: GeneralizedMethod = "laplace",
    trials: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    nodes: int = 25,
    dispersion: bool = False,
    start: ArrayLike | None = None,
    callback: Progress | None = None,
    missing: Missing = "error",
) -> GeneralizedFit:
    """Fit the generalized linear mixed model that a formula describes.

    Parameters
    ----------
    formula : str
        As for `lmm_formula`. For "binomial" the response may be ``cbind(successes, failures)``.
    data : mapping of str to array_like
        Columns by name: a dict, a data frame.
    family, link, method, trials, weights, offset, nodes, dispersion, start, callback, missing
        As for `glmm`, and `missing` as for `lmm_formula`.

    Returns
    -------
    GeneralizedFit
        That of `glmm`, with terms in the order of the formula.

    Raises
    ------
    ValueError
        As `lmm_formula`, and as `glmm`.

    References
    ----------
    As for `lmm_formula`.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> fit = glmm_formula("y ~ lbase + trt + (1 | subject)", ms.load_epil())
    >>> print(f"{fit.loglik:.4f}", fit.beta.round(4))
    -671.7125 [ 1.8033  1.0106 -0.3344]
    """
    wanted = read_formula(formula, data, missing, trials=trials, weights=weights, offset=offset)
    given = wanted.given
    if wanted.trials is not None:
        if family != "binomial" or trials is not None:
            found = f"family={family!r}{'' if trials is None else ' and trials='}"
            refuse(
                wanted.response,
                f'this is for family="binomial" and tells the trials; found {found}',
            )
        given = given | {"trials": wanted.trials}
    with among(wanted.rows):
        fit = glmm(
            wanted.y,
            *wanted.terms,
            family=family,
            link=link,
            method=method,
            nodes=nodes,
            dispersion=dispersion,
            start=start,
            callback=callback,
            **given,
        )
    return _of_formula(fit, formula, wanted.rows)


AFit = TypeVar("AFit", bound=Fit)


def _of_formula(fit: AFit, formula: str, rows: Rows) -> AFit:
    """Let the fit know its formula, and the rows that were left out."""
    model = replace(fit.model, formula=formula, rows=rows)
    return replace(fit, problem=replace(fit.problem, model=model))


# ---- from text to terms: which covariates are multiplied ----


class _Sum(NamedTuple):
    """What a part of a formula adds up: products of covariates, other terms, an intercept."""

    terms: Collection[Names] = ()
    others: Sequence[Node] = ()
    intercept: bool | None = None


def _expand(node: Node) -> _Sum:
    """Return the terms that a part stands for, in R's order."""
    match node.kind:
        case "name":
            return _Sum([frozenset([str(node)])])
        case "call":
            known(node)
            return _Sum(others=[node]) if node.value in OF_TERMS else _Sum([frozenset([str(node)])])
        case "number" if node.value in (0, 1):
            return _Sum(intercept=node.value == 1)
        case "(":
            (inner,) = node.args
            return _Sum(others=[inner]) if inner.kind in BARS else _expand(inner)
        case "sum":
            return _added(node)
        case ":" | "*" | "/":
            left, right = (_factors(arg) for arg in node.args)
            if node.kind == "/":
                whole = [frozenset(name for term in left for name in term)]
                return _Sum(dict.fromkeys([*left, *_products(node, whole, right)]))
            products = _products(node, left, right)
            return _Sum(products if node.kind == ":" else dict.fromkeys([*left, *right, *products]))
        case "^":
            base, exponent = _factors(node.args[0]), node.args[1]
            if node.args[0].kind != "(":
                refuse(node, f"a power of numbers is I({node}); a power of terms is (a + b)^2")
            if exponent.kind != "number" or not exponent.value.is_integer() or not exponent.value:
                refuse(exponent, "the power of a sum of terms is a whole number from 1")
            power = base
            for _ in range(1, min(int(exponent.value), len(base))):  # then no product is new
                power = _products(node, base, power)
            return _Sum(power)
    refuse(node, INSTEAD.get(node.kind, "this is no term; in a function it may be: I(x + 2)"))


def _added(node: Node) -> _Sum:
    """Return a sum, from which terms can be taken away again."""
    terms: dict[Names, None] = {}
    others: list[Node] = []
    intercept = None
    for sign, arg in zip(node.value, node.args, strict=True):
        found = _expand(arg)
        if sign == "+":
            terms |= dict.fromkeys(found.terms)
            others += found.others
        elif found.others:
            refuse(found.others[0], ONLY_ADDED)
        for term in found.terms if sign == "-" else ():
            if term not in terms:
                refuse(arg, "what is not there cannot be taken away")
            del terms[term]
        if found.intercept is not None:
            intercept = found.intercept == (sign == "+")
    return _Sum(terms, others, intercept)


def _factors(node: Node) -> Collection[Names]:
    """Return the terms of a part that is multiplied."""
    found = _expand(node)
    if found.others:
        refuse(found.others[0], ONLY_ADDED)
    if found.intercept is not None:
        refuse(node, "the intercept, 1 or 0, can only be added or taken away")
    return found.terms


def _products(node: Node, left: Collection[Names], right: Collection[Names]) -> Collection[Names]:
    if len(left) * len(right) > PAIRS:
        refuse(node, TOO_MANY)
    return dict.fromkeys(a | b for a in left for b in right)  # x:x is x


class _Effects(NamedTuple):
    """One side of a formula: an intercept, terms by their order, and the covariates in them."""

    intercept: bool
    terms: list[Names]
    others: Sequence[Node]
    covariates: dict[str, Node]


def _effects(node: Node) -> _Effects:
    found = _expand(node)
    if len(found.terms) > MOST:
        refuse(node, TOO_MANY)
    covariates = {str(each): each for each in _covariates(node)}
    terms = sorted(found.terms, key=len)
    return _Effects(found.intercept is not False, terms, found.others, covariates)


def _covariates(node: Node) -> Iterator[Node]:
    if node.kind == "name" or (node.kind == "call" and node.value not in OF_TERMS):
        yield node
    elif node.kind not in ("call", *BARS):
        for arg in node.args:
            yield from _covariates(arg)


# ---- from terms to columns ----


class Wanted(NamedTuple):
    """What a formula wants to be fitted."""

    response: Node
    y: FloatArray
    trials: FloatArray | None
    terms: list[Term]
    rows: Rows
    given: dict[str, Any]


def read_formula(
    formula: str, data: Data, missing: Missing = "error", **given: ArrayLike | None
) -> Wanted:
    """Return the response and the terms that a formula stands for.

    Parameters
    ----------
    formula : str
        As for `lmm_formula`.
    data : mapping of str to array_like
        Columns by name.
    missing : {"error", "drop"}
        Whether rows that miss a value are an error, or left out.
    **given : array_like, shape (n,), or float, optional
        Weights, offset or trials.

    Returns
    -------
    Wanted
        The response, its values, and its trials if it is ``cbind(successes, failures)``; the terms,
        fixed effects first; the rows that are used; and what was given, for these rows.

    Raises
    ------
    ValueError
        As `lmm_formula`.

    Examples
    --------
    >>> data = {"y": [1, 2, 4, 8], "x": [0, 1, 2, 3], "g": ["a", "a", "b", "b"]}
    >>> wanted = read_formula("log2(y) ~ I(x^2) + (x | g)", data)
    >>> fixed, group = wanted.terms
    >>> print(wanted.y, fixed.parts[0].names, group.names)
    [0. 1. 2. 3.] ['I(x^2)'] ['(Intercept)', 'x']
    """
    tree = parse(formula)
    if tree.kind != "~":
        refuse(tree, "~ is missing; a formula is y ~ x + (x | g), each random term in parentheses")
    response, right = tree.args
    if response.kind == "~":
        refuse(right, "this is the second ~, and a formula has one")
    rows, data, given = _used(tree, data, missing, given)
    with among(rows):
        y, trials = _response(response, data)
        return Wanted(response, y, trials, _terms(right, data), rows, given)


def _used(
    tree: Node, data: Data, missing: Missing, given: Mapping[str, ArrayLike | None]
) -> tuple[Rows, Data, dict[str, Any]]:
    """Return the rows where nothing is missing, and of these all that the formula names."""
    found = all_names(data)
    names = [name for name in found if isinstance(name, str)]  # no part can name the others
    columns = {}
    for node in _names(tree):
        if node.source == ".":
            refuse(node, ". is not known here; name the columns")
        if node.value not in names:
            if node.value in map(str, found):
                with placed(node):
                    names_of(data)
            lower = {name.lower(): name for name in names}
            close = [lower[name] for name in get_close_matches(node.value.lower(), lower, 1)]
            hint = f"did you mean {close[0]}? It" if close else "it"
            refuse(
                node,
                f"data has no column {node.value}, which the model needs; {hint} has "
                f"{listed(names)}",
            )
        with placed(node):
            columns[node.value] = column_of(data, node.value)
    if not columns:
        refuse(tree, "it names no column")
    common_index((name, index_of(values)) for name, values in {**columns, **given}.items())
    masks = {name: missing_in(name, column) for name, column in columns.items()}
    n = next(iter(masks.values())).size
    arrays, of_arrays = beside(given, n)
    for name, mask in of_arrays.items():
        masks[f"{name}=" if name in masks else name] = mask  # a column may have the same name
    response = next(iter(columns.values()))
    rows = replace(rows_of(masks, missing), index=index_of(response))
    if not rows.complete:
        columns = {name: take(column, rows.used) for name, column in columns.items()}
        arrays = {name: values[rows.used] for name, values in arrays.items()}
    return rows, columns, arrays


def _terms(right: Node, data: Data) -> list[Term]:
    """Return the terms of a formula: linear, and all others in the order of the text."""
    fixed = _effects(right)
    terms: list[Term] = [Linear(fixed.intercept, *_parts(right, fixed, data))]
    for node in fixed.others:
        if node.kind in BARS:
            terms += _groups(node, data)
        elif node.value == "offset":
            terms.append(_offset(node, data))
        elif node.value in SMOOTHS:
            terms.append(_smooth(node, data))
        else:
            refuse(node, "this stands left of ~")
    return terms


def _names(node: Node) -> Iterator[Node]:
    """Yield the names of columns; of the options of a call, only by= has one."""
    if node.kind == "name":
        yield node
    for arg in (*node.args, *(option for name, option in node.options if name == "by")):
        yield from _names(arg)


def _response(node: Node, data: Data) -> tuple[FloatArray, FloatArray | None]:
    match node.kind, node.value:
        case "call", "cbind":
            arguments(node, 2)
            successes, failures = (_numbers(arg, data) for arg in node.args)
            return successes, successes + failures
        case "|", _:
            refuse(node, "for successes of trials write cbind(y, n - y)")
        case "/", _:
            y, n = node.args
            refuse(
                node, f"for successes of trials write cbind({y}, {n} - {y}); for a ratio I({node})"
            )
        case "name" | "call", _:
            return _numbers(node, data), None
    refuse(node, "the response must be one column, or a function of columns such as log(y)")


def _column(node: Node, data: Data) -> tuple[str, Column]:
    """Return the name of one column, and the column."""
    first, *more = columns_of(node, data).items()
    if more:
        refuse(node, f"this has {1 + len(more)} columns, and one belongs here")
    return first


def _numbers(node: Node, data: Data) -> FloatArray:
    name, column = _column(node, data)
    with placed(node):
        return as_vector(name, column.values)


def _made(columns: Mapping[str, Column]) -> dict[str, Maker]:
    return {name: column.maker for name, column in columns.items() if column.maker}


def _covariate(node: Node, data: Data) -> tuple[Part, Frame]:
    """Return the part of X that a covariate is, and its data."""
    columns = columns_of(node, data)
    with placed(node):
        made = linear({name: column.values for name, column in columns.items()})
    part = made.parts[0] if len(columns) == 1 else Bundle(str(node), made.parts)
    return part, replace(made.frame, made=_made(columns))


def _parts(node: Node, effects: _Effects, data: Data) -> tuple[tuple[Part, ...], Frame]:
    """Return main effects, then products by their order, with R's coding of labels."""
    used = [name for name in effects.covariates if any(name in term for term in effects.terms)]
    made = {name: _covariate(effects.covariates[name], data) for name in used}
    frame = merged([frame for _, frame in made.values()]) if made else Frame(0, {}, {})
    parts: list[Part] = []
    whole = not effects.intercept  # the first labels then have a column for each level
    columns = 0
    for i, term in enumerate(effects.terms):
        factors = []
        for name in (name for name in used if name in term):
            part = made[name][0]
            if isinstance(part, Categories):
                # contrasts, if the term without these labels is in the model already
                rest = term - {name}
                contrasts = not rest or any(rest <= earlier for earlier in effects.terms[:i])
                part = replace(part, first=int(contrasts and not whole))
                whole = False
            factors.append(part)
        columns += math.prod(len(factor.names) for factor in factors)
        if columns > frame.n:
            refuse(node, f"this is more than {frame.n} columns, for as many rows; leave terms out")
        joined = ":".join(factor.name for factor in factors)
        parts.append(factors[0] if len(factors) == 1 else Product(joined, tuple(factors)))
    return tuple(parts), frame


def _offset(node: Node, data: Data) -> Offset:
    arguments(node, 1)
    name, column = _column(node.args[0], data)
    x = _numbers(node.args[0], data)
    return Offset((Part(name),), Frame(len(x), {name: x}, {}, _made({name: column})))


def _smooth(node: Node, data: Data) -> Smooth:
    """Give the covariates and options of s(...) to `smooth`."""
    given = dict(node.options)
    options: dict[str, Any] = {**(OF_SEVERAL if len(node.args) > 1 else {}), **SMOOTHS[node.value]}
    for name, option in node.options:
        if name not in OPTIONS:
            refuse(option, f"{node.value}() has no option {name} here; it has {', '.join(OPTIONS)}")
    if node.value == "t2" and "bs" in given:
        margin = given.pop("bs")
        if literal(margin) != MARGIN:
            refuse(margin, f'all covariates of t2() have the basis "{MARGIN}"; leave bs out')
    by = dict([_column(given.pop("by"), data)]) if "by" in given else {}
    options |= {OPTIONS[name]: literal(option) for name, option in given.items()}
    if "bs" in given and options["basis"] in OTHER_BASES:
        refuse(node, f"basis {options['basis']!r} is not here; {OTHER_BASES[options['basis']]}")
    columns = dict(_column(arg, data) for arg in node.args)
    if len(columns) < len(node.args):
        refuse(node, "a covariate stands here twice")
    if by:
        options["by"] = {name: column.values for name, column in by.items()}
    with placed(node):
        term = smooth({name: column.values for name, column in columns.items()}, **options)
    return _knowing(_made(columns | by), term)


def _knowing(made: Mapping[str, Maker], term: Smooth) -> Smooth:
    """Let a smooth, also when it is made again, know how its columns are made."""
    tuning = term.tuning
    if tuning is not None:
        tuning = replace(tuning, at=partial(_made_again, made, tuning.at))
    return replace(term, frame=replace(term.frame, made=made), tuning=tuning)


def _made_again(made: Mapping[str, Maker], at: Callable[[float], Smooth], value: float) -> Smooth:
    return _knowing(made, at(value))


def _groups(bar: Node, data: Data) -> list[Group]:
    """Return the random term, effects | factor, or for a/b one for a and one for a:b."""
    left, right = bar.args
    effects = _effects(left)
    if effects.others:
        refuse(effects.others[0], ONLY_ADDED)
    _check_grouping(right)
    if not effects.intercept and not effects.terms:
        refuse(bar, f"(0 | {right}) has no effect; write (1 | {right})")
    parts, frame = _parts(left, effects, data)
    for part in parts:
        if bar.kind == "||" and len(part.names) > 1:
            refuse(
                bar,
                f"lme4 keeps the effects of {part.name} correlated in ||, so it is not "
                f"supported; write (1 | {right}) + (0 + {part.name} | {right})",
            )
    ones = (Intercept(),) if effects.intercept else ()
    factors = _effects(right)
    groups = []
    for factor in factors.terms:
        columns: dict[str, Column] = {}
        for name, node in factors.covariates.items():
            columns |= columns_of(node, data) if name in factor else {}
        name = ":".join(columns)
        with placed(bar):
            if len(columns) == 1:
                made, values = _made(columns), columns[name].values
            else:
                makers = {each: column.maker for each, column in columns.items()}
                made = {name: partial(_joined, makers)}
                values = joined_labels({each: column.values for each, column in columns.items()})
            levels, codes = levels_and_codes(name, values)
            of_group = replace(frame, n=frame.n or len(codes), made={**frame.made, **made})
            groups.append(
                group_of(name, Labels(codes, levels), (*ones, *parts), of_group, bar.kind == "|")
            )
    return groups


def _check_grouping(node: Node) -> None:
    """Raise unless it is a, a:b or a/b."""
    if node.kind in (":", "/", "("):
        for arg in node.args:
            _check_grouping(arg)
    elif node.kind != "name" and not (node.kind == "call" and node.value == "factor"):
        refuse(
            node,
            "right of | stand grouping columns: (1 | g), (1 | a:b) or (1 | a/b); for two groups "
            "write (1 | a) + (1 | b)",
        )


def _joined(makers: Mapping[str, Maker | None], data: Data) -> ArrayLike:
    """Labels of crossed factors, from new data."""
    return joined_labels(
        {name: maker(data) if maker else column_of(data, name) for name, maker in makers.items()}
    )
