"""A node for the tests of admin handlers: a real configuration and image, a recorded controller."""

from kafka_py.config.broker import BrokerConfig
from kafka_py.metadata.image import MetadataImage
from kafka_py.protocol import records_metadata as r
from kafka_py.protocol.errors import ErrorCode
from kafka_py.replication.moves import Moves
from kafka_py.server.dispatch import BROKER, RequestContext

BASE = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "controller.quorum.voters": "1@127.0.0.1:9093",
    "listeners": "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093",
    "log.dirs": "/data/a",
}


def directory_id(number):
    """A directory id that is none of the reserved ones."""
    return bytes([number]) * 16


class AdminNode:
    """What admin handlers use of ``Node``."""

    def __init__(self, **properties):
        given = {name.replace("_", "."): text for name, text in properties.items()}
        self.config = BrokerConfig({**BASE, **given})
        self.cluster_id = "cluster-of-the-test"
        self.node_id = 1
        self.working = MetadataImage()
        self.image = self.working
        self.submitted = []
        self.replies = []
        self.created = []
        self.controller = self
        self.authorizer = None
        self.leader_id = 1
        self.replicas = self
        self.log_dirs = []
        self.hosted = []
        self.add_broker(1, 9092)
        self.publish()

    def publish(self):
        """Make what was applied the committed image, and the dynamic settings those in force."""
        from kafka_py.config.dynamic import on_config_change

        self.image, _ = self.working.publish()
        on_config_change(self.config, self.image.configs, self.node_id)

    def apply(self, *records):
        """Commit records."""
        for record in records:
            self.working.apply(record)
        self.publish()

    def add_broker(self, broker_id, port, *, rack=None, listener="PLAINTEXT", fenced=False):
        """A registered broker with one directory."""
        self.working.apply(
            r.RegisterBrokerRecord(
                broker_id=broker_id,
                broker_epoch=broker_id,
                end_points=[
                    r.RegisterBrokerRecord.BrokerEndpoint(
                        name=listener, host="127.0.0.1", port=port, security_protocol=0
                    )
                ],
                rack=rack,
                fenced=fenced,
                log_dirs=[directory_id(broker_id)],
            )
        )
        self.publish()

    def add_topic(self, name, number, partitions=1, replicas=(1,), leader=1, isr=None):
        """A topic whose id is ``number`` sixteen times."""
        topic_id = bytes([number]) * 16
        self.apply(r.TopicRecord(name=name, topic_id=topic_id))
        for index in range(partitions):
            self.apply(
                r.PartitionRecord(
                    partition_id=index,
                    topic_id=topic_id,
                    replicas=list(replicas),
                    isr=list(replicas if isr is None else isr),
                    leader=leader,
                    leader_epoch=3,
                    partition_epoch=3,
                    directories=[directory_id(replica) for replica in replicas],
                )
            )
        return topic_id

    def set_config(self, kind, name, key, value):
        """A setting in the metadata; None takes it away."""
        self.apply(r.ConfigRecord(resource_type=kind, resource_name=name, name=key, value=value))

    @property
    def moves(self):
        """Nothing moves between its directories (as ReplicaManager.moves)."""
        return Moves(self.config, self.log_dirs)

    def partitions(self):
        """The hosted partitions (as ReplicaManager.partitions)."""
        return iter(self.hosted)

    async def submit(self, request, context):
        """Record a request to the controller; answer with the next prepared reply."""
        self.submitted.append(request)
        return self.replies.pop(0)

    async def auto_create_topics(self, names, context):
        """Record what is to be created."""
        self.created += names
        return dict.fromkeys(names, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)


def context(api_key, version, *, role=BROKER, listener="PLAINTEXT"):
    """A request's context."""
    return RequestContext(
        api_key=int(api_key),
        api_version=version,
        correlation_id=1,
        client_id="test",
        listener=listener,
        client_host="127.0.0.1",
        principal="User:ANONYMOUS",
        now_ms=0,
        role=role,
    )
