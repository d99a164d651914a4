"""Where an accepted operation runs: in threads of this process (:mod:`~revertkit.dispatch.threads`)."""
