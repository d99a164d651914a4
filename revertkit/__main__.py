"""``python -m revertkit``: the command line."""

from revertkit.cli import main

if __name__ == "__main__":
    main()
