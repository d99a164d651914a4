"""The log: structlog's events, through the standard library's ``logging``.

So a program that says nothing of logging gets warnings on stderr and no more, and one that does decides by
``logging.getLogger("revertkit")`` as for any other library.
"""

from __future__ import annotations

import logging
from typing import Any, cast

import structlog
from structlog.types import EventDict


def _printable(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Spell out control characters: what users and tools say must not speak to the terminal."""
    return {key: _spelled(value) if isinstance(value, str) else value for key, value in event.items()}


def _spelled(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Answer the logger of one module."""
    logger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            _printable,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return cast(structlog.stdlib.BoundLogger, logger)
