"""The OpenAPI document: checked in, served, and true of every answer that the other tests get (``asking.py`` looks)."""

from __future__ import annotations

from pathlib import Path

from asking import Client

from revertkit.api.document import document, text
from revertkit.api.errors import CODES

CHECKED_IN = Path(__file__).parents[2] / "docs" / "openapi.json"


def test_it_is_up_to_date() -> None:
    """What is checked in is what the code says; ``make docs/openapi.json`` writes it."""
    assert CHECKED_IN.read_text() == text(), "run `make docs/openapi.json`"


def test_it_is_served(api: Client) -> None:
    """To everybody, as it is."""
    answer = api.http.get("/openapi.json")
    assert (answer.status_code, answer.json()) == (200, document())


def test_no_server_error_is_planned() -> None:
    """No route says that it answers 500."""
    for operations in document()["paths"].values():
        for operation in operations.values():
            assert "500" not in operation["responses"], operation["operationId"]


def test_every_route_of_the_table_of_errors_is_one() -> None:
    """A name in it that no route has would be a code that nobody gets."""
    names = {operation["operationId"] for path in document()["paths"].values() for operation in path.values()}
    assert {name.partition(":")[0] for name in CODES} <= names
