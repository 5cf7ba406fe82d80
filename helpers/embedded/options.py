"""What ``python -m helpers serve`` takes; the standard library alone, for the first command."""

from __future__ import annotations

import argparse

from helpers.embedded.lifecycle import DEFAULT_PORT
from helpers.messages import text


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a server in the foreground.

    Args:
        parser: The parser of ``serve``, or of the server's own module.
    """
    add = parser.add_argument
    add("--port", type=port, default=DEFAULT_PORT, metavar="N", help=text("server.help_port"))
    add("--token", metavar="T", help=text("server.help_token"))
    add("--class", dest="for_class", action="store_true", help=text("server.help_class"))
    add("--host", metavar="IP", help=text("server.help_host"))
    add("--fast", action="store_true", help=text("server.help_fast"))
    add("--chat-url", metavar="URL", help=text("server.help_chat_url"))
    add("--chat-model", metavar="M", help=text("server.help_chat_model"))
    add("--chat-token-env", metavar="VAR", help=text("server.help_chat_token_env"))
    parser.set_defaults(idle=None, quiet=False)


def port(value: str) -> int:
    """Read a port.

    Raises:
        argparse.ArgumentTypeError: It is no number from 1 to 65535.
    """
    if value.isascii() and value.isdigit() and 0 < int(value) < 65536:
        return int(value)
    raise argparse.ArgumentTypeError(text("cli.not_a_number", value=value))
