"""The demo's policy: weeks of twenty seconds, and margins as wide as so few jobs need them."""

WEEK_S = 20.0
DAY_S = WEEK_S / 7

LADDER_BP = (2500, 5000, 8000)
SHADOW_PAIRS = 30

TOML = f"""\
# A rehearsal: a week of the policy lasts {WEEK_S:g} seconds and has some 100 to 400 concurrent
# jobs, so the margins are far wider than the defaults, which thousands of jobs a week prove.
[policy]
day_s = {DAY_S:.4f}
ladder_bp = {list(LADDER_BP)}
quiet = []
jobs_min = 50
alpha_promote = 0.2
drills_min = 6
drills_max_age_days = 365.0
shadow_pairs_min = {SHADOW_PAIRS}
legacy_headroom_min = 0.5
margins = [
  {{ scope_bp_max = 10000, error_ratio = 1.5, error_absolute = 0.12, median_shift = 25, \
tail_shift = 60, recovery_ratio = 3.0 }},
]
"""
