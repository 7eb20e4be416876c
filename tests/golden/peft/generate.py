"""Writes the golden adapters: what PEFT saves, and the logits of the model that it is on.

    pip install torch==2.13.0 transformers==5.24.0 peft==0.21.2 numpy safetensors
    python3 generate.py

Each folder holds adapter_config.json and adapter_model.safetensors as PEFT writes them, and model.safetensors with the
model's own parameters, inputs and `logits`, computed in double. The factors and the trained heads are random.

    bert          rank_pattern and alpha_pattern, biases of the layers, a trained classifier; stored in double
    llama         rsLoRA on all four projections of attention; stored in single precision
    convolution   two convolutions, of which one has a stride, and a dense layer with LoRA
"""

import json
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save
from torch import nn

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
import transformer_models as models  # noqa: E402
from generate import Source, with_sorted_header  # noqa: E402


def store(path, tensors, metadata):
    tensors = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}
    path.write_bytes(with_sorted_header(save(tensors, {key: str(value) for key, value in metadata.items()})))


def write(case, model, config, inputs, logits_of, source, dtype, **options):
    """The adapter of a model whose parameters are random already."""
    own = {name: value.float() for name, value in model.named_parameters()}
    lora = get_peft_model(model, config).double().eval()
    for name, parameter in lora.named_parameters():
        if "lora_" in name or "modules_to_save" in name or (config.bias != "none" and name.endswith("base_layer.bias")):
            parameter.data = source.normal(*parameter.shape, scale=0.3)
    folder = HERE / case
    logits = logits_of(lora)
    lora.to(dtype).save_pretrained(folder)
    (folder / "README.md").unlink()
    adapter = folder / "adapter_model.safetensors"
    adapter.chmod(0o644)
    store(adapter, load_file(adapter), {"format": "pt"})
    written = json.loads((folder / "adapter_config.json").read_text())
    written["target_modules"] = sorted(written["target_modules"])  # a set, which PEFT writes in random order
    (folder / "adapter_config.json").write_text(json.dumps(written, indent=2, sort_keys=True) + "\n")
    store(folder / "model.safetensors", own | inputs | {"logits": logits}, options)


def bert():
    source = Source("peft bert", torch.float64)
    options = dict(vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
                   max_position_embeddings=20)
    config = models.transformers.BertConfig(**options, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
                                            num_labels=3)
    model = models.transformers.BertForSequenceClassification(config).double().eval()
    models.randomise(model, source)
    tokens, starts = models.packed(source, config.vocab_size)
    lora = LoraConfig(task_type="SEQ_CLS", r=3, lora_alpha=5, target_modules=["query", "value"], bias="lora_only",
                      rank_pattern={"layer.1.attention.self.value": 2},
                      alpha_pattern={"^bert.encoder.layer.0.attention.self.query": 7})
    write("bert", model, lora, {"tokens": tokens, "starts": starts},
          lambda m: torch.cat([m(input_ids=piece).logits for piece in models.pieces(tokens, starts)]), source,
          torch.float64, vocabulary=40, width=16, layers=2, heads=2, feed_forward=24, positions=20, classes=3,
          epsilon=config.layer_norm_eps)


def llama():
    source = Source("peft llama", torch.float64)
    theta = 100.0
    config = models.transformers.LlamaConfig(
        vocab_size=40, hidden_size=24, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2,
        intermediate_size=32, max_position_embeddings=20, tie_word_embeddings=True, rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": theta})
    model = models.transformers.LlamaForCausalLM(config).double().eval()
    models.exact_angles(model, 4, theta)
    models.exact_norms(model)
    models.randomise(model, source)
    tokens, starts = models.packed(source, config.vocab_size)
    lora = LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=6, use_rslora=True,
                      target_modules=["q_proj", "k_proj", "v_proj", "o_proj"])
    write("llama", model, lora, {"tokens": tokens, "starts": starts},
          lambda m: torch.cat([m(input_ids=piece).logits[0] for piece in models.pieces(tokens, starts)]), source,
          torch.float32, vocabulary=40, width=24, layers=2, heads=6, groups=2, feed_forward=32, positions=20,
          theta=theta, epsilon=config.rms_norm_eps)


class Convolutions(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 6, 3, padding=1)
        self.conv2 = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.fc1 = nn.Linear(8 * 3 * 3, 10)
        self.fc2 = nn.Linear(10, 4)

    def forward(self, x):
        x = torch.relu(self.conv2(torch.relu(self.conv1(x))))
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


def convolution():
    source = Source("peft convolution", torch.float64)
    model = Convolutions().double().eval()
    models.randomise(model, source)
    x = source.normal(3, 2, 6, 6)
    lora = LoraConfig(r=2, lora_alpha=3, target_modules=["conv1", "conv2", "fc1"], modules_to_save=["fc2"],
                      rank_pattern={"conv2": 5})
    write("convolution", model, lora, {"x": x.float()}, lambda m: m(x), source, torch.float64)


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    bert()
    llama()
    convolution()
