"""How many model calls may be made next, as the breakers and the day's budget say."""

from decimal import Decimal

from pferdewert_ops.adapters.mongo.evaluation_jobs import EvaluationQueue
from pferdewert_ops.domain.money import MICRO
from pferdewert_ops.domain.spending import allowance, worst_case
from pferdewert_ops.operations.overview import ALL_WAIT, UNPAID_WAIT
from pferdewert_ops.wiring import UNLIMITED, Shop
from pferdewert_ops.worker.gates import Places

# The longest prompt: the system prompt and every field at its cap, as tokens, rounded up.
PROMPT_TOKENS = 10_000
BUDGET_FINDING = "model_budget"


class ModelBudget:
    """Asked once a second by the evaluation gate."""

    def __init__(self, shop: Shop, queue: EvaluationQueue) -> None:
        self._shop = shop
        self._queue = queue

    def places(self) -> Places:
        """For anybody: while the first model answers. For payers: the second one will do."""
        models, circuits = self._shop.models, self._shop.circuits
        first = circuits.places(f"model:{models.primary}")
        any_model = first
        if first <= 0 and models.fallback is not None:
            any_model = circuits.places(f"model:{models.fallback}")
        for_all, for_payers = self._affordable()
        because = "breaker" if first <= 0 else "budget" if for_all <= 0 else ""
        return Places(everybody=min(first, for_all), payers=min(any_model, for_payers), because=because)

    def changed(self, places: Places) -> None:
        """A budget that runs out is said where people look, and withdrawn when the next day begins."""
        if places.because == "budget":
            who = UNPAID_WAIT if places.payers > 0 else ALL_WAIT
            self._shop.findings.open(BUDGET_FINDING, "today", who)
        else:
            self._shop.findings.close(BUDGET_FINDING, "today")

    def _affordable(self) -> tuple[int, int]:
        """How many worst-case calls the budget has left for anybody and for payers; what runs now is set aside."""
        call = self._worst_call()
        if call <= 0:
            return UNLIMITED, UNLIMITED
        budget = int(Decimal(self._shop.settings.daily_budget_eur) * MICRO)
        reserved = self._queue.leased.processing() * call
        spent = self._shop.spending.today().micro
        return (
            allowance(spent, reserved, budget, call, paid=False),
            allowance(spent, reserved, budget, call, paid=True),
        )

    def _worst_call(self) -> int:
        models = self._shop.models
        names = {models.primary, models.fallback or models.primary}
        prices = [models.prices[name] for name in names if name in models.prices]
        return max((worst_case(PROMPT_TOKENS, models.max_tokens, one, models.eur_per_usd) for one in prices), default=0)
