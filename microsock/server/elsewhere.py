"""What a service shares with other machines, where its settings name a Redis: the bus and the rate limits.

redis-py is loaded only there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..settings import Settings
from .loop import Loop
from .parts import Parts

if TYPE_CHECKING:
    from ..bus import Bus
    from ..limits import Store
    from ..site import Site

__all__ = ["Shared", "check_places"]


def check_places(settings: Settings) -> None:
    """Raise ``BadSetting`` or ``MissingExtra`` for a place that cannot be, before anything is bound or forked."""
    for name in ("bus", "rate_limit_store"):
        url = getattr(settings, name)
        if url is not None:
            from ..adapters.redis_client import redis_place

            redis_place(name, url)


class Shared:
    """What a site is to be given, and what is to be closed at its end.

    Attributes:
        bus: makes what carries ``publish`` further than this process; None where nothing does.
        limits: where requests are counted; None: in this process.
    """

    def __init__(self, settings: Settings, parts: Parts, loop: Loop) -> None:
        self._closing: list[Callable[[], object]] = []
        self._loop = loop
        self.bus = self._bus(settings, parts)
        self.limits = self._limits(settings, parts.limits(loop) if parts.limits is not None else None)

    def close(self) -> None:
        """Take leave of the other machines."""
        while self._closing:
            self._closing.pop()()

    def _bus(self, settings: Settings, parts: Parts) -> Callable[[Site], Bus] | None:
        make = parts.bus
        if make is not None:
            # The other machines are the parent's business.
            return lambda site: make(site, self._loop)
        if settings.bus is None:
            return None
        from ..adapters.redis_bus import SoloRedisBus
        from ..adapters.redis_client import redis_place

        place = redis_place("bus", settings.bus)

        def solo(site: Site) -> Bus:
            bus = SoloRedisBus(site, self._loop, place)
            self._closing.append(bus.close)
            return bus

        return solo

    def _limits(self, settings: Settings, local: Store | None) -> Store | None:
        if settings.rate_limit_store is None:
            return local
        from ..adapters.redis_client import redis_place
        from ..adapters.redis_store import RedisStore
        from ..limits import MemoryStore

        place = redis_place("rate_limit_store", settings.rate_limit_store)
        local = local or MemoryStore(self._loop.timers.now)
        store = RedisStore(place, settings.rate_limit_fallback, local, self._loop.deliver)
        self._closing.append(store.close)
        return store
