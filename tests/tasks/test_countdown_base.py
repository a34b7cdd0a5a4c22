import random

import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from polychromic.tasks._pretraining import IGNORED, Recipe
from polychromic.tasks._tokenizer import END, PAD, build_tokenizer
from polychromic.tasks.countdown import Countdown, base_path
from polychromic.tasks.countdown.expressions import parse
from polychromic.tasks.countdown.pretrain import batches, corpus, main, surface
from polychromic.tasks.countdown.problems import TARGETS, problems

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(base_path(), local_files_only=True)


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(base_path(), local_files_only=True).eval()


@pytest.fixture(scope="module")
def pairs():
    return corpus()


def test_the_base_is_a_small_qwen3(model):
    assert model.config.model_type == "qwen3"
    assert 1_000_000 <= model.num_parameters() <= 4_000_000
    assert (base_path() / "model.safetensors").stat().st_size <= 8 * 2**20
    assert model.dtype == torch.float32


def test_the_base_generates_from_its_own_distribution(model):
    config = model.generation_config
    assert (config.do_sample, config.temperature, config.top_k, config.top_p) == (True, 1.0, 0, 1.0)


def test_the_base_is_decent_and_diverse(model, tokenizer):
    task = Countdown(validation_size=40)
    found = []
    torch.manual_seed(0)
    for prompt in task.prompts("validation"):
        ids = tokenizer(prompt.content, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            drawn = model.generate(ids, attention_mask=torch.ones_like(ids), num_return_sequences=16)
        texts = tokenizer.batch_decode(drawn[:, ids.shape[1] :], skip_special_tokens=True)
        right = set(task.answers(prompt))
        found.append([answer for text in texts if (answer := _canonical(text)) in right])
    passed = sum(map(len, found)) / (16 * len(found))
    distinct = sum(len(set(answers)) for answers in found) / len(found)
    assert 0.1 <= passed <= 0.5
    assert distinct >= 2


def _canonical(text):
    try:
        return parse(text).text
    except ValueError:
        return None


def test_the_shipped_tokenizer_is_the_one_the_code_builds(tokenizer, model):
    built = build_tokenizer()
    assert tokenizer.get_vocab() == built.get_vocab()
    assert len(tokenizer) == model.config.vocab_size
    assert (tokenizer.eos_token, tokenizer.pad_token) == (END, PAD)
    assert tokenizer.eos_token_id != tokenizer.pad_token_id
    assert (model.config.eos_token_id, model.config.pad_token_id) == (tokenizer.eos_token_id, tokenizer.pad_token_id)


@given(st.sampled_from(problems("train")), st.text())
@settings(deadline=None)
def test_prompt_and_answer_tokenise_together_as_apart(problem, answer):
    tokenizer = build_tokenizer()
    apart = tokenizer(problem.text)["input_ids"] + tokenizer(answer)["input_ids"]
    assert tokenizer(problem.text + answer)["input_ids"] == apart
    assert tokenizer.decode(apart) == problem.text + answer


def test_prompts_and_answers_are_short(tokenizer):
    examples = Countdown().examples("test")
    assert {len(tokenizer(example.prompt.content)["input_ids"]) for example in examples} == {9}
    assert {len(tokenizer(example.demonstration)["input_ids"]) for example in examples} <= {5, 7}


def test_a_number_after_a_space_is_one_token(tokenizer):
    for target in TARGETS:
        assert len(tokenizer(f" {target}")["input_ids"]) == 1


def test_a_conversation_reads_as_the_plain_text(tokenizer):
    question = {"role": "user", "content": "2 3 5 7 8 9 = 42:"}
    turn = [question, {"role": "assistant", "content": "2+5*8"}]
    assert tokenizer.apply_chat_template([question], tokenize=False, add_generation_prompt=True) == question["content"]
    assert tokenizer.apply_chat_template(turn, tokenize=False) == question["content"] + "2+5*8" + END
    encoded = tokenizer.apply_chat_template(turn, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
    assert encoded["assistant_masks"] == [0] * 9 + [1] * 6


def test_pretraining_touches_no_problem_of_another_pool(pairs):
    seen = {problem for problem, _ in pairs}
    for pool in ("train", "validation", "test"):
        assert not seen & set(problems(pool, 1))
    texts = build_tokenizer().batch_decode(next(batches(Recipe(steps=1)))[0])
    held_out = {problem.text for problem in problems("validation", 1) + problems("test", 1)}
    assert not {text[: text.index(":") + 1] for text in texts} & held_out


def test_surfaces_are_right_and_many(pairs):
    draw = random.Random(0)
    for problem, answer in draw.sample(pairs, 200):
        assert parse(surface(answer, draw)) == answer
        assert answer.value == problem.target
    assert {surface(parse("2*3+4-5"), draw) for _ in range(200)} == {
        "2*3+4-5", "3*2+4-5", "4+2*3-5", "4+3*2-5", "2*3-5+4", "3*2-5+4", "4-5+2*3", "4-5+3*2",
    }  # fmt: skip


def test_only_answers_are_learned():
    tokenizer = build_tokenizer()
    ids, labels = next(batches(Recipe(steps=1, batch_size=8)))
    for row, targets in zip(ids.tolist(), labels.tolist(), strict=True):
        learned = [target for target in targets if target != IGNORED]
        assert targets[:9] == [IGNORED] * 9
        assert learned[-1] == tokenizer.eos_token_id
        whole = tokenizer.decode([token for token in row if token != tokenizer.pad_token_id])
        assert whole.endswith(":" + tokenizer.decode(learned))


@pytest.mark.slow
def test_the_script_is_reproducible(tmp_path):
    for name in ("a", "b"):
        result = CliRunner().invoke(main, ["--out", str(tmp_path / name), "--steps", "2", "--threads", "1"])
        assert result.exit_code == 0, result.output
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()
