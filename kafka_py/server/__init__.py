"""The broker process: connections, request handlers, the node that owns them.

And the public ``Broker``.
"""
