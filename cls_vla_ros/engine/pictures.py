"""From a camera's picture to the vision model's patches: resize, pad, normalise, cut."""

from dataclasses import dataclass

import torch
from lerobot.policies.common.vla_utils import resize_with_pad
from torch import Tensor

from cls_vla_ros.policy.configuration_cls_smolvla import CLSSmolVLAConfig
from cls_vla_ros.policy.pictures import picture_names

MULTIPLE_OF = "the patch size times the connector's scale factor"


@dataclass(frozen=True)
class PictureSize:
    """What every picture is brought to.

    Attributes:
        height: in pixels.
        width: in pixels.
        resizes: whether pictures of other sizes are resized to that; else they are refused.
    """

    height: int
    width: int
    resizes: bool

    @classmethod
    def of(cls, config: CLSSmolVLAConfig, multiple: int) -> "PictureSize":
        """As a policy's configuration has it.

        Args:
            config: the policy's.
            multiple: what height and width must be multiples of.

        Raises:
            ValueError: the policy takes pictures of several sizes, or of one that its vision model
                cannot take.
        """
        if config.resize_imgs_with_padding is not None:
            width, height = config.resize_imgs_with_padding
            size = cls(height, width, resizes=True)
        else:
            names = picture_names(config)  # an empty one is as large as the others
            sizes = {tuple(config.image_features[name].shape[1:]) for name in names}
            if len(sizes) != 1:
                raise ValueError(
                    f"the checkpoint takes pictures of the sizes {sorted(sizes)} as they are; "
                    "expected is one size, or resize_imgs_with_padding in its config.json"
                )
            size = cls(*sizes.pop(), resizes=False)
        if size.height != size.width or size.height % multiple:
            raise ValueError(
                f"the vision model takes squares whose side is a multiple of {multiple} "
                f"({MULTIPLE_OF}), the checkpoint asks for {size.height} x {size.width}: set "
                "resize_imgs_with_padding in its config.json"
            )
        return size

    def check(self, name: str, height: int, width: int) -> None:
        """Can such a picture be brought to this size?

        Raises:
            ValueError: no.
        """
        if not self.resizes and (height, width) != (self.height, self.width):
            raise ValueError(
                f"{name} is {height} x {width}; the checkpoint resizes nothing and takes "
                f"{self.height} x {self.width}. Set the camera to that, or "
                "resize_imgs_with_padding in the checkpoint's config.json"
            )


def to_patches(picture: Tensor, size: PictureSize, patch: int) -> Tensor:
    """Bring pictures to the vision model's patches, as lerobot's SmolVLA does.

    Args:
        picture: (B, height, width, 3) uint8, or (B, 3, height, width) float in [0, 1].
        size: what they are brought to, with padding at left and top where the shape differs.
        patch: side of a patch.

    Returns:
        (B, patches, 3 * patch * patch) float32 in [-1, 1]; padding is -1.
    """
    if picture.dtype == torch.uint8:
        picture = picture.permute(0, 3, 1, 2).float() / 255
    if size.resizes:
        picture = resize_with_pad(picture, size.height, size.width, pad_value=0)
    picture = picture * 2.0 - 1.0
    rows, columns = size.height // patch, size.width // patch
    cut = picture.unflatten(3, (columns, patch)).unflatten(2, (rows, patch))
    return cut.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
