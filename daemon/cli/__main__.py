"""`python -m daemon.cli`: the same as `blazz`."""

from daemon.cli.root import main

main()
