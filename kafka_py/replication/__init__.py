"""Partitions of one broker: their offsets and epochs, the logs beneath.

Who waits for what. No event loop in here.
"""
