"""The ledger of published numbers, and the comparison of a value with it.

``data/published.toml`` lists every number that the three sources print. An entry says where it
stands, how it was printed, and what became of it: *reproduced*; *corrected*, the print is wrong
and the right value is given; *irreproducible*, for a reason that is given; or *open*, because its
chapter is not written yet.
"""

import difflib
import math
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from functools import cache
from numbers import Real
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, get_args

from mixedsmooth import _tables
from mixedsmooth._files import data_path

Value: TypeAlias = float | int | str
Status = Literal["reproduced", "corrected", "irreproducible", "open"]
Verdict = Literal["agrees", "corrected", "differs"]

_INHERITED = ("where", "chapter", "status", "origin", "note")
_SIGNIFICANT_DIGITS = 6
_FLOAT_DIGITS = sys.float_info.dig  # the 15 that a float keeps, whatever the order of summation


@dataclass(frozen=True)
class Source:
    """One of the three sources.

    Attributes
    ----------
    name : str
        Author and year, for tables.
    title : str
        Its title.
    citation : str
        Its key in the book's bibliography.

    Examples
    --------
    >>> sources()["clark"].citation
    'clark2016'
    """

    name: str
    title: str
    citation: str


@dataclass(frozen=True)
class Entry:
    """One printed number.

    Attributes
    ----------
    key : str
        Path in the ledger, such as ``"clark.ml.tau"``.
    source : str
        Who printed it: the first part of the key, explained by `sources`.
    where : str
        Where in the source it stands.
    printed : str
        As printed.
    chapter : int or str
        The chapter, or the name of the page, that checks it.
    status : {"reproduced", "corrected", "irreproducible", "open"}
        What became of it.
    exact : float, int or str, optional
        A better value, to full digits; for a corrected entry, the right one.
    origin : str
        Software, version and call behind `exact`.
    reference : str
        `exact` as an expression in the names of ``tests/reference/reference.json``.
    note : str
        What is wrong with the print, or why it cannot be reproduced.
    what : str
        Short label; the key, where the ledger gives none.

    Examples
    --------
    >>> entry = entries()["clark.ml.tau"]
    >>> entry.printed, entry.status, entry.chapter
    ('36.02', 'corrected', 3)
    """

    key: str
    source: str
    where: str
    printed: str
    chapter: int | str
    status: Status
    exact: Value | None = None
    origin: str = ""
    reference: str = ""
    note: str = ""
    what: str = ""

    @property
    def value(self) -> Value:
        """The printed number: an int, a float, or the text if it is not one number.

        Examples
        --------
        >>> entries()["clark.ml.tau"].value, entries()["clark.lme4.n_obs"].value
        (36.02, 180)
        """
        number = _number(self.printed)
        if number is None:
            return self.printed
        return float(number) if self.decimals else int(number)

    @property
    def decimals(self) -> int:
        """Digits printed behind the decimal point; none in an integer, printed ``1`` or ``1.``.

        Examples
        --------
        >>> entries()["clark.ml.tau"].decimals, entries()["clark.lme4.n_obs"].decimals
        (2, 0)
        """
        number = _number(self.printed)
        return 0 if number is None else max(0, -int(number.as_tuple().exponent))


@dataclass(frozen=True)
class Row:
    """A computed value beside its entry in the ledger.

    Attributes
    ----------
    entry : Entry
        What was published.
    ours : float, int or str
        What was computed.
    verdict : {"agrees", "corrected", "differs"}
        ``"agrees"``: ours rounds to the print. ``"corrected"``: the print is wrong, and ours is
        the right value. ``"differs"``: neither.

    Examples
    --------
    >>> row = check("clark.lme4.n_obs", 180)
    >>> row.entry.what, row.ours, row.verdict
    ('rows', 180, 'agrees')
    """

    entry: Entry
    ours: Value
    verdict: Verdict

    @property
    def print_error(self) -> float | None:
        """Printed minus exact, where both are numbers.

        Examples
        --------
        >>> round(check("clark.ml.tau", 36.012082).print_error, 4)
        0.0079
        """
        printed, exact = self.entry.value, self.entry.exact
        if exact is None or isinstance(printed, str) or isinstance(exact, str):
            return None
        return printed - exact

    def __str__(self) -> str:
        """Tell the comparison in one line."""
        return ", ".join(f"{name}: {cell}" for name, cell in _cells(self).items() if cell)


@dataclass(frozen=True)
class Table:
    """Rows to look at: text when printed, an HTML table in a notebook.

    Attributes
    ----------
    rows : tuple of Row
        The comparisons.
    caption : str, optional
        What the table shows.

    Examples
    --------
    >>> table([check("clark.lme4.n_obs", 180)]).rows[0].verdict
    'agrees'
    """

    rows: tuple[Row, ...]
    caption: str | None = None

    def _common_place(self) -> str:
        """Where all rows stand, if that is one place: it is told once, above the rows."""
        places = {_place(row.entry) for row in self.rows}
        return places.pop() if len(places) == 1 else ""

    def _heading(self) -> str:
        return ". ".join(part for part in (self.caption, self._common_place()) if part)

    def _grid(self, caption: str) -> _tables.Table:
        cells = [_cells(row) for row in self.rows]
        unused = {"source"} if self._common_place() else set()
        if not any(row["exact"] for row in cells):
            unused.add("exact")
        names = [name for name in (cells[0] if cells else ()) if name not in unused]
        return _tables.Table(
            caption,
            tuple(names),
            tuple(tuple(row[name] for name in names) for row in cells),
            labels=1,
            words=tuple(c for c, name in enumerate(names) if name in ("source", "verdict")),
            css="published",
            row_css=tuple(row.verdict for row in self.rows),
        )

    def __str__(self) -> str:
        """Align the table as plain text."""
        return "\n".join(part for part in (self._heading(), self._grid("").text()) if part)

    def _repr_html_(self) -> str:
        return self._grid(self._heading()).html()


def entries() -> Mapping[str, Entry]:
    """All entries of the ledger, in its order.

    Returns
    -------
    mapping of str to Entry
        By key; read-only.

    Raises
    ------
    ValueError
        If the ledger is not well formed (see `parse`).

    Examples
    --------
    >>> tau = entries()["clark.ml.tau"]
    >>> tau.printed, tau.status, round(tau.exact, 5)
    ('36.02', 'corrected', 36.01208)
    """
    return _ledger()[1]


def sources() -> Mapping[str, Source]:
    """Return the three sources, by the first part of their entries' keys.

    Returns
    -------
    mapping of str to Source
        Read-only.

    Examples
    --------
    >>> sources()["clark"].name
    'Clark (2016)'
    """
    return _ledger()[0]


@cache
def _ledger() -> tuple[Mapping[str, Source], Mapping[str, Entry]]:
    return parse(data_path("published.toml").read_text(encoding="utf-8"))


def parse(text: str) -> tuple[Mapping[str, Source], Mapping[str, Entry]]:
    """Read a ledger from the text of its TOML file and validate it.

    Parameters
    ----------
    text : str
        A table ``[sources]``, and nested tables of entries. A table with ``printed`` is an entry,
        its dotted path is the key, and the first part of the path names the source. ``where``,
        ``chapter``, ``status``, ``origin`` and ``note`` of a table hold for what is below it,
        unless given there again.

    Returns
    -------
    sources : mapping of str to Source
        By the first part of the keys; read-only.
    entries : mapping of str to Entry
        By key, in the order of the file; read-only.

    Raises
    ------
    ValueError
        If the text is not TOML; a field is unknown, or missing where it is needed; a status is
        unknown; a source is not listed; or a corrected entry lacks `exact`, `origin` or `note`.

    Examples
    --------
    >>> _, ledger = parse('''
    ... [sources.bates]
    ... name = "Bates et al. (2015)"
    ... title = "Fitting Linear Mixed-Effects Models Using lme4"
    ... citation = "bates2015"
    ... [bates.sleepstudy]
    ... where = "Section 1"
    ... chapter = 6
    ... status = "open"
    ... reml = { printed = "1743.6" }
    ... ''')
    >>> ledger["bates.sleepstudy.reml"].value
    1743.6
    """
    tree = tomllib.loads(text)
    sources = {key: _source(key, about) for key, about in tree.pop("sources", {}).items()}
    ledger = {entry.key: entry for entry in _walk((), tree, {})}
    for key, entry in ledger.items():
        if entry.source not in sources:
            raise ValueError(f"ledger entry {key}: {entry.source} is not listed under [sources]")
    return MappingProxyType(sources), MappingProxyType(ledger)


def check(key: str, value: Value) -> Row:
    """Compare a computed value with the published one.

    A value agrees when it rounds to the printed digits, of which the first 15 significant ones
    count; integers and text must be equal. For a corrected entry the value is compared with the
    right one instead, to six significant digits.

    Parameters
    ----------
    key : str
        Key of the entry.
    value : float, int or str
        The computed value, in the unit of the print.

    Returns
    -------
    Row
        The value beside its entry, with the verdict.

    Raises
    ------
    ValueError
        If the ledger has no such key, or the value is not finite, or it is text where a number is
        printed or a number where text is.

    Examples
    --------
    >>> check("clark.ml.sigma", 30.895434).verdict
    'agrees'
    >>> check("clark.ml.sigma", 31.0).verdict
    'differs'
    >>> row = check("clark.ml.tau", 36.012082)
    >>> row.verdict, round(row.print_error, 4)
    ('corrected', 0.0079)
    """
    try:
        entry = entries()[key]
    except KeyError:
        near = difflib.get_close_matches(key, entries(), n=3, cutoff=0.5)
        hint = f"; nearest: {', '.join(near)}" if near else ""
        raise ValueError(f"key {key!r} is not in the ledger{hint}") from None
    return Row(entry, value, _verdict(entry, value))


def table(rows: Iterable[Row], caption: str | None = None) -> Table:
    """Put comparisons into a table.

    Parameters
    ----------
    rows : iterable of Row
        What `check` returned.
    caption : str, optional
        What the table shows.

    Returns
    -------
    Table
        Aligned text when printed, an HTML table in a notebook.

    Examples
    --------
    >>> print(table([check("clark.lme4.deviance", 1794.078643), check("clark.lme4.n_obs", 180)]))
    Clark (2016), Results, printout of lmer(..., REML = FALSE)
    what        printed        exact         ours  verdict
    deviance  1794.0786  1794.078643  1794.078643  ✓ agrees
    rows            180                       180  ✓ agrees
    """
    return Table(tuple(rows), caption)


def counts() -> dict[Status, int]:
    """Count the entries of each status.

    Returns
    -------
    dict
        Number of entries that are reproduced, corrected, irreproducible and open.

    Examples
    --------
    >>> list(counts())
    ['reproduced', 'corrected', 'irreproducible', 'open']
    """
    found = Counter(entry.status for entry in entries().values())
    return {status: found[status] for status in get_args(Status)}


# Reading ------------------------------------------------------------------------------------------


def _source(key: str, about: dict[str, str]) -> Source:
    needed = {field.name for field in fields(Source)}
    if about.keys() != needed:
        raise ValueError(f"ledger source {key} has {_list(about)}; give {_list(needed)}")
    return Source(**about)


def _walk(
    path: tuple[str, ...], table: dict[str, Any], inherited: dict[str, Any]
) -> Iterator[Entry]:
    below = {name: item for name, item in table.items() if isinstance(item, dict)}
    own = {name: item for name, item in table.items() if name not in below}
    if "printed" in own:
        yield _entry(path, inherited | own)
    elif unknown := own.keys() - set(_INHERITED):
        raise ValueError(f"ledger table {'.'.join(path)} has no use for {_list(unknown)}")
    passed_on = inherited | {name: own[name] for name in _INHERITED if name in own}
    for name, item in below.items():
        yield from _walk((*path, name), item, passed_on)


def _entry(path: tuple[str, ...], given: dict[str, Any]) -> Entry:
    wrong = f"ledger entry {'.'.join(path)}"
    known = {field.name for field in fields(Entry)} - {"key", "source"}
    if unknown := given.keys() - known:
        raise ValueError(f"{wrong} has no use for {_list(unknown)}; it knows {_list(known)}")
    status = given.get("status")
    needed = {"where", "printed", "chapter", "status"}
    if status == "corrected":
        needed |= {"exact", "note"}
    if status == "irreproducible":
        needed |= {"note"}
    if "exact" in given:
        needed |= {"origin"}
    if missing := needed - {name for name, item in given.items() if item != ""}:
        raise ValueError(f"{wrong} lacks {_list(missing)}")
    if status not in get_args(Status):
        raise ValueError(f"{wrong} has status {status!r}; give {_list(get_args(Status))}")
    if not isinstance(given["printed"], str):
        raise ValueError(f"{wrong} needs printed as a string, which keeps the digits")
    key = ".".join(path)
    return Entry(**{"key": key, "source": path[0], "what": key} | given)


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _number(printed: str) -> Decimal | None:
    try:
        return Decimal(printed)
    except InvalidOperation:
        return None


# Comparing ----------------------------------------------------------------------------------------


def _verdict(entry: Entry, value: Value) -> Verdict:
    target = entry.value
    if entry.status == "corrected" and entry.exact is not None:
        target = entry.exact
    if isinstance(value, str) != isinstance(target, str):
        kind = "text" if isinstance(target, str) else "a number"
        raise ValueError(f"value of {entry.key} must be {kind}, found {value!r}")
    if not isinstance(value, str) and not (isinstance(value, Real) and math.isfinite(value)):
        raise ValueError(f"value of {entry.key} must be a finite number, found {value!r}")
    if entry.status == "corrected":
        return "corrected" if _equal_to_six_digits(value, target) else "differs"
    return "agrees" if _rounds_to_print(value, entry) else "differs"


def _rounds_to_print(value: Value, entry: Entry) -> bool:
    printed = entry.value
    if isinstance(value, str) or isinstance(printed, str) or entry.decimals == 0:
        return value == printed
    decimals = min(entry.decimals, _FLOAT_DIGITS - 1 - _first_digit(printed))
    half_a_unit = 0.5 * 10.0**-decimals
    # A value right at the edge may be rounded either way, and so may the last bit of a float.
    return abs(value - printed) <= half_a_unit + 4 * math.ulp(printed)


def _equal_to_six_digits(value: Value, exact: Value) -> bool:
    if isinstance(value, str) or not isinstance(exact, float) or exact == 0:
        return value == exact
    unit = 10.0 ** (_first_digit(exact) + 1 - _SIGNIFICANT_DIGITS)
    return abs(value - exact) <= 0.5 * unit


def _first_digit(number: float) -> int:
    """Return the power of ten of the first digit that is not zero."""
    return math.floor(math.log10(abs(number))) if number else 0


# Showing ------------------------------------------------------------------------------------------


def _cells(row: Row) -> dict[str, str]:
    entry = row.entry
    return {
        "what": entry.what,
        "source": _place(entry),
        "printed": entry.printed,
        "exact": "" if entry.exact is None else _digits(entry.exact, entry),
        "ours": _digits(row.ours, entry),
        "verdict": _verdict_text(row),
    }


def _place(entry: Entry) -> str:
    return f"{sources()[entry.source].name}, {entry.where}"


def _digits(value: Value, entry: Entry) -> str:
    """Show two digits more than were printed; integers as integers."""
    if isinstance(value, str):
        return value
    if entry.decimals == 0 and value == int(value):
        return str(int(value))
    return f"{value:.{entry.decimals + 2}f}"


def _verdict_text(row: Row) -> str:
    match row.verdict:
        case "agrees":
            return "✓ agrees"
        case "differs":
            return "✗ differs"
    if row.print_error is None:
        return "≠ print corrected"
    sign = "-" if row.print_error < 0 else "+"
    return f"≠ print corrected, off by {sign}{_digits(abs(row.print_error), row.entry)}"
