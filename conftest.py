"""Examples of what needs an optional package are run where it is installed."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("formulae") else ["lessons_src/mixedsmooth/model/formula.py"]
