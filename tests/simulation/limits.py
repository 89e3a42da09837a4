"""Virtual durations. The program's defaults are in seconds; here its clockwork runs 20-30 times
slower, beside jobs of about a minute, so that an hour of trouble takes a dozen ticks."""

from datetime import timedelta

from rollout.controller.tick import TickLimits

TICK_S = 300.0
LOST_AFTER = timedelta(seconds=600)
SILENT_AFTER = timedelta(seconds=600)
RENEW_S = SILENT_AFTER.total_seconds() / 3
SUPERVISION = timedelta(seconds=900)
LEASE = SUPERVISION * 0.6
KEEP = timedelta(days=10)
VISIBILITY_S = 2_400.0
WEEK_S = 604_800.0
REST_S = 8 * 3600.0
"""With everything up, no job may be open for longer: poison, visibility and sweep in turn."""

LIMITS = TickLimits(LOST_AFTER, SILENT_AFTER, SUPERVISION, KEEP)

LONG_QUEUE, SLICE = 20, 5
"""Jobs of a long queue, and of one slice of it: as many slices as in earnest, of fewer jobs."""
