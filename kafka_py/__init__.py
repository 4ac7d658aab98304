"""Apache Kafka as one pip install: a wire- and disk-compatible broker over the kcore storage core.

    with kafka_py.Broker() as broker:
        print(broker.bootstrap_servers)

Names are loaded when they are first used, so that importing the package is cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kafka_py.server.broker import Broker

__version__ = "0.1.0"
__all__ = ["Broker", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Broker":
        from kafka_py.server.broker import Broker

        return Broker
    raise AttributeError(f"module 'kafka_py' has no attribute {name!r}")
