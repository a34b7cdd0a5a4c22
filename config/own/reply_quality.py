"""A quality checker for short replies to tweets: the signature is that of TRL's reward functions."""

import re

LONGEST = 140
WORD = re.compile(r"[a-z']+")


def _text(content):
    """The text of a prompt or completion, whether it is a string or a list of messages."""
    return content if isinstance(content, str) else content[-1]["content"]


def good_reply(prompts, completions, topic, **columns):
    """One score in [0, 1] for each reply; 0 for what is no reply at all, else the share of what a good one keeps to."""
    rows = zip(prompts, completions, topic, strict=True)
    return [_score(_text(prompt), _text(reply), words) for prompt, reply, words in rows]


def _score(tweet, reply, topic):
    words = WORD.findall(reply.lower())
    said = set(WORD.findall(tweet.lower()))
    if len(words) < 3 or not set(words) - said:  # nothing, or the tweet said again
        return 0.0
    kept = [
        len(reply) <= LONGEST,
        "#" not in reply and "http" not in reply,
        reply.rstrip().endswith((".", "!", "?")),
        any(word in words for word in topic),
    ]
    return sum(kept) / len(kept)
