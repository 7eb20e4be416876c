#!/usr/bin/env python3
"""Trains federations on real weights and compares what `federate export` writes of them with PEFT and transformers.

    pip install torch==2.13.0 transformers==5.24.0 peft==0.21.2 gguf safetensors numpy
    real_weights.py FEDERATE DATA [--compiler g++] [CASE ...]      cases: minilm, smollm2

FEDERATE is the program, DATA the folder that `./dev data minilm | sst2 | smollm2 | shakespeare` fills. Each case is a
federation of three rounds that merges after each of them. Compared are the logits of the run's own model with those of
PEFT's model on the published weights and the adapter, of transformers' model with the merged weights, and of a run that
begins at the adapter. Exits 1 where they differ by 1e-4 of the largest or more.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(HERE.parent / "pretrained"))

COMMON = ["algorithm.name=fedloru", "algorithm.tau=1", "federation.rounds=3", "federation.cohort=2",
          "federation.eval_every=0", "federation.personal_images=0", "federation.keep_rounds=[0]", "client.batch=4"]
CASES = {
    "minilm": ("sst2_minilm_fedloru.toml", "minilm",
               ["federation.clients=4", "client.steps=4", "optimizer.learning_rate=0.002"]),
    "smollm2": ("shakespeare_smollm2.toml", "smollm2",
                ["text.speakers=97", "text.length=32", "client.steps=2", "lowrank.rslora=true",
                 'lowrank.layers=["*.q_proj", "*.k_proj", "*.v_proj"]']),
}


def minilm(weights):
    return transformers.BertForSequenceClassification.from_pretrained(weights, num_labels=2)


def smollm2(weights):
    """The model of a GGUF file, decoded by the package gguf."""
    from gguf import GGUFReader
    from generate import values_of
    number = lambda key: GGUFReader(weights).fields["llama." + key].contents()  # noqa: E731
    values = values_of(weights)
    config = transformers.LlamaConfig(
        vocab_size=values["model.embed_tokens.weight"].shape[0], hidden_size=number("embedding_length"),
        num_hidden_layers=number("block_count"), num_attention_heads=number("attention.head_count"),
        num_key_value_heads=number("attention.head_count_kv"), intermediate_size=number("feed_forward_length"),
        max_position_embeddings=number("context_length"), rms_norm_eps=number("attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": number("rope.freq_base")}, tie_word_embeddings=True)
    model = transformers.LlamaForCausalLM(config)
    missing = model.load_state_dict({name: torch.from_numpy(value) for name, value in values.items()}, strict=False)
    assert missing.missing_keys in ([], ["lm_head.weight"]) and not missing.unexpected_keys, missing
    model.tie_weights()
    return model


def sequences(vocabulary):
    draw = np.random.default_rng(5)
    return [draw.integers(0, vocabulary, size=length) for length in (1, 7, 24, 32)]


def logits_of(model, pieces):
    model = model.float().eval()
    with torch.no_grad():
        rows = [model(input_ids=torch.from_numpy(piece)[None]).logits.reshape(-1, model.config.num_labels)
                if "Sequence" in model.config.architectures[0] else model(input_ids=torch.from_numpy(piece)[None]).logits[0]
                for piece in pieces]
    return torch.cat(rows)


def run(program, *arguments):
    subprocess.run([str(program), *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def settings(*keys):
    return [word for key in keys for word in ("--set", key)]


def compare(what, got, expected):
    error = float((got - expected).abs().max() / expected.abs().max())
    print(f"  {what}: logits up to {float(expected.abs().max()):.3f}, difference {error:.2e} of the largest", flush=True)
    return error < 1e-4


def check(case, arguments, logits, work):
    federation, weights_name, keys = CASES[case]
    weights = {"minilm": arguments.data / "minilm", "smollm2": next(arguments.data.glob("**/*.gguf"), None)}[weights_name]
    train = [ROOT / "examples/federations" / federation, "--data-dir", arguments.data, "--quiet",
             *settings(f"model.weights={weights}", *COMMON, *keys)]
    out, adapter, merged = work / "run", work / "adapter", work / "merged.safetensors"
    run(arguments.federate, *train, "--out", out)
    run(arguments.federate, "export", out, "--peft", adapter, "--merged", merged, "--data-dir", arguments.data)
    run(arguments.federate, *train, *settings(f"lowrank.start=peft:{adapter}", "federation.rounds=1"), "--out", work / "again")
    base = globals()[case](weights)
    base.config.architectures = [type(base).__name__]
    pieces = sequences(base.config.vocab_size)
    starts = np.cumsum([0, *map(len, pieces)])
    save_file({"tokens": torch.from_numpy(np.concatenate(pieces)).int(), "starts": torch.from_numpy(starts)},
              work / "tokens.safetensors")

    def own(model):
        run(logits, weights, model, work / "tokens.safetensors", work / "logits.safetensors")
        return load_file(work / "logits.safetensors")["logits"]

    expected = own(out / "model.safetensors")
    print(f"{case}: rank {json.loads((adapter / 'adapter_config.json').read_text())['r']}")
    model = PeftModel.from_pretrained(base, adapter)
    good = compare("PEFT with the adapter", logits_of(model, pieces), expected)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.zero_()
    good &= not compare("PEFT with its factors at zero, which has to differ", logits_of(model, pieces), expected)
    whole = globals()[case](weights)
    whole.config.architectures = [type(whole).__name__]
    missing = whole.load_state_dict(load_file(merged), strict=False)
    assert missing.missing_keys in ([], ["lm_head.weight"]) and not missing.unexpected_keys, missing
    whole.tie_weights()
    good &= compare("transformers with the merged weights", logits_of(whole, pieces), expected)
    return good & compare("a run that begins at the adapter", own(work / "again/rounds/0.safetensors"), expected)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("federate", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("cases", nargs="*", default=list(CASES))
    arguments = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        logits = work / "logits"
        subprocess.run([arguments.compiler, "-std=c++20", "-O2", "-march=native", f"-I{ROOT}/include",
                        "-I/usr/include/eigen3", str(HERE / "logits.cpp"), "-o", str(logits), "-lz"], check=True)
        for case in arguments.cases:
            (work / case).mkdir()
            good &= check(case, arguments, logits, work / case)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
