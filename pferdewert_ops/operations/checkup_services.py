"""The doctor's rules for what lies outside: the model, the mail provider, and what they answer to a question."""

from pferdewert_ops.operations.checkup import Check, Probe, ProbeOutcome, fail, ok, warn


def check_key(key: str | None, *, is_stand_in: bool) -> Check:
    """The model's key by its looks alone; only a deep checkup asks whether it is taken."""
    if key is None:
        return fail("model key", "No key for the model is configured.", "Set PWOPS_ANTHROPIC_API_KEY.")
    if not key.startswith("sk-ant-"):
        return warn("model key", "The model's key does not begin as one of Anthropic's.", "Check what was pasted.")
    if is_stand_in:
        return warn(
            "model key",
            "The model is a stand-in: PWOPS_ANTHROPIC_BASE_URL names another address than Anthropic's.",
            "In production, leave PWOPS_ANTHROPIC_BASE_URL unset.",
        )
    return ok("model key", "There is one, and it looks like one.")


def check_operators(count: int) -> Check:
    if count:
        return ok("operators", f"{count} {'address is' if count == 1 else 'addresses are'} told of every delivery.")
    return warn("operators", "Nobody of the shop is mailed about deliveries.", "Set PWOPS_OPERATORS to addresses.")


def check_probe(name: str, service: str, probe: Probe, setting: str, address: str) -> Check:
    """What a question to a service shows.

    `setting` is what to correct where it said no, `address` the setting that says where it is.
    """
    match probe.outcome:
        case ProbeOutcome.ANSWERS:
            return ok(name, f"{service} answers in {probe.seconds * 1000:.0f} ms and takes our credentials.")
        case ProbeOutcome.REFUSED:
            return fail(name, f"{service} refuses us ({probe.code}).", f"Correct {setting}.")
        case ProbeOutcome.UNWELL:
            return warn(
                name,
                f"{service} is not well ({probe.code}).",
                "Work goes on by itself once it is; see its status page.",
            )
        case ProbeOutcome.UNREACHABLE:
            return fail(
                name,
                f"{service} cannot be reached ({probe.code}).",
                f"Check the network, and the address in {address}.",
            )


def check_mail(provider: str, sender: str, *, is_stand_in: bool) -> Check:
    if provider == "none":
        fix = "Set PWOPS_RESEND_API_KEY or PWOPS_SMTP_HOST."
        return warn("mail", "No mail provider is configured, so mails wait.", fix)
    if is_stand_in:
        return warn(
            "mail",
            "Resend is a stand-in: PWOPS_RESEND_BASE_URL names another address than Resend's.",
            "In production, leave PWOPS_RESEND_BASE_URL unset.",
        )
    return ok("mail", f"By {provider}, from {sender}.")
