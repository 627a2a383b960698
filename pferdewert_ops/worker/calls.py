"""How many model calls may be made next, as the breakers and the day's budget say."""

from decimal import Decimal

from pferdewert_ops.adapters.mongo.evaluation_jobs import EvaluationQueue
from pferdewert_ops.domain.money import MICRO
from pferdewert_ops.domain.spending import allowance, worst_case
from pferdewert_ops.wiring import UNLIMITED, Shop

# The longest prompt: the system prompt and every field at its cap, as tokens, rounded up.
PROMPT_TOKENS = 10_000


class ModelBudget:
    """Asked once a second by the evaluation gate."""

    def __init__(self, shop: Shop, queue: EvaluationQueue) -> None:
        self._shop = shop
        self._queue = queue

    def places(self, *, paid_only: bool) -> int:
        """For anybody: while the first model answers. For payers: the second one will do."""
        models = self._shop.models
        candidates = [models.primary]
        if paid_only and models.fallback is not None:
            candidates.append(models.fallback)
        open_places = max(self._shop.circuits.places(f"model:{model}") for model in candidates)
        return min(open_places, self._affordable(paid_only=paid_only)) if open_places else 0

    def _affordable(self, *, paid_only: bool) -> int:
        """How many worst-case calls the budget has left, those that the whole fleet is making now set aside."""
        call = self._worst_call()
        if call <= 0:
            return UNLIMITED
        budget = int(Decimal(self._shop.settings.daily_budget_eur) * MICRO)
        reserved = self._queue.leased.processing() * call
        return allowance(self._shop.spending.today().micro, reserved, budget, call, paid=paid_only)

    def _worst_call(self) -> int:
        models = self._shop.models
        names = {models.primary, models.fallback or models.primary}
        prices = [models.prices[name] for name in names if name in models.prices]
        return max((worst_case(PROMPT_TOKENS, models.max_tokens, one, models.eur_per_usd) for one in prices), default=0)
