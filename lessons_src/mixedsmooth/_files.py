"""Where the data files are: inside an installed wheel, or at the top of a checkout."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path


def data_path(name: str) -> Traversable:
    """Path of the data file `name`.

    Parameters
    ----------
    name : str
        File name, such as ``"sleepstudy.csv"``.

    Returns
    -------
    Traversable
        An object with ``open``, ``read_text`` and ``read_bytes``.

    Raises
    ------
    FileNotFoundError
        If neither the installed package nor the checkout has the file.

    Examples
    --------
    >>> data_path("volvo.csv").read_text().splitlines()[0]
    'size,wear'
    """
    installed = files("mixedsmooth") / "data" / name
    if installed.is_file():
        return installed
    checkout = Path(__file__).resolve().parents[2] / "data" / name
    if checkout.is_file():
        return checkout
    raise FileNotFoundError(f"{name} is neither in the installed package nor in {checkout.parent}")
