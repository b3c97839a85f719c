"""PostgreSQL refuses to run as root, so root runs it as an unprivileged account.

The account is the owner of the data folder, or `nobody` for a new folder. Parent folders that only root may enter (a
checkout in /root, a folder of mktemp) keep their permissions: the server process gets CAP_DAC_OVERRIDE instead
(capabilities(7)), through setpriv(1) of util-linux.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from longrun_local.errors import StartError

# initdb uses access(2), which ignores the capabilities of a non-root account unless no_setuid_fixup is set.
CAPABILITY: Final = (
    "--inh-caps=+dac_override",
    "--ambient-caps=+dac_override",
    "--securebits=+no_setuid_fixup",
)


@dataclass(frozen=True, slots=True)
class Account:
    """A user id and a group id."""

    uid: int
    gid: int

    def own(self, path: Path) -> None:
        """Make this account the owner of `path`, unless it is the account of this process."""
        if self.uid != os.geteuid():
            os.chown(path, self.uid, self.gid)

    def command(self, *arguments: str | Path, reads: Path) -> list[str]:
        """The command line that runs `arguments` (program first) as this account, with access to the folder `reads`."""
        command = [str(argument) for argument in arguments]
        if self.uid == os.geteuid():
            return command
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise StartError(
                "PostgreSQL refuses to run as root, and setpriv (util-linux), which can run it as another "
                "account, is not installed: run this command as an ordinary user, or set DATABASE_URL"
            )
        closed = _closed_to_others(Path(command[0])) or _closed_to_others(reads)
        capability = CAPABILITY if closed else ()
        return [setpriv, f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups", *capability, *command]


def account_for(data: Path) -> Account:
    """The account for a server with the data folder `data`, which may not exist yet."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    if data.exists() and data.stat().st_uid != 0:
        return Account(data.stat().st_uid, data.stat().st_gid)
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid)


def _closed_to_others(path: Path) -> bool:
    """Whether other accounts than the owner cannot reach `path`."""
    return any(not parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents) or (
        path.is_file() and not path.stat().st_mode & stat.S_IXOTH
    )
