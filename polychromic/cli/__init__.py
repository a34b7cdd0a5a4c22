"""The verbs. Each file parses one verb, calls its stage and prints; none imports torch before it runs.

A verb is a file of this folder with a click command named ``command``, and one line in ``VERBS``.
"""

from __future__ import annotations

import importlib

import click

import polychromic

VERBS = {
    "init": "Write a first configuration, from a few questions.",
    "demo": "Train and compare on the embedded task, from nothing to a report.",
    "train": "Fine-tune one adapter from a configuration file.",
    "sweep": "Train and compare every combination of several values.",
    "harvest": "Draw a pool of right and different samples to learn from.",
    "sample": "Draw completions from one or more models.",
    "verify": "Judge samples with a task's checker.",
    "measure": "Compute every metric on samples.",
    "compare": "Compare models, paired by prompt.",
    "report": "Write report.html and report.md.",
    "evaluate": "sample, verify, measure, compare and report in one go.",
    "export": "Write right and different samples as demonstrations.",
    "audit": "Try the task's checker and the metrics' headroom before paying for a run.",
    "route": "Say which of several models should answer, and what that costs.",
    "best-of-n": "Say whether drawing N candidates pays.",
    "code": "Run code-generation experiments in the sandbox.",
    "certify": "Prove the gradient of the objective on this machine.",
    "data": "Look at a data file: counts, lengths, duplicates, bad rows.",
    "lora": "Compare adapters by their weights.",
    "merge": "Write the base model with an adapter merged in.",
    "plan": "Forecast tokens, memory, time and price of runs and their evaluation.",
    "card": "Write the model card of a run, and push the run to a hub.",
    "view": "Look at runs and evaluations in the browser.",
    "dashboard": "Lay out a project at W&B: scores over lambda, curves, health, cost.",
    "cost": "Say what a folder of runs cost, and what is still to spend.",
    "launch": "Start runs in tmux, one a GPU or one after another.",
    "bundle": "Pack all that another machine needs into one archive.",
    "unbundle": "Unpack a bundle, check it and this machine, print the commands.",
    "kinds": "List rewards, gates, metrics, tasks ... with their options, yours included.",
    "new": "Write a reward, gate, metric or task of your own, and its test.",
    "doctor": "Say what this machine can do.",
}


class LazyVerbs(click.Group):
    """Knows every verb's name and summary, and imports a verb only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order a run uses them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command, imported now; None for an unknown name."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"polychromic.cli.{cmd_name.replace('-', '_')}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=LazyVerbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(polychromic.__version__, prog_name="polychromic")
def commands() -> None:
    """Diversity-aware LoRA fine-tuning, and an evaluator that says honestly whether it worked."""
