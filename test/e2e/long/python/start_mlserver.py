#!/usr/local/bin/python3
"""The command `mlserver` of an image: what pip writes names the python of the machine it ran on."""

from mlserver.cli import main

# Its workers import this file again.
if __name__ == "__main__":
    main()
