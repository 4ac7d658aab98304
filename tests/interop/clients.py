"""The clients by name."""

from tests.interop.client import Client
from tests.interop.drivers import FranzClient, JavaClient, KafkaJs
from tests.interop.kcat import Kcat
from tests.interop.python_clients import AioKafka, Confluent, KafkaPython

CLIENTS: dict[str, type[Client]] = {
    c.name: c for c in (JavaClient, Confluent, KafkaPython, AioKafka, Kcat, FranzClient, KafkaJs)
}
