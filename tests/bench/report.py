"""Figures to a table, and the table to its place in the documentation."""

import json
import os
import statistics

from tools import TOOLS

# Seconds by which a program may return before all is stored without being called early.
EARLY_SECONDS = 0.3


def medians(samples):
    """The median of each figure of one job and tool; `None` if no round was done."""
    done = [sample for sample in samples if "failed" not in sample]
    if not done:
        return None
    figures = ("returned", "stored", "cpu", "peak", "requests")
    return {figure: statistics.median(sample[figure] for sample in done) for figure in figures}


def cell(samples):
    """One job of one tool."""
    middle = medians(samples)
    failures = [sample["failed"] for sample in samples if "failed" in sample]
    if middle is None:
        return f"fails: {failures[0]}".replace("|", "/") if failures else ""
    early = ""
    if middle["stored"] - middle["returned"] > EARLY_SECONDS:
        early = f" ({seconds(middle['returned'])})"
    failed = f"; {len(failures)} of {len(samples)} rounds fail" if failures else ""
    peak = middle["peak"] / (1 << 20)
    return f"{seconds(middle['stored'])}{early}, {middle['cpu']:.2f}, {peak:.0f} MiB, {middle['requests']:.0f}{failed}"


def seconds(time):
    """A time as people compare it: of what takes next to nothing, the milliseconds."""
    return f"{time:.2f} s" if time >= 0.1 else f"{time * 1000:.1f} ms"


def not_first(jobs, results, delayed):
    """Jobs in which a peer took no more time than Brigade; `delayed` counts what it waits before it begins to send."""
    found = []
    for job in jobs:
        ours = medians(results.get((job.name, "brigade"), []))
        for tool in TOOLS:
            theirs = medians(results.get((job.name, tool), []))
            if tool.startswith("brigade") or theirs is None:
                continue
            time = theirs["stored"]
            if not delayed:
                time = max(theirs["returned"], time - TOOLS[tool].delay_seconds)
            if ours is None or time <= ours["stored"]:
                found.append(f"{job.title} ({tool} {seconds(time)})")
    return found


def table(jobs, tools, versions, results, conditions):
    """The section of the documentation."""
    lines = [conditions, ""]
    lines.append("| job | " + " | ".join(f"{tool} {versions[tool]}" for tool in tools) + " |")
    lines.append("|--" * (len(tools) + 1) + "|")
    for job in jobs:
        cells = [cell(results.get((job.name, tool), [])) for tool in tools]
        lines.append(f"| {job.title} | " + " | ".join(cells) + " |")
    if "brigade" in tools and len(tools) > 1:
        behind = not_first(jobs, results, delayed=True)
        lines += ["", "A peer is as fast or faster: " + ("; ".join(behind) if behind else "nowhere") + "."]
        early = [name for name in not_first(jobs, results, delayed=False) if name not in behind]
        if early:
            lines += [f"So it would be if rclone did not wait before it sends: {'; '.join(early)}."]
    return "\n".join(lines) + "\n"


def machine():
    """What this runs on, in a line."""
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        for line in info:
            if line.startswith("model name"):
                model = " ".join(line.split(":", 1)[1].split())
                break
    with open("/proc/meminfo", encoding="ascii") as info:
        memory = int(info.readline().split()[1]) / (1 << 20)
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, kernel {'.'.join(os.uname().release.split('.')[:2])}"


def place(path, section, text):
    """Puts a table between its marks in a document."""
    begin, end = f"<!-- bench:{section}:begin -->\n", f"<!-- bench:{section}:end -->\n"
    with open(path, encoding="utf-8") as file:
        document = file.read()
    before, found, rest = document.partition(begin)
    _, ends, after = rest.partition(end)
    if not found or not ends:
        raise SystemExit(f"bench: {path} has no {begin.strip()} and {end.strip()}; put them where the table belongs")
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + begin + "\n" + text + "\n" + end + after)


def keep(path, facts, results):
    """All figures, as JSON."""
    samples = [{"job": job, "tool": tool, "rounds": rounds} for (job, tool), rounds in results.items()]
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(dict(facts, samples=samples), file, indent=1)
