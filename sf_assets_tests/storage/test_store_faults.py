"""What goes wrong on the way to a bucket, once or for good: nothing is lost, and it is told."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from sf_assets.errors import ConfigError, StorageError
from sf_assets.storage import store as store_module
from sf_assets.storage.bucket import Access
from sf_assets.storage.locks import is_held, locked
from sf_assets.storage.store import Store
from sf_assets_tests.object_stores import Bucket, FaultyS3, all_asks, s3_env
from sf_assets_tests.salesforce.scripted import Heard, Reply


def refusal(status: int, code: str, message: str = "told to fail") -> Reply:
    """An error as S3 writes it."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Reply(status, body.encode(), {"Content-Type": "application/xml"})


PASSING = {
    "internal error": refusal(500, "InternalError"),
    "slow down": refusal(503, "SlowDown", "Please reduce your request rate"),
    "too many": refusal(429, "TooManyRequests"),
    "reset": Reply(mute=True, reset=True),
    "cut": Reply(500, b"<Error>", length=9000, cut=7),
}
EXPIRED = refusal(400, "ExpiredToken", "The provided token has expired.")
DENIED = refusal(403, "AccessDenied", "Access Denied")


@pytest.mark.parametrize(
    "faults", [("internal error", "cut"), ("slow down", "reset"), ("reset", "too many")]
)
def test_what_fails_twice_is_asked_a_third_time(
    faults: tuple[str, str], faulty_s3: FaultyS3
) -> None:
    store = faulty_s3.bucket.store()
    again = [PASSING[fault] for fault in faults]

    def faulted() -> Store:
        faulty_s3.fail("GET PUT POST DELETE", *again)
        return store

    faulted().put("a/1.json", b"1")
    assert faulted().create("a/2.json", b"2")
    assert faulted().get("a/1.json") == b"1"
    data, tag = faulted().get_tagged("a/2.json")
    assert data == b"2"
    assert faulted().replace("a/2.json", b"3", tag)
    assert {entry.path for entry in faulted().list("a")} == {"a/1.json", "a/2.json"}
    faulted().delete(["a/1.json"])
    assert [entry.path for entry in faulted().list("a")] == ["a/2.json"]


def test_a_large_file_of_which_parts_fail_is_whole(faulty_s3: FaultyS3) -> None:
    store, data = faulty_s3.bucket.store(), os.urandom(12 << 20)
    faulty_s3.fail("PUT", PASSING["slow down"], PASSING["reset"], PASSING["internal error"])
    faulty_s3.fail("POST", PASSING["slow down"])
    store.put("x.parquet", data)
    assert len(faulty_s3.calls("PUT", ".*")) == 3 + 3
    assert store.get("x.parquet") == data
    faulty_s3.fail("GET", lambda request: replace(faulty_s3.passed_on(request), cut=5 << 20))
    assert store.get("x.parquet") == data


def test_a_creation_that_met_another_request_is_tried_again(
    faulty_s3: FaultyS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 says 409 then, also where the other came to nothing; that is not that there is one."""
    store, conflict = faulty_s3.bucket.store(), refusal(409, "ConditionalRequestConflict")
    faulty_s3.fail("PUT", conflict)
    assert store.create("claim.json", b"1")
    faulty_s3.fail("PUT", conflict)
    assert not store.create("claim.json", b"2")
    faulty_s3.on("PUT", ".*", conflict)
    monkeypatch.setattr(store_module, "_PAUSES", ())
    with pytest.raises(StorageError, match="ConditionalRequestConflict"):
        store.create("other.json", b"3")


def test_a_lock_is_ours_though_the_answer_was_lost(faulty_s3: FaultyS3) -> None:
    """Asked again the bucket says that there is one: our own."""

    def lost(request: Heard) -> Reply:
        faulty_s3.passed_on(request)
        return PASSING["reset"]

    store = faulty_s3.bucket.store()
    faulty_s3.fail("PUT", lost)
    with locked(store, "locks/account", "Account"):
        assert is_held(store, "locks/account")
    assert not is_held(store, "locks/account")


def test_a_lock_that_could_not_be_released_keeps_nobody_out(faulty_s3: FaultyS3) -> None:
    """The process may live on, as one that runs schedules does."""
    store = faulty_s3.bucket.store()
    with pytest.raises(StorageError), locked(store, "locks/account", "Account"):
        faulty_s3.on("PUT", ".*", EXPIRED)
    faulty_s3.on("PUT", ".*", faulty_s3.passed_on)
    with locked(store, "locks/account", "Account"):
        pass


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (EXPIRED, "credentials have expired: log in anew"),
        (DENIED, "AccessDenied: Access Denied; let its credentials list, read, write and delete"),
        (refusal(403, "InvalidAccessKeyId"), "credentials are not known there: correct them"),
        (refusal(403, "SignatureDoesNotMatch"), "credentials are not known there: correct them"),
        (refusal(403, "KMS.DisabledException"), "let its credentials use the key"),
        (refusal(301, "PermanentRedirect"), "set SF_ASSETS_STORAGE_REGION"),
        (refusal(400, "AuthorizationHeaderMalformed"), "set SF_ASSETS_STORAGE_REGION"),
    ],
)
def test_a_refusal_is_one_line_that_says_what_to_do(
    said: Reply, told: str, faulty_s3: FaultyS3
) -> None:
    store = faulty_s3.bucket.store()
    faulty_s3.fail_all(said)
    for ask in all_asks(store):
        with pytest.raises(StorageError, match=told) as refused:
            ask()
        assert "\n" not in str(refused.value)
        assert len(str(refused.value)) < 600


def test_an_endpoint_where_nobody_listens_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3_env("http://127.0.0.1:9").items():
        monkeypatch.setenv(name, value)
    store = Bucket("s3://bucket/lake", s3_env("http://127.0.0.1:9")).store()
    with pytest.raises(StorageError, match="nothing answers there: check SF_ASSETS_STORAGE_URL"):
        store.put("x", b"")


@pytest.mark.parametrize("url", ["gs://bucket/x", "az://bucket/x"])
def test_a_key_of_ones_own_that_cannot_be_set_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="SF_ASSETS_STORAGE_KMS_KEY"):
        Store(url, Access(kms_key="k"))


@pytest.mark.parametrize(
    ("url", "option", "variable"),
    [
        ("file://{folder}", "endpoint", "SF_ASSETS_STORAGE_ENDPOINT"),
        ("file://{folder}", "region", "SF_ASSETS_STORAGE_REGION"),
        ("file://{folder}", "kms_key", "SF_ASSETS_STORAGE_KMS_KEY"),
        ("file://{folder}", "storage_class", "SF_ASSETS_STORAGE_CLASS"),
        ("gs://bucket/x", "region", "SF_ASSETS_STORAGE_REGION"),
    ],
)
def test_what_would_do_nothing_is_refused(
    tmp_path: Path, url: str, option: str, variable: str
) -> None:
    with pytest.raises(
        ConfigError, match=f"{variable}, or `{option}` .* does nothing; it is for s3://"
    ):
        Store(url.format(folder=tmp_path), Access(**cast("Any", {option: "x"})))


def test_key_and_storage_class_go_with_what_is_written(faulty_s3: FaultyS3) -> None:
    access = Access(kms_key="key-1", storage_class="STANDARD_IA", variables=faulty_s3.bucket.env)
    store = Store(faulty_s3.bucket.url, access)
    store.put("raw/small.parquet", b"1")
    store.put("raw/large.parquet", bytes(6 << 20))
    store.create("locks/1.json", b"{}")
    begun = {h.path.rpartition("/")[2]: h for h in faulty_s3.heard if "uploadId" not in h.query}
    for name, told in {
        "small.parquet": "STANDARD_IA",
        "large.parquet": "STANDARD_IA",
        "1.json": None,
    }.items():
        headers = begun[name].headers
        assert headers.get("x-amz-storage-class") == told
        assert headers["x-amz-server-side-encryption"] == "aws:kms"
        assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "key-1"
