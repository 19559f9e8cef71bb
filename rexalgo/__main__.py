"""``python -m rexalgo``: the same as the ``rexalgo`` command."""

from rexalgo.cli import main

if __name__ == "__main__":
    main()
