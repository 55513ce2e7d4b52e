"""Processes that make recordings. One whose library crashes, which no Python can catch, is started again."""

import multiprocessing
import time
from multiprocessing import connection


def run(jobs, again, say=print):
    """Runs every (function, arguments) in a process of its own and waits for all of them; how many ended well.

    again(job, times) -> the job to start instead of one that failed for the times-th time, or None."""
    context, started = multiprocessing.get_context("spawn"), time.time()
    running, well = {}, 0

    def start(job, times):
        function, arguments = job
        process = context.Process(target=function, args=arguments)
        process.start()
        running[process] = job, times

    for job in jobs:
        start(job, 0)
    while running:
        connection.wait([process.sentinel for process in running])
        for process in [one for one in running if not one.is_alive()]:
            process.join()
            job, times = running.pop(process)
            if not process.exitcode:
                well += 1
                continue
            other = again(job, times + 1)
            say(f"make-speech: after {time.time() - started:.0f} s a process of {job[0].__name__} {job[1][2]} ended with exit code "
                f"{process.exitcode} (negative: a signal); {'it is started again' if other else 'it stays away'}")
            if other:
                start(other, times + 1)
    return well
