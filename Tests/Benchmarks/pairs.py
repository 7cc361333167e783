"""Paired, interleaved runs and their ratios."""

import contextlib
import statistics
import sys
import time
from dataclasses import dataclass
from typing import Callable

from ways import Failed, forget


@dataclass(frozen=True)
class Figure:
    """One number that a run of a workload gives, and its bars: the way it is compared with → the ratio allowed."""

    title: str
    unit: str
    bars: dict
    higher_is_better: bool = False

    def passes(self, ratio, bar):
        return ratio >= bar if self.higher_is_better else ratio <= bar


@dataclass(frozen=True)
class Workload:
    """`measure(ways)` runs the workload in each of the ways and gives, by a way's name, a number for each of the figures, or
    the Failed that came of it."""

    name: str
    figures: tuple
    measure: Callable
    python: bool = False


@dataclass(frozen=True)
class Ratio:
    median: float
    low: float
    high: float
    pairs: int


class Results:
    """What the runs of one workload gave, round by round."""

    def __init__(self, workload):
        self.workload = workload
        self.rounds = []
        self.failures = {}

    def ratio(self, figure, way, base):
        """Of the rounds in which both ran; None where there is none, or where one of them failed."""
        if way in self.failures or base in self.failures:
            return None
        index = self.workload.figures.index(figure)
        ratios = [r[way][index] / r[base][index] for r in self.rounds if way in r and base in r]
        if not ratios:
            return None
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
        return Ratio(middle, low, high, len(ratios))

    def median(self, figure, way):
        index = self.workload.figures.index(figure)
        values = [r[way][index] for r in self.rounds if way in r]
        return statistics.median(values) if values else None


def say(text):
    print(text, file=sys.stderr, flush=True)


#: The ways that have bars to keep; a peer runs in a third of the rounds.
OWN = ("plain", "forwarding", "heaptide")

#: Of so many runs of one way in a round the best counts where one comes after the other: what else the machine does can
#: only add to a run.
TURNS = 3

#: Of a program whose runs differ by where its memory happens to lie the middle one of so many counts: the best of a few
#: tells who was lucky. (140 starts of redis vary by 13%.)
STARTS = 9


def in_turn(figures, measure, starts=None):
    """Of a workload that needs the whole machine: `measure(way)` gives the figures of one run."""
    count, choose = (starts, _middle) if starts else (TURNS, lambda runs: _best(figures, runs))

    def measure_all(ways):
        outcomes = {}
        for way in list(ways) * count:
            try_one(outcomes, way, lambda: outcomes.get(way.name, []) + [measure(way)])
            forget()
        return _chosen(outcomes, choose)

    return measure_all


#: Of a server, loaded for a second each time.
SLICES = 8


def in_slices(serve):
    """Of servers whose runs differ by what else the machine does meanwhile (plain and plain by 10% in a second, their p99 by
    30%): all are there at once, and loaded in turn for short slices, of which the middle one counts. `serve(way)` is a
    context that gives a function, which loads the server and gives the figures."""

    def measure_all(ways):
        loads = {}
        with contextlib.ExitStack() as servers:
            for way in ways:
                try_one(loads, way, lambda: servers.enter_context(serve(way)))
            outcomes = {name: load for name, load in loads.items() if isinstance(load, Failed)}
            for number in range(SLICES):
                for way in ways[:: 1 if number % 2 else -1]:
                    try_one(outcomes, way, lambda: outcomes.get(way.name, []) + [loads[way.name]()])
        return _chosen(outcomes, _middle)

    return measure_all


def _chosen(outcomes, choose):
    return {name: runs if isinstance(runs, Failed) else choose(runs) for name, runs in outcomes.items()}


def _best(figures, runs):
    return tuple((max if figure.higher_is_better else min)(values) for figure, values in zip(figures, zip(*runs)))


def _middle(runs):
    return tuple(map(statistics.median, zip(*runs)))


def try_one(outcomes, way, act):
    """What came of it; a way that has failed does not try again."""
    if not isinstance(outcomes.get(way.name), Failed):
        try:
            outcomes[way.name] = act()
        except Failed as failure:
            outcomes[way.name] = failure


def compare(workload, ways, pairs, slow_pairs):
    """Every way's runs next to plain's, in an order that is reversed from one round to the next. A way that fails is left
    out from there on."""
    results = Results(workload)
    ways = [way for way in ways if workload.python or not way.interpreter]
    plain = next(way for way in ways if way.name == "plain")
    fast = [way for way in ways if not way.slow]
    own = [way for way in fast if way.name in OWN]
    began = time.monotonic()
    _round(results, fast, 0)  # warms up, and finds who cannot
    for number in range(pairs if plain.name not in results.failures else 0):
        results.rounds.append(_round(results, fast if number < peer_pairs(pairs) else own, number))
        say(f"{workload.name}: {number + 1} of {pairs} rounds, {time.monotonic() - began:.0f} s")
    for way in (way for way in ways if way.slow):
        for number in range(slow_pairs):
            if results.failures.keys() & {plain.name, way.name}:
                break
            results.rounds.append(_round(results, [plain, way], number))
        say(f"{workload.name}: {slow_pairs} pairs of {way.name}, {time.monotonic() - began:.0f} s")
    return results


def peer_pairs(pairs):
    return max(1, pairs // 3)


def _round(results, ways, number):
    ways = [way for way in ways if way.name not in results.failures]
    outcomes = results.workload.measure(ways if number % 2 == 0 else ways[::-1])
    forget()
    for name, failure in outcomes.items():
        if isinstance(failure, Failed):
            results.failures[name] = " ".join(str(failure).split())
            say(f"{results.workload.name}: {name}: {failure}")
    return {name: values for name, values in outcomes.items() if name not in results.failures}
