"""Plants as they are: Debian's RabbitMQ, Redis, Sentinel, pgbouncer around rollout."""
