"""`python -m cls_vla_ros.policy.add_cls_head STOCK OUT`: a stock SmolVLA with a CLS head to train.

lerobot-train makes the policy whose type a checkpoint's config.json names, and takes no other one
beside --policy.path. So a `smolvla` checkpoint is written once more as a `cls_smolvla` one: the
same weights, byte for byte, the same processors, and CLS tokens in the layout "readout". Then

    lerobot-train --policy.path=OUT --discover_packages_path=cls_vla_ros.policy ...

trains these tokens and nothing else. (Without "policy." before discover_packages_path: beside
--policy.path lerobot takes that for a field of the policy.)
"""

import argparse
import logging
import shutil
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from lerobot.utils.constants import (
    POLICY_POSTPROCESSOR_DEFAULT_NAME,
    POLICY_PREPROCESSOR_DEFAULT_NAME,
)

from cls_vla_ros.policy.checkpoint import check_exists
from cls_vla_ros.policy.modeling_cls_smolvla import CLSSmolVLAPolicy

PROCESSORS = (f"{POLICY_PREPROCESSOR_DEFAULT_NAME}*", f"{POLICY_POSTPROCESSOR_DEFAULT_NAME}*")


def add_cls_head(stock: str | Path, out: Path, seed: int = 0) -> CLSSmolVLAPolicy:
    """Write a checkpoint as one whose CLS head can be trained.

    Args:
        stock: a `smolvla` checkpoint, or a `cls_smolvla` one in the layout "readout": a directory,
            or a hub id.
        out: the new checkpoint's directory.
        seed: of the CLS tokens.

    Returns:
        The policy as it was written.

    Raises:
        FileExistsError: `out` is there already.
        FileNotFoundError: there is no such checkpoint, or it has no processors.
        ValueError: its layout is not "readout", or it is no SmolVLA.
    """
    if out.exists():
        raise FileExistsError(f"{out} is there already: choose another directory, or remove it")
    check_exists(stock)
    source = Path(stock).expanduser()
    if not source.is_dir():
        source = Path(snapshot_download(str(stock)))
    processors = [file for pattern in PROCESSORS for file in sorted(source.glob(pattern))]
    if not processors:
        raise FileNotFoundError(
            f"the checkpoint {stock} has no {PROCESSORS[0]}: it was saved by an older lerobot. "
            "Convert it once with `python -m lerobot.processor.migrate_policy_normalization "
            "--pretrained-path ...`"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        policy = CLSSmolVLAPolicy.from_pretrained(source)
    if policy.config.cls_attention != "readout":
        raise ValueError(
            f"the checkpoint {stock} has CLS tokens that its actions depend on "
            f"(cls_attention={policy.config.cls_attention!r}): they were trained with it, and "
            "cannot be trained alone"
        )
    policy.config.train_cls_only = True
    policy.save_pretrained(out)
    for file in processors:
        shutil.copy(file, out)
    return policy


def main() -> None:
    parser = argparse.ArgumentParser(prog="add_cls_head", description=__doc__.split("\n")[0])
    parser.add_argument("stock", help="a smolvla checkpoint: a directory, or a hub id")
    parser.add_argument("out", type=Path, help="directory for the new one")
    parser.add_argument("--seed", type=int, default=0, help="of the CLS tokens (default 0)")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        add_cls_head(args.stock, args.out, args.seed)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print(
        f"wrote {args.out}. Train its CLS head with\n  lerobot-train --policy.path={args.out} "
        "--discover_packages_path=cls_vla_ros.policy --dataset.repo_id=... "
        "--output_dir=..."
    )


if __name__ == "__main__":
    main()
