"""bench/transformer_step in PyTorch with transformers and PEFT: sequences padded to the longest of the batch. One line of
JSON."""
import argparse
import resource
import time

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from torch.nn import functional as F

from common import median_ms, report


def minilm():
    config = transformers.BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536,
                                     hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=2)
    return transformers.BertForSequenceClassification(config), ["query", "value"], "SEQ_CLS"


def smollm2():
    config = transformers.LlamaConfig(vocab_size=49152, hidden_size=576, num_hidden_layers=30, num_attention_heads=9,
                                      num_key_value_heads=3, intermediate_size=1536, tie_word_embeddings=True,
                                      max_position_embeddings=2048)
    return transformers.LlamaForCausalLM(config), ["q_proj", "v_proj"], "CAUSAL_LM"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=("minilm", "smollm2"), default="minilm")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--shortest", type=int, default=2)
    parser.add_argument("--longest", type=int, default=50)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=10)
    o = parser.parse_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(1)
    model, targets, kind = minilm() if o.model == "minilm" else smollm2()
    config = LoraConfig(r=o.rank, lora_alpha=2 * o.rank, target_modules=targets, lora_dropout=0.0, task_type=kind)
    model = get_peft_model(model, config).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.0, fused=True)
    lengths = [o.shortest + (o.longest - o.shortest) * i // max(1, o.batch - 1) for i in range(o.batch)]
    tokens = torch.randint(0, model.config.vocab_size, (o.batch, max(lengths)))
    real = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    mask = None if real.all() else real.long()
    labels = torch.arange(o.batch) % 2 if kind == "SEQ_CLS" else tokens.masked_fill(~real, -100)
    seconds = []
    for step in range(-2, max(o.steps, 5)):
        begin = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        if kind == "SEQ_CLS":
            loss = F.cross_entropy(model(input_ids=tokens, attention_mask=mask).logits, labels)
        else:
            loss = model(input_ids=tokens, attention_mask=mask, labels=labels, use_cache=False).loss
        loss.backward()
        optimizer.step()
        if step >= 0:
            seconds.append(time.perf_counter() - begin)
    ms = median_ms(seconds)
    report(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__, model=o.model,
           batch=o.batch, tokens=sum(lengths), longest=max(lengths), r=o.rank, threads=o.threads, loss=loss.item(),
           peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, tokens_a_second=1e3 * sum(lengths) / ms,
           ms=ms)


if __name__ == "__main__":
    main()
