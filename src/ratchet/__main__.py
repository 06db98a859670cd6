"""`python -m ratchet`: the way MLproject calls it, which needs no installed script."""

from ratchet.cli import main

main()
