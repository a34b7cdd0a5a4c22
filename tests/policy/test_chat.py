"""Chat templates of the forms that open models have: the same context everywhere, and the token that ends an answer.

The templates are written here, small, after the published ones' form; the tokenizer is made of bytes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trl

from polychromic.core.errors import InputError
from polychromic.core.nouns import Example, Message, Prompt
from polychromic.policy.chat import answer_ending, in_format, open_demonstrations, pin, refuse_unchosen
from polychromic.policy.generate import Generation
from polychromic.policy.render import completions, prompt_ids, stop_tokens_of, training_ids, training_row
from polychromic.stages.contexts import context, refuse_mixture, refuse_other_contexts

QWEN3 = (
    "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\n' }}"
    "{%- if m.role == 'assistant' and loop.last and '</think>' not in m.content %}"
    "{{- '<think>\n\n</think>\n\n' }}{%- endif %}"
    "{{- m.content + '<|im_end|>\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}"
    "{{- '<think>\n\n</think>\n\n' }}{%- endif %}{%- endif %}"
)
DEEPSEEK_R1 = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '<|User|>' + m.content }}{% else %}"
    "{{ '<|Assistant|>' + m.content.split('</think>')[-1] + '<|end_of_sentence|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|Assistant|><think>\n' }}{% endif %}"
)
LLAMA = (
    "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n'"
    " + m.content | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n'"
    " + m.content | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + '[/INST]' }}"
    "{% else %}{{ ' ' + m.content + '</s>' }}{% endif %}{% endfor %}"
)
ENDS = {
    "qwen3": (QWEN3, "<|im_end|>"),
    "deepseek_r1": (DEEPSEEK_R1, "<|end_of_sentence|>"),
    "llama": (LLAMA, "<|eot_id|>"),
    "gemma": (GEMMA, "<end_of_turn>"),
    "mistral": (MISTRAL, "</s>"),
}
SPECIAL = [
    *(end for _, end in ENDS.values()),
    *("<s>", "<|im_start|>", "<|User|>", "<|Assistant|>", "<|start_header_id|>", "<|end_header_id|>"),
    *("<start_of_turn>", "[INST]", "[/INST]"),
]
ASKED = Prompt("p", (Message("user", "2 + 3 ="),))
EXAMPLE = Example(ASKED, "5")


def tokenizer_of(name):
    """Bytes, the templates' own tokens, ``<think>`` as a token that is not special; the end token is no template's."""
    from polychromic.tasks._tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    tokenizer.add_tokens(["<think>", "</think>"])
    tokenizer.add_special_tokens({"additional_special_tokens": SPECIAL, "bos_token": "<s>"})
    tokenizer.chat_template = ENDS[name][0]
    open_demonstrations(tokenizer)
    return tokenizer


@pytest.fixture(params=ENDS)
def family(request):
    return request.param, tokenizer_of(request.param)


def test_an_answer_ends_by_the_templates_own_token(family, tiny_model_factory):
    name, tokenizer = family
    end = tokenizer.convert_tokens_to_ids(ENDS[name][1])
    assert answer_ending(tokenizer) == (end,)
    model = tiny_model_factory(vocab=len(tokenizer))
    assert end != tokenizer.eos_token_id
    assert {end, tokenizer.eos_token_id} <= set(stop_tokens_of(model, tokenizer).eos)


def test_a_template_that_ends_by_plain_text_has_no_such_token(tiny_tokenizer_factory):
    assert answer_ending(tiny_tokenizer_factory()) == ()
    bare = tiny_tokenizer_factory()
    bare.chat_template = None
    assert answer_ending(bare) == ()


@pytest.mark.filterwarnings("ignore:.*hold no end token")
def test_rows_are_the_ones_that_the_trainer_makes(family, tiny_model_factory, tmp_path):
    """``training_ids`` against SFTTrainer's own data set, for a conversation and for plain text."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    _, tokenizer = family
    arguments = SFTConfig(str(tmp_path), use_cpu=True, bf16=False, report_to=[], disable_tqdm=True)
    for prompt in (ASKED, Prompt("q", "2 + 3 = "), Prompt("r", "2 + 3 =")):
        example = Example(prompt, "5")
        rows = Dataset.from_list([training_row(example)])
        trainer = SFTTrainer(
            tiny_model_factory(vocab=len(tokenizer)), arguments, train_dataset=rows, processing_class=tokenizer
        )
        row = trainer.train_dataset[0]
        ids, begin = training_ids(tokenizer, example)
        assert list(row["input_ids"]) == ids
        assert [label != -100 for label in row["labels"]] == [place >= begin for place in range(len(ids))]


def test_training_and_evaluation_see_the_same_context(family):
    name, tokenizer = family
    assert context(tokenizer, EXAMPLE).same
    refuse_other_contexts(tokenizer, [EXAMPLE])
    assert (tokenizer.chat_template == ENDS[name][0]) == (name != "deepseek_r1")


def test_a_demonstration_follows_the_thought_that_its_prompt_opens():
    tokenizer = tokenizer_of("deepseek_r1")
    asked = "<s><|User|>2 + 3 =<|Assistant|><think>\n"
    thought = Example(ASKED, "<think>\n2 and 3\n</think>\n\n5")
    for example, target in ((EXAMPLE, "</think>\n\n5"), (thought, "2 and 3\n</think>\n\n5")):
        found = context(tokenizer, example)
        assert tokenizer.decode(found.asked) == asked
        assert tokenizer.decode(found.ids) == asked + target + "<|end_of_sentence|>"
    turns = (*ASKED.content, Message("assistant", "<think>no</think>4"), Message("user", "sure?"))
    again = context(tokenizer, Example(Prompt("q", turns), "5"))
    assert again.same
    assert "<|Assistant|>4<|end_of_sentence|><|User|>sure?<|Assistant|><think>" in tokenizer.decode(again.ids)
    served = tokenizer.chat_template
    open_demonstrations(tokenizer)
    assert tokenizer.chat_template == served


def test_an_option_that_was_pinned_before_still_counts():
    tokenizer = tokenizer_of("qwen3")
    tokenizer.chat_template = DEEPSEEK_R1.replace("'<|Assistant|><think>\n'", "'<|Assistant|><think>' + (more or '')")
    pin(tokenizer, {"more": "\n\n"})
    open_demonstrations(tokenizer)
    assert tokenizer.decode(context(tokenizer, EXAMPLE).ids).endswith("<think>\n\n</think>\n\n5<|end_of_sentence|>")


def test_a_template_that_bears_no_part_of_another_is_left_and_refused():
    tokenizer = tokenizer_of("llama")
    tokenizer.chat_template = "\n" + DEEPSEEK_R1
    open_demonstrations(tokenizer)
    with pytest.raises(InputError, match=r"asked after \.\.\..*<think>.*the chat template opens a thought"):
        refuse_other_contexts(tokenizer, [EXAMPLE])


PUBLISHED = ["deepseek_r1_distill", "deepseekv3", "gemma3", "llama3", "nemotron_3_nano", "qwen3", "qwen3_5_think"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_templates_have_one_context(name):
    """The templates as they were published, of which TRL brings copies."""
    path = Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja"
    if not path.is_file():
        pytest.skip(f"this TRL brings no template {name}")
    tokenizer = tokenizer_of("llama")
    tokenizer.chat_template = path.read_text()
    open_demonstrations(tokenizer)
    for answer in ("5", "<think>\n2 and 3\n</think>\n\n5"):
        found = context(tokenizer, Example(ASKED, answer))
        assert found.same
        assert "5" in tokenizer.decode(found.ids[found.begin :])


def test_tokens_that_merge_over_the_prompts_end_are_found_and_refused_above_a_share():
    tokenizer = tokenizer_of("llama")  # its byte tokenizer merges a space and the digit behind it
    spaced = [Example(Prompt(f"{n}", f"{n} + 1 = "), "5") for n in range(2, 8)]
    fine = [Example(Prompt(f"f{n}", f"{n} + 1 ="), " 5") for n in range(200)]
    assert not context(tokenizer, spaced[0]).same
    assert context(tokenizer, fine[0]).same
    with pytest.raises(
        InputError, match=r"6 of 6 demonstrations would be trained on after .*end prompts before the white"
    ):
        refuse_other_contexts(tokenizer, spaced)
    with pytest.warns(UserWarning, match="6 of 206 demonstrations"):
        refuse_other_contexts(tokenizer, [*spaced, *fine])


def test_an_option_is_pinned_inside_the_template_and_saved_with_it(tmp_path):
    from transformers import AutoTokenizer

    tokenizer = tokenizer_of("qwen3")
    thinking = tokenizer.decode(prompt_ids(tokenizer, ASKED))
    for _ in range(2):
        pin(tokenizer, {"enable_thinking": False})
    assert tokenizer.decode(prompt_ids(tokenizer, ASKED)) == thinking + "<think>\n\n</think>\n\n"
    assert context(tokenizer, EXAMPLE).same
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert prompt_ids(loaded, ASKED) == prompt_ids(tokenizer, ASKED)
    with pytest.raises(InputError, match="does not read 'enable_thinkin'"):
        pin(tokenizer, {"enable_thinkin": False})


@pytest.mark.parametrize("special", [False, True])
def test_thoughts_are_no_part_of_the_text(special):
    tokenizer = tokenizer_of("deepseek_r1")
    if special:
        tokenizer.add_special_tokens({"additional_special_tokens": [*SPECIAL, "<think>", "</think>"]})
    end = tokenizer.convert_tokens_to_ids("<|end_of_sentence|>")

    def drawn(text):
        return Generation((*tokenizer(text)["input_ids"], end), True, 0.0)

    opened = prompt_ids(tokenizer, ASKED)
    one, two = completions(tokenizer, [drawn("2 and 3</think>5"), drawn("still at it")], opened)
    assert [(one.thought, one.text), (two.thought, two.text)] == [("2 and 3", "5"), ("still at it", "")]
    (three,) = completions(tokenizer, [drawn("<think>so</think>\n\n5")])
    assert (three.thought, three.text) == ("so", "5")


def test_plain_text_before_a_template_is_asked_about():
    tokenizer, plain = tokenizer_of("gemma"), [Prompt("p", "2 + 3 =")]
    with pytest.raises(
        InputError, match=r"model\.format: 1 prompts are plain text .* choose chat .* or plain"
    ) as caught:
        refuse_unchosen(tokenizer, plain, None)
    assert "\n" not in str(caught.value)
    for chosen in ("chat", "plain"):
        refuse_unchosen(tokenizer, plain, chosen)
    assert in_format(plain, "chat") == [replace(plain[0], content=(Message("user", "2 + 3 ="),))]
    assert in_format([*plain, ASKED], "plain") == [*plain, ASKED]
    refuse_unchosen(tokenizer, [ASKED], None)
    with pytest.raises(InputError, match="1 of 2 prompts are plain text and the others conversations"):
        refuse_mixture([*plain, ASKED])
    from polychromic.tasks._tokenizer import build_tokenizer

    refuse_unchosen(build_tokenizer(), plain, None)  # a template that changes nothing leaves nothing to choose
