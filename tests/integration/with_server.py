# SPDX-License-Identifier: Apache-2.0
"""Runs a command beside a server of its own, which MILLRACE_SERVER names to it.

    python3 with_server.py <command>...

The exit status is the command's, or 1 where the server then does not end with 0 on SIGTERM.
"""

import os
import subprocess
import sys
import tempfile

import harness


def main():
    with tempfile.TemporaryDirectory(prefix="millrace-test-") as folder:
        server = harness.Server(folder)
        try:
            server.ready()
            environment = {**os.environ, "MILLRACE_SERVER": server.address}
            status = subprocess.run(sys.argv[1:], env=environment).returncode
            stopped = server.terminate()
            if status != 0 or stopped != 0:
                print(f"exit status of the server: {stopped}\n{server.log()}", file=sys.stderr)
            return status if status != 0 else int(stopped != 0)
        finally:
            server.end()


if __name__ == "__main__":
    sys.exit(main())
