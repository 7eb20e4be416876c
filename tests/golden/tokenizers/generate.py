#!/usr/bin/env python3
"""Writes small tokenizers, 2,000 generated texts, and what each tokenizer makes of them.

    pip install tokenizers==0.23.3 gguf safetensors numpy
    generate.py [--minilm FOLDER] [--smollm2 FILE.gguf] [--stories FILE.bin]

Beside this script: word_piece.json, byte_pairs.json, byte_pairs_odd.json and sentence_piece.bin, of a few hundred tokens,
and texts.safetensors.gz. Its tensors: `texts` (bytes, also such that are no UTF-8) with `texts.starts`; for each tokenizer
`NAME.ids`, `NAME.ids.starts`, and `NAME.decoded`, `NAME.decoded.starts`. The real tokenizers, where they are given, are
among them. The package takes UTF-8 alone, so it gets U+FFFD for what is none, as Rust converts it.
"""
import argparse
import gzip
import json
import random
import struct
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

sys.path.insert(0, str(Path(__file__).parent))
import reference  # noqa: E402

HERE = Path(__file__).parent
SCRIPTS = {  # ranges of code points
    "latin": [(0x61, 0x7A)] * 6 + [(0x41, 0x5A), (0xC0, 0x24F)], "greek": [(0x370, 0x3FF)], "cyrillic": [(0x400, 0x52F)],
    "armenian": [(0x531, 0x58A)], "hebrew": [(0x5BE, 0x5F4)], "arabic": [(0x600, 0x6FF)], "syriac": [(0x700, 0x74F)],
    "devanagari": [(0x900, 0x97F)], "bengali": [(0x980, 0x9FF)], "tamil": [(0xB80, 0xBFF)], "kannada": [(0xC80, 0xCFF)],
    "thai": [(0xE00, 0xE5B)], "tibetan": [(0xF00, 0xFDA)], "georgian": [(0x10A0, 0x10FF)], "jamo": [(0x1100, 0x11FF)],
    "ethiopic": [(0x1200, 0x137C)], "khmer": [(0x1780, 0x17F9)], "balinese": [(0x1B00, 0x1B7C)],
    "latin more": [(0x1E00, 0x1EFF)], "greek more": [(0x1F00, 0x1FFE)], "kana": [(0x3041, 0x30FF)],
    "ideographs": [(0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0xF900, 0xFAD9), (0x2B740, 0x2B930)], "hangul": [(0xAC00, 0xD7A3)],
    "wide": [(0xFF01, 0xFFEE)], "deseret": [(0x10400, 0x1044F)], "music": [(0x1D100, 0x1D1E8)], "letters": [(0x1D400, 0x1D7FF)],
    "adlam": [(0x1E900, 0x1E95F)], "emoji": [(0x1F300, 0x1FAFF)], "anything": [(0, 0xD7FF), (0xE000, 0x10FFFF)],
}
SPACES = [" "] * 12 + ["  ", "   ", "\t", "\n", "\n\n", "\r\n", "\u00a0", "\u2003", "\u3000", "\u2028", "\x0b", "\u200b", "\ufeff"]
MARKS = [chr(c) for c in (0x300, 0x301, 0x308, 0x327, 0x323, 0x345, 0x5B0, 0x64B, 0x93C, 0x94D, 0x302E, 0x1D165, 0x20E3)]
SYLLABLES = ["ba", "co", "du", "fe", "ing", "un", "re", "tion", "s", "ed", "lo", "mi", "th", "er", "qu", "x", "ö", "ß"]
ENDINGS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "n't", "'", ".", "!", "?!", "...", ",", ";", "-", "(", ")"]
SPECIAL = ["[CLS]", "[SEP]", "[MASK]", "[UNK]", "[PAD]", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<s>", "</s>",
           "<jupyter_text>", "<|im_", "[MASK", "<word>", "<Wörd>", "<soft>"]
BROKEN = [b"\xff", b"\xc0\x80", b"\x80", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe0\x80\x80",
          b"\xc3", b"\xf8\x88\x80\x80\x80"]


def character(draw, script):
    low, high = draw.choice(SCRIPTS[script])
    return chr(draw.randint(low, high))


def word(draw):
    kind = draw.random()
    if kind < 0.45:
        text = "".join(draw.choice(SYLLABLES) for _ in range(draw.randint(1, 4)))
        return draw.choice([text, text, text.capitalize(), text.upper()])
    if kind < 0.55:
        return str(draw.randrange(10 ** draw.randint(1, 7)))
    script = draw.choice(list(SCRIPTS))
    text = "".join(character(draw, script) for _ in range(draw.randint(1, 5)))
    return text + "".join(draw.choice(MARKS) for _ in range(draw.choice([0, 0, 1, 3])))


def text(draw):
    out = b""
    for _ in range(draw.randint(1, 5)):
        out += word(draw).encode()
        if draw.random() < 0.25:
            out += draw.choice(ENDINGS).encode()
        if draw.random() < 0.10:
            out += draw.choice(SPECIAL).encode()
        if draw.random() < 0.04:
            out += draw.choice(BROKEN)
        out += draw.choice(SPACES).encode()
    return out if draw.random() < 0.5 else out.strip()


def texts():
    draw = random.Random(16)
    fixed = [b"", b" ", b"\n", b"a" * 100, b"a" * 101, b"ba" * 300, "é".encode() * 101, b" ".join([b"the"] * 50),
             b"I'll we've they're 'tis x'sy", b"12 345\t6", "don’t do not".encode(), b"a  b   \n c", "ﬁ ǆ İI ẞ".encode()]
    return fixed + [text(draw) for _ in range(2000 - len(fixed))]


def corpus():
    draw = random.Random(17)
    return [" ".join(word(draw) for _ in range(8)) for _ in range(3000)]


def word_piece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=700, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
                                        limit_alphabet=300, show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.add_tokens([AddedToken("<Wörd>", normalized=True), AddedToken("<soft>", normalized=False, lstrip=True, rstrip=True)])
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", cls), ("[SEP]", sep)])
    return tokenizer


def byte_pairs():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = reference.byte_level()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


def byte_pairs_odd():
    """What the first has not: bytes that are unknown, blanks before pieces, whole words, tokens that take blanks."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<unk>", "<s>", "</s>"], limit_alphabet=90, show_progress=False))
    tokenizer.add_tokens([AddedToken("<word>", normalized=True), AddedToken("<soft>", normalized=False, lstrip=True, rstrip=True)])
    tokenizer.post_processor = processors.BertProcessing(("</s>", 2), ("<s>", 1))
    return tokenizer


# ---- llama2.c ----

class SentencePiece:
    """The order of llama2.c: in each pass over all neighbours the best score, the first of equals."""

    def __init__(self, data):
        at, self.tokens, self.scores = 4, [], []
        while at < len(data):
            score, size = struct.unpack_from("<fi", data, at)
            self.tokens.append(data[at + 8:at + 8 + size])
            self.scores.append(score)
            at += 8 + size
        self.ids = {token: i for i, token in reversed(list(enumerate(self.tokens)))}

    def characters(self, text):
        """Bytes that are no UTF-8 come one by one."""
        at = 0
        while at < len(text):
            for size in (4, 3, 2, 1):
                piece = text[at:at + size]
                try:
                    if len(piece.decode()) == 1:
                        break
                except UnicodeDecodeError:
                    continue
            at += len(piece)
            yield piece

    def encode(self, text):
        ids = [self.ids[b" "]] if text else []
        for piece in self.characters(text):
            ids += [self.ids[piece]] if piece in self.ids else [byte + 3 for byte in piece]
        while True:
            best = None
            for i in range(len(ids) - 1):
                joined = self.ids.get(self.tokens[ids[i]] + self.tokens[ids[i + 1]])
                if joined is not None and (best is None or self.scores[joined] > best[0]):
                    best = self.scores[joined], i, joined
            if best is None:
                return ids
            ids[best[1]:best[1] + 2] = [best[2]]

    def decode(self, ids):
        out = b""
        for i, id_ in enumerate(ids):
            token = self.tokens[id_]
            if 3 <= id_ < 259:
                token = bytes([id_ - 3])
            elif i == 0 and token.startswith(b" "):
                token = token[1:]
            out += token
        return out


def sentence_piece():
    words = byte_level_words()
    tokens = [b"<unk>", b"\n<s>\n", b"\n</s>\n"] + [b"<0x%02X>" % byte for byte in range(256)]
    singles = sorted({bytes([c]) for piece in words for c in piece if c < 128})
    tokens += [piece for piece in words if len(piece) > 1] + singles
    scores = [0.0] * 259 + [-float(i // 2) for i in range(len(tokens) - 259)]  # pairs of equal scores
    out = struct.pack("<I", max(map(len, tokens)))
    for token, score in zip(tokens, scores):
        out += struct.pack("<fi", score, len(token)) + token
    return out


def byte_level_words():
    """Pieces in the order in which byte pairs were merged."""
    tokens = json.loads((HERE / "byte_pairs.json").read_text())["model"]["merges"]
    table = {chr(c) for c in range(33, 127)}
    out = ["".join(merge).replace("Ġ", " ") for merge in tokens]
    return [piece.encode() for piece in dict.fromkeys(out) if all(c in table or c == " " for c in piece)][:300]


# ---- the golden file ----

def packed(items, dtype):
    starts = np.cumsum([0] + [len(item) for item in items], dtype=np.int64)
    return np.concatenate([np.asarray(list(item), dtype) for item in items]), starts


def golden(name, encode, decode, all_texts, tensors):
    ids = [encode(item) for item in all_texts]
    tensors[f"{name}.ids"], tensors[f"{name}.ids.starts"] = packed(ids, np.int32)
    tensors[f"{name}.decoded"], tensors[f"{name}.decoded.starts"] = packed([decode(item) for item in ids], np.uint8)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minilm")
    parser.add_argument("--smollm2")
    parser.add_argument("--stories")
    arguments = parser.parse_args()
    small = {"word_piece": word_piece(), "byte_pairs": byte_pairs(), "byte_pairs_odd": byte_pairs_odd()}
    for name, tokenizer in small.items():
        (HERE / f"{name}.json").write_text(tokenizer.to_str() + "\n")
    (HERE / "sentence_piece.bin").write_bytes(sentence_piece())

    all_texts, tensors = texts(), {}
    tensors["texts"], tensors["texts.starts"] = packed(all_texts, np.uint8)
    for name in ("minilm", "smollm2"):
        if getattr(arguments, name):
            small[name] = reference.load(getattr(arguments, name))
    for name, tokenizer in small.items():
        golden(name, lambda item: tokenizer.encode(item.decode(errors="replace"), add_special_tokens=False).ids,
               lambda ids: tokenizer.decode(ids).encode(), all_texts, tensors)
    llama2c = {"sentence_piece": HERE / "sentence_piece.bin", "stories": arguments.stories}
    for name, path in llama2c.items():
        if path:
            tokenizer = SentencePiece(Path(path).read_bytes())
            golden(name, tokenizer.encode, tokenizer.decode, all_texts, tensors)
    data = gzip.compress(save(tensors), 9, mtime=0)
    (HERE / "texts.safetensors.gz").write_bytes(data)
    print(f"{len(all_texts)} texts, {len(data)} bytes")


if __name__ == "__main__":
    main()
