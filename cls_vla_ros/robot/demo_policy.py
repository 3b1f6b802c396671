"""policy.path 'demo': the small policy that comes with the package."""

from cls_vla_ros.console.share import share

DEMO = "demo"


def resolve_policy_path(path: str) -> str:
    """The checkpoint that a policy.path means.

    Args:
        path: a directory, a hub id, or "demo": the policy that `train_demo` made, which does the
            tasks of a simulated arm as in bags/demo and has a trained, calibrated gate.
    """
    return str(share("policies", "demo")) if path == DEMO else path
