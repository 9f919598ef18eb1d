"""Which known faults explain the checks that failed, so that a fault is charged once and not check by check.

A fault explains a check where the solution with that fault answers it just as the student's code did, value by value.
That alone would make points cheap: some answers can be typed in, or are nothing at all. So a fault counts only

- where its answers tell that something was computed (`answers.py`), and
- where they are given for inputs that nobody can know, in a hidden check that draws them at random, and would be others
  for other inputs. Only a fault that shows in no such check goes by the others, and only if no check of the exercise is
  left unexplained.

What stops, takes too long or is not there is never explained: it shows nothing of what the code would have given. All
of it is done in the grading process, with answers that student code gave before its process was ended.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, field

from autograder.checks.result import CheckResult, ExerciseResult
from autograder.checks.runner import SuitePlugin
from autograder.checks.student import Heard
from autograder.checks.verdicts import add_diagnosis, told
from autograder.grading.answers import Trial, answered_alike, begins_alike, said_alike, tells_something
from autograder.grading.faults import FaultBook, KnownFault

_MOST = 2  # faults at once
_MEASURED = re.compile(r"(?<![\w.])-?\d+(\.\d+)?(?! x )")  # a number of its own: neither of "p3" nor of "1 x 1"
_KEPT = 8  # faults whose answers to all checks are kept for the next submission with the same seed
Answers = dict[str, list[Heard]]
_Run = tuple[dict[str, CheckResult], Answers]


@dataclass(frozen=True)
class Match:
    """What a known fault has in common with a student's code.

    Attributes:
        fault: Which.
        explains: Names of the failing checks that it explains.
        secret: Whether one of them asks for inputs that nobody can know.
        hidden: Whether the fault shows in such a check at all.
        dearest: Points of the dearest check that it fails by itself.
    """

    fault: KnownFault
    explains: frozenset[str]
    secret: bool
    hidden: bool
    dearest: float


@dataclass
class _Case:
    """One exercise of one submission."""

    exercise: str
    seed: int
    failing: dict[str, CheckResult]
    heard: Answers
    secret: set[str]
    random: bool  # whether it makes modules of its own, whose weights start at random: public checks differ each time
    made: object  # with the seed, all that decides about the random numbers of its checks
    runs: dict[KnownFault, _Run] = field(default_factory=dict)

    def is_fixed(self, name: str) -> bool:
        """Whether a check asks everybody for the same."""
        return self.failing[name].public and not self.random

    def worth(self, names: frozenset[str]) -> float:
        return sum(self.failing[name].points for name in names)


class Charging:
    """Looks for the faults of one exercise after the other.

    Args:
        book: The known faults.
        plugin: With the suites collected.
    """

    def __init__(self, book: FaultBook, plugin: SuitePlugin) -> None:
        self._book, self._plugin = book, plugin
        # How faults begin to answer a check, since most differ at once, with the status where it came to its end. What
        # everybody is asked alike has the seed None; the rest is forgotten with its seed.
        self._begins: dict[tuple[int | None, object, str, str, KnownFault], tuple[list[Heard], str]] = {}
        self._outcomes: dict[tuple[str, str, KnownFault], CheckResult | None] = {}
        self._runs: OrderedDict[tuple[str, KnownFault], _Run] = OrderedDict()
        self._seed: int | None = None

    def charge(self, result: ExerciseResult, heard: Answers, seed: int) -> None:
        """Note for each failing check of an exercise the faults that explain it, and what each would cost by default.

        Args:
            result: Of the exercise; a check without a diagnosis gets one from a fault that has a sentence.
            heard: What the code answered, by check.
            seed: What its random inputs were drawn from.
        """
        failing = {c.name: c for c in result.checks if c.status == "failed" and heard.get(c.name)}
        if not failing or result.status == "grader_error":
            return
        self._forget_but_for(seed)
        made = any(operation == "new" for answers in heard.values() for operation, _ in answers)
        random = made and not self._book.assignment.exercise(result.id).canned
        secret, drawn = self._plugin.secret(result.id), self._plugin.numbers_made()
        case = _Case(result.id, seed, failing, heard, secret, random, drawn)
        found = self._found(case)
        unexplained = {c.name for c in result.checks if c.status != "passed"} - _explained(found)
        for match in found if not unexplained else [m for m in found if m.secret]:
            for name in match.explains:
                failing[name].faults = list(dict.fromkeys([*failing[name].faults, *match.fault.names]))
            result.dearest |= self._dearest(case, match)
        for match in found:
            _name(failing, match)
        if not any(check.diagnosis for check in failing.values()):
            self._name_by_words(case)

    def _forget_but_for(self, seed: int) -> None:
        """Let what was drawn from another seed go."""
        if seed != self._seed:
            self._begins = {key: known for key, known in self._begins.items() if key[0] is None}
            self._runs.clear()
            self._seed = seed

    def _name_by_words(self, case: _Case) -> None:
        """Name a fault that says of one check just what the student's code does, but do not charge it for that.

        Public checks are asked before hidden ones, whose numbers are new each time. From a hidden one that tells no
        number (only which levels are wrong, say) nothing is concluded: very different faults do that.
        """
        learned = [fault for fault in self._book.of(case.exercise) if fault.learned]
        fixed = [n for n, c in case.failing.items() if case.is_fixed(n) and any(letter.isdigit() for letter in told(c))]
        measured = [n for n, c in case.failing.items() if _MEASURED.search(told(c))]
        for name in fixed or measured[:1]:
            check, alike = case.failing[name], set()
            for fault in learned:
                known = self._outcome(case, fault, name)
                if known is not None and said_alike(check, known):
                    alike.add(fault.says[0])
            if len(alike) == 1:
                add_diagnosis(check, alike.pop(), guarded=False)
                return

    def _found(self, case: _Case) -> list[Match]:
        """The faults that explain most: one, or two at once."""
        whole = frozenset(case.failing)
        faults = self._book.of(case.exercise)
        said = "\n".join(f"{c.diagnosis}\n{c.message}\n{c.details}" for c in case.failing.values())
        likely = sorted(faults, key=lambda fault: not (fault.says[0] and fault.says[0] in said))
        named = [fault for fault in likely if fault.says[0] and fault.says[0] in said]
        for fault in named:
            match = self._match(case, fault)
            if match is not None and match.explains == whole:
                return [match]
        found: list[Match] = []
        while len(found) < _MOST and (left := whole - _explained(found)):
            match = self._best(case, likely, left)
            if match is None:
                break
            found.append(match)
        if len(found) == _MOST and whole - _explained(found):
            both = self._match(case, self._book.together(found[0].fault, found[1].fault))
            if both is not None and both.explains > _explained(found):
                return [both]
        return found or self._in_parts_or_pairs(case, likely)

    def _in_parts_or_pairs(self, case: _Case, likely: list[KnownFault]) -> list[Match]:
        whole = frozenset(case.failing)
        common = [fault for fault in likely if fault.common]
        parts = [part for fault in common for part in self._book.parts_of(fault)]
        first = _telling(case, whole)[:1]  # they are many, and show in every check that either of two faults shows in
        match = self._best(case, parts, whole, first)
        if match is None:
            match = self._best(case, list(self._book.pairs_of(common)), whole, first)
        return [match] if match is not None else []

    def _best(
        self, case: _Case, faults: list[KnownFault], left: frozenset[str], telling: list[str] | None = None
    ) -> Match | None:
        """Of some faults the one that explains most of what is left; of equals the first."""
        best: Match | None = None
        for name in telling or _telling(case, left):
            for fault in faults:
                if not self._alike_in(case, fault, name):
                    continue
                match = self._match(case, fault)
                if match is None or not match.explains & left:
                    continue
                if best is None or case.worth(match.explains & left) > case.worth(best.explains & left):
                    best = match
                if left <= match.explains:
                    return match
            if best is not None:
                return best
        return best

    def _alike_in(self, case: _Case, fault: KnownFault, name: str) -> bool:
        """Whether a fault explains one check: asked first, since to run them all takes long."""
        got = case.heard[name]
        if fault in case.runs:
            outcomes, answers = case.runs[fault]
            return outcomes[name].status == "failed" and answered_alike(got, answers[name])
        drawn = (None, None) if case.is_fixed(name) else (case.seed, case.made)
        key = (*drawn, case.exercise, name, fault)
        if key in self._begins:
            known, status = self._begins[key]
            if not begins_alike(got, known):
                return False
            if status:
                return status == "failed" and answered_alike(got, known)
        trial = Trial(got)
        outcome = self._once(case, fault, name, trial)
        if outcome is None:
            return False
        self._begins[key] = list(trial), outcome.status
        return outcome.status == "failed" and answered_alike(got, trial)

    def _outcome(self, case: _Case, fault: KnownFault, name: str) -> CheckResult | None:
        """What one check, run to its end, comes to with a fault."""
        if fault in case.runs:
            return case.runs[fault][0][name]
        if not case.is_fixed(name):
            return self._once(case, fault, name, [])
        key = (case.exercise, name, fault)
        if key not in self._outcomes:
            self._outcomes[key] = self._once(case, fault, name, [])
        return self._outcomes[key]

    def _once(self, case: _Case, fault: KnownFault, name: str, heard: list[Heard]) -> CheckResult | None:
        """What one check comes to with a fault; None where that does not load."""
        student = self._book.student(case.exercise, fault)
        if student is None:
            return None
        outcome = self._plugin.again(case.exercise, name, student, case.seed, heard)
        student.let_go()
        return outcome

    def _match(self, case: _Case, fault: KnownFault) -> Match | None:
        """What a fault explains; None where it does not count."""
        run = self._run(case, fault)
        if run is None:
            return None
        outcomes, answers = run
        fails = {name for name, outcome in outcomes.items() if outcome.status != "passed"}
        same = {
            name
            for name in case.failing
            if outcomes[name].status == "failed"
            and tells_something(answers[name])
            and answered_alike(case.heard[name], answers[name])
        }
        secret = any(self._hangs_on_inputs(case, fault, name) for name in sorted(same & case.secret))
        if secret:  # then the code has the fault, also where weights drawn at random make every answer another
            same |= {name for name, check in case.failing.items() if said_alike(check, outcomes[name])}
        hidden = bool(fails & case.secret)
        if not same or (hidden and not secret):
            return None
        dearest = max(outcomes[name].points for name in fails)
        return Match(fault, frozenset(same), secret, hidden, dearest)

    def _hangs_on_inputs(self, case: _Case, fault: KnownFault, name: str) -> bool:
        """Whether the fault answers a check otherwise for other random numbers.

        What is kept from a first call does not, and a table of answers that are handed out gives just the same.
        """
        student = self._book.student(case.exercise, fault)
        if student is None:
            return False
        other: list[Heard] = []
        self._plugin.again(case.exercise, name, student, case.seed + 1, other, alone=True)
        student.let_go()
        return not answered_alike(other, case.runs[fault][1][name])

    def _run(self, case: _Case, fault: KnownFault) -> _Run | None:
        if fault not in case.runs:
            key = case.exercise, fault
            if key not in self._runs:
                student = self._book.student(case.exercise, fault)
                if student is None:
                    return None
                outcomes, answers = self._plugin.all_again(case.exercise, student, case.seed)
                student.let_go()
                self._runs[key] = {outcome.name: outcome for outcome in outcomes}, answers
            self._runs.move_to_end(key)
            case.runs[fault] = self._runs[key]
            while len(self._runs) > _KEPT:
                self._runs.popitem(last=False)
        return case.runs[fault]

    def _dearest(self, case: _Case, match: Match) -> dict[str, float]:
        """The default price of each fault of a match."""
        if len(match.fault.names) == 1:
            return {match.fault.names[0]: match.dearest}
        prices = {}
        for fault in self._book.of(case.exercise):
            if fault.names[0] in match.fault.names and (run := self._run(case, fault)):
                fails = [outcome.points for outcome in run[0].values() if outcome.status != "passed"]
                prices[fault.names[0]] = max(fails, default=0.0)
        return prices


def _explained(found: list[Match]) -> frozenset[str]:
    return frozenset().union(*(match.explains for match in found))


def _telling(case: _Case, left: frozenset[str]) -> list[str]:
    """Of the checks that are left to explain the two by which faults are told apart: a public and a hidden one."""
    open_ = [name for name in case.failing if name in left]
    public = [name for name in open_ if case.is_fixed(name)][:1]
    hidden = [name for name in open_ if not case.failing[name].public]
    secret = [name for name in hidden if name in case.secret]
    return [*public, *(secret or hidden)[:1]]


def _name(failing: dict[str, CheckResult], match: Match) -> None:
    """Name the fault where no check could: the first that it explains."""
    first = next(failing[name] for name in failing if name in match.explains)
    if match.fault.learned and not any(failing[name].diagnosis for name in match.explains):
        add_diagnosis(first, match.fault.says[0], guarded=False)
