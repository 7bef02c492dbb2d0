"""How soon a change of files leads to a reload, so that an app whose start changes them is not reloaded for ever.

Pure: paths and times in, seconds to wait out.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable

__all__ = ["ReloadBrake"]

# A change so soon after the start is likely the app's, by a program that it runs. Somebody who saves a file again and
# again is not that quick, or does not mind the wait.
_SOON_SECONDS = 2.0
# How often a file may change so soon without a wait: where the app starts programs, which may write, and elsewhere.
_FREE_WITH_PROGRAMS, _FREE = 2, 10
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.5, 4.0


class ReloadBrake:
    """Lets changes of files through, at once or after a while.

    Args:
        say: tells the person in front of it.
        shown: a path as that person knows it.
    """

    def __init__(self, say: Callable[[str], object], shown: Callable[[str], str]) -> None:
        self._say = say
        self._shown = shown
        self._said: set[str] = set()
        self._last: set[str] = set()
        self._repeats = 0
        self._until: float | None = None

    def by_others(self, paths: Iterable[str], own: Container[str]) -> list[str]:
        """Those of the changed files that the app has not written itself; of the others it is said once."""
        theirs = []
        for path in paths:
            if path not in own:
                theirs.append(path)
            else:
                self._say_once(path, "is written by the app itself: that starts no reload")
        return theirs

    def wait(self, paths: Iterable[str], age: float, now: float, programs: bool = False) -> float:
        """Seconds until these changes may lead to a reload; to be asked again until that is 0.

        Args:
            paths: what has changed.
            age: since when the app serves, in seconds; 0 while it does not yet.
            now: the time.
            programs: whether the app has started other programs.
        """
        if self._until is None:
            again = self._last.intersection(paths) if age < _SOON_SECONDS else set()
            self._repeats = self._repeats + 1 if again else 0
            self._last = set(paths)
            repeats = self._repeats - (_FREE_WITH_PROGRAMS if programs else _FREE)
            self._until = now + _wait(repeats)
            if repeats >= 0:
                for path in sorted(again):
                    text = "changes whenever the app starts, so reloads wait; if the app has it written, name other "
                    self._say_once(path, f"{text}directories with --reload-dir")
        left = max(0.0, self._until - now)
        if not left:
            self._until = None
        return left

    def _say_once(self, path: str, text: str) -> None:
        if path not in self._said:
            self._said.add(path)
            self._say(f"{self._shown(path)} {text}")


def _wait(repeats: int) -> float:
    return 0.0 if repeats < 0 else min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2.0 ** min(repeats, 10))
