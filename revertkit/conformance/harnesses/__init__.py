"""The harnesses of revertkit's own drivers: what hands on their storage the suite can have."""
