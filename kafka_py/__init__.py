"""Apache Kafka as one pip install: a wire- and disk-compatible broker over the kcore storage core.

    with kafka_py.Broker() as broker:
        print(broker.bootstrap_servers)

Names are loaded when they are first used, so that importing the package is cheap.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kafka_py.server.broker import Broker

__version__ = "0.1.0"
__all__ = ["Broker", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Broker":
        return _load_broker()
    raise AttributeError(f"module 'kafka_py' has no attribute {name!r}")


def _load_broker() -> type[Broker]:
    """Import the server without looking for garbage in it.

    Two hundred modules make a hundred thousand objects that stay, and the collector walks over them
    again and again: a sixth of the import. Frozen and thawed they are with the oldest objects,
    which are looked at seldom; what the program has frozen itself is left as it is.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        from kafka_py.server.broker import Broker
    finally:
        if collecting:
            if not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()
            gc.enable()
    return Broker
