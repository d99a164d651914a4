"""Manila's own scheduler, asked in lines of JSON: one question a line on stdin, one answer a line on stdout.

Run by the Python of a virtual environment that has the real `manila` package (manila_env.py); it imports nothing of
revertkit. What Manila's code raises is answered as ``{"crash": …}``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from manila import context, rpc
from manila.scheduler import host_manager
from manila.scheduler.drivers.filter import FilterScheduler
from manila.scheduler.filters import extra_specs_ops
from manila.share import share_types
from oslo_config import cfg

ADMIN = context.get_admin_context()
NOW = datetime(2026, 1, 1)


def match(found: Any, wanted: str) -> bool:
    """Ask for one operator."""
    return bool(extra_specs_ops.match(found, wanted))


def operators() -> list[str]:
    """Name the operators that Manila has, but ``<or>``."""
    return list(extra_specs_ops._op_methods)


def booleans() -> list[str]:
    """Name the extra specs that are booleans to it."""
    return list(share_types.get_boolean_extra_specs())


def schedule(pools: dict[str, dict[str, Any]], request: dict[str, Any], *, again: bool = False) -> dict[str, Any]:
    """Let each of Manila's default filters judge each pool, its default weighers weigh those that pass, and choose.

    `pools` are reports by host@backend#pool, as they are; `again`, a second report comes after a share was placed.
    """
    scheduler = _scheduler(pools)
    if again:
        for state in scheduler.host_manager.get_all_host_states_share(ADMIN):
            state.consume_from_share({"size": 1})
        _report(scheduler.host_manager, pools, NOW + timedelta(days=300))
    properties = _properties(scheduler, request)
    hosts = list(scheduler.host_manager.get_all_host_states_share(ADMIN))
    refused = {host.host: _refusals(scheduler, host, properties) for host in hosts}
    weighed = _choose(scheduler, hosts, properties)
    return {"refused": refused, "weights": [[each.obj.host, each.weight] for each in weighed]}


def timed(pools: dict[str, dict[str, Any]], request: dict[str, Any], times: int) -> dict[str, Any]:
    """Choose as often, and say how many milliseconds each choice took; the reports are taken in before."""
    scheduler = _scheduler(pools)
    hosts = list(scheduler.host_manager.get_all_host_states_share(ADMIN))
    took, weighed = [], []
    for _ in range(times):
        began = time.perf_counter()
        weighed = _choose(scheduler, hosts, _properties(scheduler, request))
        took.append((time.perf_counter() - began) * 1000)
    return {"took": took, "chosen": weighed[0].obj.host}


def _choose(scheduler: FilterScheduler, hosts: list[Any], properties: dict[str, Any]) -> list[Any]:
    passed, _ = scheduler.host_manager.get_filtered_hosts(hosts, properties)
    return list(scheduler.host_manager.get_weighed_hosts(passed or [], properties))


def _properties(scheduler: FilterScheduler, request: dict[str, Any]) -> dict[str, Any]:
    """Turn a request of ours into what Manila's filters and weighers are given."""
    spec = {
        "share_properties": {"size": request["size"], "share_proto": request["protocol"]},
        "share_instance_properties": {"availability_zone_id": request["zone"]},
        "share_type": {"extra_specs": dict(request["specs"])},
        "share_proto": request["protocol"],
        "availability_zones": request["zones"],
        "is_share_extend": request["grows"],
    }
    if request["active"]:
        spec |= {"active_replica_host": request["active"], "all_replica_hosts": ",".join(request["taken"])}
    properties, _ = scheduler._format_filter_properties(ADMIN, {}, spec)
    grown = {"size_increase": request["size"]} if request["grows"] else {}
    return {**properties, "snapshot_id": "any" if request["from_snapshot"] else None, **grown}


def _refusals(scheduler: FilterScheduler, host: Any, properties: dict[str, Any]) -> list[str]:
    names = cfg.CONF.scheduler_default_filters
    return [name for name in names if not scheduler.host_manager.get_filtered_hosts([host], properties, [name])[0]]


@cache
def _made() -> FilterScheduler:
    """Make Manila's scheduler, without what its RPC would need."""
    scheduler = object.__new__(FilterScheduler)
    scheduler.host_manager = host_manager.HostManager()
    scheduler.max_attempts = 1
    scheduler._get_configuration_options = dict
    return scheduler


def _scheduler(pools: dict[str, dict[str, Any]]) -> FilterScheduler:
    """Let the scheduler know these reports, and no others, as share services would tell it."""
    scheduler = _made()
    scheduler.host_manager.service_states.clear()
    scheduler.host_manager.host_state_map.clear()
    _report(scheduler.host_manager, pools, NOW)
    return scheduler


def _report(manager: host_manager.HostManager, pools: dict[str, dict[str, Any]], at: datetime) -> None:
    zones: dict[str, str] = {}
    by_backend: dict[str, list[dict[str, Any]]] = {}
    for name, report in pools.items():
        backend = name.split("#")[0]
        zones[backend] = report["availability_zone"]
        by_backend.setdefault(backend, []).append(dict(report))
    for backend, reports in by_backend.items():
        of_all = {key: reports[0].get(key) for key in ("share_backend_name", "vendor_name", "storage_protocol")}
        manager.update_service_capabilities("share", backend, {**of_all, "pools": reports}, at)
    services = [
        {"host": host, "availability_zone_id": zone, "availability_zone": {"name": zone}, "disabled": False}
        for host, zone in zones.items()
    ]
    host_manager.db.service_get_all_by_topic = lambda *_, **__: services


ASKED = {"match": match, "operators": operators, "booleans": booleans, "schedule": schedule, "timed": timed}


def main() -> None:
    """Answer until stdin ends."""
    os.environ["OS_DEFAULT__TRANSPORT_URL"] = "fake:/"
    cfg.CONF([], project="manila", default_config_files=[])
    rpc.init(cfg.CONF)
    host_manager.utils.service_is_up = lambda _: True
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = {"answer": ASKED[question.pop("ask")](**question)}
        except Exception as crash:  # noqa: BLE001 - whatever Manila raises is its answer
            answer = {"crash": f"{type(crash).__name__}: {crash}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
