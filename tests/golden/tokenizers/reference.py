"""The tokenizers of the package `tokenizers` that loru's are compared with."""
import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers


def byte_level(digits=True):
    """SmolLM2's splitter: single digits, then GPT-2's expression."""
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level]) if digits else byte_level


def of_gguf(path):
    """The tokenizer in a GGUF file, by the package `gguf`."""
    from gguf import GGUFReader

    fields = GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    kinds = fields["tokenizer.ggml.token_type"].contents()
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = byte_level(fields["tokenizer.ggml.pre"].contents() == "smollm")
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False)
                                  for token, kind in zip(tokens, kinds) if kind == 3])
    return tokenizer


def of_json(path):
    """A tokenizer.json without truncation and padding."""
    document = json.loads(Path(path).read_text())
    document["truncation"] = document["padding"] = None
    return Tokenizer.from_str(json.dumps(document))


def load(path):
    path = Path(path)
    if path.is_dir():
        path = path / "tokenizer.json"
    return of_gguf(str(path)) if path.suffix == ".gguf" else of_json(path)


def gpt2_expression():
    """GPT-2's expression, as the package's ByteLevel has it inside."""
    return Regex(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
