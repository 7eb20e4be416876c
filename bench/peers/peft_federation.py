"""The bundled text federations in PyTorch and PEFT, in one process. One line of JSON.

sst2: all-MiniLM-L6-v2 with a classifier over its frozen pooler, SST-2, 10 clients iid, 5 a round, 6 rounds of one epoch.
shakespeare: SmolLM2-135M, 64 speakers as clients, 4 a round, 10 rounds of 10 steps of 4 x 64 tokens; the other speakers
with 2,000 characters are held out. Only factors and classifier are trained, by a fresh AdamW in each turn, and averaged by
samples; fedloru merges them into the weights every tau rounds. A batch is padded to its longest text. No dropout."""
import argparse
import math
import random
import re
import statistics
import time
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from common import cohort, partition, report

RANK, ALPHA = 8, 16


def merge(model):
    """W <- W + (alpha / r) B A in every LoRA layer; then A Kaiming-uniform, B zero."""
    for module in model.modules():
        if hasattr(module, "lora_A") and "default" in module.lora_A:
            a, b = module.lora_A["default"].weight, module.lora_B["default"].weight
            with torch.no_grad():
                module.get_base_layer().weight.add_(b @ a, alpha=ALPHA / RANK)
                torch.nn.init.kaiming_uniform_(a, a=math.sqrt(5))
                b.zero_()


def average(model, trained, state, turns, batches_of, loss_of, rate):
    """A round: the mean of the clients' trained tensors by samples. `turns` are (client, samples)."""
    total = [torch.zeros_like(p) for p in state]
    weight = sum(samples for _, samples in turns)
    for client, samples in turns:
        with torch.no_grad():
            for p, values in zip(trained, state):
                p.copy_(values)
        optimizer = torch.optim.AdamW(trained, lr=rate, weight_decay=0.0, fused=True)
        model.train()
        for batch in batches_of(client):
            optimizer.zero_grad(set_to_none=True)
            loss_of(batch).backward()
            optimizer.step()
        with torch.no_grad():
            for sum_of, p in zip(total, trained):
                sum_of.add_(p, alpha=samples / weight)
    with torch.no_grad():
        for p, values in zip(trained, total):
            p.copy_(values)


class Sst2:
    clients, cohort, rounds, tau, rate, batch, length = 10, 5, 6, 2, 1e-3, 16, 64

    def __init__(self, o):
        torch.manual_seed(o.seed)
        base = AutoModelForSequenceClassification.from_pretrained(
            o.model, num_labels=2, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        self.model = get_peft_model(base, LoraConfig(task_type="SEQ_CLS", r=RANK, lora_alpha=ALPHA,
                                                     target_modules=["query", "value"], lora_dropout=0.0))
        tokenizer = Tokenizer.from_file(str(Path(o.model) / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.length)
        self.data = {half: self.read(tokenizer, Path(o.data) / f"stsa.binary.{half}") for half in ("train", "test")}
        self.parts = partition(len(self.data["train"]), self.clients, o.seed)
        self.order = random.Random(o.seed)

    @staticmethod
    def read(tokenizer, path):
        lines = [line.split(" ", 1) for line in path.read_text(encoding="utf-8").splitlines() if line]
        return [(encoding.ids, int(label)) for (label, _), encoding in
                zip(lines, tokenizer.encode_batch([text for _, text in lines]))]

    def samples(self, client):
        return len(self.parts[client])

    def batches(self, client):
        chosen = [self.data["train"][i] for i in self.parts[client]]
        self.order.shuffle(chosen)
        return [chosen[i:i + self.batch] for i in range(0, len(chosen), self.batch)]

    def logits(self, batch):
        longest = max(len(ids) for ids, _ in batch)
        ids = torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in batch])
        mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in batch])
        return self.model(input_ids=ids, attention_mask=mask).logits

    def loss(self, batch):
        return F.cross_entropy(self.logits(batch), torch.tensor([label for _, label in batch]))

    @torch.no_grad()
    def measure(self):
        test = sorted(self.data["test"], key=lambda sample: len(sample[0]))
        right = sum(int((self.logits(test[i:i + 64]).argmax(1) == torch.tensor([y for _, y in test[i:i + 64]])).sum())
                    for i in range(0, len(test), 64))
        return {"test_accuracy": right / len(test)}


class Shakespeare:
    clients, cohort, rounds, tau, rate, batch, length, steps = 64, 4, 10, 5, 5e-4, 4, 64, 10
    held_out_characters = 2000

    def __init__(self, o):
        torch.manual_seed(o.seed)
        folder, file = Path(o.model).parent, Path(o.model).name
        base = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32)
        self.model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", r=RANK, lora_alpha=ALPHA,
                                                     target_modules=["q_proj", "v_proj"], lora_dropout=0.0))
        from transformers import AutoTokenizer
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
        speakers = {}
        for name, text in re.findall(r"^([A-Z][^\n:]*):\n(.*?)(?:\n\n|\Z)",
                                     (Path(o.data) / "input.txt").read_text(), re.M | re.S):
            speakers[name] = speakers.get(name, "") + text + "\n"
        long = [text for text in speakers.values() if len(text) >= self.held_out_characters]
        random.Random(o.seed).shuffle(long)
        tokens = [tokenizer(text).input_ids for text in long[:self.clients]]
        self.parts = [[ids[i:i + self.length + 1] for i in range(0, len(ids) - self.length, self.length)]
                      for ids in tokens]
        self.held_out = [tokenizer(text[:self.held_out_characters]).input_ids for text in long[self.clients:]]
        self.order = random.Random(o.seed)

    def samples(self, client):
        return len(self.parts[client])

    def batches(self, client):
        drawn = []
        while len(drawn) < self.steps * self.batch:
            drawn += self.order.sample(self.parts[client], len(self.parts[client]))
        return [drawn[i * self.batch:(i + 1) * self.batch] for i in range(self.steps)]

    def losses(self, batch):
        ids = torch.tensor(batch)
        logits = self.model(input_ids=ids[:, :-1]).logits
        return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="sum"), ids[:, 1:].numel()

    def loss(self, batch):
        total, count = self.losses(batch)
        return total / count

    @torch.no_grad()
    def measure(self):
        total, count = 0.0, 0
        for ids in self.held_out:
            for i in range(0, len(ids) - 1, self.length):
                piece = ids[i:i + self.length + 1]
                if len(piece) < 2:
                    continue
                loss, tokens = self.losses([piece])
                total, count = total + float(loss), count + tokens
        return {"perplexity": math.exp(total / count)}


CASES = {"sst2": Sst2, "shakespeare": Shakespeare}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES, default="sst2")
    parser.add_argument("--model", required=True, help="sst2: folder of the model; shakespeare: its GGUF file")
    parser.add_argument("--data", required=True, help="folder of the texts")
    parser.add_argument("--algorithm", choices=("fedlora", "fedloru"), default="fedlora")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=0, help="0: the case's own")
    parser.add_argument("--seed", type=int, default=1)
    o = parser.parse_args()
    torch.set_num_threads(o.threads)
    case = CASES[o.case](o)
    model, rounds = case.model, o.rounds or case.rounds
    trained = [p for p in model.parameters() if p.requires_grad]
    model.eval()
    measured, seconds = [case.measure()], []
    for round_number in range(1, rounds + 1):
        begin = time.perf_counter()
        state = [p.detach().clone() for p in trained]
        turns = [(client, case.samples(client)) for client in
                 cohort(round_number, case.clients, case.cohort, o.seed).tolist()]
        average(model, trained, state, turns, case.batches, case.loss, case.rate)
        if o.algorithm == "fedloru" and round_number % case.tau == 0:
            merge(model)
        seconds.append(time.perf_counter() - begin)
        model.eval()
        measured.append(case.measure())
    report(case=o.case, algorithm=o.algorithm, torch=torch.__version__, threads=o.threads, seed=o.seed, rounds=rounds,
           uplink_bytes_per_client_round=4 * sum(p.numel() for p in trained), seconds_per_round=statistics.median(seconds),
           train_seconds=sum(seconds), measured=measured)


if __name__ == "__main__":
    main()
