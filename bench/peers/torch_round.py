"""bench/round's quickstart in plain PyTorch: a whole FedAvg or FedLoRU federation. One line of JSON.

Everything stays in memory: worker processes are forked over the data, the global state is one vector in shared memory,
and each worker adds up its clients' updates in a vector of its own. Nothing is serialised."""
import argparse
import statistics
import time

import torch
from torch import multiprocessing
from torch.nn import functional as F

from common import cohort, partition, read_split, report, wants_evaluation
from torch_layers import LowRankConv2d, LowRankLinear, cnn, sgd

CLIENTS, EPOCHS, BATCH, TAU, TEST_BATCH = 100, 2, 32, 7, 256
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class Worker:
    """A model, its data, and what it does in a round."""

    def __init__(self, o, split, parts, state, update):
        torch.set_num_threads(o.threads)
        torch.manual_seed(o.seed)
        memory_format = FORMATS[o.format]
        rank = 16 if o.algorithm == "fedloru" else 0
        images, labels = split["train"]
        self.model = cnn(images.shape[1], images.shape[2], 10, rank).to(memory_format=memory_format)
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        self.sizes = [p.numel() for p in self.trained]
        self.split, self.parts, self.state, self.update, self.format = split, parts, state, update, memory_format

    def load(self, state):
        with torch.no_grad():
            for p, values in zip(self.trained, state.split(self.sizes)):
                p.copy_(values.view(p.shape))

    def flat(self):
        return torch.cat([p.detach().reshape(-1) for p in self.trained])

    def train(self, clients):
        """Trains the clients one after the other; their sum, weighted by samples, goes to self.update."""
        images, labels = self.split["train"]
        self.update.zero_()
        self.model.train()
        for client in clients:
            self.load(self.state)
            optimizer = sgd(self.trained, 0.05, momentum=0.9)
            samples = self.parts[client]
            for _ in range(EPOCHS):
                order = samples[torch.randperm(len(samples))]
                for chosen in order.split(BATCH):
                    x = images[chosen].contiguous(memory_format=self.format)
                    optimizer.zero_grad(set_to_none=True)
                    F.cross_entropy(self.model(x), labels[chosen]).backward()
                    optimizer.step()
            self.update.add_(self.flat(), alpha=float(len(samples)))

    @torch.no_grad()
    def correct(self, first, step):
        """Test samples classified rightly, of every step-th batch from the first on."""
        images, labels = self.split["test"]
        self.load(self.state)
        self.model.eval()
        batches = list(zip(images.split(TEST_BATCH), labels.split(TEST_BATCH)))[first::step]
        return sum(int((self.model(x.contiguous(memory_format=self.format)).argmax(1) == y).sum()) for x, y in batches)

    def merge(self, round_number):
        """FedLoRU's merge, the same in every process."""
        self.load(self.state)
        torch.manual_seed(1000 + round_number)
        for module in self.model.modules():
            if isinstance(module, (LowRankConv2d, LowRankLinear)):
                module.merge()


def serve(worker, number, count, pipe):
    """Answers the server's calls in a worker process."""
    while True:
        call, argument = pipe.recv()
        if call == "stop":
            return
        result = None
        if call == "train":
            worker.train(argument)
        elif call == "correct":
            result = worker.correct(number, count)
        else:
            worker.merge(argument)
        pipe.send(result)


def forked(o, split, parts, state, updates, number, pipe):
    serve(Worker(o, split, parts, state, updates[number]), number, o.processes, pipe)


def connect(o, split, parts, state, updates):
    """Starts the worker processes. Returns one pipe to each."""
    context = multiprocessing.get_context("fork")
    pipes = []
    for number in range(o.processes):
        ours, theirs = context.Pipe()
        context.Process(target=forked, args=(o, split, parts, state, updates, number, theirs), daemon=True).start()
        pipes.append(ours)
    return pipes


def federate(o, split):
    """Runs the federation. Returns seconds of each round and the last accuracy."""
    parts = torch.from_numpy(partition(len(split["train"][1]), CLIENTS, o.seed))
    local = Worker(o, split, parts, None, None)  # one process: does everything; several: gives the initial state
    state = local.flat().share_memory_()
    updates = [torch.zeros_like(state).share_memory_() for _ in range(o.processes)]
    local.state, local.update = state, updates[0]
    pipes = connect(o, split, parts, state, updates) if o.processes > 1 else []

    def everywhere(call, arguments):
        if not pipes:
            return [getattr(local, call)(*arguments[0])]
        for pipe, argument in zip(pipes, arguments):
            pipe.send((call, argument[0]))
        return [pipe.recv() for pipe in pipes]

    seconds, accuracy = [], 0.0
    for round_number in range(1, o.rounds + 1):
        begin = time.perf_counter()
        chosen = cohort(round_number, CLIENTS, o.cohort, o.seed).tolist()
        everywhere("train", [(chosen[i::o.processes],) for i in range(o.processes)])
        state.copy_(sum(updates) / sum(len(parts[client]) for client in chosen))
        if o.algorithm == "fedloru" and round_number % TAU == 0:
            everywhere("merge", [(round_number,)] * o.processes)
            if pipes:
                local.merge(round_number)
            state.copy_(local.flat())
        if wants_evaluation(round_number, o.rounds, o.eval_every):
            accuracy = sum(everywhere("correct", [(0, 1)] * o.processes)) / len(split["test"][1])
        seconds.append(time.perf_counter() - begin)
    for pipe in pipes:
        pipe.send(("stop", None))
    return seconds, accuracy


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder that `round --export` wrote")
    parser.add_argument("--algorithm", choices=("fedavg", "fedloru"), default="fedloru")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2, help="of each process")
    parser.add_argument("--format", choices=FORMATS, default="contiguous")
    parser.add_argument("--cohort", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--eval-every", type=int, default=3, help="0: never")
    parser.add_argument("--seed", type=int, default=1)
    o = parser.parse_args()
    split = {half: (torch.from_numpy(x), torch.from_numpy(y)) for half, (x, y) in read_split(o.data).items()}
    seconds, accuracy = federate(o, split)
    report(case="quickstart" if o.algorithm == "fedloru" else "fedavg", torch=torch.__version__, threads=o.threads,
           processes=o.processes, format=o.format, rounds=len(seconds),
           seconds_per_round=statistics.median(seconds), total_seconds=sum(seconds), final_test_accuracy=accuracy)


if __name__ == "__main__":
    main()
