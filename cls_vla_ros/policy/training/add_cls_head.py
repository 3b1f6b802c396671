"""`add_cls_head STOCK OUT`: a stock SmolVLA with a CLS head to train.

lerobot-train makes the policy whose type a checkpoint's config.json names, and takes no other one
beside --policy.path. So a `smolvla` checkpoint is written once more as a `cls_smolvla` one: the
same weights, byte for byte, the same processors, a CLS head in the layout "readout", and a glance,
the small network that looks at every frame. Then

    lerobot-train --policy.path=OUT ...

trains these two and nothing else.
"""

import argparse
import logging
import shutil
from pathlib import Path

import torch
from lerobot.configs import PreTrainedConfig
from lerobot.utils.constants import (
    POLICY_POSTPROCESSOR_DEFAULT_NAME,
    POLICY_PREPROCESSOR_DEFAULT_NAME,
)

from cls_vla_ros.policy.checkpoint.files import load_config
from cls_vla_ros.policy.checkpoint.location import locate
from cls_vla_ros.policy.checkpoint.processor_files import load_processors, names_its_own_folder
from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig
from cls_vla_ros.policy.glance import CHANNELS
from cls_vla_ros.policy.modeling_cls_smolvla import CLSSmolVLAPolicy
from cls_vla_ros.policy.processor_cls_smolvla import carry_tokenizer

# On a backbone that was not trained for them, CLS tokens alone see little.
ADAPTER_WIDTH = 16
PROCESSORS = (f"{POLICY_PREPROCESSOR_DEFAULT_NAME}*", f"{POLICY_POSTPROCESSOR_DEFAULT_NAME}*")


def add_cls_head(
    stock: str | Path,
    out: Path,
    *,
    adapter_width: int = ADAPTER_WIDTH,
    glance_width: int = CHANNELS,
    seed: int = 0,
) -> CLSSmolVLAPolicy:
    """Write a checkpoint as one whose CLS head and glance can be trained.

    Args:
        stock: a `smolvla` checkpoint: a directory, or a hub id.
        out: the new checkpoint's directory.
        adapter_width: cls_adapter_width of the new head; 0 for CLS tokens alone.
        glance_width: of the new glance; 0 for none, then the frame guard looks in its place.
        seed: of the new weights.

    Returns:
        The policy as it was written.

    Raises:
        FileExistsError: `out` is there already.
        FileNotFoundError: there is no such checkpoint, or it has no processors.
        ValueError: it has a CLS head already, or it is no SmolVLA.
    """
    if out.exists():
        raise FileExistsError(f"{out} is there already: choose another directory, or remove it")
    source = locate(stock)
    if isinstance(PreTrainedConfig.from_pretrained(source), CLSSmolVLAConfig):
        raise ValueError(
            f"the checkpoint {stock} has a CLS head already. If its cls_attention is "
            '"readout", train that with lerobot-train --policy.path=... '
            "--policy.train_cls_only=true"
        )
    config = load_config(source)
    config.cls_adapter_width = adapter_width
    config.glance_width = glance_width
    before, after = load_processors(source, config, "cpu")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        policy = CLSSmolVLAPolicy.from_pretrained(source, config=config)
    policy.config.train_cls_only = True
    policy.save_pretrained(out)
    files = [file for pattern in PROCESSORS for file in sorted(source.glob(pattern))]
    if not files or names_its_own_folder(source):
        # Of a lerobot before 0.4, or with a tokenizer that lerobot would not find.
        carry_tokenizer(before)
        for processor in (before, after):
            processor.save_pretrained(out)
        return policy
    for file in files:
        shutil.copy(file, out)
    return policy


def main() -> None:
    parser = argparse.ArgumentParser(prog="add_cls_head", description=__doc__.split("\n")[0])
    parser.add_argument("stock", help="a smolvla checkpoint: a directory, or a hub id")
    parser.add_argument("out", type=Path, help="directory for the new one")
    parser.add_argument(
        "--adapter-width",
        type=int,
        default=ADAPTER_WIDTH,
        help=f"what it reads of each place of a picture; 0 for none (default {ADAPTER_WIDTH})",
    )
    parser.add_argument(
        "--glance-width",
        type=int,
        default=CHANNELS,
        help="channels of the network that looks at every frame; 0 for none, then the frame guard "
        f"looks (default {CHANNELS})",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the new weights (default 0)")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        add_cls_head(
            args.stock,
            args.out,
            adapter_width=args.adapter_width,
            glance_width=args.glance_width,
            seed=args.seed,
        )
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print(
        f"wrote {args.out}. Train its CLS head and glance with\n"
        f"  lerobot-train --policy.path={args.out} --dataset.repo_id=... --output_dir=..."
    )


if __name__ == "__main__":
    main()
