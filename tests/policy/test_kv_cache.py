"""A cache with room to grow changes nothing but the time."""

import pytest
import torch

from polychromic.core.nouns import Decoding
from polychromic.policy import generate as loop
from polychromic.policy import kv_cache
from polychromic.policy.generate import GenerationRequest, StopTokens, generate

PROMPTS = [[3, 4, 5, 6, 7], [8, 9], [10, 11, 12]]


@pytest.mark.parametrize("room", [1, 3, 64])
def test_draws_are_bit_for_bit_those_of_a_cache_that_is_copied(tiny_model_factory, monkeypatch, room):
    model = tiny_model_factory(lora=True)
    request = GenerationRequest(8, Decoding(max_new_tokens=30), StopTokens((1, 5, 9), 0), 3)
    monkeypatch.setattr(kv_cache, "ROOM", room)
    ours = generate(model, PROMPTS, request)
    monkeypatch.setattr(loop, "make_room", lambda cache: None)
    assert generate(model, PROMPTS, request) == ours
    assert len({len(one.token_ids) for group in ours for one in group}) > 5  # rows left on the way


def test_blocks_are_filled_not_copied():
    layer = kv_cache.RoomyLayer()
    layer.update(torch.ones(2, 1, 3, 4), torch.ones(2, 1, 3, 4))
    layer.update(torch.ones(2, 1, 1, 4), torch.ones(2, 1, 1, 4))
    place = layer.keys.data_ptr()
    keys, values = layer.update(2 * torch.ones(2, 1, 1, 4), 3 * torch.ones(2, 1, 1, 4))
    assert keys.data_ptr() == place
    assert keys.shape == values.shape == (2, 1, 5, 4)
    assert (keys[:, :, 4] == 2).all()
    assert (values[:, :, 4] == 3).all()
    layer.batch_select_indices(torch.tensor([1]))
    keys, _ = layer.update(torch.zeros(1, 1, 1, 4), torch.zeros(1, 1, 1, 4))
    assert keys.shape == (1, 1, 6, 4)
    assert layer.get_seq_length() == 6
