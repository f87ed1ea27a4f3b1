"""Every metric, declared once.  All begin with `gaitstream_`; labels are few and bounded (never a device id or a subject).

The one label from outside is the id of a camera: a site's cameras are few and belong to it, and each one that falls silent must be found.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_LATENCY_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0, 30.0, 60.0)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
_FORWARD_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

MESSAGES = Counter("gaitstream_messages_total", "Messages read, by topic and outcome (used, rejected, repeated)", ["topic", "outcome"])
DEAD_LETTERS = Counter("gaitstream_dead_letters_total", "Messages answered with a dead letter, by reason", ["topic", "reason"])
OUTPUTS = Counter("gaitstream_outputs_total", "Messages written, by topic", ["topic"])
SUPPRESSED = Counter("gaitstream_suppressed_total", "Outputs not written again after a restart, by topic", ["topic"])
BATCH_MESSAGES = Histogram("gaitstream_batch_messages", "Messages per processed batch", ["role"], buckets=_BATCH_BUCKETS)
FORWARD_BATCH = Histogram("gaitstream_forward_batch", "Items per forward pass, by network", ["network"], buckets=_BATCH_BUCKETS)
FORWARD_SECONDS = Histogram("gaitstream_forward_seconds", "Time of a forward pass, by network", ["network"], buckets=_FORWARD_BUCKETS_S)
QUEUE_DEPTH = Gauge("gaitstream_queue_depth", "Messages read and decoded that wait for processing", ["role"])
LAG = Gauge("gaitstream_lag_messages", "Messages between the processed position and the end, by topic", ["role", "topic"])
HELD_BACK = Gauge("gaitstream_held_back_messages", "Messages between the committed and the processed position", ["role"])
COMMIT_AGE = Gauge("gaitstream_last_commit_timestamp_seconds", "When offsets were last committed", ["role"])
LAST_PROGRESS = Gauge("gaitstream_last_progress_timestamp_seconds", "When the loop last went round", ["role"])
REBALANCES = Counter("gaitstream_rebalances_total", "Partition assignments received", ["role"])
REBUILDS = Counter("gaitstream_rebuilds_total", "States rebuilt from the log, by cause", ["role", "cause"])
STREAMS = Gauge("gaitstream_streams", "Devices whose state is held", ["role"])
WINDOWS = Counter("gaitstream_windows_total", "Gait windows cut, by modality", ["modality"])
BOUTS = Counter("gaitstream_bouts_total", "Bouts of walking begun, by modality", ["modality"])
GAPS = Counter("gaitstream_gaps_total", "Gaps over 100 ms that ended a segment")
FRAMES = Counter(
    "gaitstream_camera_frames_total",
    "Pictures read, by outcome (analysed; not: faster_than_needed, behind, late, rejected)",
    ["outcome"],
)
FRAME_SECONDS = Histogram(
    "gaitstream_camera_frame_seconds", "Time per picture, by stage (decode, look)", ["stage"], buckets=_FORWARD_BUCKETS_S
)
LAST_FRAME = Gauge(
    "gaitstream_camera_last_frame_timestamp_seconds",
    "When a picture of a camera was last read; gone once it has been silent for idle_release_s (the recording rule remembers)",
    ["camera"],
)
PEOPLE_IN_VIEW = Gauge("gaitstream_camera_people_in_view", "People who are followed in the pictures of this worker's cameras")
DECISIONS = Counter("gaitstream_decisions_total", "Identity events, by modality and decision", ["modality", "decision"])
VERIFICATIONS = Counter("gaitstream_verifications_total", "Outcomes of claims", ["outcome"])
LATENCY = Histogram(
    "gaitstream_event_latency_seconds", "From the arrival of the last raw sample to the event", ["modality"], buckets=_LATENCY_BUCKETS_S
)
GALLERY_SUBJECTS = Gauge("gaitstream_gallery_subjects", "People enrolled, by space", ["space"])
GALLERY_TEMPLATES = Gauge("gaitstream_gallery_templates", "Templates held, by space", ["space"])
COMMANDS = Counter("gaitstream_commands_total", "Commands carried out, by kind and outcome", ["kind", "outcome"])
