"""Rules of the policy lint, by what they look at; `rollout/policy/lint/rules.py` runs them."""
