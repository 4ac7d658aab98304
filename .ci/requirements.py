"""Print the requirements of the project, or of the extras named.

What `pip install .[extra]` would, without building.
"""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
for extra in sys.argv[1:]:
    print("\n".join(project["optional-dependencies"][extra]))
if not sys.argv[1:]:
    print("\n".join(project["dependencies"]))
