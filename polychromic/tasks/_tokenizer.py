"""The tokenizer of the small base models: bytes, plus one token for each number that follows a space.

``2 3 5 7 8 9 = 42:`` is nine tokens and each symbol of an answer is one. No merge contains a colon, so a prompt and its
answer tokenise together exactly as they do apart, and any text at all survives the round trip.
"""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

END = "<|end|>"
PAD = "<|pad|>"
MAX_LENGTH = 256

_SPACE = "Ġ"  # how byte-level tokenizers write a space
_DIGITS = "0123456789"

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}"
    "{% elif message['role'] == 'system' %}{{ message['content'] + '\n' }}"
    "{% else %}{{ message['content'] }}{% endif %}"
    "{% endfor %}"
)
"""A conversation is its plain text: what the model saw in pretraining, with the end of an answer marked."""


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of 358 entries that needs no training, with end-of-sequence and padding tokens that differ."""
    merges = [(_SPACE, symbol) for symbol in _DIGITS[1:] + "="]
    merges += [(_SPACE + tens, ones) for tens in _DIGITS[1:] for ones in _DIGITS]
    entries = [END, PAD, *sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(pair) for pair in merges)]
    tokenizer = Tokenizer(BPE(vocab={entry: place for place, entry in enumerate(entries)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        clean_up_tokenization_spaces=False,
        model_max_length=MAX_LENGTH,
        chat_template=CHAT_TEMPLATE,
    )
