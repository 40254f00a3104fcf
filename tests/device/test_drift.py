"""cupy_api.json is what an installed CuPy wheel says.  Needs the wheel, but no GPU."""

import pytest

from .make_cupy_api import API_FILE, collect
from .strict import API


def test_the_table_is_small_and_has_the_parts_that_the_stand_in_reads():
    assert API_FILE.stat().st_size < 60_000
    assert {len(API[part]) > 0 for part in ("cupy", "cupy.linalg", "cupy.ndarray")} == {True}
    assert API["cupy"]["sum"] == "(a, axis=None, dtype=None, out=None, keepdims=False)"
    assert API["cupy"]["add"] == "ufunc 2 1"
    assert API["cupy.ndarray"]["__add__"] == "operator"


def test_the_installed_wheel_has_every_name_of_the_table_with_the_same_signature():
    cupy = pytest.importorskip("cupy", reason="the CuPy wheel is not installed")
    found = collect(cupy)
    drift = [
        f"{part}.{name}: {entry} in the table, {found[part].get(name, 'missing')} in the wheel"
        for part, entries in API.items()
        for name, entry in entries.items()
        if part != "version" and found[part].get(name) != entry
    ]
    assert not drift, f"CuPy {cupy.__version__}: run make_cupy_api.py\n" + "\n".join(drift)
