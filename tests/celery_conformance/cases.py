"""All cases, in one table."""

from tests.celery_conformance import cases_of_canvas, cases_of_habits, cases_of_jobs, cases_of_looks
from tests.celery_conformance.table import CASES, Case

__all__ = ["CASES", "Case", "cases_of_canvas", "cases_of_habits", "cases_of_jobs", "cases_of_looks"]
