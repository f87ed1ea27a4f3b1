"""What others rely on, written down: run `python -m tests.streams.freeze` after a change that is meant, and read the difference."""

import json
from pathlib import Path
from typing import Any

from prometheus_client.metrics import MetricWrapperBase

import streams.errors
import streams.messages
from streams import asyncapi, metrics
from streams.settings import Settings
from streams.topics import ALL

FROZEN = Path(__file__).parent / "frozen"


def interface() -> dict[str, Any]:
    """The AsyncAPI document of the default settings."""
    return asyncapi.document(Settings())


def names() -> dict[str, Any]:
    """Names that dashboards, programs and configurations use."""
    errors = [value for value in vars(streams.errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    return {
        "metrics": sorted(
            f"{value._type} {value._name} {' '.join(value._labelnames)}".strip()
            for value in vars(metrics).values()
            if isinstance(value, MetricWrapperBase)
        ),
        "messages": sorted(streams.messages.__all__),
        "errors": sorted(f"{error.__name__} {error.reason}" for error in errors),
        "settings": sorted(Settings.model_fields),
        "topics": [f"{t.name} {t.partitions} {'compacted' if t.retention_ms is None else t.retention_ms}" for t in ALL],
    }


def texts() -> dict[str, str]:
    """Name and content of every frozen file."""
    return {
        "asyncapi.json": json.dumps(interface(), indent=1, sort_keys=True) + "\n",
        "names.json": json.dumps(names(), indent=1, sort_keys=True) + "\n",
    }


if __name__ == "__main__":
    FROZEN.mkdir(exist_ok=True)
    for name, text in texts().items():
        (FROZEN / name).write_text(text)
