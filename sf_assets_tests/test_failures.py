"""The boundary of an object's work: what is raised in it is named, and told without a value."""

import errno
from collections.abc import Callable

import duckdb
import polars as pl
import pyarrow as pa
import pydantic
import pytest
import requests

from sf_assets.errors import LoginError, PageBrokenError, SfAssetsError
from sf_assets.failures import UnforeseenError, Work, attributed, isolated

SECRET = "jane.doe@example.com"


def deep() -> None:
    deep()


def unlike_the_model() -> None:
    class Model(pydantic.BaseModel):
        rows: int

    Model.model_validate({"rows": SECRET})


def raising(error: Exception) -> Callable[[], object]:
    def work() -> None:
        raise error

    return work


RAISED: dict[str, Callable[[], object]] = {
    "KeyError": raising(KeyError(SECRET)),
    "ValueError": lambda: int(SECRET),
    "UnicodeEncodeError": f"{SECRET}\ud842".encode,
    "RecursionError": deep,
    "MemoryError": raising(MemoryError(SECRET)),
    "OSError": raising(OSError(errno.ENOSPC, SECRET, SECRET)),
    "duckdb": lambda: duckdb.execute(f"SELECT '{SECRET}'::INTEGER").fetchall(),
    "polars": lambda: pl.Series([SECRET]).cast(pl.Int64),
    "pyarrow": lambda: pa.array([SECRET]).cast(pa.int64()),
    "pydantic": unlike_the_model,
    "requests": raising(requests.ConnectionError(SECRET)),
}


@pytest.mark.parametrize("kind", RAISED)
def test_any_error_of_an_objects_work_is_named_and_quotes_nothing(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the work is, each kind of error is met in it."""
    caplog.set_level("DEBUG")
    for work in Work:
        failures: dict[str, SfAssetsError] = {}
        with isolated(work, "account", failures):
            RAISED[kind]()
        with pytest.raises(UnforeseenError) as raised, attributed(work, "account"):
            RAISED[kind]()
        for error in (failures["account"], raised.value):
            assert str(error).startswith(f"{work} account failed: ")
            assert kind in str(error)
            assert SECRET not in str(error)
        assert raised.value.__cause__ is None
        assert raised.value.__suppress_context__
    assert SECRET not in caplog.text.replace(f"'{SECRET}'", "")  # the source's own line quotes it


def test_our_own_errors_pass_as_they_are_and_the_first_one_stays() -> None:
    ours = PageBrokenError("broken")
    with pytest.raises(PageBrokenError) as raised, attributed(Work.LOAD, "account"):
        raise ours
    assert raised.value is ours
    failures: dict[str, SfAssetsError] = {}
    for error in (ours, KeyError("later")):
        with isolated(Work.LOAD, "account", failures):
            raise error
    assert failures == {"account": ours}


def test_what_would_meet_all_objects_ends_all() -> None:
    failures: dict[str, SfAssetsError] = {}
    with (
        pytest.raises(LoginError),
        isolated(Work.PLAN, "account", failures, lambda error: isinstance(error, LoginError)),
    ):
        raise LoginError("refused")
    assert failures == {}


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_a_run_on_purpose_passes(end: type[BaseException]) -> None:
    failures: dict[str, SfAssetsError] = {}
    with pytest.raises(end), isolated(Work.PLAN, "account", failures):
        raise end
    with pytest.raises(end), attributed(Work.PLAN, "account"):
        raise end
    assert failures == {}
