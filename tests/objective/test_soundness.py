"""Settings that would give a wrong gradient are refused in one sentence, before a model loads."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from polychromic.core.errors import UnsoundObjectiveError
from polychromic.core.nouns import Decoding
from polychromic.objective.soundness import Surroundings, junk_warning, refuse_few_demonstrations, refuse_unsound
from polychromic.settings.schema import PolychromicSection

TASK = Surroundings(verifier=True)
CALIBRATED = {"schedule": {"calibrated": "demonstrations"}}


def section(**given: object) -> PolychromicSection:
    return PolychromicSection(**{"lambda": 1.0, **given})


@pytest.mark.parametrize(
    ("given", "around", "message"),
    [
        ({"n_generations": 4, "set_size": 5}, TASK, "5 samples cannot be chosen from 4"),
        ({"set_size": 0}, TASK, "0 samples cannot be chosen"),
        ({"n_generations": 1}, TASK, "one sample has no diversity"),
        (
            {},
            Surroundings(verifier=False),
            "verifier needs a task that judges completions .data.task.; allowed without: likelihood, none, wellformed",
        ),
        (
            {"gate": "likelihood"},
            Surroundings(False, demonstrations=False),
            "likelihood needs demonstrations; allowed without: none,",
        ),
        (
            {"reward": "semantic"},
            Surroundings(True, encoder=False),
            "needs an encoder .*; allowed without: answers, lexical",
        ),
        ({"reward": {"kind": "vendi", "q": 2.0}}, Surroundings(True, encoder=False), "needs an encoder"),
        ({"reward": {"kind": "mixture", "parts": ["answers", "vendi"]}}, Surroundings(True, encoder=False), "encoder"),
        ({"reward": {"kind": "quality", "of": "semantic"}}, Surroundings(True, encoder=False), "needs an encoder"),
        ({"reward": {"kind": "quality"}, "gate": "none"}, Surroundings(False), "quality needs a task"),
        ({"reward": "semantic", "set_size": 1}, TASK, "has no pair"),
        ({"reward": "lexical", "set_size": 1}, TASK, "has no pair"),
        ({"reward": "vendi", "n_generations": 16, "set_size": 8}, TASK, "evaluations of a set function"),
        ({"reward": "vendi", "rival": "dra"}, TASK, "dra compares samples in pairs"),
        ({"reward": {"kind": "lexical", "statistic": "ead"}, "rival": "darling"}, TASK, "darling compares samples"),
    ],
)
def test_refused(given, around, message):
    with pytest.raises(UnsoundObjectiveError, match=message) as caught:
        refuse_unsound(section(**given), around)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("decoding", [Decoding(top_p=0.9), Decoding(top_k=50)])
def test_truncated_decoding_is_refused(decoding):
    with pytest.raises(UnsoundObjectiveError, match="top_p=1"):
        refuse_unsound(section(), TASK, decoding)


def test_a_negative_lambda_is_refused_by_the_settings_and_here():
    with pytest.raises(ValidationError):
        section(**{"lambda": -1.0})
    with pytest.raises(UnsoundObjectiveError, match="reward sameness"):
        refuse_unsound(section().model_copy(update={"diversity_weight": -1.0}), TASK)


def test_lambda_zero_samples_nothing_so_nothing_is_refused():
    assert refuse_unsound(section(**{"lambda": 0.0, "n_generations": 1}), Surroundings(False)).warnings == ()


def test_sound_settings_pass_and_doubtful_ones_warn():
    assert refuse_unsound(section(set_size=4), TASK, Decoding()).warnings == ()
    assert refuse_unsound(section(set_size="shapley"), TASK).warnings == ()
    assert refuse_unsound(section(reward="lexical", set_size=2), TASK).warnings == ()
    assert "junk" in refuse_unsound(section(gate="none"), TASK).warnings[0]
    assert "set_size" in refuse_unsound(section(set_size=8), TASK).warnings[0]
    assert "set_size" in refuse_unsound(section(), TASK).warnings[0]  # the default is all of them


def test_demonstrations_enough_or_too_few_for_a_target():
    for given, least in ({"set_size": 4, **CALIBRATED}, 4), (CALIBRATED, 8):
        refuse_few_demonstrations(section(**given), least)
        with pytest.raises(UnsoundObjectiveError, match=rf"needs at least {least} .* \(largest here: {least - 1}\)"):
            refuse_few_demonstrations(section(**given), least - 1)
    refuse_few_demonstrations(section(), 1)
    refuse_few_demonstrations(section(**{"lambda": 0.0, **CALIBRATED}), 1)


def test_objects_say_what_they_are_themselves():
    """A reward or gate given in Python is judged by its own facts, not by what the section names."""

    class Pairs:
        form, needs = "pairs", ("encoder",)

    class Open:
        needs = ()

    assert refuse_unsound(section(set_size=2), Surroundings(False), gate=Open()).warnings == ()
    with pytest.raises(UnsoundObjectiveError, match="needs an encoder"):
        refuse_unsound(section(), Surroundings(True, encoder=False), reward=Pairs())
    with pytest.raises(UnsoundObjectiveError, match="has no pair"):
        refuse_unsound(section(set_size=1), TASK, reward=Pairs())


def test_junk_is_warned_of_in_numbers_before_anything_is_sampled():
    """2 lambda_eff C = 1: with lambda_eff 10 from a similarity of 5 % on; below lambda_eff 1/2 never."""
    assert "lambda_eff of 10: without a gate junk pays while samples are more than 5 % alike" in junk_warning(
        section(gate="none"), 10.0
    )
    assert junk_warning(section(gate="none"), 0.5) == ""
    assert "lambda_eff of 1:" in junk_warning(section(gate="none", schedule={"unit": "sequence"}), 10.0)
    assert junk_warning(section(gate="verifier"), 10.0) == ""
    assert junk_warning(section(gate="none", schedule={"max_lambda_eff": 0.5}), 10.0) == ""
    assert "lambda_eff of 2:" in junk_warning(section(gate="none", schedule={"max_lambda_eff": 2.0}), 10.0)
    assert junk_warning(section(gate="none", schedule={"target_share": 0.5}), 10.0) == ""


def test_no_model_library_is_imported_for_it():
    code = "import sys, polychromic.objective.soundness; sys.exit('torch' in sys.modules or 'peft' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_paying_for_the_way_programs_are_written_is_said():
    (warning,) = refuse_unsound(section(reward="answers", set_size=2), Surroundings(True, as_written=True)).warnings
    assert "distinct_by is program" in warning
    inside = section(reward={"kind": "quality", "of": "answers"}, set_size=2)
    assert len(refuse_unsound(inside, Surroundings(True, as_written=True)).warnings) == 1
    assert refuse_unsound(section(reward="answers", set_size=2), Surroundings(True)).warnings == ()
