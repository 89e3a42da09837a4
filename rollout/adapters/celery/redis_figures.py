"""What a Redis that is the broker says of itself: whether it takes messages, and keeps them."""

from typing import Any


def why_no_writes(client: Any) -> str | None:
    """Why a Redis takes no messages or drops them, with what to do; None when all is well.

    Args:
        client: A client of redis-py. What its user may not ask for counts as well.
    """
    figures: dict[str, Any] = {}
    for section in ("replication", "cluster", "memory"):
        try:
            figures |= client.info(section)
        except Exception as error:
            if not type(error).__module__.startswith("redis."):
                raise
            # Without INFO nothing is known; that it answers is told by its own check.
    if figures.get("cluster_enabled"):
        return (
            "it is a node of a Redis Cluster, in which Celery's queues cannot be read together; "
            "name one Redis or Valkey, or its Sentinels, in ROLLOUT_BROKER_URL"
        )
    if figures.get("role") == "slave":
        return "it is a replica; name the primary, or its Sentinels, in ROLLOUT_BROKER_URL"
    most, policy = figures.get("maxmemory") or 0, str(figures.get("maxmemory_policy", ""))
    if not most:
        return None
    if policy != "noeviction" and policy.startswith("allkeys"):
        return (
            f"with maxmemory-policy {policy} it may drop queues, whose jobs are then sent again "
            "late; set it to noeviction"
        )
    if figures.get("used_memory", 0) >= most:
        return f"it has no memory left to write ({most} bytes); raise maxmemory"
    return None
