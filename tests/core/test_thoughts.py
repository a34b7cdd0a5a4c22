"""A thought is what stands before the answer, whoever opened it."""

import pytest

from polychromic.core.thoughts import split_thought


@pytest.mark.parametrize(
    ("text", "opened", "thought", "answer"),
    [
        ("plain", "", "", "plain"),
        ("<think>a\nb</think>\n\nyes", "", "a\nb", "yes"),
        (" <think>\n\n</think>\n\nyes", "", "", "yes"),
        ("<think>never ends", "", "never ends", ""),
        ("hm</think>yes", "<|Assistant|><think>\n", "hm", "yes"),
        ("hm, it goes on", "<think>", "hm, it goes on", ""),
        ("yes", "<think>\n\n</think>\n\n", "", "yes"),
        ("<think>a</think>b</think>c", "", "a", "b</think>c"),
        ("I <think> so", "", "", "I <think> so"),
    ],
)
def test_thought_and_answer(text, opened, thought, answer):
    assert split_thought(text, opened) == (thought, answer)


def test_demonstrations_are_measured_without_their_thoughts():
    from polychromic.core.nouns import Example, Prompt
    from polychromic.stages.measure import Measuring

    shown = [Example(Prompt("p", "1+1"), "<think>two ones</think>2"), Example(Prompt("q", "1+2"), "3")]
    measuring = Measuring(demonstrations=shown, references=shown)
    assert [example.demonstration for example in measuring.demonstrations] == ["2", "3"]
    assert [example.demonstration for example in measuring.references] == ["2", "3"]
