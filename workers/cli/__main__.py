"""`python -m workers.cli`: what the supervisor starts, so that no script has to be on the path."""

from workers.cli import main

main()
