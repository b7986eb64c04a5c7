#!/usr/bin/env python3
"""Hold calls with a voice agent and measure what its callers hear; see --help."""

import sys

from voicertc.testing.load_cli import main

if __name__ == "__main__":
    sys.exit(main())
