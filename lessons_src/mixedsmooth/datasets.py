"""The data sets of the book, as frozen records of read-only arrays.

Origin, licence and units of each file are told in ``data/README.md``.
"""

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mixedsmooth._files import data_path

if TYPE_CHECKING:
    import pandas as pd

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
LabelArray = NDArray[np.str_]


def _column(unit: str, csv_name: str | None = None) -> Any:
    """Make a field that knows its unit, and its name in the file when that differs."""
    return field(metadata={"unit": unit, "csv": csv_name})


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A data set: named read-only columns of equal length.

    ``len(data)`` is the number of rows, ``print(data)`` tells what the data are, and
    ``data.to_pandas()`` makes a data frame. Where data with names are asked for, as in a formula, a
    data set will do.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> data = ms.load_volvo()
    >>> isinstance(data, ms.Dataset), len(data), data
    (True, 19, <Volvo: 19 rows of size, wear>)
    >>> ms.lmm_formula("wear ~ s(size, k=9)", data)
    <Fit by REML: 19 rows, criterion 42.3039>
    """

    file: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]

    @classmethod
    def _load(cls) -> Self:
        cells, columns = cls._cells(), {}
        for column in fields(cls):
            parse = _PARSERS[column.type]
            columns[column.name] = parse(cells[column.metadata["csv"] or column.name])
            columns[column.name].setflags(write=False)
        return cls(**columns)

    @classmethod
    def _cells(cls) -> dict[str, Any]:
        with io.StringIO(data_path(cls.file).read_text(encoding="utf-8")) as text:
            header, *rows = csv.reader(text)
        return dict(zip(header, zip(*rows, strict=True), strict=True))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(getattr(self, fields(self)[0].name))

    def keys(self) -> list[str]:
        """Return the names of the columns."""
        return [column.name for column in fields(self)]

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a column by its name."""
        if name not in self.keys():
            raise KeyError(f"{name!r} is no column; there are {', '.join(self.keys())}")
        column: NDArray[Any] = getattr(self, name)
        return column

    def __iter__(self) -> Iterator[str]:
        """Go through the names of the columns."""
        return iter(self.keys())

    def __str__(self) -> str:
        """Tell name, rows, columns with their units, and source."""
        width = max(len(column.name) for column in fields(self))
        columns = "\n".join(
            f"  {column.name:<{width}}  {column.metadata['unit']}" for column in fields(self)
        )
        return f"{self.title}: {len(self)} rows\n{columns}\nSource: {self.source}"

    def __repr__(self) -> str:
        """Tell class, rows and column names."""
        names = ", ".join(column.name for column in fields(self))
        return f"<{type(self).__name__}: {len(self)} rows of {names}>"

    def to_pandas(self) -> "pd.DataFrame":
        """Return the columns as a pandas data frame.

        Returns
        -------
        pandas.DataFrame
            One column for each field, copied.

        Raises
        ------
        ImportError
            If pandas is not installed.

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> ms.load_volvo().to_pandas().head(2)
           size  wear
        0  1.42   4.0
        1  1.58   4.2
        """
        try:
            import pandas as pd
        except ImportError:
            raise ImportError(
                "to_pandas() needs pandas, which is not installed: pip install pandas"
            ) from None
        return pd.DataFrame({c.name: getattr(self, c.name).copy() for c in fields(self)})


_PARSERS: dict[Any, Callable[[tuple[str, ...]], NDArray[Any]]] = {
    FloatArray: lambda cells: np.array(cells, dtype=np.float64),
    IntArray: lambda cells: np.array(cells, dtype=np.int64),
    LabelArray: lambda cells: np.array(cells, dtype=np.str_),
}


@dataclass(frozen=True, eq=False, repr=False)
class SleepStudy(Dataset):
    """Reaction times of 18 drivers over ten days of restricted sleep.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> ms.load_sleepstudy()
    <SleepStudy: 180 rows of reaction, days, subject>
    """

    file: ClassVar[str] = "sleepstudy.csv"
    title: ClassVar[str] = "sleepstudy"
    source: ClassVar[str] = (
        "Belenky et al. (2003), Journal of Sleep Research 12, 1-12; by way of the R package lme4"
    )

    reaction: FloatArray = _column("mean reaction time [ms]", "Reaction")
    days: IntArray = _column("day of the study, 0 to 9 [d]", "Days")
    subject: LabelArray = _column("label of the driver", "Subject")


@dataclass(frozen=True, eq=False, repr=False)
class Gasoline(Dataset):
    """Cars, income and the price of gasoline in 18 countries, 1960 to 1978.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> ms.load_gasoline()
    <Gasoline: 342 rows of country, year, lgaspcar, lincomep, lrpmg, lcarpcap>
    """

    file: ClassVar[str] = "gasoline.csv"
    title: ClassVar[str] = "gasoline"
    source: ClassVar[str] = (
        "Baltagi and Griffin (1983), European Economic Review 22, 117-137; "
        "by way of the R package plm"
    )

    country: LabelArray = _column("label of the country")
    year: IntArray = _column("calendar year, 1960 to 1978 [a]")
    lgaspcar: FloatArray = _column("motor gasoline consumption per car [log]")
    lincomep: FloatArray = _column("real income per person [log]")
    lrpmg: FloatArray = _column("real price of motor gasoline [log]")
    lcarpcap: FloatArray = _column("cars per person [log]")


@dataclass(frozen=True, eq=False, repr=False)
class Volvo(Dataset):
    """Engine wear against engine size of 19 Volvo engines.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> ms.load_volvo()
    <Volvo: 19 rows of size, wear>
    """

    file: ClassVar[str] = "volvo.csv"
    title: ClassVar[str] = "volvo"
    source: ClassVar[str] = "Wood (2006), Generalized Additive Models, section 3.2"

    size: FloatArray = _column("engine capacity [l]")
    wear: FloatArray = _column("wear index [1]")


@dataclass(frozen=True, eq=False, repr=False)
class Epil(Dataset):
    """Seizures of 59 epileptics in four two-week periods under placebo or progabide.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> ms.load_epil()
    <Epil: 236 rows of y, trt, base, age, v4, subject, period, lbase, lage>
    """

    file: ClassVar[str] = "epil.csv"
    title: ClassVar[str] = "epil"
    source: ClassVar[str] = (
        "Thall and Vail (1990), Biometrics 46, 657-671; by way of the R package MASS"
    )

    y: IntArray = _column("seizures in two weeks [count]")
    trt: LabelArray = _column("treatment: placebo or progabide")
    base: IntArray = _column("seizures in the eight weeks before treatment [count]")
    age: IntArray = _column("age [a]")
    v4: IntArray = _column("1 in the fourth period, otherwise 0", "V4")
    subject: LabelArray = _column("label of the patient")
    period: IntArray = _column("two-week period, 1 to 4")
    lbase: FloatArray = _column("log(base), centered [log]")
    lage: FloatArray = _column("log(age), centered [log]")


@dataclass(frozen=True, eq=False, repr=False)
class InstEval(Dataset):
    """Students' ratings of lectures at ETH Zurich.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> ms.load_insteval()
    <InstEval: 73421 rows of y, s, d, studage, lectage, service, dept>
    """

    file: ClassVar[str] = "insteval.csv.gz"
    title: ClassVar[str] = "insteval"
    source: ClassVar[str] = (
        "ETH Zurich, anonymized; by way of the R package lme4, Bates et al. (2015), "
        "Journal of Statistical Software 67(1)"
    )

    y: IntArray = _column("rating of the lecture, 1 (poor) to 5 (very good)")
    s: IntArray = _column("number of the student")
    d: IntArray = _column("number of the lecturer")
    studage: IntArray = _column("time the student has been enrolled: 2, 4, 6 or 8 [semester]")
    lectage: IntArray = _column("time since the lecture, 1 to 6 [semester]")
    service: IntArray = _column("1 if held for a department other than the lecturer's, otherwise 0")
    dept: LabelArray = _column("label of the department")

    @classmethod
    def _cells(cls) -> dict[str, Any]:
        text = io.StringIO(gzip.decompress(data_path(cls.file).read_bytes()).decode("utf-8"))
        header = next(csv.reader(text))
        # All cells are whole numbers, which numpy's reader takes in far faster than the csv module.
        table = np.loadtxt(text, dtype=np.int64, delimiter=",", quotechar='"', unpack=True)
        return dict(zip(header, table, strict=True))


@dataclass(frozen=True, eq=False, repr=False)
class Bacteria(Dataset):
    """Bacteria in 50 children with otitis media, checked up to five times, by treatment.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> ms.load_bacteria()
    <Bacteria: 220 rows of y, week, id, trt>
    """

    file: ClassVar[str] = "bacteria.csv"
    title: ClassVar[str] = "bacteria"
    source: ClassVar[str] = (
        "A. Leach, Menzies School of Health Research; Venables and Ripley (2002), "
        "by way of the R package MASS"
    )

    y: IntArray = _column("1 if H. influenzae is present, otherwise 0")
    week: IntArray = _column("time of the check: 0, 2, 4, 6 or 11 [week]")
    id: LabelArray = _column("label of the child")
    trt: LabelArray = _column("treatment: placebo, drug, or drug+ (encouraged to take it)")


@dataclass(frozen=True, eq=False, repr=False)
class Pastes(Dataset):
    """Strength of a chemical paste: two assays of each of three casks from ten deliveries.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> ms.load_pastes()
    <Pastes: 60 rows of batch, cask, sample, strength>
    """

    file: ClassVar[str] = "pastes.csv"
    title: ClassVar[str] = "pastes"
    source: ClassVar[str] = (
        "Davies and Goldsmith (1972), Statistical Methods in Research and Production, section 6.5; "
        "by way of the R package lme4"
    )

    batch: LabelArray = _column("label of the delivery, A to J")
    cask: LabelArray = _column("label of the cask in its delivery: a, b or c")
    sample: LabelArray = _column("label of delivery and cask, A:a to J:c")
    strength: FloatArray = _column("strength of the paste [1]")


@dataclass(frozen=True, eq=False, repr=False)
class Dyestuff(Dataset):
    """Yield of a dyestuff: five preparations from each of six batches.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> ms.load_dyestuff()
    <Dyestuff: 30 rows of batch, grams>
    """

    file: ClassVar[str] = "dyestuff.csv"
    title: ClassVar[str] = "dyestuff"
    source: ClassVar[str] = (
        "Davies and Goldsmith (1972), Statistical Methods in Research and Production, section 6.4; "
        "by way of the R package lme4"
    )

    batch: LabelArray = _column("label of the batch, A to F")
    grams: IntArray = _column("yield of dyestuff of standard color [g]", "yield")


@dataclass(frozen=True, eq=False, repr=False)
class Motorcycle(Dataset):
    """Acceleration of the head in a simulated motorcycle accident.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> ms.load_mcycle()
    <Motorcycle: 133 rows of time, accel>
    """

    file: ClassVar[str] = "mcycle.csv"
    title: ClassVar[str] = "mcycle"
    source: ClassVar[str] = (
        "Silverman (1985), Journal of the Royal Statistical Society B 47, 1-52; "
        "by way of the R package MASS"
    )

    time: FloatArray = _column("time after the impact [ms]")
    accel: FloatArray = _column("acceleration of the head [g]")


def load_sleepstudy() -> SleepStudy:
    """Load the sleep study: 18 drivers, ten days each, sleep cut to three hours a night.

    Returns
    -------
    SleepStudy
        180 rows: `reaction` [ms], `days` [d], `subject` (labels).

    References
    ----------
    Belenky et al. (2003), Journal of Sleep Research 12, 1-12.

    Examples
    --------
    >>> sleep = load_sleepstudy()
    >>> print(sleep)
    sleepstudy: 180 rows
      reaction  mean reaction time [ms]
      days      day of the study, 0 to 9 [d]
      subject   label of the driver
    Source: Belenky et al. (2003), Journal of Sleep Research 12, 1-12; by way of the R package lme4
    """
    return SleepStudy._load()


def load_gasoline() -> Gasoline:
    """Load the gasoline demand data: 18 countries of the OECD, 19 years each.

    Returns
    -------
    Gasoline
        342 rows: `country` (labels), `year`, and logarithms `lgaspcar`, `lincomep`, `lrpmg`,
        `lcarpcap`.

    References
    ----------
    Baltagi and Griffin (1983), European Economic Review 22, 117-137.

    Examples
    --------
    >>> gasoline = load_gasoline()
    >>> print(len(set(gasoline.country)), gasoline.year.min(), gasoline.year.max())
    18 1960 1978
    """
    return Gasoline._load()


def load_volvo() -> Volvo:
    """Load the engine wear data: 19 Volvo engines.

    Returns
    -------
    Volvo
        19 rows: `size` [l] and `wear` [1].

    References
    ----------
    Wood (2006), Generalized Additive Models, section 3.2.

    Examples
    --------
    >>> print(load_volvo().wear.max())
    4.8
    """
    return Volvo._load()


def load_epil() -> Epil:
    """Load the epilepsy trial: seizure counts of 59 patients in four periods.

    Returns
    -------
    Epil
        236 rows: `y` (counts), `trt`, `base`, `age`, `v4`, `subject`, `period`, `lbase`, `lage`.

    References
    ----------
    Thall and Vail (1990), Biometrics 46, 657-671.

    Examples
    --------
    >>> epil = load_epil()
    >>> int(epil.y.sum())
    1948
    """
    return Epil._load()


def load_insteval() -> InstEval:
    """Load the lecture evaluations: 73421 ratings of 1128 lecturers by 2972 students.

    Returns
    -------
    InstEval
        73421 rows: `y` (rating, 1 to 5), `s` and `d` (numbers that name student and lecturer),
        `studage` and `lectage` [semester], `service` (0 or 1), `dept` (labels).

    References
    ----------
    Bates, Maechler, Bolker and Walker (2015), Journal of Statistical Software 67(1), whose package
    lme4 has the data as ``InstEval``.

    Examples
    --------
    >>> ratings = load_insteval()
    >>> print(len(set(ratings.s)), len(set(ratings.d)), len(set(ratings.dept)))
    2972 1128 14
    """
    return InstEval._load()


def load_bacteria() -> Bacteria:
    """Load the bacteria trial: 220 checks of 50 children in the Northern Territory of Australia.

    Returns
    -------
    Bacteria
        220 rows: `y` (0 or 1), `week` [week], `id` and `trt` (labels). Of 250 checks 30 are
        missing.

    References
    ----------
    Venables and Ripley (2002), Modern Applied Statistics with S, section 10.4, whose package MASS
    has the data as ``bacteria``.

    Examples
    --------
    >>> bacteria = load_bacteria()
    >>> print(len(set(bacteria.id)), int(bacteria.y.sum()))
    50 177
    """
    return Bacteria._load()


def load_pastes() -> Pastes:
    """Load the paste data: strengths of a chemical paste, casks nested in deliveries.

    Returns
    -------
    Pastes
        60 rows: `batch`, `cask` and `sample` (labels), `strength` [1]. The casks a of two
        deliveries have nothing in common; `sample` tells all thirty casks apart.

    References
    ----------
    Davies and Goldsmith (1972), Statistical Methods in Research and Production, fourth edition,
    section 6.5.

    Examples
    --------
    >>> pastes = load_pastes()
    >>> print(len(set(pastes.batch)), len(set(pastes.cask)), len(set(pastes.sample)))
    10 3 30
    """
    return Pastes._load()


def load_dyestuff() -> Dyestuff:
    """Load the dyestuff data: yields of 30 preparations from six batches of an intermediate.

    Returns
    -------
    Dyestuff
        30 rows: `batch` (labels) and `grams` [g], which the file calls yield.

    References
    ----------
    Davies and Goldsmith (1972), Statistical Methods in Research and Production, fourth edition,
    section 6.4.

    Examples
    --------
    >>> dyestuff = load_dyestuff()
    >>> print(len(set(dyestuff.batch)), dyestuff.grams.mean())
    6 1527.5
    """
    return Dyestuff._load()


def load_mcycle() -> Motorcycle:
    """Load the motorcycle data: acceleration of the head of a dummy against time.

    Returns
    -------
    Motorcycle
        133 rows: `time` [ms] and `accel` [g].

    References
    ----------
    Silverman (1985), Journal of the Royal Statistical Society B 47, 1-52.

    Examples
    --------
    >>> mcycle = load_mcycle()
    >>> print(mcycle.time.max(), mcycle.accel.min())
    57.6 -134.0
    """
    return Motorcycle._load()


def load_benchmark() -> dict[str, Any]:
    """Load what ``make bench`` measured: times of fits by this library and other programs.

    Returns
    -------
    dict
        ``date``, ``machine``, ``versions``, and ``cases``: for each case its ``model`` and the
        ``results`` by program, with ``median`` time [s], ``peak_megabytes`` and ``criterion``, or
        ``skipped`` with a reason. Once ``bench/inference.py`` has run also ``inference``: for each
        of its cases the ``model`` and the time [s] ``ours`` and ``lme4``.

    Examples
    --------
    >>> load_benchmark()["cases"]["million"]["results"]["ours"]["peak_megabytes"] < 2000
    True
    """
    measured: dict[str, Any] = json.loads(data_path("benchmark.json").read_text(encoding="utf-8"))
    return measured


def load_coverage() -> dict[str, Any]:
    """Load what ``python bench/coverage.py`` measured: how often intervals cover the truth.

    Returns
    -------
    dict
        ``date``, ``versions``, ``level``, ``sets`` (data sets of each design), ``replicates`` (of
        each bootstrap), ``seed``, and ``designs``: for each its ``title``, the parameters of the
        ``truth``, and the ``results`` by kind of interval and parameter, with ``coverage``, its
        Monte Carlo standard error ``se``, how many intervals were ``too_low``, ``too_high`` and
        ``undefined`` (which the coverage leaves out), and the ``median_width``.

    Examples
    --------
    >>> results = load_coverage()["designs"]["dyestuff"]["results"]
    >>> 0 < results["profile, REML"]["sigma"]["coverage"] <= 1
    True
    """
    measured: dict[str, Any] = json.loads(data_path("coverage.json").read_text(encoding="utf-8"))
    return measured
