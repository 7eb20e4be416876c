"""bench/linear in PyTorch with PEFT's LoRA layer: y = x W^T + s (x A^T) B^T and its gradients dx, dA, dB. One line of
JSON."""
import argparse
import time

import peft
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from common import median_ms, report


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--in", type=int, default=1024, dest="inputs")
    parser.add_argument("--out", type=int, default=1024)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=10)
    o = parser.parse_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(1)
    config = LoraConfig(r=o.rank, lora_alpha=o.rank, lora_dropout=0.0, target_modules=["0"])
    wrapped = get_peft_model(nn.Sequential(nn.Linear(o.inputs, o.out, bias=False)), config)
    layer = wrapped.base_model.model[0]  # the LoRA layer itself: no wrapper's overhead
    x = torch.randn(o.rows, o.inputs, requires_grad=True)
    dy = torch.randn(o.rows, o.out)
    factors = [p for p in layer.parameters() if p.requires_grad]
    seconds = []
    for step in range(-2, max(o.steps, 5)):
        begin = time.perf_counter()
        x.grad = None
        for p in factors:
            p.grad = None
        layer(x).backward(dy)
        if step >= 0:
            seconds.append(time.perf_counter() - begin)
    report(torch=torch.__version__, peft=peft.__version__, M=o.rows, n=o.inputs, m=o.out, r=o.rank, threads=o.threads,
           ms=median_ms(seconds))


if __name__ == "__main__":
    main()
