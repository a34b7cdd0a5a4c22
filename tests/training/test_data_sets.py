"""Every data set that SFTTrainer takes: where its prompts end, and what a judge gets to see of its columns."""

import pytest
from datasets import Dataset, IterableDataset

from polychromic.training.batch import NO_PROMPT

pytestmark = pytest.mark.filterwarnings("ignore:.*hold no end token")  # the tiny template ends an answer by a line end

ASKED = [f"{a}{b}+" for a in "abcd" for b in "12"]
SECTION = {"reward": "lexical", "gate": {"kind": "wellformed", "truncated": "valid"}}
GENERATION = (
    "{% for m in messages %}{{ m['role'][0] }}:{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }}"
    "{{ eos_token }}{% endgeneration %}{% else %}{{ m['content'] }}\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}a:{% endif %}"
)


def talk(asked, answer="hij"):
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]


PLAIN = [{"prompt": asked, "completion": "hij"} for asked in ASKED]
MESSAGES = [{"messages": talk(asked)} for asked in ASKED]
CONVERSATIONAL = [{"prompt": talk(asked)[:1], "completion": talk(asked)[1:]} for asked in ASKED]
FOREIGN = [
    {"conversations": [{"from": "user", "value": asked}, {"from": "assistant", "value": "hij"}]} for asked in ASKED
]
NOTHING = {}
OPENED = {f"<unk>:{asked}\na:" for asked in ASKED}  # the letters of the tiny tokenizer end at j


def trained(make_trainer, rows, own=NOTHING, **arguments):
    """The prompts that two steps drew samples for, as texts."""
    trainer = make_trainer(rows=rows, section=SECTION, own={"task": None} | own, max_steps=2, **arguments)
    seen, draw = set(), trainer.term.draw

    def record(*args, **kwargs):
        found = draw(*args, **kwargs)
        seen.update(trainer.processing_class.decode(list(tokens)) for tokens in found.prompts)
        return found

    trainer.term.draw = record
    trainer.train()
    assert trainer.state.log_history[0]["polychromic/tokens_generated"] > 0
    return seen


@pytest.mark.parametrize(
    ("rows", "arguments", "prompts"),
    [
        (PLAIN, {}, set(ASKED)),
        (CONVERSATIONAL, {}, OPENED),
        (MESSAGES, {}, OPENED),
        (FOREIGN, {}, OPENED),
        (CONVERSATIONAL, {"completion_only_loss": False}, OPENED),
        (PLAIN, {"packing": True, "max_length": 24}, set(ASKED)),
        (MESSAGES, {"packing": True, "max_length": 48}, OPENED),
    ],
    ids=[
        "text pairs",
        "conversational pairs",
        "messages",
        "from and value",
        "loss on all",
        "packed",
        "packed messages",
    ],
)
def test_the_prompt_is_what_stands_before_the_answer(make_trainer, rows, arguments, prompts):
    seen = trained(make_trainer, rows, **arguments)
    assert seen
    assert seen <= prompts
    assert trained(make_trainer, IterableDataset.from_generator(lambda: iter(rows)), **arguments) <= prompts


def test_messages_with_the_loss_on_answers_alone(make_trainer, tiny_tokenizer_factory):
    tokenizer = tiny_tokenizer_factory()
    tokenizer.chat_template = GENERATION
    assert trained(make_trainer, MESSAGES, tokenizer=tokenizer, assistant_only_loss=True) <= OPENED


def test_the_first_answer_of_a_longer_conversation_is_sampled(make_trainer):
    rows = [{"messages": talk(asked) + talk("again", "no")} for asked in ASKED]
    assert trained(make_trainer, rows) <= OPENED


def tokenised(tokenizer, **columns):
    return [
        {"input_ids": tokenizer(f"{asked}hij")["input_ids"], **{name: make(asked) for name, make in columns.items()}}
        for asked in ASKED
    ]


def test_tokenised_rows_with_labels_or_a_mask(make_trainer, tiny_tokenizer_factory):
    tokenizer = tiny_tokenizer_factory()
    ends = tokenizer("hij")["input_ids"]
    labelled = tokenised(tokenizer, labels=lambda asked: [-100] * len(asked) + ends)
    masked = tokenised(tokenizer, completion_mask=lambda asked: [0] * len(asked) + [1] * 3)
    assert trained(make_trainer, labelled) <= set(ASKED)
    assert trained(make_trainer, masked, completion_only_loss=True) <= set(ASKED)


@pytest.mark.parametrize("kind", ["text", "tokens", "formatted"])
def test_rows_that_show_no_prompt_are_continued_from_their_half_and_that_is_said(
    make_trainer, tiny_tokenizer_factory, kind
):
    rows = [{"text": f"{asked}hij"} for asked in ASKED]
    if kind == "tokens":
        rows = tokenised(tiny_tokenizer_factory())
    with pytest.warns(UserWarning, match=NO_PROMPT[:40]):
        seen = trained(make_trainer, rows)
    assert {len(text) for text in seen} == {3}
    assert seen <= set(ASKED)


def test_known_prompts_show_where_answers_begin(make_trainer):
    """Text pairs with the loss on everything: the labels do not tell, the prompts do."""
    from polychromic.core.nouns import Prompt

    prompts = [Prompt(asked, asked) for asked in ASKED]
    assert trained(make_trainer, PLAIN, completion_only_loss=False, own={"prompts": prompts}) <= set(ASKED)


def judged(rows, **columns):
    return Dataset.from_list([row | {name: make(row) for name, make in columns.items()} for row in rows])


@pytest.mark.parametrize("rows", [PLAIN, CONVERSATIONAL, MESSAGES], ids=["text", "conversational", "messages"])
def test_a_judge_in_trls_signature_sees_prompts_completions_and_columns(make_trainer, rows):
    calls = []

    def first_letter(prompts, completions, letter, completion_ids, **rest):
        calls.append((prompts, completions, letter, completion_ids))
        assert not rest
        return [float(len(ids) % 2) for ids in completion_ids]

    wanted = dict(zip(ASKED, "abcdefgh", strict=True))

    def letter(row):
        asked = row["messages"][0]["content"] if "messages" in row else row["prompt"]
        return wanted[asked if isinstance(asked, str) else asked[0]["content"]]

    trainer = make_trainer(
        rows=judged(rows, letter=letter),
        section=SECTION | {"reward": "answers"},
        own={"task": first_letter},
        max_steps=1,
    )
    trainer.train()
    ((prompts, completions, letters, _),) = calls
    assert len(prompts) == len(completions) == 16
    talks = rows is not PLAIN
    for prompt, completion, one in zip(prompts, completions, letters, strict=True):
        assert wanted[prompt[-1]["content"] if talks else prompt] == one
        assert (completion[0]["role"] == "assistant") if talks else isinstance(completion, str)
    verdicts = [verdict for some in trainer.term.latest[1].verdicts for verdict in some]
    drawn = [one for samples in trainer.term.latest[1].sets for one in samples.completions]
    assert [verdict.passed for verdict in verdicts] == [len(one.token_ids) % 2 == 1 for one in drawn]
