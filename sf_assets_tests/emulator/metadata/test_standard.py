"""The org's own objects, as their files say."""

from importlib.resources import files

from sf_assets.emulator.metadata.standard import OBJECTS


def test_every_file_is_an_object_that_the_org_lists() -> None:
    folder = files("sf_assets.emulator.metadata") / "objects"
    assert sorted(OBJECTS) == sorted(file.name.removesuffix(".yaml") for file in folder.iterdir())
