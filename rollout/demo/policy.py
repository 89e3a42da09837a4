"""The demo's policy: weeks of twenty seconds, and a budget that so few jobs can show."""

WEEK_S = 20.0
DAY_S = WEEK_S / 7

LADDER_BP = (2500, 5000, 8000)
SHADOW_PAIRS = 30

TOML = f"""\
# A rehearsal: a week of the policy lasts {WEEK_S:g} seconds and has some 100 to 400 concurrent
# jobs, which two paths share with one machine: the budget is far larger than the automatic one.
[policy]
day_s = {DAY_S:.4f}
ladder_bp = {list(LADDER_BP)}
quiet = []
jobs_min = 50
budget_failed = 40.0
budget_late = 120.0
drills_min = 6
shadow_pairs_min = {SHADOW_PAIRS}
legacy_headroom_min = 0.5
"""
