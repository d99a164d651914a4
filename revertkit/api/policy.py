"""Who may do what: one table with Manila's rule names, and an operator's ``policy.yaml`` over it (oslo.policy)."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from revertkit.api.errors import DENIED, Fault
from revertkit.errors import SettingsError

ADMIN = "rule:context_is_admin"
MEMBER = f"{ADMIN} or rule:project-member"
READER = f"{ADMIN} or rule:project-reader"

RULES = {
    "context_is_admin": "role:admin",
    "project-member": "role:member and project_id:%(project_id)s",
    "project-reader": "(role:reader or role:member) and project_id:%(project_id)s",
    "availability_zone:index": READER,
    "message:delete": MEMBER,
    "message:get": READER,
    "message:get_all": READER,
    "metrics:get": ADMIN,
    "quota_set:delete": ADMIN,
    "quota_set:show": READER,
    "quota_set:update": ADMIN,
    "scheduler_stats:pools:detail": ADMIN,
    "scheduler_stats:pools:index": ADMIN,
    "service:index": ADMIN,
    "service:update": ADMIN,
    "share:access_get": READER,
    "share:access_get_all": READER,
    "share:allow_access": MEMBER,
    "share:create": MEMBER,
    "share:create_public_share": ADMIN,
    "share:create_snapshot": MEMBER,
    "share:delete": MEMBER,
    "share:delete_share_metadata": MEMBER,
    "share:delete_snapshot": MEMBER,
    "share:deny_access": MEMBER,
    "share:extend": MEMBER,
    "share:force_delete": ADMIN,
    "share:force_extend": ADMIN,
    "share:get": READER,
    "share:get_all": READER,
    "share:get_share_metadata": READER,
    "share:list_by_host": ADMIN,
    "share:manage": ADMIN,
    "share:reset_status": ADMIN,
    "share:reset_task_state": ADMIN,
    "share:revert_to_snapshot": MEMBER,
    "share:shrink": MEMBER,
    "share:snapshot_update": MEMBER,
    "share:unmanage": ADMIN,
    "share:update": MEMBER,
    "share:update_share_metadata": MEMBER,
    "share_export_location:index": READER,
    "share_export_location:show": READER,
    "share_instance:force_delete": ADMIN,
    "share_instance:index": ADMIN,
    "share_instance:reset_status": ADMIN,
    "share_instance:show": ADMIN,
    "share_instance_export_location:index": ADMIN,
    "share_instance_export_location:show": ADMIN,
    "share_replica:create": MEMBER,
    "share_replica:delete": MEMBER,
    "share_replica:force_delete": ADMIN,
    "share_replica:get_all": READER,
    "share_replica:promote": MEMBER,
    "share_replica:reset_replica_state": ADMIN,
    "share_replica:reset_status": ADMIN,
    "share_replica:resync": ADMIN,
    "share_replica:show": READER,
    "share_replica_export_location:index": READER,
    "share_replica_export_location:show": READER,
    "share_snapshot:access_list": READER,
    "share_snapshot:allow_access": MEMBER,
    "share_snapshot:delete_metadata": MEMBER,
    "share_snapshot:deny_access": MEMBER,
    "share_snapshot:force_delete": ADMIN,
    "share_snapshot:get_all_snapshots": READER,
    "share_snapshot:get_metadata": READER,
    "share_snapshot:get_snapshot": READER,
    "share_snapshot:manage_snapshot": ADMIN,
    "share_snapshot:reset_status": ADMIN,
    "share_snapshot:unmanage_snapshot": ADMIN,
    "share_snapshot:update_metadata": MEMBER,
    "share_snapshot_export_location:index": READER,
    "share_snapshot_export_location:show": READER,
    "share_type:add_project_access": ADMIN,
    "share_type:create": ADMIN,
    "share_type:default": READER,
    "share_type:delete": ADMIN,
    "share_type:index": READER,
    "share_type:list_project_access": ADMIN,
    "share_type:remove_project_access": ADMIN,
    "share_type:show": READER,
    "share_type:update": ADMIN,
    "share_types_extra_spec:create": ADMIN,
    "share_types_extra_spec:delete": ADMIN,
    "share_types_extra_spec:index": ADMIN,
    "share_types_extra_spec:show": ADMIN,
    "share_types_extra_spec:update": ADMIN,
}


class Policy:
    """The rules in force."""

    def __init__(self, file: Path | None = None) -> None:
        """Read the rules.

        Raises:
            SettingsError: `file` is not there, or holds what is no rule.
        """
        from oslo_config import cfg
        from oslo_policy import policy

        if file is not None and not file.is_file():
            raise SettingsError(f"the policy file {file} is not there")
        conf = cfg.ConfigOpts()
        conf([], project="revertkit", default_config_files=[], default_config_dirs=[])
        self._enforcer: Any = policy.Enforcer(conf, policy_file=str(file or os.devnull))
        conf.set_override("policy_dirs", [], group="oslo_policy")
        self._enforcer.register_defaults([policy.RuleDefault(name, rule) for name, rule in RULES.items()])
        try:
            self._enforcer.load_rules(True)
            self._enforcer.check_rules(raise_on_violation=True)
        except Exception as wrong:
            raise SettingsError(f"the policy file {file} cannot be used: {wrong}") from wrong
        self._enforcer.use_conf = False  # what is in force is in memory now; no look at the file at each request
        self.allows = lru_cache(maxsize=4096)(self._allows)
        """Say whether a rule lets somebody with these roles in a project touch what belongs to the project `whose`."""

    def _allows(self, rule: str, project_id: str, roles: tuple[str, ...], whose: str) -> bool:
        creds = {"roles": list(roles), "project_id": project_id}
        return bool(self._enforcer.enforce(rule, {"project_id": whose}, creds))

    def demand(self, rule: str, project_id: str, roles: tuple[str, ...], whose: str) -> None:
        """Refuse what :meth:`allows` does not.

        Raises:
            Fault: 403.
        """
        if not self.allows(rule, project_id, roles, whose):
            raise Fault(403, DENIED)
