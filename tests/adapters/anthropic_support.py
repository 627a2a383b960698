"""What the tests of the evaluator share: one request, and a watch that can be told to cancel."""

import threading

from pferdewert_ops.operations.ports import EvaluationRequest

PROMPT = """<land>DE</land>
<waehrung>EUR</waehrung>
<pferdedaten>
rasse: Hannoveraner
alter: 8 Jahre
haupteignung: Dressur
besonderheiten: Geheimnis der Kundin
</pferdedaten>"""
SYSTEM = "Du bewertest Pferde. " * 200


class RecordingWatch:
    """Remembers what it was told; `cancel` ends the call, `started` is set by the first progress."""

    def __init__(self) -> None:
        self.told: list[int] = []
        self.started = threading.Event()
        self.cancel = threading.Event()

    def progress(self, output_tokens: int) -> None:
        self.told.append(output_tokens)
        self.started.set()

    def cancelled(self) -> bool:
        return self.cancel.is_set()


def evaluation(*, model: str = "claude-opus-5-5", prompt: str = PROMPT, max_tokens: int = 8_000) -> EvaluationRequest:
    return EvaluationRequest(model=model, system=SYSTEM, prompt=prompt, max_tokens=max_tokens)
