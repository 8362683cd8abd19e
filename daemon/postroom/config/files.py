"""Files that a configuration names: are they there, and who may read them."""

from __future__ import annotations

import stat
from pathlib import Path

from postroom.config.nodes import Node
from postroom.config.problems import Findings, Id


def check_file(path: Path, node: Node, findings: Findings, *, secret: bool) -> None:
    """Report a file that cannot be read, and a secret one that everybody can."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            findings.add(Id.FILE_MISSING, node.place, f"{path} is not a file; name the file itself")
            return
        with path.open("rb"):
            pass
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "its name is not valid"
        text = f"the file {path} cannot be read: {reason}; put it there, or correct the path"
        findings.add(Id.FILE_MISSING, node.place, text.replace("\0", "\\0"))
        return
    if secret and mode & stat.S_IROTH:
        text = f"everybody on this machine can read the secret in {path}; run `chmod o-rwx` on it"
        findings.add(Id.SECRET_EXPOSED, node.place, text)


def world_readable(path: Path) -> bool:
    """Say whether everybody on this machine can read the file."""
    return bool(path.stat().st_mode & stat.S_IROTH)
