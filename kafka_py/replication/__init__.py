"""Partitions of one broker: their offsets and epochs, the logs beneath, who waits for what. No event loop in here."""
