"""Confinement is tried where it is used, in ``test_decoder.py``; here, the limit of the processor's time."""

import signal
import subprocess
import sys

ENDLESS = """
from fieldmark.serving.confinement import allow_seconds
allow_seconds(0)
while True:
    pass
"""


def test_the_system_ends_what_computes_too_long():
    done = subprocess.run([sys.executable, "-c", ENDLESS], timeout=60)
    assert done.returncode == -signal.SIGXCPU
