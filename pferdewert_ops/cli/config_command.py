"""`pwops config`: what is configured, where each value came from, and whether a worker could start with it."""

import click

from pferdewert_ops.cli.errors import ConfigProblem
from pferdewert_ops.cli.output import Column, emit, note, output_option


@click.group()
def config() -> None:
    """Show and check the configuration.

    Strongest first: PWOPS_… in the environment, the shop's own MONGODB_URI, ANTHROPIC_API_KEY and RESEND_API_KEY, files
    in $CREDENTIALS_DIRECTORY, a TOML file ($PWOPS_CONFIG, ./pwops.toml or /etc/pwops/pwops.toml), defaults.
    """


@config.command()
@output_option
def show(output: str) -> None:
    """Every setting with its value and where it came from; secrets are masked."""
    from pferdewert_ops.config import load_settings, origins

    emit(
        (
            {"name": origin.name, "value": origin.shown_value, "origin": origin.origin}
            for origin in origins(load_settings())
        ),
        [
            Column(key="name", title="setting", whole=True),
            Column(key="value", title="value"),
            Column(
                key="origin", title="origin", style=lambda origin: "dim" if str(origin).startswith("default") else ""
            ),
        ],
        output,
        schema="config.show",
    )


@config.command()
@output_option
def check(output: str) -> None:
    """Say whether a worker could start with this configuration: exit code 0, or 78 with what is missing.

    Connects to nothing; that is what `pwops doctor` is for.
    """
    from pferdewert_ops.config import ConfigError, load_settings

    problems: list[str] = []
    settings = None
    try:
        settings = load_settings()
    except ConfigError as error:
        problems += error.problems
    for needed in ("required_mongodb_uri", "required_anthropic_api_key"):
        if settings is None:
            break
        try:
            getattr(settings, needed)
        except ConfigError as error:
            problems += error.problems
    if output == "json":
        emit([{"problem": problem} for problem in problems], [], output, schema="config.check")
    if problems:
        raise ConfigProblem("\n".join(problems))
    if settings is not None and settings.mail_provider == "none":
        note("No mail will be sent: set PWOPS_RESEND_API_KEY or PWOPS_SMTP_HOST.")
    note("The configuration is complete.")


def _dim_default(origin: object) -> str:
    return "dim" if str(origin).startswith("default") else ""
