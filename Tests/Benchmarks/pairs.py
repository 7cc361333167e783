"""Paired, interleaved runs and their ratios."""

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
    """`measure(way)` runs the workload once and gives a number for each of the figures."""

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

#: Of so many runs of one way in a round the best counts: what else the machine does can only add to a run.
TURNS = 3


def compare(workload, ways, pairs, slow_pairs):
    """Every way's runs next to plain's. The ways take turns, so that what the machine does meanwhile meets them all,
    and the order is reversed from one round to the next. A way that fails is left out from there on."""
    results = Results(workload)
    ways = [way for way in ways if workload.python or not way.interpreter]
    plain = next(way for way in ways if way.name == "plain")
    fast = [way for way in ways if not way.slow]
    own = [way for way in fast if way.name in OWN]
    began = time.monotonic()
    for way in fast:
        _measure(results, way, {})  # warms up, and finds who cannot
    for number in range(pairs):
        results.rounds.append(_round(results, fast if number < peer_pairs(pairs) else own, number, TURNS))
        say(f"{workload.name}: {number + 1} of {pairs} rounds, {time.monotonic() - began:.0f} s")
    for way in (way for way in ways if way.slow):
        for number in range(slow_pairs):
            results.rounds.append(_round(results, [plain, way], number, 1))
        say(f"{workload.name}: {slow_pairs} pairs of {way.name}, {time.monotonic() - began:.0f} s")
    return results


def peer_pairs(pairs):
    return max(1, pairs // 3)


def _round(results, ways, number, turns):
    best = {}
    for _ in range(turns):
        values = {}
        for way in ways if number % 2 == 0 else reversed(ways):
            _measure(results, way, values)
        for name, figures in values.items():
            best[name] = _better(results.workload.figures, best.get(name, figures), figures)
    return best


def _better(figures, a, b):
    return tuple((max if figure.higher_is_better else min)(x, y) for figure, x, y in zip(figures, a, b))


def _measure(results, way, values):
    if way.name in results.failures:
        return
    try:
        values[way.name] = results.workload.measure(way)
    except Failed as failure:
        results.failures[way.name] = " ".join(str(failure).split())
        say(f"{results.workload.name}: {way.name}: {failure}")
    finally:
        forget()
