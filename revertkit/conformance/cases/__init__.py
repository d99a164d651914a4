"""The cases, by topic. They are run where they are, and can be imported into a test module of one's own::

    from revertkit.conformance.cases import *

with ``revertkit_harness = "mypackage.harness:MyHarness"`` in pytest's settings.
"""

from revertkit.conformance.cases.test_adoption import *
from revertkit.conformance.cases.test_claims import *
from revertkit.conformance.cases.test_data import *
from revertkit.conformance.cases.test_failure import *
from revertkit.conformance.cases.test_identity import *
from revertkit.conformance.cases.test_refusals import *
from revertkit.conformance.cases.test_replica_sweeps import *
from revertkit.conformance.cases.test_replicas import *
from revertkit.conformance.cases.test_second_look import *
from revertkit.conformance.cases.test_sweeps import *
from revertkit.conformance.cases.test_truth import *
