"""The records: names that can never be an option, a path or a shell's business; sizes; pools."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

import pydantic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from revertkit.models import MAX_SIZE, AccessRule, Context, PoolId, Replica, ShareType, Stored, checked_name, new_id


@given(st.text(st.characters(), max_size=300))
@example("a\nb")
@example("-rf")
@example("a/b")
@example("a\x00b")
@example("x" * 10_240)
@example("\u2028")
@example("\ud800")
@example(" a")
@example("")
@example("a" * 255)
@example("größe ☃ 'quoted' \"twice\" $(reboot) ; *")
def test_a_name_that_is_taken_can_do_no_harm(name: str) -> None:
    """Bad input: names with newlines, leading dashes, slashes, NUL and 10 kB are refused, others kept."""
    try:
        taken = checked_name(name)
    except ValueError as refused:
        assert "name" in str(refused)
        assert str(refused).isprintable(), "a refusal can be printed"
        harmless = name == name.strip() != "" and len(name) <= 255 and name[:1] != "-"
        controls = any(unicodedata.category(c) in ("Cc", "Cs", "Zl") or c in "\u2029/\\" for c in name)
        assert controls or not harmless, f"{name!r} was refused for nothing"
    else:
        assert taken == name
        assert 1 <= len(name) <= 255
        assert not set(name) & set("/\\\x00\n\r")
        assert not name.startswith("-")
        assert name.strip() == name
        name.encode()


@pytest.mark.parametrize("name", ["a\nb", "-x", "a/b", "nul\x00", "n" * 256, "", " ", "a ", "\x7f", "\x9f", "a\\b"])
def test_bad_names_are_refused(name: str) -> None:
    """Bad input, each by itself, wherever a name is part of a record."""
    with pytest.raises(ValueError, match="name"):
        checked_name(name)
    with pytest.raises(pydantic.ValidationError):
        Context(project_id=name)
    with pytest.raises(pydantic.ValidationError):
        ShareType(id=new_id(), name=name, created_at=datetime.now(UTC))


@given(st.tuples(*[st.text(st.characters(exclude_characters="@#"), min_size=1)] * 3))
def test_a_pool_reads_back_as_it_is_written(parts: tuple[str, str, str]) -> None:
    """``host@backend#pool``, there and back, for everything that can be part of one."""
    pool = PoolId(*parts)
    assert PoolId.parse(str(pool)) == pool


@pytest.mark.parametrize(
    "text", ["", "host", "host@backend", "host#pool", "@b#p", "h@#p", "h@b#", "h@b#p#q", "a@h@b#p"]
)
def test_what_is_no_pool_is_refused(text: str) -> None:
    """An answer that says the form it should have."""
    with pytest.raises(ValueError, match="host@backend#pool"):
        PoolId.parse(text)


@pytest.mark.parametrize("size", [-1, 0, MAX_SIZE + 1, 2**63, 2**200])
def test_a_size_no_backend_counts_to_is_no_size(size: int) -> None:
    """Bad input: negative, zero and huge sizes."""
    with pytest.raises(pydantic.ValidationError):
        Stored(backend_id="x", size=size)


def test_records_are_frozen_and_take_no_field_that_nobody_named() -> None:
    """A value travels between the rooms unchanged; a misspelt field is an error, not a default."""
    replica = Replica(id="r", share_id="s", host="h", pool="p", size=1)
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        replica.size = 2  # type: ignore[misc]
    with pytest.raises(pydantic.ValidationError, match="extra"):
        AccessRule(id="r", access_to="10.0.0.1", acess_level="ro")  # type: ignore[call-arg]


def test_ids_never_repeat() -> None:
    """A fresh id for anything."""
    assert len({new_id() for _ in range(1000)}) == 1000
