"""What goes to a terminal is text, whoever wrote it."""

from __future__ import annotations

import logging

import pytest

from revertkit.log import get_logger


def test_no_control_character_reaches_the_terminal(caplog: pytest.LogCaptureFixture) -> None:
    """A path of a request, a tool's words, a file's name: spelled out. Words of other languages stay."""
    caplog.set_level(logging.INFO, "revertkit")
    get_logger("revertkit.test").info("request", path="/\x1b[2J\x1b]0;x\x07", who="Bäcker", number=7)
    (line,) = caplog.messages
    assert "\x1b" not in line
    assert "\x07" not in line
    assert r"/\x1b[2J" in line
    assert "Bäcker" in line
