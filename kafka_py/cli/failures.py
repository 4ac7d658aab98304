"""Failures as a user is told of them: one line, and what to do about it."""

from __future__ import annotations

import errno
import os

from kafka_py.config.definition import ConfigError

MACHINE, USER = 1, 2


class Failure(Exception):
    """A command cannot go on; ``str()`` is the line to print, ``status`` the exit status."""

    def __init__(self, reason: str, status: int = MACHINE) -> None:
        super().__init__(reason)
        self.status = status


def explain(error: BaseException) -> Failure | None:
    """What to tell of an exception; None for one that is a mistake of ours."""
    from kafka_py.client.errors import ClientError
    from kafka_py.controller.format import FormatError
    from kafka_py.replication.log_directory import LogDirectoryError
    from kafka_py.server.lifecycle import RegistrationFailed
    from kcore.errors import DirectoryLocked, KcoreError

    if isinstance(error, Failure):
        return error
    if isinstance(error, ConfigError):
        return Failure(str(error), USER)
    if isinstance(error, DirectoryLocked):
        return Failure(f"{one_line(error)}: stop it, or choose another directory with --data")
    if isinstance(error, LogDirectoryError | FormatError | KcoreError | RegistrationFailed):
        return Failure(one_line(error))
    if isinstance(error, ClientError):
        return explain_client(error)
    if isinstance(error, OSError):
        return explain_os(error)
    return None


def explain_client(error: BaseException) -> Failure:
    """What to tell of an error that a client met."""
    from kafka_py.client.errors import Disconnected, NotReachable, TimedOut

    text = one_line(error)
    if isinstance(error, NotReachable):
        return Failure(
            f"{text}: start one with kafka-py serve, or name another with --bootstrap-server"
        )
    if isinstance(error, TimedOut):
        return Failure(f"{text}: try again, with a longer --timeout if need be")
    if isinstance(error, Disconnected):
        return Failure(f"{text}: is it a Kafka broker, and its plain-text listener?")
    return Failure(text)


def explain_os(error: OSError) -> Failure | None:
    """What to tell of an error of the operating system; None where no file or port is to blame."""
    where = error.filename if error.filename is not None else ""
    if error.errno == errno.EADDRINUSE:
        return Failure(f"{reason(error)}, with --listen or listeners")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and where:
        return Failure(
            f"{where} cannot be written: {os.strerror(error.errno)}; give this user the right to, "
            "or choose another directory with --data"
        )
    if error.errno == errno.ENOSPC:
        return Failure(f"{where or 'the disk'} is full: make room, or choose another directory")
    if where and error.errno is not None:
        return Failure(f"{where}: {os.strerror(error.errno)}")
    if error.errno in (errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM):
        return Failure(f"{reason(error)}: choose another address with --listen or listeners")
    return None


def reason(error: OSError) -> str:
    """An error's text without its number."""
    return str(error.strerror or error)


def one_line(error: BaseException) -> str:
    """An exception's text without line breaks."""
    return " ".join(str(error).split())
