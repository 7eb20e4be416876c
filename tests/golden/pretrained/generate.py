#!/usr/bin/env python3
"""A tiny LLaMA in GGUF and in llama2.c's format, and its values under Hugging Face's names.

    pip install gguf safetensors numpy
    generate.py                               writes tiny_llama.gguf, tiny_llama.bin and tiny_llama.safetensors
    generate.py --check FILE.gguf [--compiler g++]   compares loru's values of a published file with the package gguf's, to the bit

The package quantises and decodes; the order of q's and k's rows is undone as Hugging Face's converter does it.
"""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFReader, GGUFWriter, quants
from safetensors.numpy import load_file, save_file

HERE = Path(__file__).parent
ROOT = Path(__file__).parents[3]
LAYERS, WIDTH, HEADS, GROUPS, HIDDEN, VOCABULARY, POSITIONS = 2, 32, 4, 2, 64, 20, 16
NAMES = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
         "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
WHOLE = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
         "output.weight": "lm_head.weight"}


def published(name):
    if name in WHOLE:
        return WHOLE[name]
    _, layer, part, _ = name.split(".")
    return f"model.layers.{layer}.{NAMES[part]}.weight"


def halves(rows, heads):
    """From rows in turn to halves of a head."""
    return rows.reshape(heads, rows.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(rows.shape)


def interleaved(rows, heads):
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(rows.shape)


def values_of(path):
    """By the package gguf."""
    reader = GGUFReader(path)
    heads = {"attn_q": int(reader.fields["llama.attention.head_count"].contents()),
             "attn_k": int(reader.fields["llama.attention.head_count_kv"].contents())}
    values = {}
    for tensor in reader.tensors:
        value = np.asarray(quants.dequantize(tensor.data, tensor.tensor_type), np.float32)
        value = value.reshape([int(extent) for extent in reversed(tensor.shape)])
        for part, count in heads.items():
            if f".{part}." in tensor.name:
                value = halves(value, count)
        values[published(tensor.name)] = np.ascontiguousarray(value)
    return values


def tiny():
    draw = np.random.default_rng(16)
    keys = WIDTH // HEADS * GROUPS
    shapes = {"attn_norm": (WIDTH,), "attn_q": (WIDTH, WIDTH), "attn_k": (keys, WIDTH), "attn_v": (keys, WIDTH),
              "attn_output": (WIDTH, WIDTH), "ffn_norm": (WIDTH,), "ffn_gate": (HIDDEN, WIDTH), "ffn_up": (HIDDEN, WIDTH),
              "ffn_down": (WIDTH, HIDDEN)}
    weights = {f"blk.{i}.{name}.weight": draw.normal(size=shape).astype(np.float32)
               for i in range(LAYERS) for name, shape in shapes.items()}
    weights["token_embd.weight"] = draw.normal(size=(VOCABULARY, WIDTH)).astype(np.float32)
    weights["output_norm.weight"] = draw.normal(size=WIDTH).astype(np.float32)
    weights["output.weight"] = draw.normal(size=(VOCABULARY, WIDTH)).astype(np.float32)
    return weights


def write_gguf(weights, path):
    writer = GGUFWriter(path, "llama")
    for add, value in ((writer.add_block_count, LAYERS), (writer.add_embedding_length, WIDTH),
                       (writer.add_head_count, HEADS), (writer.add_head_count_kv, GROUPS),
                       (writer.add_feed_forward_length, HIDDEN), (writer.add_context_length, POSITIONS),
                       (writer.add_layer_norm_rms_eps, 1e-5), (writer.add_rope_freq_base, 10000.0),
                       (writer.add_vocab_size, VOCABULARY)):
        add(value)
    kinds = [Type.Q4_1, Type.Q4_0, Type.Q8_0, Type.F16, Type.BF16, Type.F32]
    matrices = 0
    for name, weight in weights.items():
        kind = Type.F32
        if weight.ndim == 2:
            kind = kinds[matrices % len(kinds)]
            matrices += 1
        writer.add_tensor(name, quants.quantize(weight, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_llama2c(values, path):
    header = np.array([WIDTH, HIDDEN, LAYERS, HEADS, GROUPS, -VOCABULARY, POSITIONS], np.int32)
    out = [header.tobytes(), values["model.embed_tokens.weight"].tobytes()]
    for part in ("input_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                 "post_attention_layernorm", "mlp.gate_proj", "mlp.down_proj", "mlp.up_proj"):
        for i in range(LAYERS):
            value = values[f"model.layers.{i}.{part}.weight"]
            heads = {"self_attn.q_proj": HEADS, "self_attn.k_proj": GROUPS}.get(part)
            out.append((interleaved(value, heads) if heads else value).tobytes())
    out.append(values["model.norm.weight"].tobytes())
    out.append(np.zeros(POSITIONS * WIDTH // HEADS, np.float32).tobytes())
    out.append(values["lm_head.weight"].tobytes())
    path.write_bytes(b"".join(out))


def check(path, compiler):
    expected = values_of(path)
    with tempfile.TemporaryDirectory() as folder:
        program, out = f"{folder}/decode", f"{folder}/out.safetensors"
        subprocess.run([compiler, "-std=c++20", "-O2", f"-I{ROOT}/include", str(HERE / "decode.cpp"), "-o", program],
                       check=True)
        subprocess.run([program, path, out], check=True)
        got = load_file(out)
    assert got.keys() == expected.keys(), got.keys() ^ expected.keys()
    wrong = [name for name, value in expected.items()
             if value.shape != got[name].shape or value.tobytes() != got[name].tobytes()]
    print(f"{path}: {len(expected)} tensors, {sum(value.size for value in expected.values())} values, "
          f"{len(wrong)} tensors differ {wrong[:5]}")
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check")
    parser.add_argument("--compiler", default="g++")
    arguments = parser.parse_args()
    if arguments.check:
        return check(arguments.check, arguments.compiler)
    gguf = HERE / "tiny_llama.gguf"
    write_gguf(tiny(), gguf)
    values = values_of(gguf)
    save_file(values, HERE / "tiny_llama.safetensors")
    write_llama2c(values, HERE / "tiny_llama.bin")
    return 0


if __name__ == "__main__":
    sys.exit(main())
