"""What a request may not exceed: its head, its body, and the time that the body takes."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

from starlette.types import Message, Receive

from revertkit.api.errors import Fault

HEAD_BYTES = 16384
"""Of request line and headers together; uvicorn is told the same."""
BODY_SECONDS = 30.0
"""How long a body may take to arrive."""


def check_head(scope: MutableMapping[str, Any]) -> None:
    """See that the head is not too large.

    Raises:
        Fault: 431.
    """
    size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    size += sum(len(name) + len(value) + 4 for name, value in scope["headers"])
    if size > HEAD_BYTES:
        raise Fault(431, f"The request's headers have {size} bytes; the limit is {HEAD_BYTES}.")


async def read_body(receive: Receive, limit: int) -> Receive:
    """Read the whole body, and answer a `receive` that gives it again.

    Raises:
        Fault: 413, it is larger than `limit` bytes; 408, it does not arrive.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            more = True
            while more:
                part = await receive()
                body += part.get("body", b"")
                if len(body) > limit:
                    raise Fault(413, f"The request's body is too large; the limit is {limit} bytes.")
                more = part["type"] == "http.request" and part.get("more_body", False)
    except TimeoutError:
        raise Fault(408, f"The request's body did not arrive in {BODY_SECONDS:g} s.") from None
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    return again
