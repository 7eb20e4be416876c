"""Writes the golden files of transformers: what transformers, PEFT and PyTorch compute.

    pip install torch==2.13.0 transformers==5.24.0 peft==0.21.2 numpy safetensors
    python3 transformer_models.py

Models are tiny and random; their weights are numbers that single precision holds exactly, stored so, and everything else
is computed and stored in double. bert.safetensors and llama.safetensors hold the parameters by their names, tokens,
targets and starts (sequence i is the tokens [starts[i], starts[i + 1])), and of the plain model `logits`, `loss` and
`d_<parameter>`; of the model with LoRA on queries and values the factors `<layer>.lora_A.weight` and `.lora_B.weight`,
`lora.logits`, `lora.loss` and `lora.d_<factor>`; of the merged model `merged.logits`. Each sequence runs alone, so that
nothing is padded. attention.safetensors holds scaled_dot_product_attention over packed sequences.

Rotary angles and root-mean-square norms are computed in double: transformers rounds them to single precision whatever the
model's type.
"""

import pathlib

import numpy as np
import torch
import transformers
from peft import LoraConfig, get_peft_model
from torch.nn import functional as F

from generate import FOLDER, Source, with_sorted_header
from safetensors.torch import save

LENGTHS = (1, 5, 17)


def write(case, tensors, **options):
    metadata = {"torch": torch.__version__, "transformers": transformers.__version__, "case": case}
    metadata |= {key: str(value) for key, value in options.items()}
    tensors = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}
    (FOLDER / f"{case}.safetensors").write_bytes(with_sorted_header(save(tensors, metadata)))


def randomise(model, source):
    """Every parameter random and exact in single precision; factors of norms around one."""
    for name, parameter in model.named_parameters():
        values = source.normal(*parameter.shape, scale=0.3)
        parameter.data = values + (1.0 if name.endswith(("LayerNorm.weight", "norm.weight")) else 0.0)
        parameter.data = parameter.data.float().double()


def packed(source, vocabulary):
    """Tokens of all sequences, and their starts."""
    starts = torch.tensor([0, *np.cumsum(LENGTHS)])
    return source.labels(int(starts[-1]), vocabulary), starts


def pieces(tokens, starts):
    return [tokens[first:last].unsqueeze(0) for first, last in zip(starts[:-1], starts[1:])]


def results(prefix, model, loss_of, names):
    """Logits, loss and gradients; `names` gives a parameter's name in the file."""
    model.zero_grad()
    logits, loss = loss_of(model)
    loss.backward()
    tensors = {prefix + "logits": logits, prefix + "loss": loss}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            tensors[prefix + "d_" + names(name)] = parameter.grad
    return tensors


def adapted(model, targets, source):
    """The model with LoRA of rank 3 on the targets, with both factors random."""
    config = LoraConfig(r=3, lora_alpha=5, target_modules=targets, lora_dropout=0.0)
    lora = get_peft_model(model, config)
    for name, parameter in lora.named_parameters():
        if "lora_" in name:
            parameter.data = source.normal(*parameter.shape, scale=0.3)
    return lora


def plain_name(name):
    return name.removeprefix("base_model.model.").replace(".default", "").replace(".base_layer", "")


def model_file(case, model, targets, loss_of, inputs, source, **options):
    model = model.double().eval()
    randomise(model, source)
    tensors = {name: parameter.float() for name, parameter in model.named_parameters()} | inputs
    tensors |= results("", model, loss_of, lambda name: name)
    lora = adapted(model, targets, source).double().eval()
    tensors |= {plain_name(name): p.float() for name, p in lora.named_parameters() if "lora_" in name}
    tensors |= results("lora.", lora, loss_of, plain_name)
    tensors["merged.logits"] = loss_of(lora.merge_and_unload())[0]
    write(case, tensors, alpha=5, rank=3, **options)


def bert():
    source = Source("bert", torch.float64)
    config = transformers.BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=20, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=3)
    tokens, starts = packed(source, config.vocab_size)
    labels = source.labels(len(LENGTHS), 3)

    def loss_of(model):
        logits = torch.cat([model(input_ids=piece).logits for piece in pieces(tokens, starts)])
        return logits, F.cross_entropy(logits, labels)

    model_file("bert", transformers.BertForSequenceClassification(config), ["query", "value"], loss_of,
               {"tokens": tokens, "starts": starts, "targets": labels}, source, vocabulary=40, width=16, layers=2,
               heads=2, feed_forward=24, positions=20, classes=3, epsilon=config.layer_norm_eps)


def exact_angles(model, width, theta):
    def forward(x, position_ids):
        powers = torch.arange(0, width, 2, dtype=torch.float64) / width
        angles = position_ids[..., None].double() * theta**-powers
        both = torch.cat((angles, angles), dim=-1)
        return both.cos(), both.sin()

    model.model.rotary_emb.forward = forward


def exact_norms(model):
    for module in model.modules():
        if type(module).__name__ == "LlamaRMSNorm":
            module.forward = lambda x, norm=module: F.rms_norm(x, x.shape[-1:], norm.weight, norm.variance_epsilon)


def llama():
    source = Source("llama", torch.float64)
    theta = 100.0
    config = transformers.LlamaConfig(
        vocab_size=40, hidden_size=24, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2,
        intermediate_size=32, max_position_embeddings=20, tie_word_embeddings=True, rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": theta})
    tokens, starts = packed(source, config.vocab_size)
    targets = torch.full_like(tokens, -1)
    for first, last in zip(starts[:-1], starts[1:]):
        targets[first:last - 1] = tokens[first + 1:last]

    def loss_of(model):
        logits = torch.cat([model(input_ids=piece).logits[0] for piece in pieces(tokens, starts)])
        return logits, F.cross_entropy(logits, targets, ignore_index=-1)

    model = transformers.LlamaForCausalLM(config)
    exact_angles(model, 4, theta)
    exact_norms(model)
    model_file("llama", model, ["q_proj", "v_proj"], loss_of,
               {"tokens": tokens, "starts": starts, "targets": targets}, source, vocabulary=40, width=24, layers=2,
               heads=6, groups=2, feed_forward=32, positions=20, theta=theta, epsilon=config.rms_norm_eps)


def attention():
    """Three heads of queries share one of keys and values."""
    source = Source("attention", torch.float64)
    lengths, heads, width = (1, 63, 64, 65, 129), 3, 2
    starts = torch.tensor([0, *np.cumsum(lengths)])
    rows = int(starts[-1])
    inputs = {name: source.normal(rows, (heads if name in ("q", "dy") else 1) * width) for name in ("q", "k", "v", "dy")}
    tensors = {name: value.float() for name, value in inputs.items()} | {"starts": starts}
    for causal in (False, True):
        q, k, v = (inputs[name].clone().requires_grad_() for name in "qkv")
        pieces = []
        for first, last in zip(starts[:-1], starts[1:]):
            split = [x[first:last].reshape(1, last - first, -1, width).transpose(1, 2) for x in (q, k, v)]
            y = F.scaled_dot_product_attention(*split, is_causal=causal, enable_gqa=True)
            pieces.append(y.transpose(1, 2).reshape(last - first, -1))
        y = torch.cat(pieces)
        y.backward(inputs["dy"])
        prefix = "causal." if causal else ""
        tensors |= {prefix + "y": y, prefix + "dq": q.grad, prefix + "dk": k.grad, prefix + "dv": v.grad}
    write("attention", tensors, heads=heads, width=width)


if __name__ == "__main__":
    assert FOLDER == pathlib.Path(__file__).parent
    torch.set_default_dtype(torch.float64)
    bert()
    llama()
    attention()
