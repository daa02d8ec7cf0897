import os
import subprocess
import sys


def test_what_is_said_stands_above_the_bar():
    code = (
        "from dfx import console\n"
        "def counts():\n"
        "    yield 1\n"
        "    console.say('a file [was] left out')\n"
        "    yield 1\n"
        "console.progress_bar(counts(), 'decoding', 2, True)\n"
    )
    terminal = os.environ | {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.run([sys.executable, "-c", code], env=terminal, capture_output=True, check=True)
    assert b"\r\x1b[2Ka file [was] left out\n" in done.stderr
    assert b"2/2" in done.stderr
