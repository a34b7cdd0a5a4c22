"""``polychromic code``: code-generation experiments, and the local server they may ask."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import click

from polychromic.cli.console import json_option, progress_bars, say, show, table
from polychromic.cli.verify import failing_lines, gold_lines

if TYPE_CHECKING:
    from polychromic.code.nouns import CodeResult, CodeRun, PassRate, Regression


class ConfigOrVerb(click.Group):
    """A group whose first argument may also be a configuration file."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Puts ``run`` in front of anything that is neither a verb nor a plea for help."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group("code", cls=ConfigOrVerb, subcommand_metavar="CONFIG.yaml [--only NAME] | compare A B | server VERB")
def command() -> None:
    """Run the code experiments of CONFIG.yaml in the sandbox, or manage a local model server."""


@command.command("run")
@click.argument("config", type=click.Path())
@click.option("--only", multiple=True, metavar="NAME", help="Run this experiment only, enabled or not; repeatable.")
@json_option
def run(config: str, only: tuple[str, ...], as_json: bool) -> None:
    """Run the enabled experiments of CONFIG and print one table; the same as `polychromic code CONFIG`."""
    from polychromic.code.nouns import CodeResult
    from polychromic.records.rows import read_noun
    from polychromic.settings.code import load_code
    from polychromic.stages import code

    settings = load_code(config)
    with progress_bars() as progress:
        path = code.run(settings, only, progress)
    result = read_noun(path, CodeResult)
    show(result, as_json, [*_lines(result), str(path)])
    if result.failed:
        sys.exit(1)


def _lines(result: CodeResult) -> list[str]:
    """The table of experiments, then what went wrong, the rules, and what changed against the baseline."""
    said = _tables(result.done) if result.done else []
    said += [
        f"{item.name}: {item.holes.candidates} structured candidates with {item.holes.holes} holes"
        for item in result.done
        if item.holes is not None
    ]
    said += [line for item in result.done for line in [*_cost(item), *failing_lines(item)]]
    for item in result.regressions:
        said += ["", *_regression(item)]
    said += ["", *gold_lines(result)]
    said += [f"{item.name}: failed: {item.failed}" for item in result.failed]
    return [*said, "", f"sandbox: {result.sandbox.get('level', 'unknown')}"]


def _tables(done: list[CodeRun]) -> list[str]:
    """Scores, outcomes and extraction rules of the experiments that ran."""
    from polychromic.reporting.code_page import column_names

    ks = sorted({int(k) for item in done for k in item.pass_at_k})
    header = ["experiment", "strategy", "T", "n", *(f"pass@{k} [95 %]" for k in ks), "passed/total", "absent"]
    said = table(header, [_row(item, ks) for item in done])
    names = column_names(done, "categories")
    if names:
        rows = [[item.name, *(_rate(item.categories.get(name)) for name in names)] for item in done]
        said += ["", *table(["pass@1 by category", *names], rows)]
    for title, field in (("outcomes", "outcomes"), ("extraction rules", "rules")):
        names = column_names(done, field)
        rows = [[item.name, *(str(getattr(item, field).get(name, 0)) for name in names)] for item in done]
        said += ["", *table([title, *names], rows)]
    return said


def _cost(item: CodeRun) -> list[str]:
    """What one passing sample took, as far as it is known."""
    if item.cost is None:
        return []
    single = item.cost.per_pass
    forms = ((single.seconds, "{:.2f} s"), (single.tokens, "{:.0f} tokens"), (single.dollars, "${:.5f}"))
    known = [form.format(value) for value, form in forms if value is not None]
    return [f"{item.name}: a passing sample took {', '.join(known)}"] if known else []


def _row(item: CodeRun, ks: list[int]) -> list[str]:
    how = item.settings
    scores = [_rate(item.pass_at_k.get(str(k))) for k in ks]
    total = f"{item.passed}/{item.samples}"
    return [item.name, how.strategy, f"{how.temperature:g}", str(how.n), *scores, total, str(item.absent)]


def _rate(rate: PassRate | None) -> str:
    if rate is None or math.isnan(rate.score):
        return "-"
    return f"{rate.score:.3f}" + ("" if math.isnan(rate.low) else f" [{rate.low:.3f}, {rate.high:.3f}]")


def _regression(item: Regression) -> list[str]:
    said = [
        f"{item.b} against {item.a}: {item.solved_b} instead of {item.solved_a} of {item.tasks} "
        f"problems by their first sample; gained {item.gained}, lost {item.lost}, "
        f"exact McNemar p = {item.p:.3g}"
    ]
    rows = [
        [
            f"  {change.task}",
            "gained" if change.gained else "lost",
            change.group,
            f"{change.outcome} {change.detail}"[:70],
        ]
        for change in item.changes
    ]
    return said + (table(["  problem", "", "failing by", "how"], rows) if rows else [])


@command.command("report")
@click.argument("folder", type=click.Path())
def report(folder: str) -> None:
    """Write FOLDER/report.html anew from its code.json, such as after best-of-n."""
    from polychromic.reporting.code_page import write_code_report

    say(str(write_code_report(folder)))


@command.command("compare")
@click.argument("a", type=click.Path())
@click.argument("b", type=click.Path())
@json_option
def compare(a: str, b: str, as_json: bool) -> None:
    """Say which problems changed sides between two folders of verdicts, and why."""
    from polychromic.stages import code

    result = code.compare(a, b)
    groups = list(dict.fromkeys([*result.failures_a, *result.failures_b]))
    sides = ((result.a, result.failures_a), (result.b, result.failures_b))
    rows = [[name, *(str(failures.get(group, 0)) for group in groups)] for name, failures in sides]
    show(result, as_json, [*_regression(result), "", *table(["first samples", *groups], rows)])


@command.group("server")
def server() -> None:
    """Start, check and stop a local OpenAI-compatible server."""


def _state_option(function: Any) -> Any:
    return click.option("--state", default="runs/server", show_default=True, help="Folder of its pid file and log.")(
        function
    )


def _start_options(function: Any) -> Any:
    for option in (
        click.option("--timeout", default=600.0, show_default=True, help="Seconds to wait until it answers."),
        click.option("--engine", default="vllm", show_default=True, type=click.Choice(["vllm", "transformers"])),
        click.option("--port", default=8000, show_default=True),
        click.option("--option", "options", multiple=True, help="Passed to the server, such as --option=--dtype=half."),
    ):
        function = option(function)
    return function


@server.command("start")
@click.argument("model")
@_start_options
@_state_option
def start(model: str, state: str, timeout: float, **how: Any) -> None:
    """Start a server for MODEL on the loopback address and wait until it answers."""
    from polychromic.project import serve

    say(serve.start(serve.Serving(model, **how), state, timeout))


@server.command("restart")
@_state_option
@click.option("--timeout", default=600.0, show_default=True, help="Seconds to wait until it answers.")
def restart(state: str, timeout: float) -> None:
    """Stop the server and start it again as it was."""
    from polychromic.project import serve

    say(serve.restart(state, timeout))


@server.command("stop")
@_state_option
def stop(state: str) -> None:
    """Stop the server and everything it started."""
    from polychromic.project import serve

    say(serve.stop(state))


@server.command("status")
@_state_option
def status(state: str) -> None:
    """Say whether the server runs and answers; exit status 1 if it does not."""
    from polychromic.project import serve

    found = serve.status(state)
    say(found.text)
    sys.exit(0 if found.answers else 1)


@server.command("logs")
@_state_option
@click.option("--lines", default=40, show_default=True)
def logs(state: str, lines: int) -> None:
    """Print the end of the server's log."""
    from polychromic.project import serve

    show({}, False, serve.logs(state, lines).splitlines())
