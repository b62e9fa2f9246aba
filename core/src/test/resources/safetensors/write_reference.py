"""Writes reference.safetensors with the Python package: pip install safetensors==0.8.0 numpy torch.

reference.safetensors holds every element type that we write; SafetensorsWriterTest builds the same
tensors and compares the bytes.
"""

import torch
from safetensors.torch import save_file

count = torch.arange(6)
save_file(
    {
        "b.f32": (count.to(torch.float32) / 4 - 0.5).reshape(2, 3),
        "a.f32": torch.tensor(3.25, dtype=torch.float32),
        "f64": count.to(torch.float64) / 3,
        "bf16": (count.to(torch.bfloat16) / 4 - 0.5).reshape(3, 2),
        "f16": (count.to(torch.float16) / 4 - 0.5).reshape(1, 6),
        "i64": count - 3,
        "i32": (count - 3).to(torch.int32),
        "u8": (count[:5] + 251).to(torch.uint8),
        "empty": torch.zeros(0, 4),
        'name "quoted" \\ / \t \u007f é 𝄞 \u2028': torch.ones(1),
    },
    "reference.safetensors",
    metadata={"format": "pt"},
)
