"""`python -m workers.control`."""

from streams.settings import Settings
from workers.control import run

run(Settings())
