"""``python -m voicertc`` is ``voicertc``."""

import sys

from .cli import main

sys.exit(main())
