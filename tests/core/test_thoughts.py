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
