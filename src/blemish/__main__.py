"""`python -m blemish`."""

from __future__ import annotations

import sys

from blemish.cli import main

sys.exit(main())
