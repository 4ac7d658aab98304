"""The broker process: connections, request handlers, the node that owns them, and the public ``Broker``."""
