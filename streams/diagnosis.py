"""Why Kafka cannot be reached, in a sentence.

aiokafka tries one broker after the other and in the end only says that none could be used; the cause is in its log.  This connects once
more with the same settings and says what happened.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

if TYPE_CHECKING:
    from streams.settings import Settings

WITHIN_S = 5.0


async def why_not_connected(settings: Settings) -> str | None:
    """The cause at the first bootstrap server for which there is one, with the setting that mends it; None when each can be used.

    The text holds no secret.
    """
    try:
        arguments = settings.kafka()
    except ssl.SSLError as error:
        return f"ssl_ca_file, ssl_cert_file or ssl_key_file is no PEM file, or they do not belong together ({error.reason or error})"
    except OSError as error:
        files = [str(file) for file in (settings.ssl_ca_file, settings.ssl_cert_file, settings.ssl_key_file) if file]
        return f"a file of ssl_ca_file, ssl_cert_file, ssl_key_file cannot be read ({error.strerror}): {', '.join(files)}"
    del arguments["bootstrap_servers"]
    for server in settings.bootstrap.split(","):
        host, _, port = server.rpartition(":")
        try:
            async with asyncio.timeout(WITHIN_S):
                connection = await create_conn(host.strip("[]"), int(port), request_timeout_ms=int(WITHIN_S * 1000), **arguments)
            connection.close()
        except (OSError, KafkaError, ValueError) as error:  # TimeoutError is an OSError; a SCRAM proof that does not match a ValueError
            return f"{server}: {_sentence(error, settings)}"
    return None


def _sentence(error: Exception, settings: Settings) -> str:
    secure, sasl = settings.security_protocol.endswith("SSL"), settings.security_protocol.startswith("SASL")
    if isinstance(error, ssl.SSLCertVerificationError):
        if "match" in error.verify_message or "mismatch" in error.verify_message:
            return f"its certificate is for another name ({error.verify_message}): use a name in GAITSTREAM_BOOTSTRAP that is in it"
        return f"its certificate is not trusted ({error.verify_message}): set GAITSTREAM_SSL_CA_FILE to the authority that signed it"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or error}): is this port for TLS, and is a client certificate wanted (GAITSTREAM_SSL_CERT_FILE)?"
    if isinstance(error, SaslAuthenticationFailed | AuthenticationFailedError):
        return (
            f"it does not accept user {settings.sasl_username!r} with this password: "
            "set GAITSTREAM_SASL_USERNAME and GAITSTREAM_SASL_PASSWORD"
        )
    if isinstance(error, UnsupportedSaslMechanismError):
        return f"it does not offer {settings.sasl_mechanism}: set GAITSTREAM_SASL_MECHANISM"
    if isinstance(error, IllegalSaslStateError):
        return f"it does not expect a user and a password at this port: GAITSTREAM_SECURITY_PROTOCOL is {settings.security_protocol}"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there: is the broker running, and GAITSTREAM_BOOTSTRAP right?"
    if isinstance(error, TimeoutError):
        return f"no answer within {WITHIN_S:.0f} s: is GAITSTREAM_BOOTSTRAP right, and does a firewall lie between?"
    wanted = "a client certificate (GAITSTREAM_SSL_CERT_FILE)" if secure and not sasl else "another GAITSTREAM_SECURITY_PROTOCOL"
    return f"the connection ended at once ({type(error).__name__}): perhaps it wants {wanted}, not {settings.security_protocol}"
