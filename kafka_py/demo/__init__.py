"""The demo that `make run` shows: a node, 336,776 flights through a real client.

And what came back.
"""
