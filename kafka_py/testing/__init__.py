"""Test kit for users of kafka_py: virtual time, fakes of the seams, conformance checks."""
