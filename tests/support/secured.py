"""A real Apache Kafka with three doors: plain (the administrator's), SCRAM over TLS, TLS with client certificates; authorizer on."""

from functools import cached_property
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)  # fmt: skip

from streams.settings import Settings
from tests.support.brokers import BrokerProcess, free_port
from tests.support.certificates import Authority
from workers.acls import Acl

PASSWORD = "open sesame"
KINDS = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP, "cluster": ResourceType.BROKER}
"""librdkafka's names: its BROKER is Kafka's CLUSTER, by the same number."""

OPERATIONS = {operation.name.replace("_", ""): operation for operation in AclOperation}


class SecuredKafka(BrokerProcess):
    """Users are made with `add_user`; what they may is granted with `allow`."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        certificate, key = authority.issue("kafka")
        keystore = folder / "keystore.pem"
        keystore.write_text(key.read_text() + certificate.read_text())
        plain, self.scram_port, self.mtls_port = free_port(), free_port(), free_port()
        doors = {"PLAINTEXT": plain, "SASL_SSL": self.scram_port, "SSL": self.mtls_port}
        listeners = ",".join(f"{name}://127.0.0.1:{port}" for name, port in doors.items())
        extra = {
            "listeners": f"{listeners},CONTROLLER://127.0.0.1:{plain + 1}",
            "advertised.listeners": listeners,
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL",
            "ssl.keystore.type": "PEM", "ssl.keystore.location": keystore,
            "ssl.truststore.type": "PEM", "ssl.truststore.location": authority.ca_file,
            "listener.name.ssl.ssl.client.auth": "required",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            # The launcher separates settings by spaces; \u0020 is one in the file of Java properties.
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": r"org.apache.kafka.common.security.scram.ScramLoginModule\u0020required;",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "auto.create.topics.enable": "false",
        }  # fmt: skip
        kafka_extra = " ".join(f"{name}={value}" for name, value in extra.items())
        super().__init__("kafka", folder / "data", plain, extra_env={"KAFKA_EXTRA": kafka_extra})
        self.authority = authority

    def add_user(self, name: str, password: str = PASSWORD) -> None:
        """Give a user a password."""
        credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        made = self._admin.alter_user_scram_credentials([UserScramCredentialUpsertion(name, credential, password.encode())])
        for future in made.values():
            future.result(20)

    def allow(self, principal: str, acls: list[Acl]) -> None:
        """Grant exactly these."""
        bindings = [
            AclBinding(
                KINDS[acl.resource], acl.name, ResourcePatternType.LITERAL, principal, "*",
                OPERATIONS[operation.upper()], AclPermissionType.ALLOW,
            )
            for acl in acls
            for operation in acl.operations
        ]  # fmt: skip
        for future in self._admin.create_acls(bindings).values():
            future.result(20)

    def scram(self, user: str, password: str = PASSWORD, **more: object) -> Settings:
        """Settings of a user with a password."""
        return Settings(
            **{
                "bootstrap": f"127.0.0.1:{self.scram_port}", "security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_username": user, "sasl_password": password, "ssl_ca_file": self.authority.ca_file, "session_timeout_s": 6.0,
            } | more
        )  # type: ignore[arg-type]  # fmt: skip

    def mtls(self, user: str, **more: object) -> Settings:
        """Settings of a user with a certificate, who is User:CN=name to the broker."""
        certificate, key = self.authority.issue(user)
        return Settings(
            **{
                "bootstrap": f"127.0.0.1:{self.mtls_port}", "security_protocol": "SSL", "ssl_ca_file": self.authority.ca_file,
                "ssl_cert_file": certificate, "ssl_key_file": key, "session_timeout_s": 6.0,
            } | more
        )  # type: ignore[arg-type]  # fmt: skip

    @cached_property
    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap})
