"""Opens a checkpoint folder of the Large family with Hugging Face's library and continues a prompt.

    pip install torch transformers tokenizers
    python continue_with_transformers.py DIR --prompt TEXT [--max-tokens N]

The text must be the one of `xlstm generate --model DIR --prompt TEXT --max-tokens N --temperature 0`.
Every token is chosen from the whole text before it, so nothing here depends on a cache.
"""

import argparse
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

parser = argparse.ArgumentParser()
parser.add_argument("folder", type=Path)
parser.add_argument("--prompt", required=True)
parser.add_argument("--max-tokens", type=int, default=32)
given = parser.parse_args()

model = AutoModelForCausalLM.from_pretrained(given.folder, local_files_only=True).eval()
tokenizer = Tokenizer.from_file(str(given.folder / "tokenizer.json"))
end = model.config.eos_token_id
ids = [model.config.bos_token_id] + tokenizer.encode(given.prompt, add_special_tokens=False).ids
with torch.no_grad():
    for _ in range(given.max_tokens):
        logits = model(torch.tensor([ids]), use_cache=False).logits[0, -1]
        chosen = int(logits[: tokenizer.get_vocab_size()].argmax())
        if chosen == end:
            break
        ids.append(chosen)
print(given.prompt + tokenizer.decode(ids[1:])[len(given.prompt) :])
