"""Coordinators: replicated state machines over the partitions of Kafka's own topics.

One shape for groups, transactions and share groups: `machine` has its nouns, `runtime` drives a
machine over the log of its partition.
"""
