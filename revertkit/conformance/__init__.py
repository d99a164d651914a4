"""The suite that the author of a driver runs on it: see docs/conformance.md.

``python -m pytest --pyargs revertkit.conformance --driver NAME --config FILE``. What an author writes, if anything, is
a :class:`~revertkit.conformance.harness.Harness`; the cases are in :mod:`revertkit.conformance.cases`, to be imported
into a test module of one's own too. Nothing is imported here: pytest loads the plugin at every start, of everybody.
"""
