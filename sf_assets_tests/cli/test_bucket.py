"""The command line with raw in a bucket, all of it set in `.env`."""

from sf_assets_tests.cli.conftest import Shell
from sf_assets_tests.conftest import Workspace
from sf_assets_tests.object_stores import Moto


def test_everything_a_bucket_needs_may_be_in_the_file(
    shell: Shell, workspace: Workspace, moto: Moto
) -> None:
    bucket = moto.bucket("s3")
    workspace.catalogue({"Account": None})
    env = {**workspace.env, **bucket.env, "SF_ASSETS_STORAGE_URL": bucket.url}
    lines = "".join(f"{name}={value}\n" for name, value in env.items())
    (workspace.folder / ".env").write_text(lines, encoding="utf-8")
    told = {d["what"]: d for d in shell("doctor", "--json").document["diagnoses"]}
    works = "write, list, read, create, replace, delete work"
    assert told["storage"]["detail"] == f"{bucket.url}: {works}"
    assert shell("refresh").code == 0
    assert workspace.rows("SELECT count(*) > 0 FROM silver.account") == [(True,)]
