"""What `doctor` finds that a storage lets us do."""

import re

import pytest

from sf_assets.storage.permissions import missing_permissions, try_permissions
from sf_assets_tests.object_stores import Bucket, FaultyS3
from sf_assets_tests.salesforce.scripted import Heard, Reply
from sf_assets_tests.storage.test_store_faults import DENIED

ALL = ["write", "list", "read", "create", "replace", "delete"]


def test_a_storage_that_lets_us_do_all_is_left_as_it_was(bucket: Bucket) -> None:
    store = bucket.store()
    assert try_permissions(store) == dict.fromkeys(ALL)
    assert list(store.list("")) == []


@pytest.mark.parametrize(
    ("methods", "lacking", "grants"),
    [
        ("PUT", ["write", "create", "replace"], "s3:PutObject"),
        ("LIST", ["list"], "s3:ListBucket"),
        ("GET", ["read", "replace"], "s3:GetObject, s3:PutObject"),
        ("POST DELETE", ["delete"], "s3:DeleteObject"),
    ],
)
def test_what_is_denied_is_told_with_what_to_grant(
    methods: str, lacking: list[str], grants: str, faulty_s3: FaultyS3
) -> None:
    def denied(request: Heard) -> Reply:
        kind = "LIST" if "list-type" in request.query else request.method
        return DENIED if kind in methods else faulty_s3.passed_on(request)

    faulty_s3.fail_all(denied)
    store = faulty_s3.bucket.store()
    found = try_permissions(store)
    assert [what for what, error in found.items() if error] == lacking
    told = missing_permissions(store, found)
    assert f"does not work: {', '.join(lacking)}, so grant {grants}. " in told
    assert told.count("AccessDenied") == 1


def test_a_file_that_may_not_be_deleted_is_told_though_the_answer_is_a_success(
    faulty_s3: FaultyS3,
) -> None:
    """S3 deletes many at once, and says of each what became of it."""

    def kept(request: Heard) -> Reply:
        keys = re.findall("<Key>.*?</Key>", request.body.decode())
        errors = "".join(f"<Error>{key}<Code>AccessDenied</Code></Error>" for key in keys)
        return Reply(body=f"<DeleteResult>{errors}</DeleteResult>".encode())

    faulty_s3.on("POST", ".*", kept)
    found = try_permissions(faulty_s3.bucket.store())
    assert [what for what, error in found.items() if error] == ["delete"]


def test_a_storage_that_heeds_no_conditions_is_refused(faulty_s3: FaultyS3) -> None:
    """Locks would be no locks there."""

    def heedless(request: Heard) -> Reply:
        headers = {n: v for n, v in request.headers.items() if not n.startswith("if-")}
        return faulty_s3.passed_on(
            Heard(
                request.method, request.path, request.query, headers, request.body, request.target
            )
        )

    faulty_s3.on("PUT", ".*", heedless)
    store = faulty_s3.bucket.store()
    found = try_permissions(store)
    assert [what for what, error in found.items() if error] == ["create", "replace"]
    assert "two runs could take one lock" in missing_permissions(store, found)


def test_a_bucket_that_is_not_there_is_told_once(s3: Bucket) -> None:
    store = Bucket("s3://nobodysbucket/lake", s3.env).store()
    told = missing_permissions(store, try_permissions(store))
    assert told.startswith("works: nothing; does not work: write, list")
    assert told.count("create the bucket") == 1
