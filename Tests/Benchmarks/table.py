"""The table of what was measured, in Markdown."""

import os
import platform
from pathlib import Path

from pairs import SLICES, STARTS, TURNS, peer_pairs

#: Column → the way in it.
COLUMNS = {
    "forwarding only": "forwarding",
    "**heaptide**": "heaptide",
    "heaptrack": "heaptrack",
    "jemalloc's profiler": "jemalloc prof",
    "gperftools' sampler": "gperftools",
    "memray --native": "memray",
}


def bars(results):
    """(figure, base, bar, ratio or None) of heaptide, for each bar of a workload."""
    for figure in results.workload.figures:
        for base, bar in figure.bars.items():
            yield figure, base, bar, results.ratio(figure, "heaptide", base)


def shown(ratio):
    return f"{ratio.median:.3f} ({ratio.low:.3f}–{ratio.high:.3f})"


def _verdict(figure, base, bar, ratio):
    sign = "≥" if figure.higher_is_better else "≤"
    against = "" if base == "plain" else f" × {base}"
    measured = "" if base == "plain" or not ratio else f" ({ratio.median:.3f})"
    verdict = "not measured" if not ratio else "pass" if figure.passes(ratio.median, bar) else "**FAIL**"
    return f"{sign} {bar:.2f}{against}{measured} {verdict}"


def _cell(results, figure, way):
    if way.name in results.failures:
        return "failed"
    ratio = results.ratio(figure, way.name, way.base)
    if not ratio:
        return "–"
    with_allocator = results.ratio(figure, way.name, "plain") if way.base != "plain" else None
    return shown(ratio) + (f", {with_allocator.median:.2f}" if with_allocator else "")


def _absolute(results, figure):
    value = results.median(figure, "plain")
    return "–" if value is None else f"{value:,.0f} {figure.unit}" if value >= 10 else f"{value:.3f} {figure.unit}"


def _row(cells):
    return "| " + " | ".join(cells) + " |"


def _head(*titles):
    return [_row(titles), _row(["---"] * len(titles))]


def _machine():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} × {model}, Linux {platform.release()}, glibc {platform.libc_ver()[1]}"


def markdown(all_results, micro, ways, missing, pairs, slow_pairs):
    by_name = {way.name: way for way in ways}
    columns = {title: by_name[name] for title, name in COLUMNS.items() if name in by_name}
    lines = []
    if all_results:
        lines += _head("workload", "plain", *columns, "heaptide's bar")
    for results in all_results:
        for figure in results.workload.figures:
            verdicts = "; ".join(_verdict(*bar) for bar in bars(results) if bar[0] is figure) or "–"
            cells = [_cell(results, figure, way) for way in columns.values()]
            lines.append(_row([figure.title, _absolute(results, figure), *cells, verdicts]))
    if micro:
        lines += [""] * bool(lines) + _head("heaptide itself", "measured", "bar")
        for one in micro:
            verdict = "pass" if one.value <= one.bar else "**FAIL**"
            lines.append(_row([f"{one.title} ({one.note})", f"{one.value:.2f} {one.unit}", f"≤ {one.bar:g} {verdict}"]))
    return "\n".join([*lines, "", *_notes(all_results, ways, missing, pairs, slow_pairs)]) + "\n"


def _notes(all_results, ways, missing, pairs, slow_pairs):
    names = {way.name for way in ways}
    notes = [
        f"Median ratios to plain (quartiles) of {pairs} pairs ({peer_pairs(pairs)} of a peer), of user and system time, or of"
        " what is named. Programs of one thread run beside the plain one, on two cores at the same time, and again with the"
        f" cores exchanged; of others each way has its turn, and the best of {TURNS} runs counts,"
        f" of redis the middle one of {STARTS} starts, and of the HTTP service of {SLICES} seconds, between those of the"
        " others."
    ]
    if names & {"heaptrack", "memray"}:
        few = f"{slow_pairs} pair{'s' * (slow_pairs > 1)}"
        notes.append(f"heaptrack and memray: {few}, as they are slow. The time of heaptrack's interpreter counts.")
    if names & {"jemalloc prof", "gperftools"}:
        notes.append(
            "jemalloc's profiler and gperftools' sampler work in their own allocators only: the ratio is to that"
            " allocator without them, and the number after the comma to plain.")
    notes += missing
    for results in all_results:
        notes += [f"{results.workload.name}, {name}: {reason}" for name, reason in results.failures.items()]
    return [f"- {note}" for note in [*notes, _machine()]]
