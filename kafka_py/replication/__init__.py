"""Partitions of one broker: offsets and epochs, the logs beneath, who waits for what.

There is no event loop in here.
"""
