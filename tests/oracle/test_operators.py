"""The operators of extra specs are Manila's, in every turn that hypothesis finds."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from revertkit.scheduler import extra_specs

if TYPE_CHECKING:
    from conftest import Manila

pytestmark = pytest.mark.timeout(1800)

OPERATORS = [*extra_specs.OPERATORS, "<or>", "<", ">", "<all-in>", "<all in>", "<IS>", "S==", "<is>true", "s=", "<not>"]
WORDS = ["true", "False", "YES", "off", "0", "1", "t", "10", "9.5", "-1", "1e3", "nan", "inf", "1_0", "nfs", "NFS_CIFS"]
WORDS += ["ssd", "a", "b", "<or>", "<is>", "İ", "ß", "É", "none", "\u0661"]

words = st.sampled_from(WORDS) | st.text(max_size=5)
spaces = st.sampled_from([" ", "  ", "\t", "\u00a0", " \n"])
sentences = st.tuples(st.sampled_from(OPERATORS), st.lists(st.tuples(spaces, words), max_size=4)).map(
    lambda parts: parts[0] + "".join(space + word for space, word in parts[1])
)
comparisons = st.tuples(st.sampled_from(["=", "==", "!=", ">=", "<="]), st.sampled_from(["10", "9.5", "-1"])).map(
    " ".join
)
choices = st.lists(st.sampled_from(["a", "b", "<or>"]), max_size=5).map(lambda some: " ".join(["<or>", *some]))
specs = sentences | comparisons | choices | words | st.tuples(spaces, words, spaces).map("".join)
numbers = st.integers(-12, 12) | st.sampled_from([10**400, 9.5, 1000.0, 10.0, float("nan"), float("inf"), -0.0])
values = st.none() | st.booleans() | numbers | words | st.lists(words, max_size=2) | st.dictionaries(words, words)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, str]:
    """A value and a spec; half of them with a word in common, or a number that is near one in it."""
    wanted = draw(specs)
    if draw(st.booleans()):
        return draw(values), wanted
    common: list[Any] = [word.swapcase() for word in wanted.split()] or [""]
    near = [float(word) for word in wanted.split() if word.isdecimal()]
    return draw(
        st.sampled_from([*common, common[-1] + "s", *near, *(n + 1 for n in near), *(n - 1 for n in near)])
    ), wanted


def test_every_operator(manila: Manila) -> None:
    """Manila's verdict, whatever is reported and asked for; where its code raises, nothing is met."""
    seen: Counter[str] = Counter()

    @settings(max_examples=2000)
    @example(("a", "<or>"))
    @example((True, "<in> true"))
    @example((10**400, "= 1"))
    @example((None, "<is> false"))
    @given(pairs())
    def agrees(pair: tuple[Any, str]) -> None:
        found, wanted = pair
        ours, told = extra_specs.matches(found, wanted), manila.said("match", found=found, wanted=wanted)
        assert ours is told.get("answer", False), told
        seen[str(told.get("answer", told.get("crash", "").split(":")[0]))] += 1

    agrees()
    assert seen["True"] > 200, seen
    assert seen["False"] > 500, seen
    assert set(seen) - {"True", "False"} <= {"IndexError", "TypeError", "OverflowError"}, seen
    assert sum(seen.values()) - seen["True"] - seen["False"] > 50, seen


def test_manila_has_no_operator_that_we_lack(manila: Manila) -> None:
    """A new one in a new version is seen here."""
    assert set(manila.ask("operators")) == set(extra_specs.OPERATORS)


def test_the_boolean_specs_are_manila_s(manila: Manila) -> None:
    """Those that mean ``<is> True`` where they say ``True``."""
    assert set(manila.ask("booleans")) == set(extra_specs.BOOLEANS)
