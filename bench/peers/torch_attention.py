"""bench/attention in PyTorch: scaled_dot_product_attention over one sequence and its gradients dq, dk, dv. One line of
JSON."""
import argparse
import time

import torch
from torch.nn import functional as F

from common import median_ms, report


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--groups", type=int, default=8)
    parser.add_argument("--causal", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=10)
    o = parser.parse_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(1)
    q = torch.randn(1, o.heads, o.length, o.width, requires_grad=True)
    k, v = (torch.randn(1, o.groups, o.length, o.width, requires_grad=True) for _ in range(2))
    dy = torch.randn_like(q)
    seconds = []
    for step in range(-2, max(o.steps, 5)):
        begin = time.perf_counter()
        q.grad = k.grad = v.grad = None
        F.scaled_dot_product_attention(q, k, v, is_causal=o.causal, enable_gqa=o.heads != o.groups).backward(dy)
        if step >= 0:
            seconds.append(time.perf_counter() - begin)
    report(torch=torch.__version__, T=o.length, d=o.width, heads=o.heads, groups=o.groups, causal=o.causal,
           threads=o.threads, ms=median_ms(seconds))


if __name__ == "__main__":
    main()
