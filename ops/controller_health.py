"""Health of the controller's container: fails when its last tick is older than 30 seconds.

Reads `/metrics`, because a controller that hangs in a tick still answers there with the old time.
"""

import sys
import time
from urllib.request import urlopen

AGE_S_MAX = 30.0
METRIC = "rollout_last_tick_timestamp_seconds"
URL = "http://127.0.0.1:9464/metrics"


def tick_age_s(metrics: str, now: float) -> float:
    """Seconds since the last tick; infinity before the first."""
    for line in metrics.splitlines():
        name, _, value = line.partition(" ")
        if name == METRIC:
            return now - float(value)
    return float("inf")


def main(url: str) -> int:
    """Ask for the metrics; 0 is healthy, 1 is not."""
    try:
        with urlopen(url, timeout=3) as answer:
            metrics = answer.read().decode()
    except OSError as error:
        print(f"{url} did not answer: {error}")
        return 1
    age_s = tick_age_s(metrics, time.time())
    print(f"last tick {age_s:.1f} s ago, allowed {AGE_S_MAX:g} s")
    return 0 if age_s <= AGE_S_MAX else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else URL))
