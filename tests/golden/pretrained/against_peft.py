#!/usr/bin/env python3
"""Published weights with low-rank factors in loru and in PyTorch and PEFT: logits, gradients, losses of AdamW steps.

    pip install torch==2.13.0 transformers==5.24.0 peft==0.21.2 gguf safetensors
    against_peft.py minilm FOLDER/minilm FOLDER/sst2
    against_peft.py smollm2 FOLDER/SmolLM2-135M-Instruct.Q4_1.gguf FOLDER/shakespeare

Differences are max|a − b| / max|b| of a tensor. loru computes in single precision and packs what PyTorch pads. Logits and
gradients are compared with PyTorch's in double, since those of SmolLM2 in single precision are off by up to 1e-3
themselves; losses with single precision.
"""
import argparse
import copy
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[3]
sys.path.insert(0, str(HERE.parent))
from transformer_models import exact_angles, exact_norms  # noqa: E402

RANK, ALPHA = 8, 16


def name_in_loru(name):
    for part in ("base_model.model.", ".default", ".modules_to_save", ".base_layer"):
        name = name.replace(part, "")
    return name


class MiniLm:
    layers, task, rate, steps = ["query", "value"], "SEQ_CLS", 1e-3, 20
    patterns = "*.attention.self.query,*.attention.self.value"
    limits = {"logits": 1e-4, "gradient": 1e-3, "loss": 1e-4}

    def __init__(self, weights, texts):
        self.model = AutoModelForSequenceClassification.from_pretrained(
            weights, num_labels=2, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        tokenizer = AutoTokenizer.from_pretrained(weights)
        lines = [line.split(" ", 1) for line in (texts / "stsa.binary.train").read_text().splitlines()]
        lines = lines[:16 * self.steps]
        ids = tokenizer([text for _, text in lines], truncation=True, max_length=64).input_ids
        labels = [int(label) for label, _ in lines]
        self.batches = [(ids[i:i + 16], labels[i:i + 16]) for i in range(0, len(ids), 16)]

    def logits(self, model, texts):
        longest = max(map(len, texts))
        return model(input_ids=torch.tensor([t + [0] * (longest - len(t)) for t in texts]),
                     attention_mask=torch.tensor([[1] * len(t) + [0] * (longest - len(t)) for t in texts])).logits

    def loss(self, model, texts, labels):
        return F.cross_entropy(self.logits(model, texts), torch.tensor(labels))


    def exact(self, base):
        pass


class SmolLm2:
    layers, task, rate, steps = ["q_proj", "v_proj"], "CAUSAL_LM", 5e-4, 10
    patterns = "*.q_proj,*.v_proj"
    limits = {"logits": 2e-4, "gradient": 1e-3, "loss": 1e-3}

    def __init__(self, weights, texts):
        source = {"pretrained_model_name_or_path": weights.parent, "gguf_file": weights.name}
        self.model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
        ids = AutoTokenizer.from_pretrained(**source)((texts / "input.txt").read_text()[:20000]).input_ids
        pieces = [ids[i:i + 65] for i in range(0, len(ids) - 65, 64)][:4 * self.steps]
        self.batches = [([p[:-1] for p in pieces[i:i + 4]], [t for p in pieces[i:i + 4] for t in p[1:]])
                        for i in range(0, len(pieces), 4)]

    def logits(self, model, texts):
        return model(input_ids=torch.tensor(texts)).logits.flatten(0, 1)

    def loss(self, model, texts, targets):
        return F.cross_entropy(self.logits(model, texts), torch.tensor(targets))


    def exact(self, base):
        width = base.config.hidden_size // base.config.num_attention_heads
        exact_angles(base, width, base.config.rope_parameters["rope_theta"])
        exact_norms(base)


def adapted(case):
    """LoRA with both factors random, so that each has a gradient."""
    torch.manual_seed(1)
    model = get_peft_model(case.model, LoraConfig(task_type=case.task, r=RANK, lora_alpha=ALPHA, lora_dropout=0.0,
                                                  target_modules=case.layers))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.02)
    return model.eval()


def given(case, trained):
    tensors = {name: p.detach().clone() for name, p in trained.items()}
    for i, (texts, targets) in enumerate(case.batches):
        starts = torch.tensor([0] + [len(t) for t in texts]).cumsum(0)
        tensors |= {f"tokens.{i}": torch.tensor(sum(texts, [])), f"starts.{i}": starts,
                    f"targets.{i}": torch.tensor(targets)}
    metadata = {"rank": RANK, "alpha": ALPHA, "layers": case.patterns, "learning_rate": case.rate, "steps": case.steps}
    return tensors, {key: str(value) for key, value in metadata.items()}


def trained_of(model):
    return {name_in_loru(name): p for name, p in model.named_parameters() if p.requires_grad}


def expected(case, model):
    """Logits and gradients in double, then the losses of steps in single precision."""
    double = copy.deepcopy(model).double()
    case.exact(double.base_model.model)
    with torch.no_grad():
        results = {"logits": case.logits(double, case.batches[0][0])}
    case.loss(double, *case.batches[0]).backward()
    results |= {f"d_{name}": p.grad for name, p in trained_of(double).items()}
    losses = []
    optimizer = torch.optim.AdamW(trained_of(model).values(), lr=case.rate, weight_decay=0.0)
    for batch in case.batches:
        optimizer.zero_grad()
        loss = case.loss(model, *batch)
        loss.backward()
        losses.append(float(loss.detach()))
        optimizer.step()
    return results | {"losses": torch.tensor(losses, dtype=torch.float64)}


def by_loru(weights, tensors, metadata, compiler):
    with tempfile.TemporaryDirectory() as folder:
        program, case, out = (f"{folder}/{name}" for name in ("train", "case.safetensors", "out.safetensors"))
        subprocess.run([compiler, "-std=c++20", "-O2", "-march=native", f"-I{ROOT}/include", "-isystem",
                        "/usr/include/eigen3", str(HERE / "train.cpp"), "-o", program, "-pthread", "-lz"], check=True)
        save_file(tensors, case, metadata)
        subprocess.run([program, str(weights), case, out], check=True)
        return load_file(out)


def difference(got, wanted):
    return float((got.double() - wanted.double()).abs().max() / wanted.abs().max())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=("minilm", "smollm2"))
    parser.add_argument("weights", type=Path)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--compiler", default="g++")
    o = parser.parse_args()
    case = {"minilm": MiniLm, "smollm2": SmolLm2}[o.case](o.weights, o.texts)
    model = adapted(case)
    tensors, metadata = given(case, trained_of(model))
    wanted = expected(case, model)
    got = by_loru(o.weights, tensors, metadata, o.compiler)
    assert got.keys() == wanted.keys(), got.keys() ^ wanted.keys()
    found = {"logits": difference(got["logits"], wanted["logits"]),
             "gradient": max(difference(got[k], wanted[k]) for k in wanted if k.startswith("d_")),
             "loss": float(((got["losses"] - wanted["losses"]) / wanted["losses"]).abs().max())}
    print(f"{o.case}: " + ", ".join(f"{what} {value:.1e} (at most {case.limits[what]:.0e})" for what, value in found.items())
          + f"; losses {wanted['losses'][0]:.4f} to {wanted['losses'][-1]:.4f}")
    return int(any(found[what] > limit for what, limit in case.limits.items()))


if __name__ == "__main__":
    sys.exit(main())
