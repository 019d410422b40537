#!/usr/bin/env python3
"""Runs a command and says what that one process cost, not its children (docker, BuildKit).

Usage: watch.py OUT COMMAND...   OUT gets `WALL_MS CPU_MS PEAK_KIB`; the command's
exit code is passed on.
"""

import os
import select
import subprocess
import sys
import time

TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
EVERY_MS = 2


def peak_kib(pid):
    """The high-water mark of resident memory, which the kernel keeps; gone once it has ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            return next((int(line.split()[1]) for line in status if line.startswith("VmHWM")), 0)
    except (FileNotFoundError, ProcessLookupError):
        return 0


def main():
    out, command = sys.argv[1], sys.argv[2:]
    begin = time.perf_counter()
    child = subprocess.Popen(command)
    ended = select.poll()
    ended.register(os.pidfd_open(child.pid), select.POLLIN)
    peak = 0
    while not ended.poll(EVERY_MS):
        peak = max(peak, peak_kib(child.pid))
    wall = (time.perf_counter() - begin) * 1000
    # Not yet reaped: how much of the processor time below is its children's, in whole ticks.
    with open(f"/proc/{child.pid}/stat", encoding="ascii", errors="replace") as stat:
        fields = stat.read().rpartition(")")[2].split()
    children = (int(fields[13]) + int(fields[14])) * TICK_MS
    _, status, usage = os.wait4(child.pid, 0)
    cpu = (usage.ru_utime + usage.ru_stime) * 1000 - children
    with open(out, "w", encoding="ascii") as result:
        print(f"{wall:.3f} {max(cpu, 0):.3f} {peak}", file=result)
    sys.exit(os.waitstatus_to_exitcode(status))


main()
