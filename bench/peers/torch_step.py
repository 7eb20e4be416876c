"""bench/step in PyTorch: one training step of a ResNet, dense or low-rank: forward, backward, clipping, SGD with
momentum and weight decay. Tries contiguous and channels-last memory, and reports the faster. On a device the step may be
replayed from a graph. One line of JSON."""
import argparse
import time

import torch
from torch.nn import functional as F

from common import median_ms, report
from torch_layers import resnet, sgd

BLOCKS = {"resnet10": (1, 1, 1, 1), "resnet18": (2, 2, 2, 2)}
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class Trainer:
    """A model with its optimizer and one batch in a memory format."""

    def __init__(self, o, memory_format):
        torch.manual_seed(1)
        channels, height, width = map(int, o.input.split("x"))
        model = resnet(BLOCKS[o.model], channels, 10, o.rank)
        self.device, self.half, self.graph = torch.device(o.device), o.precision == "bf16", None
        self.model = model.to(self.device, memory_format=memory_format).train()
        self.x = torch.randn(o.batch, channels, height, width).to(self.device, memory_format=memory_format)
        self.y = torch.randint(0, 10, (o.batch,)).to(self.device)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = sgd(self.parameters, 0.01, momentum=0.9, weight_decay=1e-4)
        if o.graph:
            self.capture()

    def compute(self):
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            loss = F.cross_entropy(self.model(self.x), self.y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 0.1)
        self.optimizer.step()
        return loss

    def capture(self):
        """Records a step, after some that make what it needs."""
        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            for _ in range(3):
                self.compute()
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.loss = self.compute()

    def step(self):
        """Seconds of one step, until its loss is on the host."""
        begin = time.perf_counter()
        if self.graph:
            self.graph.replay()
            self.loss.item()
        else:
            self.compute().item()
        return time.perf_counter() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=BLOCKS, default="resnet18")
    parser.add_argument("--input", default="3x32x32", help="CxHxW")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rank", type=int, default=0, help="0: dense")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--format", choices=FORMATS, help="otherwise the faster of both")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("float", "tf32", "bf16"), default="float")
    parser.add_argument("--graph", action="store_true", help="cuda: the step is recorded once and replayed")
    o = parser.parse_args()
    torch.set_num_threads(o.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = o.precision == "tf32"

    trainers = {name: Trainer(o, FORMATS[name]) for name in ([o.format] if o.format else FORMATS)}
    trials = {}
    for name, trainer in trainers.items():
        trainer.step()  # primitives are made in the first step
        trials[name] = median_ms([trainer.step() for _ in range(3)])
    best = min(trials, key=trials.get)
    seconds = [trainers[best].step() for _ in range(max(o.steps, 10))]
    report(torch=torch.__version__, model=o.model, input=o.input, batch=o.batch, rank=o.rank, threads=o.threads,
           device=o.device, precision=o.precision, graph=o.graph, format=best, trials_ms=trials, ms=median_ms(seconds))


if __name__ == "__main__":
    main()
