"""Rules of the policy lint, by what they look at; `rollout/core/policy_lint.py` runs them."""
