"""Rendering: one place for the chat template, the same tokens everywhere."""

import pytest

from polychromic.core.errors import InputError
from polychromic.core.nouns import Example, Message, Prompt
from polychromic.policy.generate import Generation
from polychromic.policy.render import completions, prompt_ids, stop_tokens_of, training_row

CHAT = Prompt("c", (Message("user", "1+2"), Message("assistant", "3"), Message("user", "2+2")))


@pytest.fixture(scope="module")
def tokenizer(tiny_tokenizer_factory):
    return tiny_tokenizer_factory()


def test_plain_text_stands_as_it_is(tokenizer):
    assert tokenizer.decode(prompt_ids(tokenizer, Prompt("p", "1+2="))) == "1+2="


def test_a_conversation_goes_through_the_template_with_the_answers_opening(tokenizer):
    text = tokenizer.apply_chat_template(
        training_row(Example(CHAT, "4"))["prompt"], add_generation_prompt=True, tokenize=False
    )
    assert prompt_ids(tokenizer, CHAT) == tokenizer(text)["input_ids"]


def test_a_conversation_without_a_template_is_refused(tiny_tokenizer_factory):
    bare = tiny_tokenizer_factory()
    bare.chat_template = None
    with pytest.raises(InputError, match="no chat template"):
        prompt_ids(bare, CHAT)


def test_rows_for_the_trainer():
    assert training_row(Example(Prompt("p", "1+2="), "3")) == {"prompt": "1+2=", "completion": "3"}
    row = training_row(Example(CHAT, "4"))
    assert [turn["role"] for turn in row["prompt"]] == ["user", "assistant", "user"]
    assert row["completion"] == [{"role": "assistant", "content": "4"}]


def test_all_end_tokens_of_model_and_tokenizer_count(tokenizer, tiny_model_factory):
    model = tiny_model_factory()
    model.generation_config.eos_token_id = [5, 7]
    ends = stop_tokens_of(model, tokenizer)
    assert (ends.eos, ends.pad) == ((1, 5, 7), 0)


def test_texts_have_no_special_tokens(tokenizer):
    ids = (*tokenizer("1+2")["input_ids"], 1)
    (one,) = completions(tokenizer, [Generation(ids, True, -1.5)])
    assert (one.text, one.token_ids, one.finished, one.logprob) == ("1+2", ids, True, -1.5)


def test_an_unknown_word_opens_no_thought():
    """A tokenizer that lacks the tags gives them the number of its unknown word."""
    from polychromic.certificate.trainer import tokenizer as words

    (drawn,) = completions(words(), [Generation((4, 8, 1), True, 0.0)])
    assert (drawn.text, drawn.thought) == ("red", "")
