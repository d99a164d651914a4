"""The REST API, in the dialect of OpenStack Manila's v2.

What a request passes through, in order: :mod:`~revertkit.api.door` (request id, limits, microversion, who asks), one
of the files in :mod:`~revertkit.api.routes` (find, ask the policy, call the manager), and
:mod:`~revertkit.api.wire` (Manila's JSON). Errors become HTTP codes in :mod:`~revertkit.api.errors` only.
"""
