"""The Node that Playwright's wheel carries, so that nothing else has to be installed for the widgets' JavaScript."""

from pathlib import Path

import playwright

DRIVER = Path(playwright.__file__).parent / "driver"
NODE = next(path for name in ("node", "node.exe") if (path := DRIVER / name).exists())
