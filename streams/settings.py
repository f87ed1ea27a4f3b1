"""One typed class for every setting; precedence: command line > environment (`GAITSTREAM_...`) > TOML file > default."""

from __future__ import annotations

import json
import re
import ssl
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from streams.topics import GALLERY, Topic

Positive = Annotated[float, Field(gt=0)]


def check_bootstrap(text: str) -> str:
    """The text, which is HOST:PORT[,HOST:PORT...].  Raises ValueError."""
    if not re.fullmatch(r"[^\s,]+:\d{1,5}(,[^\s,]+:\d{1,5})*", text):
        raise ValueError(f"bootstrap servers are HOST:PORT[,HOST:PORT...], got {text!r}")
    return text


def check_replication(count: int) -> int:
    """The number, which is -1 or at least 1.  Raises ValueError."""
    if count != -1 and not 1 <= count <= 100:
        raise ValueError(f"a topic has 1 to 100 replicas, or -1 for the broker's default, got {count}")
    return count


def check_partitions(partitions: dict[str, int]) -> dict[str, int]:
    """The overrides; the gallery has one partition, because its readers want all of it, in order.  Raises ValueError."""
    if partitions.get(GALLERY.name, 1) != 1:
        raise ValueError(f"{GALLERY.name} has one partition, not {partitions[GALLERY.name]}")
    return partitions


class Settings(BaseSettings):
    """Settings of every role.  Each field is also an environment variable: `bootstrap` is `GAITSTREAM_BOOTSTRAP`."""

    model_config = SettingsConfigDict(env_prefix="GAITSTREAM_", toml_file="gaitstream.toml", extra="forbid")

    bootstrap: Annotated[str, AfterValidator(check_bootstrap)] = "127.0.0.1:9092"
    """Kafka bootstrap servers, HOST:PORT[,HOST:PORT...]."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_file: Path | None = None
    ssl_cert_file: Path | None = None
    ssl_key_file: Path | None = None

    data_dir: Path = Path(".gaitstream")
    """Where `gaitstream up` and the embedded broker keep their files."""
    group_prefix: str = "gaitstream"
    """Consumer groups are PREFIX-inertial, PREFIX-identity, PREFIX-control."""
    topic_partitions: Annotated[dict[str, Annotated[int, Field(ge=1, le=1000)]], AfterValidator(check_partitions)] = Field(
        default_factory=dict
    )
    """Overrides of the declared number of partitions, by topic."""
    retention_ms: dict[str, Annotated[int, Field(ge=1000)]] = Field(default_factory=dict)
    """Overrides of the declared retention, by topic."""

    topic_replication: Annotated[int, AfterValidator(check_replication)] | None = None
    """Replicas of topics that gaitstream creates; -1 is the broker's default.  Without it: 1 where every bootstrap server is on loopback, as
    the embedded broker is, else -1."""

    seal_key: SecretStr | None = None
    """Keys that templates and embeddings are sealed with before they reach the broker, newest first, separated by semicolons or line
    ends: KEYID BASE64KEY, the key of 32 bytes.  The newest seals, each opens.  Without keys, or with an empty text, they lie in the clear."""
    seal_key_file: Path | None = None
    """The same as a file, one a line, that others may not read.  It is read again when a value is sealed under a key that is not known."""
    seal_accept_unsealed: bool = False
    """While an installation changes to sealing: values in the clear are read too, until `gaitstream gallery reseal` has sealed them."""

    extractor: str = "default"
    """Walking extraction network (see `gaitstream models list`)."""
    embedder: str = "default"
    """Embedding network."""
    verifier: str = "cosine"
    """How claims are checked: "cosine" by the embedder, or the name of a pair network."""
    weights_dir: Path | None = None
    """Folder of networks trained here (`gaitstream train ... --out`); what is not in it is taken from the shipped ones."""
    cut: Literal["fixed-128", "two-step-128"] = "fixed-128"
    """Gait samples that are embedded: 2.56 s every 1.28 s, or two steps stretched to 128 points; as the embedder was trained."""
    camera_embedder: str = "default"
    """Embedding network of camera tracks."""
    camera_detector: str = "efficientdet-lite0"
    """Finds people in pictures: the fetched network, "motion" for moving blobs alone, or the path of an ONNX or TFLite file with a JSON
    description beside it."""
    camera_pose: str = "blazepose-full"
    """Finds joints: the fetched network, or the path of another one."""
    camera_threads: Annotated[int, Field(ge=1, le=256)] = 2
    """Cameras that one worker looks at side by side."""
    camera_delay_s: Annotated[float, Field(ge=0)] = 2.0
    """When pictures wait longer than this, an even share of them is dropped and counted; 0 drops none (recordings pushed at full speed)."""
    camera_claim_root: Path | None = None
    """Folder below which frames may lie that are not sent inline; without it such frames are refused."""
    device: Literal["cpu", "cuda"] = "cpu"
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """Threads of each worker's networks: workers scale by processes, so one each."""

    max_batch: Annotated[int, Field(ge=1)] = 4000
    """Most messages of one poll: bounds memory and the time of one forward pass."""
    commit_every_s: Positive = 1.0
    session_timeout_s: Positive = 10.0
    """After this silence Kafka gives a worker's partitions to another."""
    revoke_budget_s: Positive = 20.0
    """How long a batch in progress may delay a rebalance before it is given up (and done again by the next owner)."""
    clock_ahead_s: Positive = 300.0
    """A chunk that claims a time this far ahead of the broker's clock is refused."""
    idle_release_s: Positive = 15.0
    """A silent device holds back commits this long; then its open window is forgotten, and a bout that goes on later is a new one.
    Longer bridges longer outages of a phone, and makes a restarted worker read more again."""

    target_fpir: Annotated[float, Field(gt=0, lt=0.5)] = 0.01
    """Share of strangers that may be named, over the whole gallery."""
    camera_target_fpir: Annotated[float, Field(gt=0, lt=0.5)] = 0.001
    """The same for cameras: they see everybody who passes, where a phone belongs to somebody, so they meet far more strangers."""
    min_windows: Annotated[int, Field(ge=1)] = 3
    """No one is named and no one is called unknown on fewer windows than this."""
    camera_min_windows: Annotated[int, Field(ge=1)] = 1
    """The same for cameras: somebody who passes one is often gone after two; the threshold for one window is higher instead."""

    require_consent: bool = False
    """Nobody is enrolled without a text of what he or she agreed to."""

    site_calibration: Path | None = None
    """File written by `gaitstream calibrate`: adapts thresholds to this site; without it the shipped calibration decides."""

    http_host: str = "127.0.0.1"
    """Where metrics and health listen. They name nobody, so they ask for no token."""
    http_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port of this role's /metrics, /healthz and /readyz; 0 picks a free one."""
    api_host: str = "127.0.0.1"
    api_port: Annotated[int, Field(ge=0, le=65535)] = 8780
    """Port of the control plane's HTTP API."""
    api_token: SecretStr | None = None
    """Bearer token of the API; without one the API listens on loopback only."""

    api_tokens: SecretStr | None = None
    """Tokens with roles, separated by semicolons or line ends: ROLE NAME TOKEN; roles are viewer, operator, admin.  NAME is audited."""
    api_tokens_file: Path | None = None
    """The same as a file, one a line; instead of the token there may be sha256: and its SHA-256 in hexadecimal."""

    bridge_host: str = "127.0.0.1"
    """Where `gaitstream bridge http` listens for phones."""
    bridge_port: Annotated[int, Field(ge=0, le=65535)] = 8790
    bridge_token: SecretStr | None = None
    """Bearer token of devices that push over HTTP; without one the bridge listens on loopback only."""
    bridge_max_in_flight: Annotated[int, Field(ge=1)] = 2000
    """Chunks that Kafka has not acknowledged; beyond it devices are told to wait."""
    mqtt_host: str = "127.0.0.1"
    """MQTT broker that `gaitstream bridge mqtt` subscribes to."""
    mqtt_port: Annotated[int, Field(ge=1, le=65535)] = 1883
    mqtt_topic: str = "sensor-logger/#"
    """Topic filter of the devices' pushes."""
    mqtt_client_id: str = "gaitstream-bridge"
    """Names the session that the broker keeps while the bridge is away: each bridge needs its own."""
    mqtt_username: str | None = None
    mqtt_password: SecretStr | None = None
    mqtt_tls: bool = False
    mqtt_ca_file: Path | None = None
    """Who may have signed the MQTT broker's certificate; without it the system's authorities."""

    log_format: Literal["json", "console"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def kafka(self) -> dict[str, Any]:
        """Connection arguments of every aiokafka client."""
        arguments: dict[str, Any] = {"bootstrap_servers": self.bootstrap, "security_protocol": self.security_protocol}
        if self.security_protocol.endswith("SSL"):
            context = ssl.create_default_context(cafile=str(self.ssl_ca_file) if self.ssl_ca_file else None)
            if self.ssl_cert_file:
                context.load_cert_chain(str(self.ssl_cert_file), str(self.ssl_key_file) if self.ssl_key_file else None)
            arguments["ssl_context"] = context
        if self.security_protocol.startswith("SASL"):
            arguments["sasl_mechanism"] = self.sasl_mechanism
            arguments["sasl_plain_username"] = self.sasl_username
            arguments["sasl_plain_password"] = self.sasl_password.get_secret_value() if self.sasl_password else None
        return arguments

    def replication(self) -> int:
        """Replication factor of new topics; -1 leaves it to the broker."""
        if self.topic_replication is not None:
            return self.topic_replication
        hosts = [server.rpartition(":")[0].strip("[]") for server in self.bootstrap.split(",")]
        return 1 if all(host == "localhost" or host == "::1" or host.startswith("127.") for host in hosts) else -1

    def partitions(self, topic: Topic) -> int:
        """Number of partitions of a topic, after overrides."""
        return self.topic_partitions.get(topic.name, topic.partitions)

    def group(self, role: str) -> str:
        """Consumer group of a role."""
        return f"{self.group_prefix}-{role}"

    def environment(self) -> dict[str, str]:
        """Variables that give a child process every setting that was given here, wherever it came from.  Holds secrets: never print it."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        plain = {name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in given.items()}
        return {
            f"GAITSTREAM_{name.upper()}": json.dumps(value) if isinstance(value, dict) else str(value)
            for name, value in plain.items()
            if value is not None
        }

    @classmethod
    def read(cls, file: Path | None = None, **given: Any) -> Settings:
        """Settings with `given` on top and `file` instead of gaitstream.toml at the bottom.  Raises ValueError for a missing file."""
        if file is None:
            return cls(**given)
        if not file.is_file():
            raise ValueError(f"there is no settings file {file}")
        return type("Settings", (cls,), {"model_config": SettingsConfigDict(toml_file=file)})(**given)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)
