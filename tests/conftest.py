"""A tiny Qwen3 policy with a tokenizer built in code: two layers, a LoRA adapter that is no no-op, nothing fetched.

Every test runs in an empty working folder that is not the checkout, with one thread: two workers of pytest-xdist then
share two cores, and a relative path that a test reads or writes by mistake fails it.
"""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import hypothesis
import pytest

QUIET = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "WANDB_MODE": "disabled"}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
os.environ.update(QUIET | ONE_THREAD)
hypothesis.settings.register_profile("tests", database=None, derandomize=True)
hypothesis.settings.register_profile("search", database=None, print_blob=True)

ROOT = Path(__file__).parents[1]
SOURCES = (".py", ".md", ".toml", ".pyc", ".orig")
"""What a person or an editor may write while the tests run."""
OF_TOOLS = ("__pycache__", "build", "site")


LONG = {"journeys", "faults", "certificate", "benchmarks", "sandbox", "training", "reporting", "policy", "project"}
"""Folders whose tests take most of the time: whole runs, trainings, models, the proof, hostile programs, pages."""


def pytest_configure(config):
    """Signals stop a program here as at a terminal; a shell's background and ``nohup`` have some of them ignored.

    The suite draws the same examples every time, so that a change is what makes it red; the slow run searches for new.
    """
    hypothesis.settings.load_profile("search" if config.option.markexpr == "slow" else "tests")
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


def pytest_ignore_collect(collection_path, config):
    """A run without what is long does not import it either, which takes as long as many tests."""
    if "not long" in config.option.markexpr and collection_path.suffix == ".py":
        long = LONG.intersection(collection_path.parts) and "mark.quick" not in collection_path.read_text()
        return True if long and collection_path.name.startswith("test_") else None
    return None


def pytest_collection_modifyitems(items):
    """Marks what is long, and puts whole runs first, so that no worker is left alone with one at the end."""
    for item in items:
        if LONG.intersection(item.path.parts) and not item.get_closest_marker("quick"):
            item.add_marker("long")
    items.sort(key=lambda item: "journeys" not in item.path.parts)


def pytest_collection_finish():
    """What was imported is never garbage; accelerate collects at the end of a training, half a second over all."""
    gc.collect()
    gc.freeze()


def left_behind():
    """Every file of the checkout that is no source and in no folder of a tool."""
    found = set()
    for folder, names, files in os.walk(ROOT):
        names[:] = [name for name in names if not name.startswith(".") and name not in OF_TOOLS]
        found.update(Path(folder, name) for name in files if not name.endswith(SOURCES))
    return found


@pytest.fixture(scope="session", autouse=True)
def checkout_stays_as_it_is():
    """No test leaves a file in the checkout."""
    before = left_behind()
    yield
    assert not sorted(left_behind() - before), "the tests left files in the checkout"


@pytest.fixture(scope="session", autouse=True)
def empty_folder(tmp_path_factory, checkout_stays_as_it_is):
    """The working folder of all tests."""
    folder, before = tmp_path_factory.mktemp("empty"), Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture(autouse=True)
def nothing_in_the_working_folder(empty_folder):
    """No test writes to the working folder, or leaves it for another."""
    yield
    assert Path.cwd() == empty_folder
    assert not os.listdir(empty_folder)


CHARACTERS = "abcdefghij0123456789+-*=: \n"
TEMPLATE = (
    "{% for message in messages %}{{ message.role[0] }}:{{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}a:{% endif %}"
)


@pytest.fixture(scope="session")
def tiny_tokenizer_factory():
    """A tokenizer of one token a character; 0 pads, 1 ends."""

    def make():
        from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast

        words = ["<pad>", "<eos>", "<unk>", *CHARACTERS]
        inner = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
        inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        inner.decoder = decoders.Fuse()
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>"
        )
        tokenizer.chat_template = TEMPLATE
        return tokenizer

    return make


@pytest.fixture(scope="session")
def tiny_model_factory():
    """A Qwen3 of two layers; ``lora`` adds an adapter with non-zero B, or the tests would pass vacuously."""

    def make(*, vocab: int = 3 + len(CHARACTERS), lora: bool = False, dropout: float = 0.0, seed: int = 0, **config):
        import torch
        from transformers import Qwen3Config, Qwen3ForCausalLM

        torch.set_num_threads(1)
        shape = {
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "max_position_embeddings": 96,
            "tie_word_embeddings": True,
            "initializer_range": 0.2,
        }
        settings = Qwen3Config(vocab_size=vocab, bos_token_id=None, eos_token_id=1, pad_token_id=0, **(shape | config))
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = Qwen3ForCausalLM(settings).eval()
            return with_adapter(model, dropout, seed) if lora else model

    return make


def with_adapter(model, dropout: float = 0.0, seed: int = 0):
    """The model with a LoRA adapter whose B is not zero."""
    import torch
    from peft import LoraConfig, get_peft_model

    with torch.random.fork_rng():
        torch.manual_seed(seed + 1)
        adapted = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", lora_dropout=dropout))
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    return adapted


@pytest.fixture(scope="session")
def add_adapter():
    """``with_adapter`` as a fixture."""
    return with_adapter


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory, tiny_model_factory, tiny_tokenizer_factory):
    """The tiny base and its tokenizer as a model folder."""
    folder = tmp_path_factory.mktemp("base")
    tiny_model_factory().save_pretrained(folder)
    tiny_tokenizer_factory().save_pretrained(folder)
    return folder


@pytest.fixture
def serving():
    """``with serving(Handler) as url``: a real HTTP server on the loopback address, and its ``/v1``."""
    import contextlib
    import threading
    from http.server import ThreadingHTTPServer

    @contextlib.contextmanager
    def opened(handler):
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    return opened
