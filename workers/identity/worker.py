"""The identity worker: `gait.samples.inertial` in; `gait.embeddings` and `gait.identity.events` out.

samples → embedding (one batch over all devices) → evidence of the bout → gallery → decision → event
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from models.matching import DecisionPolicy, Gallery, Probe, combine
from models.matching.evidence import EVIDENCE_WINDOWS
from models.registry import load_embedder
from streams import metrics, topics
from streams.errors import SchemaMismatch
from streams.messages import Candidate, EmbeddingRecord, GaitSample, IdentityEvent
from streams.messages.fields import stable_id
from workers.identity.gallery_feed import GalleryFeed
from workers.inertial.bouts import CUT
from workers.processor import Outcome, Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import ConsumerRecord, TopicPartition
    from numpy.typing import NDArray

    from streams.settings import Settings
    from workers.processor import Emitted, Incoming
