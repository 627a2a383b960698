"""A group of commands that is listed without being imported, because start-up time is what the imports cost."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from pferdewert_ops.cli.errors import translate

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One command as the help lists it. `target` is `module:attribute` below pferdewert_ops.cli."""

    section: str
    target: str
    help: str


@dataclass(slots=True, kw_only=True)
class Invocation:
    """What the outermost frame has to know after the command has ended."""

    debug: bool = False


class LazyGroup(click.Group):
    """Knows its commands by a table; imports one when it is called, and turns known errors into sentences."""

    def __init__(self, *, table: Mapping[str, Entry], **rest: Any) -> None:
        super().__init__(**rest)
        self.table = table
        self.params += _global_options(hidden=False)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self.commands and cmd_name in self.table:
            module, _, attribute = self.table[cmd_name].target.partition(":")
            self.add_command(_everywhere(getattr(_module(module, cmd_name), attribute)), cmd_name)
        return self.commands.get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            # The group's own guess knows only what is imported already.
            raise click.NoSuchCommand(error.command_name, possibilities=self.table, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        width = max(map(len, self.table))
        for section in dict.fromkeys(entry.section for entry in self.table.values()):
            with formatter.section(section):
                formatter.write_dl(
                    [(name.ljust(width), entry.help) for name, entry in self.table.items() if entry.section == section]
                )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(name, help=entry.help) for name, entry in self.table.items() if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            known = translate(error)
            if known is None:
                raise
            raise known from error


def _module(name: str, command: str) -> Any:
    path = f"pferdewert_ops.cli.{name}"
    try:
        return import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path:
            raise
        raise click.UsageError(f"The command '{command}' is not part of this installation.") from error


def _no_color(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - a callback of click
    # https://no-color.org: any value but the empty one.
    if value or os.environ.get("NO_COLOR"):
        context.color = False


def _debug(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - a callback of click
    if value:
        context.ensure_object(Invocation).debug = True


def _global_options(*, hidden: bool) -> list[click.Option]:
    return [
        click.Option(
            ["--no-color"], is_flag=True, hidden=hidden, expose_value=False, callback=_no_color, help="No colours."
        ),
        click.Option(
            ["--debug"],
            is_flag=True,
            hidden=hidden,
            expose_value=False,
            callback=_debug,
            help="On an internal error, show where it happened.",
        ),
    ]


def _everywhere(command: click.Command) -> click.Command:
    """The global options are understood after the command's name too, where people type them."""
    command.params = [*command.params, *_global_options(hidden=True)]
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        _everywhere(inner)
    return command
