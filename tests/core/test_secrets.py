"""Keys and passwords: found by shape, by name and in addresses; never kept, never shown."""

import pytest

from polychromic.core.secrets import redacted, secrets_in

SECRETS = {
    "Hugging Face": "hf_" + "aB3" * 8,
    "OpenAI": "sk-proj-" + "aB3_" * 8,
    "W&B": "wandb_v1_" + "aB3" * 8,
    "GitHub": "ghp_" + "aB3" * 12,
    "GitHub, fine-grained": "github_pat_" + "aB3" * 12,
    "GitLab": "glpat-" + "aB3-" * 5,
    "AWS": "AKIA" + "ABCD1234" * 2,
    "Google": "AIza" + "aB3_-" * 7,
    "Slack": "xoxb-" + "1234-" * 4,
    "JWT": "eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl",
    "Bearer": "Authorization: Bearer " + "aB3." * 6,
    "key": "-----BEGIN OPENSSH PRIVATE KEY-----",
    "address": "https://me:pa55@host.example/v1",
    "token in an address": "https://deadbeef@host.example/v1",
}
HARMLESS = [
    "a sketch of skills",
    "sk-learn",
    "https://host.example/a@b?x=1@2",
    "mail@host.example",
    "the bearer of this letter",
    "eyJ",
    "AKIA",
    "meta-llama/Llama-3.1-8B",
]


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_a_secret_is_found_and_not_shown(secret):
    ((path, reason),) = secrets_in({"a": [{"b": f"x {secret} y"}]})
    assert path == ("a", 0, "b")
    assert "secrets come from the environment" in reason
    shown = redacted(f"x {secret} y")
    assert shown.startswith("x ")
    assert "***" in shown
    assert not [part for part in ("pa55", "deadbeef", "aB3", "1234", "c2ln", "KEY--") if part in shown]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_one_is_left(text):
    assert list(secrets_in({"a": text})) == []
    assert redacted(text) == text


def test_names_that_say_what_they_hold():
    server = {"kind": "server", "api_key": "x", "headers": {"Authorization": "y", "X-Api-Key": "z"}}
    assert [path for path, _ in secrets_in(server)] == [
        ("api_key",),
        ("headers", "Authorization"),
        ("headers", "X-Api-Key"),
    ]
    assert list(secrets_in({"api_key_env": "MY_KEY", "max_new_tokens": 3, "pad_token": "<pad>", "token": ""})) == []


def test_forty_hex_digits_are_a_revision_where_one_is_asked_for():
    assert list(secrets_in({"model": {"revision": "0123456789" * 4}})) == []
    assert len(list(secrets_in({"experiment": {"notes": "0123456789" * 4}}))) == 1
