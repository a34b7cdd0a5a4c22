"""A small model that has read a few answers: one token a word, so that it takes a second and is right at times."""

from __future__ import annotations

from collections.abc import Iterable

TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% if m.role == 'assistant' %}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
WORD = r" ?[A-Za-z']+| ?\d+|\\?[^\sA-Za-z]|\s"
KNOWN = 0.7
"""The mean loss a token at which it has read enough: right answers are likely, not certain."""


def tokenizer_of(texts: Iterable[str]):
    """A tokenizer of the texts' own words, with a chat template."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    split = pre_tokenizers.Split(Regex(WORD), "isolated")
    words = sorted({word for text in texts for word, _ in split.pre_tokenize_str(text)})
    special = ["<|pad|>", "<|end|>", "<|unk|>", "<|system|>", "<|user|>", "<|assistant|>"]
    inner = Tokenizer(models.WordLevel({word: at for at, word in enumerate([*special, *words])}, unk_token="<|unk|>"))
    inner.pre_tokenizer, inner.decoder = split, decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<|pad|>",
        eos_token="<|end|>",
        unk_token="<|unk|>",
        additional_special_tokens=special[3:],
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def teach(folder, pairs, small, *, form="chat", known=KNOWN) -> str:
    """Saves a model of ``small`` (the factory of tiny models) that has read ``pairs`` (prompt, answer); the folder."""
    import torch

    tokenizer = tokenizer_of(text for pair in pairs for text in pair)
    opened = [f"<|user|>{prompt}<|assistant|>" if form == "chat" else prompt for prompt, _ in pairs]
    contexts = [tokenizer(text)["input_ids"] for text in opened]
    answers = [tokenizer(answer)["input_ids"] + [tokenizer.eos_token_id] for _, answer in pairs]
    longest = max(map(len, map(list.__add__, contexts, answers)))
    rows = [(c + a + [0] * longest)[:longest] for c, a in zip(contexts, answers, strict=True)]
    marks = [([-100] * len(c) + a + [-100] * longest)[:longest] for c, a in zip(contexts, answers, strict=True)]
    ids, labels = torch.tensor(rows), torch.tensor(marks)
    model = small(vocab=len(tokenizer), hidden_size=64, intermediate_size=128, max_position_embeddings=256)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    loss = torch.tensor(float("inf"))
    while loss.item() > known:
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
