"""The named ten-class subsets of ImageNet, from an ImageNet-style folder or from parquet.

Classes and their order are those of Cazenavette et al. 2022 (MTT); imagenette and imagewoof are Howard's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from csdm_cli.data.sources import folder, parquet, parquet_files
from csdm_cli.data.sources.raw import RawDataset, keep_classes
from csdm_cli.data.sources.reading import Reading
from csdm_cli.errors import CsdmError
from csdm_cli.names import Source

ALL_CLASSES = 1000


@dataclass(frozen=True)
class ImageNetClass:
    """One of ImageNet-1k's classes: its number there, WordNet id and name."""

    index: int
    wnid: str
    name: str


def _classes(text: str) -> tuple[ImageNetClass, ...]:
    rows = (line.split(maxsplit=2) for line in text.strip().splitlines())
    return tuple(ImageNetClass(int(index), wnid, name) for index, wnid, name in rows)


SUBSETS: dict[str, tuple[ImageNetClass, ...]] = {
    Source.imagenette: _classes("""
        0 n01440764 tench
        217 n02102040 English springer
        482 n02979186 cassette player
        491 n03000684 chain saw
        497 n03028079 church
        566 n03394916 French horn
        569 n03417042 garbage truck
        571 n03425413 gas pump
        574 n03445777 golf ball
        701 n03888257 parachute
    """),
    Source.imagewoof: _classes("""
        193 n02096294 Australian terrier
        182 n02093754 Border terrier
        258 n02111889 Samoyed
        162 n02088364 beagle
        155 n02086240 Shih-Tzu
        167 n02089973 English foxhound
        159 n02087394 Rhodesian ridgeback
        273 n02115641 dingo
        207 n02099601 golden retriever
        229 n02105641 Old English sheepdog
    """),
    Source.imagemeow: _classes("""
        281 n02123045 tabby
        282 n02123159 tiger cat
        283 n02123394 Persian cat
        284 n02123597 Siamese cat
        285 n02124075 Egyptian cat
        291 n02129165 lion
        292 n02129604 tiger
        290 n02128925 jaguar
        289 n02128757 snow leopard
        287 n02127052 lynx
    """),
    Source.imagesquawk: _classes("""
        84 n01806143 peacock
        130 n02007558 flamingo
        88 n01818515 macaw
        144 n02051845 pelican
        145 n02056570 king penguin
        22 n01614925 bald eagle
        96 n01843383 toucan
        9 n01518878 ostrich
        100 n01860187 black swan
        89 n01819313 sulphur-crested cockatoo
    """),
    Source.imagefruit: _classes("""
        953 n07753275 pineapple
        954 n07753592 banana
        949 n07745940 strawberry
        950 n07747607 orange
        951 n07749582 lemon
        957 n07768694 pomegranate
        952 n07753113 fig
        945 n07720875 bell pepper
        943 n07718472 cucumber
        948 n07742313 Granny Smith
    """),
    Source.imageyellow: _classes("""
        309 n02206856 bee
        986 n12057211 yellow lady's slipper
        954 n07753592 banana
        951 n07749582 lemon
        987 n12144580 corn
        779 n04146614 school bus
        599 n03530642 honeycomb
        291 n02129165 lion
        72 n01773157 black and gold garden spider
        11 n01531178 goldfinch
    """),
}


def load(subset: str, data_dir: Path, reading: Reading) -> RawDataset:
    """Open a subset: train/WNID/ and val/WNID/ of a folder (more classes may lie there), or parquet.

    Parquet may hold the subset alone or all 1,000 classes. Its labels are matched by WordNet id, by name, or by
    ImageNet's class number if there are 1,000; if it holds ten classes by other names, they are kept as they are.

    Raises:
        CsdmError: if classes are missing, or files damaged.
    """
    wanted = SUBSETS[subset]
    names = tuple(member.name for member in wanted)
    if not parquet_files.present(data_dir):
        raw = folder.load(data_dir, reading, only=[member.wnid for member in wanted])
        return replace(raw, class_names=names)
    raw = parquet.load(data_dir, reading)
    labels = [_label_of(member, raw.class_names) for member in wanted]
    found = [label for label in labels if label is not None]
    if len(found) == len(wanted):
        return keep_classes(raw, found, names)
    if raw.classes == len(wanted) and not found:
        return raw
    missing = wanted[labels.index(None)]
    raise CsdmError(f"{data_dir}: none of its {raw.classes} classes is {missing.wnid} ({missing.name}) of {subset}")


def _label_of(member: ImageNetClass, class_names: Sequence[str]) -> int | None:
    if len(class_names) == ALL_CLASSES:
        return member.index
    for label, name in enumerate(class_names):
        synonyms = {_plain(part) for part in name.split(",")}
        if name.strip() == member.wnid or _plain(member.name) in synonyms:
            return label
    return None


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
