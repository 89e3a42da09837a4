"""`SubPipeline`: what a platform team declares, and the way jobs are submitted."""

from rollout.pipeline.sub_pipeline import SubPipeline

__all__ = ["SubPipeline"]
