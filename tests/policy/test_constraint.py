"""JSON by construction: a bound model writes nothing else, and the log-probability says what it was drawn from."""

import json
import math
import sys
from collections import Counter

import pytest
import torch

from polychromic.code.json_programs import SCHEMA, structured
from polychromic.core.errors import InputError, MissingResourceError, UnsoundObjectiveError
from polychromic.core.nouns import Completion, Decoding, Prompt, SampleSet
from polychromic.objective.diversity_objective import refuse_sets
from polychromic.objective.soundness import Surroundings, refuse_unsound
from polychromic.policy import constraint
from polychromic.policy.constraint import Constraint
from polychromic.policy.load import load_base
from polychromic.policy.render import stop_tokens_of
from polychromic.samplers.transformers import Transformers
from polychromic.settings.schema import ModelSection, PolychromicSection
from polychromic.stages.models import resolve

pytest.importorskip("xgrammar", reason="the structured extra is not installed")

PROMPTS = [Prompt("a", "2 3 5 = 10:"), Prompt("b", "7 8 9 = 24:"), Prompt("c", "1 1 = 2:")]
LIST = {"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 1, "maxItems": 8}


@pytest.fixture(scope="module")
def policy():
    return load_base(resolve(ModelSection(name_or_path="embedded:countdown")))


def sampled(policy, schema, n=16, temperature=1.0, length=60, batch_size=64):
    sampler = Transformers(policy.model, policy.tokenizer, batch_size, schema)
    return sampler.sample(PROMPTS, n, Decoding(temperature, max_new_tokens=length), 3)


def test_every_text_follows_the_schema_and_free_ones_do_not(policy):
    for temperature in (0.0, 1.0, 1.8):
        for one in sampled(policy, LIST, temperature=temperature):
            assert all(completion.finished for completion in one.completions)
            for text in one.texts:
                found = json.loads(text)
                assert 1 <= len(found) <= 8
                assert set(found) <= {1, 2, 3}
    texts = {text for one in sampled(policy, LIST) for text in one.texts}
    assert len({len(text) for text in texts}) >= 3  # rows end at different steps
    assert not any(text.startswith("[") for one in sampled(policy, None) for text in one.texts)


def test_a_program_of_the_structured_task_can_be_written(policy):
    """The task's own schema, with the strings and lists kept short: the embedded model never closes long ones."""
    short = json.loads(json.dumps(SCHEMA).replace('"type": "string"', '"type": "string", "maxLength": 3'))
    short["properties"]["body"] = short["properties"]["body"] | {"minItems": 1, "maxItems": 2}
    short["properties"]["imports"] |= {"maxItems": 1}
    done = [c for one in sampled(policy, short, length=120) for c in one.completions if c.finished]
    assert len(done) >= 10
    for completion in done:
        found = structured(completion.text, "def f(x):\n")
        assert found.reason == ""
        compile(found.source, "candidate", "exec")


def test_the_log_probability_is_that_of_the_constrained_distribution(policy):
    """After the quotation mark only 1, 2 or 3 can follow, everything else is forced: three texts in all."""
    one = sampled(policy, {"enum": ["1", "2", "3"]}, n=400)[0]
    ids = policy.tokenizer(PROMPTS[0].content)["input_ids"] + policy.tokenizer('"')["input_ids"]
    digits = [policy.tokenizer.convert_tokens_to_ids(digit) for digit in "123"]
    with torch.no_grad():
        expected = policy.model(input_ids=torch.tensor([ids])).logits[0, -1, digits].double().log_softmax(-1)
    counts = Counter(one.texts)
    assert set(counts) <= {'"1"', '"2"', '"3"'}
    for digit, logprob in zip("123", expected.tolist(), strict=True):
        share = math.exp(logprob)
        assert abs(counts[f'"{digit}"'] - 400 * share) <= 4.5 * math.sqrt(400 * share * (1 - share)) + 1
    for completion in one.completions:
        assert completion.logprob == pytest.approx(float(expected["123".index(completion.text[1])]), abs=1e-4)


def test_a_text_that_is_cut_off_is_not_finished(policy):
    for one in sampled(policy, LIST, n=4, length=2):
        assert not any(completion.finished for completion in one.completions)
        assert set(one.texts) <= {"[1", "[2", "[3"}


def test_samples_say_what_bound_them_and_training_refuses_them(policy):
    decoding = sampled(policy, LIST, n=1)[0].decoding
    assert decoding.constraint.startswith("json_schema:")
    assert decoding.truncated
    assert decoding.constraint != Decoding().under({"type": "object"}).constraint
    assert Decoding().under(None) == Decoding()
    bounded = SampleSet(PROMPTS[0], (Completion("{}"),), decoding)
    with pytest.raises(UnsoundObjectiveError, match="constraint='json_schema:"):
        refuse_sets([bounded], None)
    section = PolychromicSection(diversity_weight=1.0, n_generations=4, reward="lexical", gate="none")
    with pytest.raises(UnsoundObjectiveError, match="no constraint"):
        refuse_unsound(section, Surroundings(verifier=True), decoding)


def test_a_schema_that_cannot_be_read_is_refused_in_one_line(policy):
    ends = stop_tokens_of(policy.model, policy.tokenizer)
    with pytest.raises(InputError, match=r'^schema: Unsupported type "nonsense"$'):
        Constraint(policy.tokenizer, policy.model.config.vocab_size, ends.eos, {"type": "nonsense"})


def test_without_xgrammar_the_advice_names_both_ways(policy, monkeypatch):
    constraint._compiled.cache_clear()
    monkeypatch.setitem(sys.modules, "xgrammar", None)
    with pytest.raises(MissingResourceError, match=r"polychromic\[structured\].*schema: null"):
        sampled(policy, LIST)
