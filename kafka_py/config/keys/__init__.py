"""The tables of keys, by family; each module has one tuple ``KEYS``.

The facts (names, types, defaults, bounds, importance, update mode) are those of Apache Kafka 4.3.1;
tests/oracle holds them against it. The sentences are ours.
"""
