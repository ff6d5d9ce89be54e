"""The data that a project may have: what they hold, what is kept, and what is refused."""

import gzip
import json
import os
import pickle
import shutil

import pytest
import torch
from PIL import Image
from project.pieces import load

from runtime.errors import UserError
from runtime.stream import StreamSampler, stream_batches


@pytest.fixture
def text(tmp_path, monkeypatch):
    """A project that learns from text in bytes, and a folder with thirty files of it."""
    modules = load("gpt-bytes", tmp_path, monkeypatch)
    write_texts(tmp_path / "texts", 30)
    return modules


def write_texts(folder, count):
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.txt").write_text(f"Text {number}: ä, ö, ü. " * 20, encoding="utf-8")


def load_text(modules, **settings):
    return modules.data.load_data(
        modules.config.Config(**{"data": "texts", "block": 16, **settings})
    )


def load_images(modules, **settings):
    return modules.data.load_data(
        modules.config.Config(**{"data": "photos", "image_size": 16, **settings})
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project that learns from a folder of images, and ten images each of red and blue."""
    modules = load("cnn-folder", tmp_path, monkeypatch)
    write_images(tmp_path / "photos", 10)
    return modules


def write_images(folder, count):
    for name in ("red", "blue"):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (20, 30 + number), name).save(folder / name / f"{number}.png")


def test_digits_are_split_the_same_way_for_every_seed(tmp_path, monkeypatch):
    modules = load("cnn-digits", tmp_path, monkeypatch)
    train, val = modules.data.load_data(modules.config.Config(seed=1))
    _, again = modules.data.load_data(modules.config.Config(seed=2))
    assert (len(train), len(val)) == (1438, 359)
    assert val.labels == again.labels and len(set(val.labels)) == len(train.classes) == 10
    image, label = train[0]
    assert image.shape == (1, 8, 8) and image.min() >= -1 and image.max() <= 1
    assert label == train.labels[0]


def test_digits_move_at_random_in_training_only(tmp_path, monkeypatch):
    modules = load("cnn-digits", tmp_path, monkeypatch)
    train, val = modules.data.load_data(modules.config.Config())
    assert len({pickle.dumps(train[0][0].tolist()) for _ in range(50)}) == 9
    assert torch.equal(val[0][0], val[0][0])
    torch.manual_seed(5)
    first = train[0][0]
    torch.manual_seed(5)
    assert torch.equal(first, train[0][0])


def test_a_window_s_target_is_the_token_that_follows(text):
    train, val = load_text(text)
    x, y = train[3]
    assert x.dtype == y.dtype == torch.int64 and x.shape == y.shape == (16,)
    assert torch.equal(x[1:], y[:-1]) and y[-1] == train[4][0][0]
    assert len(train) > len(val) > 0 and train.vocab_size == 256


def test_the_tokens_are_the_files_each_with_its_end(text, tmp_path):
    train, val = load_text(text)
    kept = [bytes(part.tokens.tolist()) for part in (train, val)]
    texts = {file.read_bytes() for file in (tmp_path / "texts").iterdir()}
    found = [set(part.split(b"\0")) - {b""} for part in kept]
    assert found[0] | found[1] == texts and not found[0] & found[1]
    assert len(found[1]) == 3


def test_validation_is_spread_evenly_over_the_held_out_text(text):
    _, whole = load_text(text, eval_samples=10**6)
    _, part = load_text(text, eval_samples=5)
    assert len(part) == 5
    starts = [
        i for i in range(len(whole)) for j in range(5) if torch.equal(part[j][0], whole[i][0])
    ]
    assert starts[0] == 0 and starts[-1] >= len(whole) * 3 // 5


def test_text_is_prepared_once_and_again_when_it_changes(text, tmp_path):
    load_text(text)
    [kept] = (tmp_path / "prepared").iterdir()
    before = (kept / "train.bin").stat().st_mtime_ns
    load_text(text, block=8)
    assert (kept / "train.bin").stat().st_mtime_ns == before
    (tmp_path / "texts" / "new.txt").write_text("new")
    load_text(text)
    assert len(list((tmp_path / "prepared").iterdir())) == 2


def test_a_single_file_is_cut_between_two_characters(text, tmp_path):
    for letters in (100, 101, 102, 103):
        content = "a" * (letters % 3) + "€" * letters
        (tmp_path / "one.txt").write_text(content, encoding="utf-8")
        train, val = load_text(text, data="one.txt", block=4)
        parts = [bytes(part.tokens.tolist()).decode() for part in (train, val)]
        assert parts[0].rstrip("\0") + parts[1].rstrip("\0") == content


def test_a_character_may_lie_across_two_pieces(text, tmp_path):
    document = tmp_path / "long.txt"
    document.write_text("a" * (2**20 - 1) + "€" + "b" * 50, encoding="utf-8")
    size = document.stat().st_size
    pieces = text.data.read_text(text.data.Document(document, 0, size))
    assert "".join(pieces) == document.read_text(encoding="utf-8")


@pytest.mark.parametrize("offset", [0, 7, 2**20 - 1, 2**20 + 3])
def test_a_file_that_is_not_utf_8_is_named_with_its_first_bad_byte(text, tmp_path, offset):
    (tmp_path / "texts" / "bad.txt").write_bytes(b"a" * offset + b"\xe2\x82" + b"a" * 9)
    with pytest.raises(UserError, match=rf"bad.txt: byte {offset} is not UTF-8"):
        load_text(text)
    assert not list((tmp_path / "prepared").iterdir())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": "nowhere"}, "no file or folder 'nowhere'"),
        ({"pattern": "*.md"}, r"no file '\*.md' in 'texts'"),
        ({"block": 100_000}, "a window needs 100001"),
        ({"pattern": "/*.md"}, "cannot look for '/\\*.md' in 'texts'"),
        (
            {"pattern": "**x"},
            "cannot look for|no file",
        ),  # from Python 3.13 on a pattern like others
        ({"data": "a" * 300}, "cannot look for|no file or folder"),  # from 3.14 on as one not there
    ],
)
def test_text_that_cannot_be_used_is_refused(text, settings, message):
    with pytest.raises(UserError, match=message):
        load_text(text, **settings)


def test_a_folder_of_text_that_is_closed_is_said_to_be(text, tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "texts").chmod(0)
    user = os.geteuid()
    try:
        if user == 0:  # to whom nothing is closed
            os.seteuid(65534)
        with pytest.raises(UserError, match="cannot look for '[*]' in 'texts': .*denied"):
            load_text(text)
    finally:
        os.seteuid(user)


def test_python_s_own_library_is_text_enough(tmp_path, monkeypatch):
    modules = load("gpt-bytes", tmp_path, monkeypatch)
    train, val = modules.data.load_data(modules.config.Config())
    assert len(train.tokens) > 2_000_000 and len(val) == modules.config.Config.eval_samples


def test_windows_are_pickled_without_their_tokens(text):
    train, _ = load_text(text)
    copy = pickle.loads(pickle.dumps(train))
    assert torch.equal(copy[1][0], train[1][0]) and len(pickle.dumps(train)) < 1000


@pytest.fixture
def bpe(tmp_path, monkeypatch):
    modules = load("gpt-bpe", tmp_path, monkeypatch)
    write_texts(tmp_path / "texts", 30)
    return modules


def test_bpe_tokens_give_the_text_back(bpe, tmp_path):
    train, val = load_text(bpe, vocab_size=300, block=4)
    tokenizer = bpe.data.Tokenizer.from_file(str(tmp_path / "runs" / "gpt-bpe" / "tokenizer.json"))
    assert train.vocab_size == tokenizer.get_vocab_size() <= 300
    text = tokenizer.decode(val.tokens.tolist(), skip_special_tokens=False)
    texts = {file.read_text(encoding="utf-8") for file in (tmp_path / "texts").iterdir()}
    assert set(text.split("<|end|>")) - {""} < texts
    assert len(train.tokens) < sum(len(each.encode()) for each in texts) / 2


def test_a_run_keeps_the_tokenizer_that_it_began_with(bpe, tmp_path):
    load_text(bpe, vocab_size=300, block=4)
    load_text(bpe, vocab_size=300, block=4)
    (tmp_path / "texts" / "new.txt").write_text("quite another text " * 50)
    with pytest.raises(UserError, match="began with another tokenizer"):
        load_text(bpe, vocab_size=300, block=4)
    load_text(bpe, vocab_size=300, block=4, name="another")


def test_images_have_the_size_asked_for_and_their_folder_s_class(folder):
    train, val = load_images(folder)
    assert (len(train), len(val), train.classes) == (16, 4, ["blue", "red"])
    for image, label in (*train, *val):
        assert image.shape == (3, 16, 16)
        assert image[0 if label == 1 else 2].min() > 0.99 and image[1].max() < -0.99


def test_the_hold_out_goes_by_the_names_of_the_files(folder):
    first = [part.files for part in load_images(folder)]
    second = [part.files for part in load_images(folder, seed=2)]
    assert first == second and not set(first[0]) & set(first[1])


def test_given_train_and_val_folders_are_used(folder, tmp_path):
    write_images(tmp_path / "given" / "train", 3)
    write_images(tmp_path / "given" / "val", 1)
    train, val = load_images(folder, data="given")
    assert (len(train), len(val)) == (6, 2)


def test_images_are_augmented_in_training_only(folder, tmp_path):
    picture = Image.new("RGB", (64, 64), "red")
    picture.paste((0, 0, 255), (0, 0, 20, 30))
    for name in ("red", "blue"):
        for number in range(10):
            picture.save(tmp_path / "photos" / name / f"{number}.png")
    train, val = load_images(folder)
    assert len({pickle.dumps(train[0][0].tolist()) for _ in range(20)}) > 5
    assert torch.equal(val[0][0], val[0][0])
    pickle.dumps(train)


def test_a_broken_file_is_named_and_refused_or_skipped(folder, tmp_path, capsys):
    whole = (tmp_path / "photos" / "red" / "3.png").read_bytes()
    (tmp_path / "photos" / "red" / "broken.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "photos" / "blue" / "note.txt").write_text("not an image")
    with pytest.raises(UserError, match="2 of 22 files are no images"):
        load_images(folder)
    assert "broken.png" in capsys.readouterr().err
    train, val = load_images(folder, broken="skip")
    assert len(train) + len(val) == 20 and "note.txt" in capsys.readouterr().err
    assert len(load_images(folder, broken="skip")[0]) == len(train)
    assert capsys.readouterr().err == ""
    with pytest.raises(UserError, match="2 of 22 files are no images"):
        load_images(folder, broken="refuse")


def test_files_are_opened_for_the_check_only_once(folder, tmp_path, monkeypatch):
    load_images(folder)
    monkeypatch.setattr(folder.data, "why_broken", lambda path: pytest.fail("looked again"))
    load_images(folder)
    assert [file.suffix for file in (tmp_path / "prepared").iterdir()] == [".json"]


def test_a_folder_that_cannot_be_used_is_refused(folder, tmp_path):
    with pytest.raises(UserError, match="no folder 'nowhere'"):
        load_images(folder, data="nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="of no class; two are needed"):
        load_images(folder, data="empty")
    os.rename(tmp_path / "photos" / "blue", tmp_path / "blue")
    with pytest.raises(UserError, match="only of class 'red'; two are needed"):
        load_images(folder)


def test_a_folder_that_the_system_cannot_look_up_is_refused(folder):
    with pytest.raises(UserError, match="cannot read aaa|no folder 'aaa"):
        load_images(folder, data="a" * 300)


def test_a_validation_class_that_is_not_trained_is_refused(folder, tmp_path):
    write_images(tmp_path / "given" / "train", 3)
    write_images(tmp_path / "given" / "val", 1)
    os.rename(tmp_path / "given" / "val" / "red", tmp_path / "given" / "val" / "green")
    with pytest.raises(UserError, match="no image to train on is of class 'green'"):
        load_images(folder, data="given")


@pytest.fixture
def shards(tmp_path, monkeypatch):
    """A project that streams shards, and twenty of them."""
    modules = load("gpt-shards", tmp_path, monkeypatch)
    write_texts(tmp_path / "texts", 20)
    return modules


def read_whole(shards, shard, position=0):
    return [(behind, bytes(tokens.tolist())) for behind, tokens in shards.read(shard, position)]


def documents(shards, shard):
    return b"".join(text for _, text in read_whole(shards, shard)).split(b"\0")[:-1]


TEXTS = ["first", "", "zwei\n\tLinien", "€" * 70_000, "last"]


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz"])
def test_each_line_of_a_jsonl_is_a_document(shards, tmp_path, suffix):
    lines = "".join(json.dumps({"n": 1, "text": text}) + "\n" for text in TEXTS) + "\n"
    shard = tmp_path / "texts" / f"0.{suffix}"
    shard.write_bytes(gzip.compress(lines.encode()) if "gz" in suffix else lines.encode())
    train, _ = load_text(shards)
    assert documents(train, shard) == [text.encode() for text in TEXTS]


@pytest.mark.parametrize("suffix", ["txt", "gz"])
@pytest.mark.parametrize("length", [1, 2**16 - 1, 2**16, 2**16 + 1, 200_000])
def test_any_other_shard_is_one_document_read_in_pieces(shards, tmp_path, suffix, length):
    text = ("a" * (length % 3) + "€" * length).encode()[:length].decode(errors="ignore").encode()
    shard = tmp_path / "texts" / f"0.{suffix}"
    shard.write_bytes(gzip.compress(text) if suffix == "gz" else text)
    train, _ = load_text(shards)
    pieces = read_whole(train, shard)
    assert b"".join(piece for _, piece in pieces) == text + b"\0"
    assert all(len(piece) <= shards.data.PIECE + 1 for _, piece in pieces)
    for number, (behind, _) in enumerate(pieces[:-1], 1):  # reading goes on behind any piece alike
        assert read_whole(train, shard, behind) == pieces[number:]


def test_an_empty_shard_has_no_document(shards, tmp_path):
    for name in ("0.txt", "0.jsonl", "0.gz"):
        (tmp_path / "texts" / name).write_bytes(b"")
        train, _ = load_text(shards)
        assert read_whole(train, tmp_path / "texts" / name) == []


def test_shards_are_held_out_by_name_and_their_windows_are_those_of_validation(shards, tmp_path):
    train, val = load_text(shards, eval_samples=6)
    held_out = {*(tmp_path / "texts").iterdir()} - {path.absolute() for path in train.shards}
    assert len(train.shards) == 18 and len(held_out) == 2
    assert len(val) == 6 and all(x.shape == y.shape == (16,) for x, y in val)
    texts = [path.read_bytes() for path in held_out]
    assert all(any(bytes(x.tolist()) in text for text in texts) for x, _ in val)


DAMAGED = {
    "bad.txt": (b"good \xff bad", "behind byte 0: .*can't decode byte 0xff"),
    "late.txt": (b"a" * 2**16 + b"\xff", "behind byte 65536: .*can't decode byte 0xff"),
    "bad.jsonl": (b'{"text": "good"}\n{"text"', "behind byte 17: .*line 1 column 8"),
    "other.jsonl": (b'{"text": "good"}\n{"words": 1}\n', "behind byte 17: a line without"),
    "half.jsonl": (b'{"text": "good"}\n{"text": "\\ud800"}', "behind byte 17: .*surrogates"),
    "short.jsonl.gz": (gzip.compress(b'{"text": "good"}\n' * 9)[:-12], "behind byte .*: .*end"),
    "none.gz": (b"not gzipped", "behind byte 0: Not a gzipped file"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_shard_is_named_and_refused_or_left_out_from_there_on(
    shards, tmp_path, capsys, name
):
    content, message = DAMAGED[name]
    shard = tmp_path / "texts" / name
    shard.write_bytes(content)
    train, _ = load_text(shards, eval_samples=1, broken="skip")
    assert all(text in (b"good\0", b"a" * 2**16) for _, text in read_whole(train, shard))
    assert f"{shard} is damaged" in capsys.readouterr().err
    train.broken = "refuse"
    with pytest.raises(UserError, match=f"{name} is damaged {message}") as refused:
        read_whole(train, shard)
    assert "--broken skip" in refused.value.fix


def test_a_shard_that_is_gone_is_named_too(shards):
    train, _ = load_text(shards)
    train.shards[0].unlink()
    with pytest.raises(UserError, match=f"{train.shards[0]} is damaged behind byte 0: .*No such"):
        read_whole(train, train.shards[0])


def test_a_run_goes_on_with_the_shards_that_it_began_with_wherever_they_lie(shards, tmp_path):
    load_text(shards)
    (tmp_path / "texts" / "new.txt").write_text("new")
    load_text(shards)  # nothing is saved yet
    (tmp_path / "runs/gpt-shards/checkpoints").mkdir()
    shutil.move(tmp_path / "texts", tmp_path / "elsewhere")
    load_text(shards, data="elsewhere")

    (tmp_path / "elsewhere" / "more.txt").write_text("more")
    with pytest.raises(UserError, match="shard more.txt was not there, and is now 4 bytes"):
        load_text(shards, data="elsewhere")
    load_text(shards, data="elsewhere", name="another")
    (tmp_path / "elsewhere" / "more.txt").unlink()
    (tmp_path / "elsewhere" / "new.txt").write_text("newer")
    with pytest.raises(UserError, match="shard new.txt was 3 bytes, and is now 5 bytes"):
        load_text(shards, data="elsewhere")
    (tmp_path / "elsewhere" / "new.txt").unlink()
    with pytest.raises(UserError, match="shard new.txt was 3 bytes, and is now not there"):
        load_text(shards, data="elsewhere")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pattern": "7.txt"}, "7.txt is the only shard"),
        ({"block": 100_000}, "has 100001 tokens, which a window needs"),
        ({"data": "nowhere"}, "no file or folder 'nowhere'"),
    ],
)
def test_shards_that_cannot_be_used_are_refused(shards, settings, message):
    with pytest.raises(UserError, match=message):
        load_text(shards, **settings)


def test_python_s_own_library_is_shards_enough(tmp_path, monkeypatch):
    modules = load("gpt-shards", tmp_path, monkeypatch)
    config = modules.config.Config()
    train, val = modules.data.load_data(config)
    assert len(train.shards) > 200 and len(val) == config.eval_samples
    x, y = next(stream_batches(StreamSampler(train, 4)))
    assert x.shape == y.shape == (4, config.block) and torch.equal(x[:, 1:], y[:, :-1])


def test_streamed_bpe_tokens_give_the_text_back(tmp_path, monkeypatch):
    modules = load("gpt-shards-bpe", tmp_path, monkeypatch)
    write_texts(tmp_path / "texts", 20)
    train, _ = load_text(modules, vocab_size=300, block=4)
    assert train.vocab_size == train.tokenizer.get_vocab_size() <= 300
    for shard in train.shards:
        tokens = [token for _, piece in train.read(shard, 0) for token in piece.tolist()]
        text = train.tokenizer.decode(tokens, skip_special_tokens=False)
        assert text == shard.read_text(encoding="utf-8") + "<|end|>"
    before = [*(tmp_path / "prepared").iterdir()]
    load_text(modules, vocab_size=300, block=4)
    assert [*(tmp_path / "prepared").iterdir()] == before
    x, _ = next(stream_batches(StreamSampler(train, 4, workers=1)))
    assert x.shape == (4, 4) and x.max() < 300
