"""Parametric walkers: a body, a gait, a motion through activities, and the phone that measures it. Start reading at ``walker``.

Body and motion know nothing of what measures them: phones today, cameras later. Feeds the demo, the load generator and pre-training;
evidence about accuracy comes from real recordings only.
"""

from models.simulation.live import LivePhone, PhonePool
from models.simulation.walker import SimulatedRecording, Walker

__all__ = ["LivePhone", "PhonePool", "SimulatedRecording", "Walker"]
