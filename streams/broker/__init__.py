"""An embedded single-node broker that speaks the Kafka protocol, for demos and tests.

It is a convenience: one node, loopback only, no authentication, no transactions. Production is Apache Kafka.
"""

from streams.broker.embedded import DirectoryInUse, EmbeddedBroker, NotLoopback, serve
from streams.broker.state import Limits

__all__ = ["DirectoryInUse", "EmbeddedBroker", "Limits", "NotLoopback", "serve"]
