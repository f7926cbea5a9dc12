"""The data sets: the files are the published ones, and the loaders hand them over unchanged."""

import dataclasses
import gzip
import re
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

import mixedsmooth as ms

DATA = Path(__file__).parents[1] / "data"
LOADERS = {
    "sleepstudy": ms.load_sleepstudy,
    "gasoline": ms.load_gasoline,
    "volvo": ms.load_volvo,
    "epil": ms.load_epil,
    "insteval": ms.load_insteval,
    "bacteria": ms.load_bacteria,
    "pastes": ms.load_pastes,
    "dyestuff": ms.load_dyestuff,
    "mcycle": ms.load_mcycle,
    "ethanol": ms.load_ethanol,
    "co2": ms.load_co2,
    "columbus": ms.load_columbus,
    "meuse": ms.load_meuse,
    "bodyfat": ms.load_bodyfat,
}
PACKED = {"insteval"}
MORE = {"columbus_neighbours", "columbus_polygons"}  # files that a data set has besides its own
LABELS = {"subject", "country", "trt", "dept", "id", "batch", "cask", "sample", "district"}


@pytest.fixture(params=LOADERS)
def dataset(request: pytest.FixtureRequest) -> ms.Dataset:
    return LOADERS[request.param]()


def columns(dataset: ms.Dataset) -> dict[str, np.ndarray]:
    return {field.name: getattr(dataset, field.name) for field in dataclasses.fields(dataset)}


def file_name(name: str) -> str:
    return f"{name}.csv.gz" if name in PACKED else f"{name}.csv"


def unpacked(name: str) -> bytes:
    content = (DATA / file_name(name)).read_bytes()
    return gzip.decompress(content) if name in PACKED else content


def readme() -> str:
    return (DATA / "README.md").read_text(encoding="utf-8")


def section(name: str) -> str:
    return readme().split(f"## {file_name(name)}\n")[1].split("\n## ")[0]


# The files and what data/README.md says of them


def files_in_readme() -> dict[str, tuple[int, str]]:
    lines = re.findall(r"^\| (\w+\.csv\S*) \| (\d+) \| ([0-9a-f]{64}) \|$", readme(), re.MULTILINE)
    return {name: (int(rows), checksum) for name, rows, checksum in lines}


def test_readme_lists_every_csv_file() -> None:
    assert set(files_in_readme()) == {path.name for path in DATA.glob("*.csv*")}


@pytest.mark.parametrize("name", [*LOADERS, *sorted(MORE)])
def test_file_has_the_rows_and_the_checksum_of_the_readme(name: str) -> None:
    rows, checksum = files_in_readme()[file_name(name)]
    assert sha256((DATA / file_name(name)).read_bytes()).hexdigest() == checksum
    assert len(unpacked(name).splitlines()) - 1 == rows
    assert name in MORE or len(LOADERS[name]()) == rows


@pytest.mark.parametrize("name", sorted(PACKED))
def test_readme_has_the_checksum_of_the_unpacked_text(name: str) -> None:
    assert sha256(unpacked(name)).hexdigest() in section(name)


@pytest.mark.parametrize("name", LOADERS)
def test_readme_lists_the_columns_with_their_units(name: str) -> None:
    listed = re.findall(
        r"^\| (\w+) \| `(\w+)` \| .* \| ([\w/ ]*?) ?\|$", section(name), re.MULTILINE
    )
    dataset = LOADERS[name]()
    header = unpacked(name).decode("utf-8").splitlines()[0].replace('"', "")
    assert [csv_name for csv_name, _, _ in listed] == header.split(",")
    assert {field for _, field, _ in listed} == set(columns(dataset))
    for _, field, unit in listed:
        told = re.search(rf"^  {field} +.*$", str(dataset), re.MULTILINE)
        assert told is not None
        assert told[0].endswith(f"[{unit}]") if unit else not told[0].endswith("]")


@pytest.mark.parametrize("name", sorted((LOADERS.keys() | MORE) - PACKED))
def test_readme_quotes_the_r_call_that_wrote_the_file(name: str) -> None:
    folder = DATA.parent / "tests" / "reference"
    scripts = "\n".join(
        (folder / script).read_text(encoding="utf-8")
        for script in ("make_reference.R", "make_families.R", "make_inference.R", "make_terms.R")
    )
    call = re.search(rf'write\.csv\(\w+, "\.\./data/{name}\.csv".*\)', scripts)
    assert call is not None
    assert call[0] in readme()


# What the loaders return


@pytest.mark.parametrize(
    ("name", "rows", "n_columns"),
    [
        ("sleepstudy", 180, 3),
        ("gasoline", 342, 6),
        ("volvo", 19, 2),
        ("epil", 236, 9),
        ("insteval", 73421, 7),
        ("bacteria", 220, 4),
        ("pastes", 60, 4),
        ("dyestuff", 30, 2),
        ("mcycle", 133, 2),
        ("ethanol", 88, 3),
        ("co2", 468, 3),
        ("columbus", 49, 6),
        ("meuse", 155, 4),
        ("bodyfat", 71, 10),
    ],
)
def test_shape(name: str, rows: int, n_columns: int) -> None:
    dataset = LOADERS[name]()
    assert len(dataset) == rows
    assert {column.shape for column in columns(dataset).values()} == {(rows,)}
    assert len(columns(dataset)) == n_columns


def test_records_are_frozen_and_arrays_read_only(dataset: ms.Dataset) -> None:
    for name, column in columns(dataset).items():
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(dataset, name, column)
        with pytest.raises(ValueError, match="read-only"):
            column[0] = column[1]


def test_columns_hold_numbers_or_labels(dataset: ms.Dataset) -> None:
    for name, column in columns(dataset).items():
        label = name in LABELS
        assert column.dtype.kind == "U" if label else column.dtype in (np.float64, np.int64)


def test_print_tells_name_rows_columns_units_and_source(dataset: ms.Dataset) -> None:
    first, *lines, last = str(dataset).splitlines()
    assert first == f"{dataset.title}: {len(dataset)} rows"
    assert [line.split()[0] for line in lines] == list(columns(dataset))
    assert all(len(line.split()) > 1 for line in lines)
    assert last == f"Source: {dataset.source}"
    assert re.search(r"\(\d{4}\)", last)


def test_repr_tells_class_rows_and_columns(dataset: ms.Dataset) -> None:
    names = ", ".join(columns(dataset))
    assert repr(dataset) == f"<{type(dataset).__name__}: {len(dataset)} rows of {names}>"


def test_to_pandas_copies_every_column(dataset: ms.Dataset) -> None:
    pytest.importorskip("pandas")
    frame = dataset.to_pandas()
    assert list(frame.columns) == list(columns(dataset))
    for name, column in columns(dataset).items():
        assert frame[name].tolist() == column.tolist()
    changed = list(columns(dataset))[-1]
    before = getattr(dataset, changed)[0]
    frame.loc[0, changed] = before + before if isinstance(before, str) else before + 1
    assert getattr(dataset, changed)[0] == before


def test_to_pandas_says_what_to_install(
    dataset: ms.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        dataset.to_pandas()


# Values at known places


def test_sleepstudy_begins_as_the_third_source_prints_it() -> None:
    sleep = ms.load_sleepstudy()
    # Dirmeier, cell 49: tab.head()
    assert sleep.reaction[:5].tolist() == [249.56, 258.7047, 250.8006, 321.4398, 356.8519]
    assert sleep.days[:5].tolist() == [0, 1, 2, 3, 4]
    assert sleep.subject[:5].tolist() == ["308"] * 5


def test_sleepstudy_is_balanced() -> None:
    sleep = ms.load_sleepstudy()
    subjects, rows = np.unique(sleep.subject, return_counts=True)
    # the labels that Clark (2016) prints with the predicted effects
    assert " ".join(subjects) == (
        "308 309 310 330 331 332 333 334 335 337 349 350 351 352 369 370 371 372"
    )
    assert set(rows) == {10}
    assert sleep.days.tolist() == list(range(10)) * 18


def test_gasoline_is_balanced_and_ends_in_1978() -> None:
    gasoline = ms.load_gasoline()
    assert len(np.unique(gasoline.country)) == 18
    assert gasoline.year.tolist() == list(range(1960, 1979)) * 18
    # first and last row, as R wrote them
    assert (gasoline.country[0], gasoline.lcarpcap[0]) == ("AUSTRIA", -9.766839569)
    assert (gasoline.country[-1], round(gasoline.lcarpcap[-1], 6)) == ("U.S.A.", -7.536176)


def test_volvo_has_all_nineteen_engines() -> None:
    volvo = ms.load_volvo()
    assert len(volvo) == 19
    assert (volvo.size[13], volvo.wear[13]) == (2.32, 2.7)  # the size that Clark's page loses
    assert np.sum(volvo.size == 2.32) == 5
    # Wood (2006), section 3.2: sums of the two printed vectors
    assert round(float(volvo.size.sum()), 2) == 42.34
    assert round(float(volvo.wear.sum()), 1) == 57.8


def test_epil_has_the_counts_of_the_trial() -> None:
    epil = ms.load_epil()
    first_period = epil.period == 1
    # MASS, data set epil: 28 patients under placebo, 31 under progabide
    assert np.sum(epil.trt[first_period] == "placebo") == 28
    assert np.sum(epil.trt[first_period] == "progabide") == 31
    # R 4.2.2, MASS: sum(epil$y)
    assert epil.y.sum() == 1948
    assert np.array_equal(epil.v4 == 1, epil.period == 4)
    # centered logarithms, printed by R to 15 digits
    for centered, raw in ((epil.lbase, epil.base), (epil.lage, epil.age)):
        np.testing.assert_allclose(centered, np.log(raw) - np.log(raw).mean(), atol=1e-14)


def test_insteval_has_the_levels_and_ratings_that_lme4_tells() -> None:
    ratings = ms.load_insteval()
    # R 4.2.2, lme4 1.1.31: lapply(InstEval, nlevels), ?InstEval
    assert len(np.unique(ratings.s)) == ratings.s.max() == 2972
    assert len(np.unique(ratings.d)) == 1128
    assert ratings.d.max() == 2160
    assert len(np.unique(ratings.dept)) == 14
    assert set(ratings.studage) == {2, 4, 6, 8}
    assert set(ratings.lectage) == {1, 2, 3, 4, 5, 6}
    # R: table(InstEval$y), sum(InstEval$service == 1)
    assert np.bincount(ratings.y).tolist() == [0, 10186, 12951, 17609, 16921, 15754]
    assert ratings.service.sum() == 31783


def test_insteval_begins_and_ends_as_r_prints_it() -> None:
    ratings = ms.load_insteval()
    # R: InstEval[c(1, nrow(InstEval)), ]
    names = ["s", "d", "studage", "lectage", "service", "dept", "y"]
    assert [getattr(ratings, name)[0] for name in names] == [1, 1002, 2, 2, 0, "2", 5]
    assert [getattr(ratings, name)[-1] for name in names] == [2972, 2121, 4, 2, 1, "2", 3]


def test_bacteria_has_the_checks_of_the_trial() -> None:
    bacteria = ms.load_bacteria()
    # R 4.2.2, MASS: ?bacteria, table(bacteria$y), table(bacteria$week), table(bacteria$trt)
    assert len(np.unique(bacteria.id)) == 50
    assert np.bincount(bacteria.y).tolist() == [43, 177]
    weeks, checks = np.unique(bacteria.week, return_counts=True)
    assert weeks.tolist() == [0, 2, 4, 6, 11]
    assert checks.tolist() == [50, 44, 42, 40, 44]
    treatments, checks = np.unique(bacteria.trt, return_counts=True)
    assert dict(zip(treatments.tolist(), checks.tolist(), strict=True)) == {
        "drug": 62,
        "drug+": 62,
        "placebo": 96,
    }
    # nobody changes treatment
    pairs = set(zip(bacteria.id.tolist(), bacteria.trt.tolist(), strict=True))
    assert len(pairs) == 50


def test_pastes_is_nested_and_balanced() -> None:
    pastes = ms.load_pastes()
    joined = [f"{batch}:{cask}" for batch, cask in zip(pastes.batch, pastes.cask, strict=True)]
    assert pastes.sample.tolist() == joined
    assert "".join(np.unique(pastes.batch)) == "ABCDEFGHIJ"
    assert set(np.unique(pastes.sample, return_counts=True)[1]) == {2}
    # R 4.2.2, lme4: Pastes$strength[c(1, 2, 60)], mean(Pastes$strength)
    assert pastes.strength[[0, 1, -1]].tolist() == [62.8, 62.6, 56.6]
    assert round(float(pastes.strength.mean()), 5) == 60.05333


def test_dyestuff_is_the_balanced_one_way_layout() -> None:
    dyestuff = ms.load_dyestuff()
    batches, rows = np.unique(dyestuff.batch, return_counts=True)
    assert "".join(batches) == "ABCDEF"
    assert set(rows) == {5}
    # R 4.2.2, lme4: with(Dyestuff, tapply(Yield, Batch, mean))
    means = [dyestuff.grams[dyestuff.batch == batch].mean() for batch in batches]
    assert means == [1505, 1528, 1564, 1498, 1600, 1470]


def test_mcycle_has_the_measurements_of_the_accident() -> None:
    mcycle = ms.load_mcycle()
    # R 4.2.2, MASS: mcycle[c(1, 2, 133), ], range(mcycle$accel), length(unique(mcycle$times))
    assert mcycle.time[[0, 1, -1]].tolist() == [2.4, 2.6, 57.6]
    assert mcycle.accel[[0, 1, -1]].tolist() == [0, -1.3, 10.7]
    assert (mcycle.accel.min(), mcycle.accel.max()) == (-134, 75)
    assert len(np.unique(mcycle.time)) == 94
    assert np.all(np.diff(mcycle.time) >= 0)


def test_ethanol_has_five_compression_ratios() -> None:
    ethanol = ms.load_ethanol()
    # R 4.2.2, lattice: ethanol[c(1, 2, 88), ], table(ethanol$C), range(ethanol$E)
    rows = np.transpose([ethanol.nox, ethanol.compression, ethanol.equivalence])[[0, 1, -1]]
    assert rows.tolist() == [[3.741, 12, 0.907], [2.295, 12, 0.761], [1.9, 18, 0.655]]
    values, counts = np.unique(ethanol.compression, return_counts=True)
    assert values.tolist() == [7.5, 9, 12, 15, 18]
    assert counts.tolist() == [22, 17, 14, 19, 16]
    assert (ethanol.equivalence.min(), ethanol.equivalence.max()) == (0.535, 1.232)


def test_co2_has_every_month_of_39_years() -> None:
    air = ms.load_co2()
    assert air.month.tolist() == 39 * list(range(1, 13))
    np.testing.assert_allclose(air.year, 1959 + np.arange(468) / 12, rtol=0, atol=1e-8)
    # help(co2): February to April 1964 are interpolated
    gap = air.co2[(air.year > 1963.99) & (air.year < 1964.4)]
    np.testing.assert_allclose(np.diff(gap), np.diff(gap).mean(), rtol=0, atol=0.01)
    # R 4.2.2: co2[c(1, 468)], mean(co2)
    assert air.co2[[0, -1]].tolist() == [315.42, 364.34]
    assert round(float(air.co2.mean()), 4) == 337.0535


def test_columbus_has_its_districts_their_neighbors_and_borders() -> None:
    columbus = ms.load_columbus()
    assert columbus.district.tolist() == [str(i) for i in range(49)]
    # R 4.2.2, mgcv: columb[c(1, 49), ], mean(columb$crime)
    assert columbus.crime[[0, -1]].tolist() == [15.72598, 22.541491]
    assert round(float(columbus.crime.mean()), 6) == 35.128824
    first, second = columbus.pairs.T.astype(int)
    assert np.all(first < second)
    assert len(set(zip(first.tolist(), second.tolist(), strict=True))) == 118
    assert set(first) | set(second) == set(range(49))
    assert list(columbus.polygons) == columbus.district.tolist()
    assert sum(map(len, columbus.polygons.values())) == 1202
    with pytest.raises(ValueError, match="read-only"):
        columbus.pairs[0] = columbus.pairs[1]
    with pytest.raises(ValueError, match="read-only"):
        columbus.polygons["0"][0] = 0.0


def test_neighbors_in_columbus_share_a_point_of_their_borders() -> None:
    columbus = ms.load_columbus()
    points = {d: set(map(tuple, xy.tolist())) for d, xy in columbus.polygons.items()}
    touching = {(a, b) for a in points for b in points if int(a) < int(b) and points[a] & points[b]}
    assert set(map(tuple, columbus.pairs.tolist())) == touching


def test_rows_of_nan_divide_the_parts_of_a_district() -> None:
    polygons = ms.load_columbus().polygons
    assert [d for d, xy in polygons.items() if np.isnan(xy).any()] == ["1"]
    between = np.isnan(polygons["1"])
    assert between.all(axis=1).sum() == 1
    assert between.sum() == 2
    # every part is closed
    (at,) = np.flatnonzero(between[:, 0])
    for part in (polygons["1"][:at], polygons["1"][at + 1 :], polygons["20"]):
        assert part[0].tolist() == part[-1].tolist()


def test_meuse_has_the_samples() -> None:
    meuse = ms.load_meuse()
    # R 4.2.2, sp: meuse[c(1, 155), c("x", "y", "zinc", "dist")], mean(log(meuse$zinc))
    assert meuse.zinc[[0, -1]].tolist() == [1022, 375]
    assert [meuse.x[0], meuse.y[0]] == [181072, 333611]
    assert meuse.distance[0] == 0.00135803
    assert round(float(np.log(meuse.zinc).mean()), 6) == 5.885776
    assert len(np.unique(np.transpose([meuse.x, meuse.y]), axis=0)) == 155


def test_bodyfat_has_the_model_of_its_paper() -> None:
    fat = ms.load_bodyfat()
    # R 4.2.2, TH.data: coef(lm(DEXfat ~ hipcirc + kneebreadth + anthro3a, bodyfat))
    fit = ms.lmm(
        fat.dexfat,
        ms.linear(hipcirc=fat.hipcirc, kneebreadth=fat.kneebreadth, anthro3a=fat.anthro3a),
    )
    expected = [-75.23478397, 0.5115263986, 1.901990425, 8.909637465]
    np.testing.assert_allclose(fit.beta, expected, rtol=1e-8)


def test_a_data_set_is_data_with_names() -> None:
    sleep = ms.load_sleepstudy()
    assert list(sleep) == sleep.keys() == ["reaction", "days", "subject"]
    assert sleep["days"] is sleep.days
    assert list(dict(sleep)) == sleep.keys()
    with pytest.raises(KeyError, match="'Days' is no column; there are reaction, days, subject"):
        sleep["Days"]
    fit = ms.lmm_formula("reaction ~ days + (days | subject)", sleep)
    np.testing.assert_array_equal(fit.predict(sleep), fit.fitted)
