"""What a process that the app forks lets go of: it is no second server, and nothing of the first is kept open by it.

Whatever serves says here what that is. The processes that we fork ourselves (workers, ``--reload``) keep it: they are
forked by ``fork_process``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import get_ident
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from .. import forked
from ..log import logger

__all__ = ["fork_process", "is_our_own_fork", "let_go_in_children"]

Owner = TypeVar("Owner")

_owners: WeakKeyDictionary[Any, Callable[[Any], object]] = WeakKeyDictionary()
# The thread that forks a process of ours at the moment.
_our_own: int | None = None


def let_go_in_children(owner: Owner, let_go: Callable[[Owner], object]) -> None:
    """Have ``let_go(owner)`` called in every process that the app forks, as long as the owner lives.

    It must only close this process's copies: the selector, the files and the peers are the other process's.
    """
    _owners[owner] = let_go


def fork_process() -> int:
    """``os.fork`` for a process of our own, which is handed what it needs and closes the rest itself."""
    global _our_own
    _our_own = get_ident()
    try:
        pid = os.fork()
    finally:
        _our_own = None
    if pid == 0:
        _owners.clear()
    return pid


def is_our_own_fork() -> bool:
    """Whether this thread is within ``fork_process``."""
    return _our_own == get_ident()


def _let_go() -> None:
    if is_our_own_fork():
        return
    owners = list(_owners.items())
    _owners.clear()
    if owners:
        from ..adapters.ending import end_child  # only in a forked process; see `spare`

        forked.end_child = end_child
    for owner, let_go in owners:
        try:
            let_go(owner)
        except Exception:
            logger.exception("unexpected error in a forked process")


os.register_at_fork(after_in_child=_let_go)
