"""schemathesis on the OpenAPI document: whatever it asks, no 500, and no answer that the document does not tell of.

Each run has a seed of its own and prints it; ``REVERTKIT_TEST_SEED=<seed> pytest tests/api/test_api_schemathesis.py``
asks the same again, and ``REVERTKIT_TEST_SECONDS=600`` asks for longer.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import support
from asking import Client, app, client_of
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from test_api_auth import basic, hashed
from test_api_two_projects import Names, things_of

from revertkit.api.auth import Authentication, HttpBasic, Nobody
from revertkit.manager import ShareManager
from revertkit.settings import ApiUser

SEED = int(os.environ.get("REVERTKIT_TEST_SEED") or random.randrange(2**32))
SECONDS = float(os.environ.get("REVERTKIT_TEST_SECONDS") or 8)
"""For each of the callers; every operation is asked at least once, however long that takes."""
AT_ONCE, MOST = 2, 100
PROJECT = "a0a0a0a0"
USERS = {"ann": ApiUser(projects={PROJECT: ["admin"]}), "bob": ApiUser(projects={PROJECT: ["member"]})}
CALLERS: dict[str, dict[str, str]] = {
    "none": {},
    "administrator": basic("ann", "word"),
    "member": basic("bob", "word"),
    "no credentials": {},
}
VERSIONS = (None, "2.6", "2.51", "2.99", "2.99", "latest")
TOLD = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
load_all_checks()
SCHEMA = schemathesis.openapi.from_dict(app().openapi())
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations()]


@pytest.fixture
def auth(caller: str, tmp_path: Path) -> Authentication:
    """What the caller is known by."""
    if caller == "none":
        return Nobody(PROJECT)
    file = tmp_path / "htpasswd"
    file.write_text("".join(f"{name}:{hashed('word')}\n" for name in USERS))
    return HttpBasic(file, USERS)


@pytest.mark.parametrize("caller", CALLERS)
def test_whatever_is_asked(
    replicating: ShareManager, auth: Authentication, caller: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Requests in the document's form and out of it, of things that are there and not: every answer is a told one."""
    with client_of(replicating, Nobody(PROJECT)) as http:
        names = things_of(Client(http, "admin"), PROJECT)
    replicating.look_at_replicas()
    told: Counter[int] = Counter()
    end = time.monotonic() + SECONDS
    with client_of(replicating, auth) as http:
        for left, operation in zip(range(len(OPERATIONS), 0, -1), OPERATIONS, strict=True):
            until = time.monotonic() + (end - time.monotonic()) / left
            asked = asking(http, operation, CALLERS[caller], names, until)
            assert asked, operation.label
            told += asked
    replicating.look_at_replicas()  # which finds the instances that a deleted snapshot has on other replicas
    support.assert_at_rest(replicating)
    if caller == "no credentials":  # what is malformed is told so before anybody is asked who they are
        assert {401} <= set(told) <= {200, 300, 400, 401}, told
    else:
        assert {200, 400, 404} <= set(told), told
    with capsys.disabled():
        print(f"\nschemathesis, {caller}: seed {SEED}, {told.total()} requests, answers {dict(sorted(told.items()))}")


def asking(http: Any, operation: Any, who: dict[str, str], names: Names, until: float) -> Counter[int]:
    """Ask for one operation until it is time for the next; answer how often there was which code."""
    told: Counter[int] = Counter()
    cases = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode))

    @settings(max_examples=AT_ONCE, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(case=cases, version=st.sampled_from(VERSIONS), real=st.booleans())
    def ask(case: Any, version: str | None, real: bool) -> None:
        if real:
            name_what_is_there(case, names)
        headers = who | ({"X-OpenStack-Manila-API-Version": version} if version else {})
        request = case.as_transport_kwargs(base_url="http://127.0.0.1:8786", headers=headers)
        wanted = {"method", "url", "params", "headers", "json"}
        how = {key: value for key, value in request.items() if key in wanted}
        got = http.request(**how, **({"content": request["data"]} if request.get("data") is not None else {}))
        told[got.status_code] += 1
        case.validate_response(got, checks=CHECKS.get_by_names(TOLD))

    for turn in range(MOST):
        seed(SEED + turn)(ask)()
        if time.monotonic() > until:
            break
    return told


def name_what_is_there(case: Any, names: Names) -> None:
    """Put what is there in place of the ids that schemathesis made up, in the path, the query and the body."""
    things = {f"{each}_id": name for each, name in names.items()} | {"access_id": names["rule"], "key": "a"}
    things["thing_id"] = names["snapshot" if case.path.startswith("/v2/snapshots") else "share"]
    for where in (case.path_parameters, case.query):
        where.update({key: things[key] for key in where if key in things})
    case.body = named(case.body, things)


def named(body: Any, things: dict[str, str]) -> Any:
    """Put what is there into a body, at every depth."""
    if isinstance(body, list):
        return [named(each, things) for each in body]
    if isinstance(body, dict):
        return {key: things.get(key) or named(each, things) for key, each in body.items()}
    return body
