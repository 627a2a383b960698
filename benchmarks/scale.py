"""How much is measured: all of it, or what fits into a minute, or just enough to see that everything runs."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Sleepers:
    """Jobs that only wait: so many, so long each, so many at once."""

    jobs: int
    seconds: float
    concurrency: int

    @property
    def ideal(self) -> float:
        """Seconds that the waiting alone takes."""
        return -(-self.jobs // self.concurrency) * self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """One setting of every benchmark's knobs. `lease` None: the default settings, which the targets are about."""

    name: str
    drain_jobs: int
    drain_rounds: int
    backlog: int
    claims: int
    finished_few: int
    finished_many: int
    starts: int
    sleepers: tuple[Sleepers, ...]
    in_flight: int
    lease: timedelta | None
    held: int
    renewals: int
    helps: int


FULL = Scale(
    name="full",
    drain_jobs=10_000,
    drain_rounds=5,
    backlog=10_000,
    claims=300,
    finished_few=1_000,
    finished_many=1_000_000,
    starts=150,
    sleepers=(
        Sleepers(jobs=1_000, seconds=2.0, concurrency=200),
        Sleepers(jobs=1_000, seconds=2.0, concurrency=500),
    ),
    in_flight=20,
    lease=None,
    held=500,
    renewals=40,
    helps=20,
)

QUICK = Scale(
    name="quick",
    drain_jobs=5_000,
    drain_rounds=2,
    backlog=5_000,
    claims=100,
    finished_few=1_000,
    finished_many=50_000,
    starts=20,
    sleepers=(Sleepers(jobs=200, seconds=2.0, concurrency=200),),
    in_flight=20,
    lease=timedelta(seconds=3),
    held=500,
    renewals=5,
    helps=5,
)

TINY = Scale(
    name="tiny",
    drain_jobs=100,
    drain_rounds=1,
    backlog=100,
    claims=10,
    finished_few=10,
    finished_many=100,
    starts=3,
    sleepers=(Sleepers(jobs=20, seconds=0.1, concurrency=10),),
    in_flight=2,
    lease=timedelta(seconds=2),
    held=20,
    renewals=2,
    helps=1,
)
