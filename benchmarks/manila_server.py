"""OpenStack Manila itself, to be measured beside revertkit: API, scheduler and one share service in one process.

Run by the Python of a virtual environment with the real `manila` package (tests/oracle/manila_env.py). Native threads,
its default, and waitress as its WSGI server: on its own, deprecated one (eventlet) every request took several times as
long. RPC in memory, SQLite, no authentication, and the dummy driver that Manila tests itself with, told not to sleep.
The tables are made from its models: its migrations lock themselves out on SQLite.
"""

from __future__ import annotations

import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import waitress
from manila import monkey_patch

monkey_patch.patch()

from manila import context, db, rpc, service, version  # noqa: E402
from manila.common import config  # noqa: E402
from manila.db.sqlalchemy import api as engine_of  # noqa: E402
from manila.db.sqlalchemy import models  # noqa: E402
from oslo_config import cfg  # noqa: E402
from oslo_log import log  # noqa: E402
from oslo_service import wsgi  # noqa: E402

QUOTAS = ("shares", "gigabytes", "snapshots", "snapshot_gigabytes")
QUICK = ("create_share", "get_pool", "do_setup", "_get_pools_info", "_update_share_stats", "ensure_shares")
SPECS = dict.fromkeys(("snapshot_support", "revert_to_snapshot_support"), "True")
SETTINGS = """
[DEFAULT]
transport_url = fake:/
auth_strategy = noauthv2
state_path = {home}
api_paste_config = {prefix}/etc/manila/api-paste.ini
osapi_share_listen = 127.0.0.1
osapi_share_listen_port = {port}
host = node-1
enabled_share_backends = fast
enabled_share_protocols = NFS
default_log_levels = manila=WARNING,eventlet=WARNING
log_file = {home}/log
[database]
connection = sqlite:///{home}/manila.sqlite
[quota]
{quotas}
[oslo_concurrency]
lock_path = {home}/locks
[coordination]
backend_url = file://{home}/coordination
[fast]
share_driver = manila.tests.share.drivers.dummy.DummyDriver
share_backend_name = fast
driver_handles_share_servers = false
dummy_driver_default_driver_method_delay = 0
dummy_driver_driver_methods_delays = {delays}
"""


def fill(count: int, project: str) -> None:
    """Put a share type and `count` shares of another host on record, an export location each."""
    specs = {"driver_handles_share_servers": "False", **SPECS}
    made = db.share_type_create(context.get_admin_context(), {"name": "t", "extra_specs": specs})
    began = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    rows: dict[type, list[dict[str, object]]] = {
        model: [] for model in (models.Share, models.ShareInstance, models.ShareInstanceExportLocations)
    }
    for number in range(count):
        share, instance = str(uuid.uuid4()), str(uuid.uuid4())
        common = {"created_at": began + timedelta(seconds=number), "deleted": "False"}
        supports = dict.fromkeys(SPECS, True) | {"create_share_from_snapshot_support": False}
        of_share = {"project_id": project, "user_id": "admin", "size": 1, "share_proto": "NFS", "is_public": False}
        named = {"display_name": f"share-{number}", **supports, **of_share}
        rows[models.Share].append({"id": share, **common, **named})
        placed = {"host": "elsewhere@fast#pool", "status": "available", "share_type_id": made["id"]}
        rows[models.ShareInstance].append({"id": instance, "share_id": share, **common, **placed})
        path = {"path": f"10.0.0.1:/{share}", "uuid": str(uuid.uuid4()), "is_admin_only": False}
        where = {"share_instance_id": instance, "created_at": common["created_at"], "deleted": 0}
        rows[models.ShareInstanceExportLocations].append({**where, **path})
    with engine_of.get_engine().begin() as connection:
        for model, values in rows.items():
            if values:
                connection.execute(model.__table__.insert(), values)


def main() -> None:
    """Serve until a signal says to stop."""
    home, port, count, project = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
    settings = home / "manila.conf"
    quotas = "\n".join(f"{name} = -1" for name in QUOTAS)
    delays = ",".join(f"{name}:0" for name in QUICK)
    settings.write_text(SETTINGS.format(home=home, prefix=sys.prefix, port=port, quotas=quotas, delays=delays))
    log.register_options(cfg.CONF)
    cfg.CONF(["--config-file", str(settings)], project="manila", version=version.version_string())
    config.set_lib_defaults()
    log.setup(cfg.CONF, "manila")
    rpc.init(cfg.CONF)
    models.BASE.metadata.create_all(engine_of.get_engine())
    fill(count, project)
    share = service.Service.create(host="node-1@fast", service_name="fast", binary="manila-share", coordination=True)
    for each in (service.Service.create(binary="manila-scheduler"), share):
        each.start()
    waitress.serve(wsgi.Loader(cfg.CONF).load_app("osapi_share"), listen=f"127.0.0.1:{port}", threads=16)


main()
