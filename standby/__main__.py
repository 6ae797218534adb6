"""`python -m standby`: the command line."""

from standby.cli.main import main

main()
