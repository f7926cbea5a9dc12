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


def _read_csv(file: str) -> dict[str, tuple[str, ...]]:
    """Read a file of the folder ``data``: its cells by column."""
    with io.StringIO(data_path(file).read_text(encoding="utf-8")) as text:
        header, *rows = csv.reader(text)
    return dict(zip(header, zip(*rows, strict=True), strict=True))


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
        return _read_csv(cls.file)

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


@dataclass(frozen=True, eq=False, repr=False)
class Ethanol(Dataset):
    """Nitrogen oxides in the exhaust of an engine that burns ethanol.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> ms.load_ethanol()
    <Ethanol: 88 rows of nox, compression, equivalence>
    """

    file: ClassVar[str] = "ethanol.csv"
    title: ClassVar[str] = "ethanol"
    source: ClassVar[str] = (
        "Brinkman (1981), SAE Transactions 90, 1410-1424; by way of the R package lattice"
    )

    nox: FloatArray = _column("nitrogen oxides in the exhaust, for the energy of the fuel [ug/J]")
    compression: FloatArray = _column("compression ratio of the engine [1]")
    equivalence: FloatArray = _column("equivalence ratio, the richness of the mixture [1]")


@dataclass(frozen=True, eq=False, repr=False)
class CarbonDioxide(Dataset):
    """Carbon dioxide in the air at Mauna Loa, every month from 1959 to 1997.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> ms.load_co2()
    <CarbonDioxide: 468 rows of month, year, co2>
    """

    file: ClassVar[str] = "co2.csv"
    title: ClassVar[str] = "co2"
    source: ClassVar[str] = (
        "Keeling and Whorf (1997), Scripps Institution of Oceanography; by way of R's data sets"
    )

    month: IntArray = _column("month of the year, 1 to 12")
    year: FloatArray = _column("beginning of the month, as a calendar year with its fraction [a]")
    co2: FloatArray = _column("carbon dioxide in dry air, mean of the month [ppm]")


@dataclass(frozen=True, eq=False, repr=False)
class Columbus(Dataset):
    """Crime in the 49 districts of Columbus, Ohio, in 1980, with their borders.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> columbus = ms.load_columbus()
    >>> columbus
    <Columbus: 49 rows of district, crime, income, home_value, x, y>
    >>> columbus.pairs.shape, len(columbus.polygons)
    ((118, 2), 49)
    """

    file: ClassVar[str] = "columbus.csv"
    title: ClassVar[str] = "columbus"
    source: ClassVar[str] = (
        "Anselin (1988), Spatial Econometrics, table 12.1; by way of the R package mgcv"
    )

    district: LabelArray = _column("label of the district, 0 to 48")
    crime: FloatArray = _column("burglaries and car thefts, for a thousand households [1/1000]")
    income: FloatArray = _column("household income [1000 USD]")
    home_value: FloatArray = _column("value of a home [1000 USD]")
    x: FloatArray = _column("center, to the east, in units of the map")
    y: FloatArray = _column("center, to the north, in units of the map")

    @property
    def pairs(self) -> LabelArray:
        """Pairs of districts whose borders touch, each pair once: labels, (118, 2).

        Examples
        --------
        >>> load_columbus().pairs[:3].tolist()
        [['0', '1'], ['0', '2'], ['1', '2']]
        """
        pairs = np.transpose(list(_read_csv("columbus_neighbours.csv").values()))
        pairs.setflags(write=False)
        return pairs

    @property
    def polygons(self) -> dict[str, FloatArray]:
        """The border of each district: points (m, 2), with a row of NaN between its parts.

        A part within another one is a hole.

        Examples
        --------
        >>> border = load_columbus().polygons["0"]
        >>> border.shape, border.min(axis=0).round(2).tolist()
        ((15, 2), [8.56, 14.0])
        """
        cells = _read_csv("columbus_polygons.csv")
        label = np.array(cells["district"])
        x, y = ([float(cell.replace("NA", "nan")) for cell in cells[name]] for name in ("x", "y"))
        border = {d: np.column_stack([x, y])[label == d] for d in self.district.tolist()}
        for points in border.values():
            points.setflags(write=False)
        return border


@dataclass(frozen=True, eq=False, repr=False)
class Meuse(Dataset):
    """Zinc in the soil of a flood plain of the river Meuse.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> ms.load_meuse()
    <Meuse: 155 rows of x, y, zinc, distance>
    """

    file: ClassVar[str] = "meuse.csv"
    title: ClassVar[str] = "meuse"
    source: ClassVar[str] = (
        "Rikken and Van Rijn (1993), Utrecht University; Burrough and McDonnell (1998); "
        "by way of the R package sp"
    )

    x: IntArray = _column("to the east, in the Dutch grid (Rijksdriehoek) [m]")
    y: IntArray = _column("to the north, in the Dutch grid (Rijksdriehoek) [m]")
    zinc: IntArray = _column("zinc in the topsoil [mg/kg]")
    distance: FloatArray = _column("distance to the river, scaled to 0 to 1 [1]")


@dataclass(frozen=True, eq=False, repr=False)
class BodyFat(Dataset):
    """Body fat of 71 healthy women, and what is easier to measure.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> fat = ms.load_bodyfat()
    >>> len(fat), fat.keys()[:4]
    (71, ['age', 'dexfat', 'waistcirc', 'hipcirc'])
    """

    file: ClassVar[str] = "bodyfat.csv"
    title: ClassVar[str] = "bodyfat"
    source: ClassVar[str] = (
        "Garcia et al. (2005), Obesity Research 13, 626-634; by way of the R package TH.data"
    )

    age: IntArray = _column("age [a]")
    dexfat: FloatArray = _column("body fat, by dual-energy X-ray absorptiometry [kg]")
    waistcirc: FloatArray = _column("circumference of the waist [cm]")
    hipcirc: FloatArray = _column("circumference of the hip [cm]")
    elbowbreadth: FloatArray = _column("breadth of the elbow [cm]")
    kneebreadth: FloatArray = _column("breadth of the knee [cm]")
    anthro3a: FloatArray = _column("sum of three logarithms of skinfolds [log]")
    anthro3b: FloatArray = _column("sum of three logarithms of skinfolds, others [log]")
    anthro3c: FloatArray = _column("sum of three logarithms of skinfolds, others again [log]")
    anthro4: FloatArray = _column("sum of four logarithms of skinfolds [log]")


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


def load_ethanol() -> Ethanol:
    """Load the ethanol data: 88 runs of an engine with one cylinder.

    Returns
    -------
    Ethanol
        88 rows: `nox` [ug/J], `compression` (five values) and `equivalence` [1].

    References
    ----------
    Brinkman (1981), SAE Transactions 90, 1410-1424.

    Examples
    --------
    >>> ethanol = load_ethanol()
    >>> sorted(set(ethanol.compression.tolist()))
    [7.5, 9.0, 12.0, 15.0, 18.0]
    """
    return Ethanol._load()


def load_co2() -> CarbonDioxide:
    """Load carbon dioxide at Mauna Loa: 39 years, month by month.

    Returns
    -------
    CarbonDioxide
        468 rows: `month` (1 to 12), `year` (with its fraction) and `co2` [ppm].

    References
    ----------
    Keeling and Whorf (1997), Scripps Institution of Oceanography.

    Examples
    --------
    >>> air = load_co2()
    >>> print(air.year[0], air.co2[0], air.co2[-1])
    1959.0 315.42 364.34
    """
    return CarbonDioxide._load()


def load_columbus() -> Columbus:
    """Load the districts of Columbus: crime, income and the value of homes in 1980.

    Returns
    -------
    Columbus
        49 rows: `district` (labels), `crime` [1/1000 households], `income` and `home_value`
        [1000 USD], and the centers `x`, `y`; with the attributes `pairs`, districts that are
        neighbors, and `polygons`, the borders.

    References
    ----------
    Anselin (1988), Spatial Econometrics, table 12.1.

    Examples
    --------
    >>> columbus = load_columbus()
    >>> print(columbus.district[columbus.crime.argmax()], columbus.crime.max())
    29 68.892044
    """
    return Columbus._load()


def load_meuse() -> Meuse:
    """Load the soil samples from the flood plain of the Meuse near Stein: zinc at 155 places.

    Returns
    -------
    Meuse
        155 rows: `x` and `y` [m], `zinc` [mg/kg], `distance` to the river, scaled to 0 to 1.

    References
    ----------
    Burrough and McDonnell (1998), Principles of Geographical Information Systems.

    Examples
    --------
    >>> meuse = load_meuse()
    >>> print(meuse.zinc.min(), meuse.zinc.max())
    113 1839
    """
    return Meuse._load()


def load_bodyfat() -> BodyFat:
    """Load the body fat data: 71 women, and nine measurements to predict it from.

    Returns
    -------
    BodyFat
        71 rows: `dexfat` [kg]; `age` [a]; `waistcirc`, `hipcirc`, `elbowbreadth` and `kneebreadth`
        [cm]; and sums of logarithms, `anthro3a`, `anthro3b`, `anthro3c` and `anthro4`.

    References
    ----------
    Garcia et al. (2005), Obesity Research 13, 626-634.

    Examples
    --------
    >>> print(load_bodyfat().dexfat.max())
    62.02
    """
    return BodyFat._load()


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
