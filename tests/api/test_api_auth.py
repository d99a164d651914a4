"""Who asks: none on loopback only, http_basic with an htpasswd file, a policy over the built-in one."""

from __future__ import annotations

import base64
import logging
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from asking import CALLERS, As, Client, client_of

from revertkit.api import auth
from revertkit.api.auth import HttpBasic, Nobody, chosen
from revertkit.api.policy import RULES, Policy
from revertkit.errors import SettingsError
from revertkit.manager import ShareManager
from revertkit.settings import ApiSettings, ApiUser

NEWEST = {"X-OpenStack-Manila-API-Version": "2.99"}
USERS = {
    "ann": ApiUser(projects={"project": ["admin"], "second": ["reader"]}),
    "bob": ApiUser(projects={"blue": ["member"]}),
}


def hashed(password: str) -> str:
    """Hash quickly; what is tested is not how long it takes."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


@pytest.fixture
def htpasswd(tmp_path: Path) -> Path:
    """A file as ``htpasswd -B`` makes it."""
    file = tmp_path / "htpasswd"
    file.write_text(
        f"# users\nann:{hashed('pa:ss')}\nbob:{hashed('word').replace('$2b$', '$2y$')}\neve:{hashed('eve')}\n"
    )
    return file


def basic(name: str, password: str) -> dict[str, str]:
    """The header of a name and password."""
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.1", "::", "2001:db8::1"])
def test_none_serves_this_machine_only(address: str) -> None:
    """Any other address is refused, and the mend named."""
    with pytest.raises(SettingsError, match="use http_basic or keystone there"):
        chosen(ApiSettings(address=address), "project")
    for own in ("127.0.0.1", "127.1.2.3", "::1"):
        assert isinstance(chosen(ApiSettings(address=own), "project"), Nobody)
    with pytest.raises(SettingsError, match="IP address"):
        chosen(ApiSettings(address="localhost"), "project")


def test_none_is_not_for_a_page_in_a_browser(served: ShareManager) -> None:
    """Another host's name, though it leads here, is refused; a token means nothing."""
    client = client_of(served, Nobody("project"))
    for host in ("127.0.0.1:8786", "localhost", "localhost:1", "[::1]:8786"):
        assert client.get("/v2/shares", headers={"host": host, "X-Auth-Token": "notused"}).status_code == 200
    for host in ("evil.example", "evil.example:8786", "127.0.0.1.evil.example", "192.0.2.1"):
        answer = client.get("/v2/shares", headers={"host": host})
        assert (answer.status_code, next(iter(answer.json()))) == (403, "forbidden")
    for said, code in (
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:8786", "sec-fetch-site": "same-origin"}, 200),
    ):
        assert client.get("/v2/shares", headers={"host": "localhost:8786", **said}).status_code == code, said


def test_http_basic(served: ShareManager, htpasswd: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Right and wrong passwords, users without a project, projects by URL; the discovery is open, /v2 is not."""
    caplog.set_level(logging.DEBUG, "revertkit")
    client = client_of(served, HttpBasic(htpasswd, USERS))
    assert client.get("/").status_code == 300
    for path in ("/v2", "/v2/", "/v2/shares", "/v2/nosuch"):
        answer = client.get(path)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="revertkit"'
    wrong: list[Any] = [
        basic("ann", "wrong"),
        basic("ann", ""),
        basic("nobody", "pa:ss"),
        basic("", ""),
        {"authorization": "Basic ###"},
        {"authorization": "Basic"},
        {"authorization": "Bearer x"},
        {"authorization": "Basic " + base64.b64encode(b"\xff:\xff").decode()},
        basic("bob", "word\0"),
    ]
    for headers in wrong:
        assert client.get("/v2/shares", headers=headers).status_code == 401, headers
    for _ in range(2):
        assert client.get("/v2/shares", headers=basic("ann", "pa:ss")).status_code == 200
    assert client.get("/v2/shares", headers=basic("eve", "eve")).status_code == 403
    assert client.get("/v2/services", headers=basic("bob", "word") | NEWEST).status_code == 403
    reader = client.get("/v2/second/services", headers=basic("ann", "pa:ss") | NEWEST)
    assert reader.status_code == 403
    assert client.get("/v2/blue/shares", headers=basic("ann", "pa:ss")).status_code == 404
    assert client.get("/v2/blue/shares", headers=basic("bob", "word")).status_code == 200
    for headers, code in {(): 401, ("bob", "word"): 403, ("ann", "pa:ss"): 404}.items():
        assert client.get("/metrics", headers=basic(*headers) if headers else {}).status_code == code, headers
    for secret in ("pa:ss", "word", "Basic", basic("ann", "pa:ss")["authorization"].split()[1]):
        assert secret not in caplog.text


def test_the_file_is_read_again(served: ShareManager, htpasswd: Path) -> None:
    """A password that was taken away is wrong at once, though it was remembered as right."""
    client = client_of(served, HttpBasic(htpasswd, USERS))
    assert client.get("/v2/shares", headers=basic("bob", "word")).status_code == 200
    htpasswd.write_text(f"bob:{hashed('other')}\n")
    assert client.get("/v2/shares", headers=basic("bob", "word")).status_code == 401
    assert client.get("/v2/shares", headers=basic("bob", "other")).status_code == 200
    htpasswd.unlink()
    assert client.get("/v2/shares", headers=basic("bob", "other")).status_code == 503


@pytest.mark.parametrize("line", ["ann", "ann:", "ann:secret", "ann:$apr1$secret", ":$2y$05$x"])
def test_a_file_that_is_no_htpasswd(tmp_path: Path, line: str) -> None:
    """Said with file and line, without what stands there."""
    file = tmp_path / "htpasswd"
    file.write_text(f"\n{line}\n")
    with pytest.raises(SettingsError, match=r"htpasswd:2: .*htpasswd -nB") as refused:
        HttpBasic(file, USERS)
    assert "secret" not in str(refused.value)
    with pytest.raises(SettingsError, match="cannot be read"):
        HttpBasic(tmp_path / "none", USERS)


def test_a_policy_over_the_built_in_one(served: ShareManager, tmp_path: Path) -> None:
    """An operator's file changes the rules that it names; the others stay."""
    file = tmp_path / "policy.yaml"
    file.write_text('"share:revert_to_snapshot": "rule:context_is_admin"\n"service:index": "role:reader"\n')
    client = client_of(served, As(CALLERS), policy=Policy(file))
    api = Client(client)
    share = api.share()
    snapshot = api.snapshot(share)
    api.as_("member").revert(share, snapshot, 403)
    api.revert(share, snapshot)
    api.as_("reader").get("/services")
    api.as_("reader").refused("GET", "/scheduler-stats/pools", None, 403)


@pytest.mark.parametrize(
    ("content", "said"), [(None, "is not there"), ("[", "cannot be used"), ('"a": "rule:none"', "cannot be used")]
)
def test_a_policy_that_is_none(tmp_path: Path, content: str | None, said: str) -> None:
    """A file that cannot be what it should is refused at the start, not at the first request."""
    file = tmp_path / "policy.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SettingsError, match=said):
        Policy(file)


def test_every_rule_that_is_asked_for_is_in_the_table() -> None:
    """A rule that the table does not have would refuse everybody, an administrator too."""
    import re

    root = Path(auth.__file__).parent
    asked = {
        rule
        for file in (root / "routes").glob("*.py")
        for rule in re.findall(r'"([a-z_]+:[a-z_:]+)"', file.read_text())
        if not rule.startswith(("share_type_access:", "os-share"))
    }
    by_name = {rule for rule in RULES if rule.startswith(("share_instance:", "share_replica:"))}
    elsewhere = by_name | {"share:list_by_host", "metrics:get"}
    assert {rule for rule in RULES if ":" in rule} - asked - elsewhere == set()
