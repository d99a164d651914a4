"""The routes, one file per resource: find what it is about, ask the policy, call the manager, show."""
