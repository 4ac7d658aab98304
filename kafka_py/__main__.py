"""``python -m kafka_py``: the same as the command ``kafka-py``."""

import sys

from kafka_py.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
