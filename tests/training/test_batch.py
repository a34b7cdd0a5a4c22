"""Prompts out of the trainer's own batches: padded, packed, cut off, without a prompt."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polychromic.core.errors import InputError
from polychromic.core.nouns import Prompt
from polychromic.training.batch import PromptIndex, choose, demonstrations_of, window_of

pytestmark = pytest.mark.quick


def padded():
    return {
        "input_ids": torch.tensor([[5, 6, 7, 8, 0], [5, 9, 1, 0, 0], [5, 6, 7, 0, 0], [3, 0, 0, 0, 0]]),
        "labels": torch.tensor(
            [
                [-100, -100, 7, 8, -100],
                [-100, 9, 1, -100, -100],
                [-100, -100, -100, -100, -100],
                [3, -100, -100, -100, -100],
            ]
        ),
        "attention_mask": torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]]),
    }


def test_a_prompt_is_what_stands_before_the_first_target():
    window = window_of([padded()], PromptIndex())
    assert window.prompts == ((5, 6), (5,))
    assert window.skipped == 2  # one without target, one of a single token
    assert window.target_tokens == 5 / 3


def test_the_parts_of_a_packed_row_are_sequences_of_their_own():
    packed = {
        "input_ids": torch.tensor([[5, 6, 7, 5, 8, 9, 9, 3, 4, 2, 6]]),
        "labels": torch.tensor([[-100, -100, 7, -100, -100, 9, 9, -100, 4, 2, 6]]),
        "position_ids": torch.tensor([[0, 1, 2, 0, 1, 2, 3, 0, 1, 2, 3]]),
    }
    window = window_of([packed], PromptIndex(opening=(4, 2)))
    assert window.prompts == ((5, 6), (5, 8), (3, 4, 2))  # the last is a target from its first token on
    assert window.skipped == 0


def test_demonstrations_are_prompt_and_first_answer_of_every_sequence():
    rows = [
        {"input_ids": [5, 6, 7, 1], "labels": [-100, -100, 7, 1]},
        {"input_ids": [5, 6], "labels": [-100, -100]},
        {"input_ids": [5], "labels": [5]},
        {"input_ids": [5, 7, 1, 8, 9, 1], "labels": [-100, 7, 1, -100, 9, 1]},
        {"input_ids": [5, 7, 1, 3, 4, 8], "labels": [-100, 7, 1, -100, -100, 8], "seq_lengths": [3, 3]},
    ]
    found = [((5, 6), (7, 1)), ((5,), (7, 1)), ((5,), (7, 1)), ((3, 4), (8,))]
    assert list(demonstrations_of(rows, PromptIndex())) == found


def test_a_window_has_all_its_micro_batches_in_order():
    assert window_of([padded(), padded()], PromptIndex()).prompts == window_of([padded()], PromptIndex()).prompts * 2
    assert window_of([], PromptIndex()).prompts == ()


@given(st.integers(0, 20), st.integers(1, 20), st.integers(0, 50), st.integers(0, 50))
def test_a_choice_is_by_seed_and_step_alone_and_in_order(have, want, seed, step):
    prompts = [(place,) for place in range(have)]
    chosen = choose(prompts, want, seed, step)
    assert chosen == choose(list(prompts), want, seed, step)
    assert len(chosen) == min(have, want)
    assert chosen == sorted(set(chosen))


def test_choices_differ_from_step_to_step():
    prompts = [(place,) for place in range(50)]
    assert len({tuple(choose(prompts, 5, 0, step)) for step in range(20)}) > 15


def test_the_book_knows_the_tasks_prompts(tiny_tokenizer_factory):
    tokenizer = tiny_tokenizer_factory()
    known = Prompt("id", "ab=", {"x": 1})
    index = PromptIndex.of(tokenizer, [known])
    assert index.prompt_of(tuple(tokenizer("ab=")["input_ids"]), tokenizer) is known
    other = index.prompt_of(tuple(tokenizer("cd=")["input_ids"]), tokenizer)
    assert (other.content, dict(other.payload)) == ("cd=", {})


def test_a_prompt_that_is_not_known_keeps_its_own_tokens():
    """A tokenizer that opens every text with a token of its own would open a decoded prompt twice."""

    class Opening:
        chat_template = None

        def decode(self, ids):
            return "".join("^ab="[token] for token in ids)

        def __call__(self, text):
            return {"input_ids": [0, *("^ab=".index(letter) for letter in text)]}

    index, tokenizer = PromptIndex.of(Opening(), [Prompt("id", "b=")]), Opening()
    other = index.prompt_of((0, 1, 3), tokenizer)
    assert tuple(index.tokens(other, tokenizer)) == (0, 1, 3)
    assert tuple(index.tokens(index.prompt_of((0, 2, 3), tokenizer), tokenizer)) == (0, 2, 3)


def test_where_all_is_a_target_the_prompt_is_known_or_opened_or_half():
    index = PromptIndex({(5, 6): Prompt("short", ""), (5, 6, 7): Prompt("long", "")}, opening=(9, 9))
    assert index.end_of_prompt([5, 6, 7, 8], [5, 6, 7, 8]) == 3
    assert index.end_of_prompt([5, 6, 7], [5, 6, 7]) == 2  # nothing would be left to answer
    assert index.end_of_prompt([1, 9, 9, 2, 9, 9, 2], [1, 9, 9, 2, 9, 9, 2]) == 3
    assert index.end_of_prompt([1, 2, 9, 9], [-100, 2, 9, 9]) == 1
    assert index.end_of_prompt([1, 2], [-100, -100]) is None
    with pytest.warns(UserWarning, match="samples continue their first half"):
        assert index.end_of_prompt([1, 2, 9, 9], [1, 2, 9, 9]) == 2


def test_images_are_refused():
    with pytest.raises(InputError, match="images"):
        window_of([padded() | {"pixel_values": torch.zeros(1)}], PromptIndex())
