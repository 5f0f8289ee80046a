"""What the programs share that `fmnist-gpu bench --against` runs."""
import json
import statistics
import sys
import time


def serve(configurations, seconds, latency=False):
    """Answers each line of input with a measurement of every configuration.

    A configuration is (name, images, run); a call of run processes that many
    images. With latency, run is one step, whose times matter one by one. An empty
    line ends an answer. At a terminal there is one answer, to no question.
    """
    for _ in [""] if sys.stdin.isatty() else sys.stdin:
        for name, images, run in configurations:
            times = measure(run, seconds)
            result = {"name": name, "images_per_second": images * len(times) / sum(times)}
            if latency:
                result["latency_ms"] = {"median": 1e3 * statistics.median(times),
                                        "p99": 1e3 * sorted(times)[(99 * len(times) - 1) // 100]}
            print(json.dumps(result))
        print(flush=True)


def measure(run, seconds):
    """Returns the seconds that each call of run took, in so many seconds."""
    run()  # the other program had the caches
    times, now = [], time.perf_counter()
    stop = now + seconds
    while now < stop:
        run()
        before, now = now, time.perf_counter()
        times.append(now - before)
    return times
