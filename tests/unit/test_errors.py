"""The tree of errors, its docstring and the exit codes of the command line."""

from __future__ import annotations

import inspect
import re

import pytest

from revertkit import errors
from revertkit.models import Blocker

CLASSES = {
    name: cls for name, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, errors.RevertkitError)
}


def drawn() -> dict[str, tuple[str | None, int]]:
    """Read parent and exit code of each error out of the tree in the module's docstring."""
    found: dict[str, tuple[str | None, int]] = {}
    above: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        if node := re.match(r" {4}([│├└─ ]*)(\w+) +(\d+) {3}\S", line):
            depth, name = len(node[1]) // 4, node[2]
            found[name] = (above.get(depth - 1), int(node[3]))
            above[depth] = name
    return found


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """Each error is drawn under its parent, with its exit code; none is left out and none is invented."""
    parents = {name: cls.__bases__[0].__name__ for name, cls in CLASSES.items()}
    tree = drawn()
    assert len(tree) > 10, "the docstring's tree was not read"
    assert tree.keys() == CLASSES.keys()
    assert {name: parent for name, (parent, _) in tree.items() if parent} == {
        name: parent for name, parent in parents.items() if name != "RevertkitError"
    }
    assert {name: code for name, (_, code) in tree.items()} == {n: c.exit_code for n, c in CLASSES.items()}


def test_exit_codes_tell_what_to_do_apart() -> None:
    """A code is shared only within a branch of the tree, or by the store and the locks: both are this host's own."""
    tops = [cls for cls in CLASSES.values() if cls.__bases__ == (errors.RevertkitError,)]
    codes = [cls.exit_code for cls in tops if cls is not errors.LockError]
    assert len(codes) == len(set(codes))
    assert errors.LockError.exit_code == errors.StoreError.exit_code
    assert not {0, 1, 11, 130} & set(codes), "0 is success, 1 unforeseen, 11 the user's no, 130 an interrupt"
    for cls in CLASSES.values():
        if cls not in (errors.RevertkitError, *tops):
            assert cls.exit_code == cls.__bases__[0].exit_code


def test_a_refusal_names_every_blocker_and_its_mend() -> None:
    """Behaviours, refusals: nothing changed, and every blocker named, not only the first."""
    one = Blocker(kind="open", what="process 7 (vi) has it open", mend="close it")
    two = Blocker(kind="newer", what="snapshot x is newer", mend="delete it")
    refused = errors.Blocked(one, two)
    assert refused.blockers == (one, two)
    assert str(refused) == "process 7 (vi) has it open (close it); snapshot x is newer (delete it)"


@pytest.mark.parametrize(("status", "how"), [(5, "exited with 5"), (None, "ran out of time")])
def test_a_failed_command_keeps_what_it_said(status: int | None, how: str) -> None:
    """CommandFailed has argv, status and stderr, and says them."""
    failed = errors.CommandFailed(["lvs", "-a"], status, "  no such group\n")
    assert (failed.argv, failed.status, failed.stderr) == (["lvs", "-a"], status, "  no such group\n")
    assert str(failed) == f"lvs -a {how}: no such group"
    assert "it said nothing" in str(errors.CommandFailed(["lvs"], 1, " \n"))
