"""`python -m workers.control [--expiry-every-s S]`: the control worker alone, with settings from the environment."""

import argparse

from streams.settings import Settings
from workers.control import run
from workers.logs import configure_logs

parser = argparse.ArgumentParser(prog="python -m workers.control", description="The control worker.")
parser.add_argument("--expiry-every-s", type=float, default=None, help="how often to look for templates past their expiry")
given = parser.parse_args()
settings = Settings()
configure_logs(settings, "control")
run(settings, expiry_every_s=given.expiry_every_s)
