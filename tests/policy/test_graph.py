"""Decoding over a cache of fixed size: the loop's own samples. The graph around it needs a CUDA device."""

import gc
from itertools import chain
from types import SimpleNamespace
from weakref import ref

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from polychromic.core.nouns import Decoding
from polychromic.policy import generate as loop
from polychromic.policy import graph
from polychromic.policy.generate import GenerationRequest, StopTokens, generate
from polychromic.policy.merged import merged

PROMPTS = [[3, 4, 5, 6, 7], [8, 9], [10, 11, 12]]
CUDA = torch.device("cuda")


def request(seed=3, new=30, **decoding):
    return GenerationRequest(8, Decoding(max_new_tokens=new, **decoding), StopTokens((1, 5, 9), 0), seed)


@pytest.fixture
def decoders(monkeypatch):
    """The decoders of fixed size that were made, on a CPU as well."""
    made = []

    def kept(*args):
        made.append(graph.graph_decoder(*args))
        return made[-1]

    monkeypatch.setattr(graph, "why_not", lambda model: None)
    monkeypatch.setattr(loop, "graph_decoder", kept)
    return made


def by_the_loop(model, asked):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "graph_decoder", lambda *args: None)
        return generate(model, PROMPTS, asked)


def llama():
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=40, num_key_value_heads=1, initializer_range=0.2, **shape)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LlamaForCausalLM(config).eval()


@pytest.mark.parametrize("decoding", [{}, {"temperature": 0.0}, {"temperature": 0.7, "top_p": 0.9}])
@pytest.mark.parametrize("make", [lambda tiny: tiny(), lambda tiny: merged(tiny(lora=True)), lambda tiny: llama()])
def test_samples_are_the_loops(tiny_model_factory, decoders, make, decoding):
    model = make(tiny_model_factory)
    for seed in range(3):  # the second call finds the cache as the first one left it
        ours, theirs = (
            generate(model, PROMPTS, request(seed, **decoding)),
            by_the_loop(model, request(seed, **decoding)),
        )
        for one, other in zip(chain.from_iterable(ours), chain.from_iterable(theirs), strict=True):
            assert (one.token_ids, one.finished) == (other.token_ids, other.finished)
            assert one.logprob == pytest.approx(other.logprob, abs=1e-4)
    assert len({id(decoder.slot) for decoder in decoders}) == 1


def test_a_few_sizes_are_kept_and_go_with_the_model(tiny_model_factory, decoders, monkeypatch):
    monkeypatch.setattr(graph, "WIDTH", 8)
    model = tiny_model_factory()
    for new in (2, 20, 40, 2):
        generate(model, PROMPTS, request(new=new))
    slots = [ref(decoder.slot) for decoder in decoders]
    assert [each.mask.shape[-1] for each in (slot() for slot in slots)] == [8, 32, 48, 8]
    decoders.clear()
    gc.collect()
    assert [slot() is None for slot in slots] == [True, True, False, False]
    del model
    gc.collect()
    assert not any(slot() for slot in slots)


def test_what_cannot_be_captured_is_decoded_by_the_loop_and_says_why(tiny_model_factory, decoders, monkeypatch, caplog):
    def broken(self, read):
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    model = tiny_model_factory()
    expected = by_the_loop(model, request())
    monkeypatch.setattr(graph._Slot, "fill", broken)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with caplog.at_level("INFO", logger="polychromic"):
        assert generate(model, PROMPTS, request()) == expected
        generate(model, PROMPTS, request())
    assert decoders == [None, None]
    assert len(caplog.messages) == 1
    assert caplog.messages[0].endswith("RuntimeError: operation not permitted when stream is capturing")


def test_a_cache_that_memory_has_no_room_for_is_the_loops(tiny_model_factory, decoders, monkeypatch):
    monkeypatch.setattr(graph, "free_bytes", lambda device: 1000)
    generate(tiny_model_factory(), PROMPTS, request())
    assert decoders == [None]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda tiny: tiny(), None),
        (lambda tiny: merged(tiny(lora=True)), None),
        (lambda tiny: tiny(lora=True), "may be exchanged"),
        (lambda tiny: tiny(use_sliding_window=True, sliding_window=8, max_window_layers=1), "the whole context"),
    ],
)
def test_which_models_can_be_captured(tiny_model_factory, monkeypatch, make, reason):
    model = make(tiny_model_factory)
    assert graph.why_not(model) == "there is no CUDA device"
    monkeypatch.setattr(model, "parameters", lambda: [SimpleNamespace(device=CUDA, is_floating_point=lambda: True)])
    found = graph.why_not(model)
    assert found is None if reason is None else reason in found


@pytest.mark.gpu
def test_the_graphs_samples_are_the_loops(tiny_model_factory):
    model = tiny_model_factory().to("cuda")
    for seed in range(3):
        ours, theirs = generate(model, PROMPTS, request(seed)), by_the_loop(model, request(seed))
        assert [one.token_ids for one in chain.from_iterable(ours)] == [
            one.token_ids for one in chain.from_iterable(theirs)
        ]
    assert model not in graph._refused
