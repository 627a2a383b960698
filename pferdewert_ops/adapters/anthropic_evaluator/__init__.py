"""The model: one evaluation is one streamed call of Claude."""

from pferdewert_ops.adapters.anthropic_evaluator.evaluator import API_URL, AnthropicEvaluator

__all__ = ["API_URL", "AnthropicEvaluator"]
