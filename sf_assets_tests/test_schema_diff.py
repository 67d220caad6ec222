"""What changed between two states of a schema: all of it, and nothing else."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from sf_assets.describe import FieldInfo, Loss, ObjectInfo
from sf_assets.schema_diff import ADDED, GONE, Change, diff

LOSS = Loss(since=datetime(2026, 11, 20, tzinfo=UTC), user="etl@example.com")

_values = st.lists(st.sampled_from("abc"), max_size=3, unique=True).map(tuple)
_fields = st.builds(
    FieldInfo,
    name=st.sampled_from(["Id", "Name", "Amount__c", "Stage"]),
    type=st.sampled_from(["string", "double", "picklist"]),
    label=st.sampled_from(["", "Label"]),
    length=st.integers(0, 2),
    scale=st.integers(0, 2),
    picklist=_values,
    gone=st.none() | st.just(LOSS),
)
_infos = st.builds(
    ObjectInfo,
    name=st.just("X"),
    queryable=st.booleans(),
    fields=st.lists(_fields, max_size=4, unique_by=lambda f: f.name).map(tuple),
    gone=st.none() | st.just(LOSS),
)
_schemas = st.dictionaries(st.sampled_from(["account", "lead"]), _infos).map(
    lambda infos: {k: i.model_copy(update={"name": k.title()}) for k, i in infos.items()}
)


@given(_schemas)
def test_nothing_differs_from_itself(schema: dict[str, ObjectInfo]) -> None:
    assert diff(schema, schema) == []


@given(_schemas, _schemas)
def test_the_way_back_is_the_opposite(
    one: dict[str, ObjectInfo], other: dict[str, ObjectInfo]
) -> None:
    opposite = {ADDED: GONE, GONE: ADDED}
    back = [
        Change(c.object, c.field, opposite.get(c.what, c.what), c.after, c.before)
        for c in diff(one, other)
    ]
    assert sorted(back) == diff(other, one)


@given(_schemas, _schemas)
def test_every_field_that_differs_is_told_and_no_other(
    one: dict[str, ObjectInfo], other: dict[str, ObjectInfo]
) -> None:
    def seen(schema: dict[str, ObjectInfo]) -> dict[tuple[str, str], FieldInfo]:
        return {
            (info.name, field.name): field.model_copy(
                update={"picklist": tuple(sorted(field.picklist))}
            )
            for info in schema.values()
            if not info.gone
            for field in info.fields
            if not field.gone
        }

    before, after = seen(one), seen(other)
    both = {info.name for info in one.values() if not info.gone}
    both &= {info.name for info in other.values() if not info.gone}
    differing = {
        key
        for key in before.keys() | after.keys()
        if key[0] in both and before.get(key) != after.get(key)
    }
    told = {(c.object, c.field) for c in diff(one, other) if c.field}
    assert told == differing


def test_changes_say_what_was_and_what_is() -> None:
    def account(*fields: FieldInfo) -> dict[str, ObjectInfo]:
        return {"account": ObjectInfo(name="Account", fields=fields)}

    stage = FieldInfo(name="Stage", type="picklist", picklist=("open", "won"))
    before = account(stage, FieldInfo(name="Size", type="string", length=40))
    longer = FieldInfo(name="Size", type="string", length=80)
    after = account(stage.model_copy(update={"picklist": ("won", "lost")}), longer)
    assert diff(before, after) == [
        Change("Account", "Size", "length", "40", "80"),
        Change("Account", "Stage", "picklist", "open", "lost"),
    ]
    gone = {"account": before["account"].model_copy(update={"gone": LOSS})}
    assert diff(before, gone) == [Change("Account", "", GONE)]
    assert diff({}, after) == [Change("Account", "", ADDED)]
