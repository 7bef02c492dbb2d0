"""What the fuzzing client says of each case: its report read, judged, and written as a table."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Outcome", "Result", "read", "written"]

_NO_RESULT = "NO RESULT"
_SECTIONS = {
    "1": "framing",
    "2": "pings and pongs",
    "3": "reserved bits",
    "4": "opcodes",
    "5": "fragmentation",
    "6": "UTF-8",
    "7": "close handling",
    "9": "limits and performance",
    "10": "automatic fragmentation",
    "12": "compression, payloads",
    "13": "compression, parameters",
}


class Outcome(enum.Enum):
    """How good a case is, best first; what is not listed here is a failure."""

    OK = "OK"
    INFORMATIONAL = "INFORMATIONAL"
    NON_STRICT = "NON-STRICT"
    FAILED = "FAILED"

    @classmethod
    def of(cls, word: str) -> Outcome:
        """The outcome for a word of the report; WRONG CODE, UNCLEAN, UNIMPLEMENTED and others are failures."""
        return next((outcome for outcome in cls if outcome.value == word), cls.FAILED)


@dataclasses.dataclass(frozen=True)
class Result:
    """One case.

    Attributes:
        case: its number, as ``7.1.6``.
        behavior: the suite's word for what the server did.
        closing: its word for how the connection ended.
        seconds: how long it took.
        text: what the suite says about both, if not all is well.
    """

    case: str
    behavior: str
    closing: str
    seconds: float
    text: str = ""

    @property
    def outcome(self) -> Outcome:
        """The worse of the two words."""
        order = list(Outcome)
        return max(Outcome.of(self.behavior), Outcome.of(self.closing), key=order.index)

    @property
    def passed(self) -> bool:
        """Whether the case is as it must be: a NON-STRICT one is not."""
        return self.outcome in (Outcome.OK, Outcome.INFORMATIONAL)

    @property
    def section(self) -> str:
        """The first part of its number."""
        return self.case.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.case}  {self.behavior} / {self.closing}  {self.text}"


def read(folder: Path, agent: str, cases: Sequence[str]) -> list[Result]:
    """The results of these cases, in order; one that the report does not know has failed."""
    known = json.loads((folder / "index.json").read_text()).get(agent, {})
    return [_result(folder, case, known.get(case)) for case in cases]


def written(results: Sequence[Result]) -> Iterator[str]:
    """Lines: a table by section, and every case that is not as it must be."""
    yield f"{'section':<29}{'cases':>6}" + "".join(f"{outcome.value:>15}" for outcome in Outcome)
    for section in dict.fromkeys(result.section for result in results):
        name = f"{section:>2} {_SECTIONS.get(section, '')}"
        yield _row(name, [result for result in results if result.section == section])
    yield _row("all", results)
    bad = [result for result in results if not result.passed]
    if bad:
        yield ""
        yield "behaviour / close:"
        yield from map(str, bad)


def _row(name: str, results: Sequence[Result]) -> str:
    counts = Counter(result.outcome for result in results)
    return f"{name:<29}{len(results):>6}" + "".join(f"{counts[outcome]:>15}" for outcome in Outcome)


def _result(folder: Path, case: str, entry: dict[str, Any] | None) -> Result:
    if entry is None:
        return Result(case, _NO_RESULT, _NO_RESULT, 0.0, "the server was gone")
    result = Result(case, entry["behavior"], entry["behaviorClose"], entry["duration"] / 1000)
    return result if result.passed else dataclasses.replace(result, text=_explained(folder / entry["reportfile"]))


def _explained(path: Path) -> str:
    detail = json.loads(path.read_text())
    code = detail["remoteCloseCode"]
    return f"{detail['result']} {detail['resultClose']}. " + (f"Closed with {code}." if code else "No close code.")
