"""`add_statistics CHECKPOINT DATASET`: normalise by the dataset that a policy was trained on.

For a checkpoint whose processors have no statistics, those of other datasets, or that has no
processors at all. Its weights are not touched.
"""

import argparse
import logging
from pathlib import Path

from lerobot.policies.factory import make_pre_post_processors

from cls_vla_ros.policy.checkpoint.files import load_config
from cls_vla_ros.policy.checkpoint.location import locate
from cls_vla_ros.policy.checkpoint.normalisation import check_statistics, fit_sizes
from cls_vla_ros.policy.checkpoint.processor_files import NAMES, load_processors, overrides
from cls_vla_ros.policy.processor_cls_smolvla import carry_tokenizer


def add_statistics(checkpoint: str | Path, stats: dict[str, dict]) -> Path:
    """Write statistics into a checkpoint's processors.

    Args:
        checkpoint: as for `locate`.
        stats: of the dataset, by feature, as lerobot's metadata have them.

    Returns:
        The folder that was written to.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: the statistics do not fit it. Nothing was written then.
    """
    folder = locate(checkpoint)
    config = load_config(folder)
    if any((folder / f"{name}.json").is_file() for name in NAMES):
        load_processors(folder, config, "cpu")  # trusted, and whole
        with_stats = {"stats": stats}
        before, after = make_pre_post_processors(
            config,
            pretrained_path=str(folder),
            preprocessor_overrides={
                **overrides(folder, config.vlm_model_name, "cpu"),
                "normalizer_processor": with_stats,
            },
            postprocessor_overrides={"unnormalizer_processor": with_stats},
        )
    else:
        before, after = make_pre_post_processors(config, dataset_stats=stats)
    fit_sizes(folder, config, before.steps, after.steps)
    check_statistics(folder, config, before.steps, after.steps)
    if Path(config.vlm_model_name).is_dir():
        carry_tokenizer(before)
    for processor in (before, after):
        processor.save_pretrained(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(prog="add_statistics", description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint", help="a directory, or that of a training")
    parser.add_argument("dataset", type=Path, help="folder of the LeRobotDataset v3")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # Here, because only lerobot's datasets bring it: a robot that runs the policy has none.
    from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

    if not (args.dataset / "meta" / "info.json").is_file():
        parser.error(f"{args.dataset} is no LeRobotDataset: there is no meta/info.json")
    try:
        stats = LeRobotDatasetMetadata(args.dataset.name, root=args.dataset).stats
        folder = add_statistics(args.checkpoint, stats or {})
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print(f"wrote the statistics of {args.dataset} into {folder}")


if __name__ == "__main__":
    main()
