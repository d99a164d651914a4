"""``revertkit serve``: the REST API, in OpenStack Manila's dialect."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from revertkit.cli.output import note
from revertkit.cli.session import session_of, set_up_logs


class Auth(StrEnum):
    """How the API knows who asks."""

    NONE = "none"
    HTTP_BASIC = "http_basic"
    KEYSTONE = "keystone"


Address = Annotated[
    str | None, typer.Option("--host", metavar="ADDRESS", help="The IP address to listen at; default 127.0.0.1.")
]
Port = Annotated[int | None, typer.Option("--port", help="The port; default 8786, as Manila's; 0: a free one.")]
AuthOption = Annotated[
    Auth | None,
    typer.Option("--auth", help="none: this machine only, nobody is asked; http_basic: a file of users; keystone."),
]
Htpasswd = Annotated[
    Path | None, typer.Option("--htpasswd", metavar="FILE", help="Users and bcrypt hashes (htpasswd -B).")
]
PolicyFile = Annotated[
    Path | None, typer.Option("--policy", metavar="FILE", help="A policy.yaml over the built-in rules.")
]
Certificate = Annotated[
    Path | None, typer.Option("--ssl-certfile", metavar="FILE", help="Serve HTTPS with this certificate.")
]
CertificateKey = Annotated[Path | None, typer.Option("--ssl-keyfile", metavar="FILE", help="The certificate's key.")]


def serve(
    ctx: typer.Context,
    address: Address = None,
    port: Port = None,
    auth: AuthOption = None,
    htpasswd: Htpasswd = None,
    policy: PolicyFile = None,
    ssl_certfile: Certificate = None,
    ssl_keyfile: CertificateKey = None,
) -> None:
    """Serve shares over REST, as OpenStack Manila does, so that `openstack share` and its like work.

    First whatever was interrupted is recovered. Long operations answer 202 and go on in this process; SIGTERM waits
    for them, bounded (api.stop_seconds of the settings), and the next start finishes or puts back what was left.

    On this machine, without any option, the client is:

      openstack --os-auth-type none --os-endpoint http://127.0.0.1:8786/v2 share list

    Every option is a setting too, in the section `api` of the settings file.
    """
    from revertkit.api.serve import run

    session = session_of(ctx)
    given = {
        "address": address,
        "port": port,
        "auth": auth,
        "htpasswd": htpasswd,
        "policy": policy,
        "ssl_certfile": ssl_certfile,
        "ssl_keyfile": ssl_keyfile,
    }
    settings = session.settings_for_api({key: value for key, value in given.items() if value is not None})
    set_up_logs(verbose=session.verbose, level="INFO")
    run(settings, announce=note)


def add_to(app: typer.Typer) -> None:
    """Make it a command of `app`."""
    app.command("serve")(serve)
