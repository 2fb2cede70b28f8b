"""The token that guards Ray: whoever has it can run code on the cluster."""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path


def keep_token_private(make: bool) -> None:
    """See that Ray's token is readable by its owner alone: Ray itself makes it readable by everyone on the machine.

    A token that is named in the environment is left as it is.

    Args:
        make: Whether to make one where there is none.
    """
    if os.environ.keys() & {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}:
        return
    with suppress(OSError, RuntimeError):  # a home that is none or cannot be written is Ray's to complain about
        token = Path.home() / ".ray" / "auth_token"
        if token.exists():
            if token.stat().st_mode & 0o077:
                token.chmod(0o600)
            return
        if not make:
            return
        token.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=token.parent) as file:  # mode 600
            file.write(secrets.token_hex(32))
            file.flush()
            os.link(file.name, token)  # whole, and not over one that another process made meanwhile
