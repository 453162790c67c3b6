"""``python -m fieldmark`` and, for several processes, ``torchrun -m -- fieldmark``."""

from fieldmark.cli import main

if __name__ == "__main__":
    main()
