"""Advance orders one by one for a pass: what goes wrong with one is told and shown, and stops no other."""

from collections.abc import Callable
from dataclasses import dataclass

from pferdewert_ops.domain.orders import Step
from pferdewert_ops.operations.advance import Advance
from pferdewert_ops.operations.ports import Findings

ORDER_STUCK = "order_stuck"


@dataclass(frozen=True, slots=True, kw_only=True)
class OneByOne:
    """`concerns_all`: whether an error is the whole database's, which ends the pass. `tell` never gets an error's text,
    which may quote the order.
    """

    advance: Advance
    findings: Findings
    concerns_all: Callable[[Exception], bool]
    tell: Callable[..., None]

    def order(self, order_id: str) -> Step | None:
        """As `Advance.order`; None too where it could not be moved."""
        try:
            return self.advance.order(order_id)
        except Exception as error:
            if self.concerns_all(error):
                raise
            code = type(error).__name__
            if self.findings.open(ORDER_STUCK, order_id, code):
                self.tell("order_stuck", order=order_id, error=code)
            return None
