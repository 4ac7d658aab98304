"""The broker process: connections, handlers, the node that owns them, the public ``Broker``."""
