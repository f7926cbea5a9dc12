"""What several tests share: the reference results and the sleep study's matrices."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

import mixedsmooth as ms
from mixedsmooth.derivations.likelihood import grouping_columns

REFERENCE = Path(__file__).parent / "reference" / "reference.json"


class Rows(NamedTuple):
    """Response and designs of a random-intercept model."""

    y: NDArray[np.float64]
    X: NDArray[np.float64]
    Z: NDArray[np.float64]


@pytest.fixture(scope="session")
def reference() -> dict[str, Any]:
    """Results of R, computed by tests/reference/make_reference.R."""
    results: dict[str, Any] = json.loads(REFERENCE.read_text())
    return results


@pytest.fixture(scope="session")
def balanced() -> Rows:
    """Sleep study: 18 subjects with 10 rows each."""
    return _sleep_rows(np.arange(180))


@pytest.fixture(scope="session")
def unbalanced(reference: dict[str, Any]) -> Rows:
    """125 rows of the sleep study, between 1 and 10 of each of 16 subjects."""
    return _sleep_rows(np.array(reference["sleepstudy_unbalanced_rows"]) - 1)


def _sleep_rows(keep: NDArray[np.int64]) -> Rows:
    sleep = ms.load_sleepstudy()
    X = np.column_stack([np.ones(len(keep)), sleep.days[keep]])
    Z, _ = grouping_columns(sleep.subject[keep])
    return Rows(sleep.reaction[keep], X, Z)
