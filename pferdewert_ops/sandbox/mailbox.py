"""What the local mail servers have accepted, and the faults that they show on order."""

import dataclasses
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum


class Via(StrEnum):
    RESEND = "resend"
    SMTP = "smtp"


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedMail:
    """One mail that a server has taken. `provider_id` is what its sender was told, or could have asked for."""

    at: datetime
    via: Via
    provider_id: str
    sender: str
    to: tuple[str, ...]
    bcc: tuple[str, ...]
    subject: str
    kind: str | None
    key: str | None
    message_id: str | None
    html: str
    text: str
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    last_event: str = "delivered"

    def as_json(self) -> dict[str, object]:
        return {**dataclasses.asdict(self), "at": self.at.isoformat(), "via": str(self.via)}


class Mailbox:
    """The mails of both servers in the order of their acceptance. Safe to use from any thread."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.clock = clock
        self._mails: list[AcceptedMail] = []
        self._changed = threading.Condition()

    def accept(self, mail: AcceptedMail) -> None:
        with self._changed:
            self._mails.append(mail)
            self._changed.notify_all()

    def mails(self, via: Via | None = None) -> tuple[AcceptedMail, ...]:
        """Oldest first."""
        with self._changed:
            return tuple(mail for mail in self._mails if via in (None, mail.via))

    def wait_for(self, count: int, timeout: float) -> tuple[AcceptedMail, ...]:
        """The mails as soon as there are `count`, or as they are after `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._mails) >= count, timeout)
            return tuple(self._mails)

    def note_event(self, provider_id: str, event: str) -> None:
        """What became of a mail afterwards, such as `bounced`. Raises KeyError for an id that is not there."""
        with self._changed:
            for place, mail in enumerate(self._mails):
                if mail.provider_id == provider_id:
                    self._mails[place] = dataclasses.replace(mail, last_event=event)
                    return
        raise KeyError(provider_id)

    def clear(self) -> None:
        with self._changed:
            self._mails.clear()


class Fault(StrEnum):
    """What a server does instead of taking a mail or listing what it took."""

    REFUSE = "refuse"  # 422, SMTP 550
    REFUSE_FOR_NOW = "refuse_for_now"  # 500, SMTP 451
    RATE_LIMIT = "rate_limit"  # 429 with retry-after, SMTP 450
    REFUSE_CONNECTION = "refuse_connection"  # nobody listens for `seconds`: see MailSandbox
    DIE_BEFORE = "die_before"  # the connection closes, nothing is kept
    DIE_AFTER = "die_after"  # the mail is kept, the connection closes without an answer
    SLOW = "slow"  # the mail is kept and answered after `seconds`, or when the slow ones are released
    LIST_REFUSED = "list_refused"  # 403
    LIST_SHORT = "list_short"  # the list ends after the newest `newest`


LIST_FAULTS = frozenset({Fault.LIST_REFUSED, Fault.LIST_SHORT})


class Phase(StrEnum):
    """Where in an SMTP conversation a fault strikes: at EHLO, MAIL, RCPT, DATA, or after the end of the message."""

    HELLO = "hello"
    SENDER = "sender"
    RECIPIENT = "recipient"
    DATA = "data"
    MESSAGE = "message"


_AT_ANY_PHASE = frozenset({Fault.REFUSE, Fault.REFUSE_FOR_NOW, Fault.RATE_LIMIT, Fault.DIE_BEFORE})


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """One fault. It strikes `count` times (None: always), each time with `probability`.

    `via`, `kind`: only that server, only mails of that kind (known to SMTP not before the end of the message).
    `status`: another answer code than the fault's own. `retry_after`: seconds, with RATE_LIMIT. Times are in seconds.
    """

    fault: Fault
    via: Via | None = None
    phase: Phase = Phase.MESSAGE
    kind: str | None = None
    count: int | None = None
    probability: float = 1.0
    status: int | None = None
    retry_after: float = 1.0
    seconds: float = 1.0
    newest: int = 0

    def __post_init__(self) -> None:
        if self.phase is not Phase.MESSAGE and self.fault not in _AT_ANY_PHASE:
            raise ValueError(f"{self.fault} strikes after the message, not at another phase")

    @classmethod
    def from_json(cls, fields: object) -> "FaultRule":
        """Raises ValueError naming what is wrong."""
        if not isinstance(fields, dict):
            raise ValueError("a rule is an object")  # noqa: TRY004 - the caller answers with it
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := set(fields) - known:
            raise ValueError(f"unknown: {', '.join(sorted(map(str, unknown)))}; known: {', '.join(sorted(known))}")
        if "fault" not in fields:
            raise ValueError(f"fault is missing, one of {', '.join(Fault)}")
        typed = dict(fields)
        for name, closed in (("fault", Fault), ("via", Via), ("phase", Phase)):
            if typed.get(name) is not None:
                typed[name] = closed(typed[name])
        for name in {"count", "probability", "status", "retry_after", "seconds", "newest"} & set(typed):
            if not isinstance(typed[name], int | float) or typed[name] < 0:
                raise ValueError(f"{name} is a number from 0 on")
        return cls(**typed)


class FaultRules:
    """The rules in force, first match first. The draws come from `seed`, so that a run can be repeated."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._rules: list[tuple[FaultRule, int | None]] = []
        self.slow = Holding()

    def add(self, rule: FaultRule) -> None:
        """Put a rule in force. Raises ValueError for REFUSE_CONNECTION: nobody listens, so no request can meet it."""
        if rule.fault is Fault.REFUSE_CONNECTION:
            raise ValueError("a server refuses connections as a whole")
        with self._lock:
            self._rules.append((rule, rule.count))

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()
        self.slow.release()

    def take(
        self, via: Via, *, listing: bool = False, phase: Phase = Phase.MESSAGE, kind: str | None = None
    ) -> FaultRule | None:
        """The rule that strikes here and now, spent once."""
        with self._lock:
            for place, (rule, left) in enumerate(self._rules):
                fits = (
                    (rule.fault in LIST_FAULTS) is listing
                    and rule.via in (None, via)
                    and (via is Via.RESEND or rule.phase is phase)
                    and rule.kind in (None, kind)
                    and left != 0
                )
                if fits and self._random.random() < rule.probability:
                    self._rules[place] = (rule, None if left is None else left - 1)
                    return rule
        return None


class Holding:
    """Slow answers, which a test can wait for and let go instead of sleeping."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._held = 0
        self._generation = 0

    def hold(self, seconds: float) -> None:
        """Return after `seconds`, or when released. Blocks: call it in a thread."""
        with self._changed:
            generation = self._generation
            self._held += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._generation != generation, seconds)
            self._held -= 1

    def wait_until_held(self, count: int = 1, timeout: float = 10.0) -> bool:
        """Whether `count` answers are being held within `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._held >= count, timeout)

    def release(self) -> None:
        with self._changed:
            self._generation += 1
            self._changed.notify_all()
