"""A tokenizer that a checkpoint's preprocessor carries with it."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lerobot.processor import ProcessorStepRegistry, TokenizerProcessorStep
from torch import Tensor
from transformers import AutoTokenizer


@dataclass
@ProcessorStepRegistry.register(name="cls_smolvla_tokenizer_processor")
class CarriedTokenizerStep(TokenizerProcessorStep):
    """lerobot's tokenizer step, with the tokenizer's files in the step's state.

    lerobot's own saves a name. Where the tokenizer lies in a folder of the checkpoint, that would
    be a folder of one machine, or one that only the present directory leads to; so lerobot's
    commands could not load it. A step's state they find wherever the checkpoint is, on a hub too.
    """

    def __post_init__(self) -> None:
        # Without either, `load_state_dict` comes next.
        if self.tokenizer is not None or self.tokenizer_name is not None:
            super().__post_init__()

    def get_config(self) -> dict[str, Any]:
        """As lerobot's, without a name: it is not needed to load it again."""
        config = super().get_config()
        config.pop("tokenizer_name", None)
        return config

    def state_dict(self) -> dict[str, Tensor]:
        """The tokenizer's files, by name: their bytes, uint8."""
        with tempfile.TemporaryDirectory() as folder:
            self.input_tokenizer.save_pretrained(folder)
            return {
                file.name: torch.frombuffer(bytearray(file.read_bytes()), dtype=torch.uint8)
                for file in sorted(Path(folder).iterdir())
            }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take the tokenizer from its files, unless one was given.

        Args:
            state: as `state_dict` returns it.

        Raises:
            ValueError: it is not that.
        """
        if self.input_tokenizer is not None:
            return
        with tempfile.TemporaryDirectory() as folder:
            for name, content in state.items():
                if Path(name).name != name or content.dtype != torch.uint8:
                    raise ValueError(f"{name!r} is no file of a tokenizer: save it anew")
                Path(folder, name).write_bytes(content.cpu().numpy().tobytes())
            self.input_tokenizer = AutoTokenizer.from_pretrained(folder)
