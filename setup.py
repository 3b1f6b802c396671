"""`pip install .` on a machine without ROS: the policy and the runtime, for training boxes.

With ROS the package is built by colcon (CMakeLists.txt), which makes the messages too. The
distribution's name is the one by which lerobot's commands discover a policy.
"""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
DATA = ("config", "policies")  # console/share.py finds them


def data_files() -> list[tuple[str, list[str]]]:
    """Each folder below share/cls_vla_ros with its files, as colcon installs them."""
    files = [path.relative_to(HERE) for name in DATA for path in (HERE / name).rglob("*")]
    return [
        (f"share/cls_vla_ros/{file.parent}", [str(file)])
        for file in files
        if (HERE / file).is_file()
    ]


setup(
    name="lerobot_policy_cls_smolvla",
    version="0.1.0",
    description="CLS-gated SmolVLA: the policy (a lerobot plugin) and its runtime",
    license="Apache-2.0",
    python_requires=">=3.12",
    packages=find_packages(include=["cls_vla_ros", "cls_vla_ros.*", "lerobot_policy_cls_smolvla"]),
    entry_points={"console_scripts": (HERE / "commands.txt").read_text().splitlines()},
    data_files=data_files(),
    install_requires=["lerobot[smolvla]==0.6.1"],
    extras_require={
        "peft": ["lerobot[peft]==0.6.1"],
        "training": ["lerobot[training]==0.6.1"],
        "view": ["rerun-sdk==0.41.0"],
        "serve": ["msgpack==1.2.4", "ray[serve]==2.60.0", "websockets==17.4"],
        "sim": ["metaworld==3.1.1", "mujoco==3.3.0", "scipy==1.18.1"],
    },
)
