"""Long work tells how far it is, and when it is interrupted keeps what it has (chapter 13)."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from mixedsmooth._checks import a_callable

Progress = bool | Callable[[int, int], object] | None


@contextmanager
def long_work(progress: Progress, total: int) -> Iterator[Callable[[int], object]]:
    """Tell how many steps of some work are done; an interrupt ends it without an error.

    Parameters
    ----------
    progress : bool or callable, optional
        True for a bar by tqdm on standard error, where that is installed; or what is called with
        the number of steps that are done and that of all.
    total : int
        How many steps there are.

    Yields
    ------
    callable
        To be called with the number of steps that are done.

    Raises
    ------
    ValueError
        If `progress` is neither true, false nor callable.

    Examples
    --------
    >>> done = []
    >>> with long_work(lambda done, total: print(f"{done} of {total}"), 3) as tell:
    ...     for step in range(3):
    ...         if step == 2:
    ...             raise KeyboardInterrupt
    ...         done.append(step)
    ...         tell(len(done))
    1 of 3
    2 of 3
    >>> done
    [0, 1]
    """
    tell, close = _teller(progress, total)
    try:
        yield tell
    except KeyboardInterrupt:
        pass  # what is done is a result
    finally:
        close()


def _teller(progress: Progress, total: int) -> tuple[Callable[[int], object], Callable[[], object]]:
    """Return what tells how many steps are done, and what ends it."""

    def nothing(*_: int) -> None:
        """Tell nobody."""

    if progress is None or progress is False:
        return nothing, nothing
    if progress is not True:
        told = a_callable("progress", progress)
        return lambda done: told(done, total), nothing
    try:
        tqdm = import_module("tqdm.auto").tqdm
    except ImportError:
        return nothing, nothing
    bar: Any = tqdm(total=total, file=sys.stderr)
    return lambda done: bar.update(done - bar.n), bar.close
