"""What the doctor looks at: configuration, database, model, mail; each fact is read, then judged.

Imported by the command when it runs, so what is heavy may stand at the top.
"""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

from pferdewert_ops.adapters.failpoints import NotASandbox
from pferdewert_ops.adapters.mongo import schema
from pferdewert_ops.adapters.mongo.examination import ask_server, majority_confirms_writes, way_to
from pferdewert_ops.adapters.mongo.overview import MongoOverview
from pferdewert_ops.adapters.probes import ANTHROPIC_URL, RESEND_URL, probe_model, probe_resend, probe_smtp
from pferdewert_ops.cli.errors import translate
from pferdewert_ops.cli.output import age, local_time
from pferdewert_ops.config import ConfigError, Settings, load_settings, origins
from pferdewert_ops.domain.breaker import BreakerMode
from pferdewert_ops.domain.money import MICRO
from pferdewert_ops.domain.products import PRODUCTS
from pferdewert_ops.domain.spending import ModelPrices, worst_case
from pferdewert_ops.operations import checkup
from pferdewert_ops.operations.checkup import Check, fail, ok
from pferdewert_ops.operations.checkup_services import check_key, check_mail, check_operators, check_probe
from pferdewert_ops.wiring import Shop
from pferdewert_ops.worker.calls import PROMPT_TOKENS

_SOURCES = {"environment": "the environment", "credential": "credentials", "file": "the file"}


def examine(*, deep: bool) -> Iterator[Check]:
    """Every check, as soon as it is known. `deep`: ask the model and the mail provider too."""
    try:
        settings = load_settings()
    except ConfigError as error:
        for problem in error.problems:
            yield fail("configuration", problem, "")
        return
    yield _configuration(settings)
    yield from _mongodb(settings)
    yield from _model(settings, deep=deep)
    yield from _mail(settings, deep=deep)


def _configuration(settings: Settings) -> Check:
    sources = Counter(origin.origin.partition(" ")[0].rstrip(",") for origin in origins(settings))
    given = [f"{count} from {_SOURCES.get(source, source)}" for source, count in sources.items() if source != "default"]
    return ok("configuration", ", ".join([f"{sum(sources.values())} settings", *given, "the rest defaults"]) + ".")


# --- the database ----------------------------------------------------------------------------------------------------


def _mongodb(settings: Settings) -> Iterator[Check]:
    try:
        _ = settings.required_mongodb_uri
    except ConfigError as error:
        yield fail("mongodb", error.problems[0], "")
        return
    try:
        with Shop(settings) as shop:
            yield from _mail_client(shop)
            yield from _server(shop)
            yield from _writes(shop)
            yield from _records(shop)
    except Exception as error:  # the rest of the checkup goes on without the database
        known = translate(error)
        if known is None:
            raise
        yield fail("mongodb", known.message, "")


def _mail_client(shop: Shop) -> Iterator[Check]:
    """Only where it refuses the settings: what else there is to say of mail comes later."""
    try:
        shop.transport()
    except ValueError as refused:
        yield fail(
            "mail", f"Mail cannot be sent with these settings: {refused}.", "Correct PWOPS_MAIL_… or PWOPS_SMTP_…."
        )


def _server(shop: Shop) -> Iterator[Check]:
    facts = ask_server(shop.client)
    yield ok("mongodb", f"MongoDB {facts.version} answers in {facts.seconds * 1000:.1f} ms.")
    yield checkup.check_replica_set(is_replicated=facts.is_replicated)
    way = way_to(shop.settings.required_mongodb_uri)
    yield checkup.check_transport(is_encrypted=way.is_encrypted, is_local=way.is_local)
    yield checkup.check_clock(facts.skew)
    collections = [product.collection for product in PRODUCTS.values()]
    yield checkup.check_shop(shop.settings.database, collections, shop.database.list_collection_names())


def _writes(shop: Shop) -> Iterator[Check]:
    try:
        yield checkup.check_writes(is_confirmed=majority_confirms_writes(shop.database))
    except Exception as error:  # what can be read is checked all the same
        known = translate(error)
        if known is None:
            raise
        yield fail("writes", known.message, "")
    try:
        _ = shop.failpoints
    except NotASandbox as elsewhere:
        yield fail("failpoint", f"PWOPS_FAILPOINT is set: {elsewhere}.", "Take PWOPS_FAILPOINT away.")


def _records(shop: Shop) -> Iterator[Check]:
    seen = MongoOverview(shop.database)
    now = seen.server_time()
    horizon = shop.fleet.horizon()
    wanted = sum(len(indexes) for indexes in schema.SCHEMA.values())
    missing = sum(change.index is not None for change in schema.missing(shop.database))
    yield checkup.check_indexes(missing, wanted, has_run=horizon is not None)
    yield checkup.check_horizon(horizon, "" if horizon is None else local_time(horizon))
    workers = seen.workers(shop.settings.lease)
    last = min((worker.seen_ago for worker in workers), default=None)
    alive = sum(worker.is_alive for worker in workers)
    yield checkup.check_workers(alive, last, "" if last is None else age(last))
    if not missing:
        queues = seen.queues(now)
        yield checkup.check_paused([queue.name for queue in queues if queue.paused_by is not None])
        yield checkup.check_uncertain(sum(queue.uncertain for queue in queues))
    resting = [one.name for one in seen.breakers(now) if one.mode is not BreakerMode.CLOSED]
    yield checkup.check_breakers(resting)


# --- the services ----------------------------------------------------------------------------------------------------


def _model(settings: Settings, *, deep: bool) -> Iterator[Check]:
    key = None if settings.anthropic_api_key is None else settings.anthropic_api_key.get_secret_value()
    base_url = settings.anthropic_base_url
    yield check_key(key, is_stand_in=base_url not in {None, ANTHROPIC_URL})
    yield checkup.check_budget(int(Decimal(settings.daily_budget_eur) * MICRO), _worst_call(settings))
    if deep and key is not None:
        for model in filter(None, (settings.model_primary, settings.model_fallback)):
            answer = probe_model(key, base_url, model)
            setting = "PWOPS_ANTHROPIC_API_KEY or the model's name"
            yield check_probe("model", model, answer, setting, "PWOPS_ANTHROPIC_BASE_URL")


def _worst_call(settings: Settings) -> int:
    """The most that one evaluation can cost on the dearest model, as the worker reckons it."""
    models = {settings.model_primary, settings.model_fallback} & set(settings.model_prices)
    prices = [ModelPrices(**dict(settings.model_prices[model])) for model in models if model is not None]
    rate = settings.eur_per_usd
    return max((worst_case(PROMPT_TOKENS, settings.max_output_tokens, one, rate) for one in prices), default=0)


def _mail(settings: Settings, *, deep: bool) -> Iterator[Check]:
    by_resend = settings.mail_provider == "resend"
    yield check_mail(
        settings.mail_provider,
        settings.mail_from,
        is_stand_in=by_resend and settings.resend_base_url not in {None, RESEND_URL},
    )
    yield check_operators(len(settings.operators))
    if not deep:
        return
    if by_resend and settings.resend_api_key is not None:
        answer = probe_resend(settings.resend_api_key.get_secret_value(), settings.resend_base_url)
        yield check_probe("mail", "Resend", answer, "PWOPS_RESEND_API_KEY", "PWOPS_RESEND_BASE_URL")
    if settings.mail_provider == "smtp" and settings.smtp_host is not None:
        login = None
        if settings.smtp_user is not None and settings.smtp_password is not None:
            login = (settings.smtp_user, settings.smtp_password.get_secret_value())
        answer = probe_smtp(
            settings.smtp_host,
            settings.smtp_port,
            security=settings.smtp_security,
            login=login,
            sender=settings.mail_from,
        )
        setting, address = "PWOPS_SMTP_… or PWOPS_MAIL_FROM", "PWOPS_SMTP_HOST, PWOPS_SMTP_PORT and PWOPS_SMTP_SECURITY"
        yield check_probe("mail", settings.smtp_host, answer, setting, address)
