"""Extra specs as Manila has them, and rule 9's other half: what a share copies of its type."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revertkit import share_types
from revertkit.errors import InvalidInput

REQUIRED = {"driver_handles_share_servers": "false"}


@pytest.mark.parametrize("value", ["false", "False", "FALSE", "0", "no", "off", "f", "n"])
def test_the_required_spec_has_to_be_there_and_false(value: str) -> None:
    """``driver_handles_share_servers`` is required as in Manila, and only False here."""
    assert share_types.checked({"driver_handles_share_servers": value}) == {"driver_handles_share_servers": value}


@pytest.mark.parametrize(
    "specs",
    [
        {},
        {"snapshot_support": "true"},
        {"driver_handles_share_servers": "true"},
        {"driver_handles_share_servers": "<is> False"},
        {"driver_handles_share_servers": "perhaps"},
        {**REQUIRED, "snapshot_support": "perhaps"},
        {**REQUIRED, "revert_to_snapshot_support": ""},
        {**REQUIRED, "replication_type": "writable"},
        {**REQUIRED, "a key": "x"},
        {**REQUIRED, "-key": "x"},
        {**REQUIRED, "": "x"},
        {**REQUIRED, "k" * 256: "x"},
        {**REQUIRED, "key": "two\nlines"},
        {**REQUIRED, "key": "v" * 256},
    ],
)
def test_specs_that_no_type_can_have(specs: dict[str, str]) -> None:
    """Each is refused with a word on which and why."""
    with pytest.raises(InvalidInput) as refused:
        share_types.checked(specs)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("value", ["true", "True", "yes", "on", "1", "t", "y", "<is> True"])
def test_what_is_true(value: str) -> None:
    """Manila's words for true, its operator too."""
    assert share_types.boolean("k", value)
    assert share_types.copied({"revert_to_snapshot_support": value})["revert_to_snapshot_support"] is True


@given(st.dictionaries(st.sampled_from(share_types.COPIED), st.sampled_from(["true", "false", "<is> True", "no"])))
def test_what_is_absent_is_false(specs: dict[str, str]) -> None:
    """Public, optional, default False: a share copies each of them, whatever its type says."""
    copied = share_types.copied(specs)
    assert set(copied) == set(share_types.COPIED)
    assert copied == {key: specs.get(key) in ("true", "<is> True") for key in share_types.COPIED}
