# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""QueryPromptDataModule: the data module for training the adapters.

Example:
    >>> from anomalib_adaptclip.data import QueryPromptDataModule
    >>> datamodule = QueryPromptDataModule(base="MVTecAD", target="Visa")  # doctest: +SKIP
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anomalib.data import AnomalibDataModule
from lightning.pytorch.overrides.distributed import UnrepeatedDistributedSampler
from torch.utils.data import DataLoader

from anomalib_adaptclip.argument_types import require_at_least, require_types
from anomalib_adaptclip.files.run_folder import results_name
from anomalib_adaptclip.prompts.selection import draw_files

from .data_source import DataSetSamples, DataSource
from .empty_dataloader import empty_dataloader
from .query_prompt_dataset import QueryPromptDataset, TargetDataset, TokenStore
from .query_prompt_loader import QueryPromptLoader, QueryPromptSampler

logger = logging.getLogger(__name__)


class QueryPromptDataModule(AnomalibDataModule):
    """Train on the test splits of a base data set, paired with normal prompts; validate and test on a target.

    A query is a normal or abnormal image of the test split of a base category, with its mask if it has one. Its prompt
    is a normal image of the same category, drawn from the train split anew in each epoch. Batches mix all categories,
    images with and without mask, and images are not augmented.

    Args:
        base: Data set to train on, given by the class of its data module, such as ``"MVTecAD"`` or ``"Folder"``.
        base_root: Folder of the base. By default that of the data module.
        base_categories: Categories to train on. By default all that the folder contains.
        base_args: Further arguments of the base's data module.
        target: Data set to validate and test on, given in the same way.
        target_root: Folder of the target. By default that of the base if both have the same class.
        target_categories: Categories to validate and test on. By default all.
        target_args: Further arguments of the target's data module.
        holdout_categories: Categories of the base to validate and test on, instead of a ``target``. They are not
            trained on.
        allow_leakage: Name of the base, to allow that the target shares images with it. The metrics then say nothing
            about new data.
        train_batch_size: Queries in a batch of each process; all processes together need at least two.
        eval_batch_size: Images in a batch in validation and test.
        num_workers: Worker processes that load images.
        seed: Seed for the order of the queries, for drawing their prompts, and for the splits of data modules that draw
            them.

    Raises:
        ValueError: If a name is unknown, or base and target are the same.
    """

    def __init__(
        self,
        base: str,
        base_root: Path | str | None = None,
        base_categories: Sequence[str] | None = None,
        base_args: dict[str, Any] | None = None,
        target: str | None = None,
        target_root: Path | str | None = None,
        target_categories: Sequence[str] | None = None,
        target_args: dict[str, Any] | None = None,
        holdout_categories: Sequence[str] | None = None,
        allow_leakage: str | None = None,
        train_batch_size: int = 8,
        eval_batch_size: int = 8,
        num_workers: int = 8,
        seed: int = 10,
    ) -> None:
        require_types(QueryPromptDataModule.__init__, locals())
        require_at_least(0, num_workers=num_workers, seed=seed)
        require_at_least(1, train_batch_size=train_batch_size, eval_batch_size=eval_batch_size)
        further = {"target_root": target_root, "target_categories": target_categories, "target_args": target_args}
        require_target(target, [name for name, value in further.items() if value is not None])
        super().__init__(train_batch_size, eval_batch_size, num_workers, seed=seed)
        held_out = tuple(holdout_categories or ())
        if held_out and target:
            msg = f"Give either target={target!r} or holdout_categories={list(held_out)}, not both."
            raise ValueError(msg)
        self.seed: int = seed
        base_arguments = _arguments(base_root, base_args)
        self.base = DataSource(base, base_arguments, base_categories, held_out, seed)
        self.allow_leakage = require_leakage(allow_leakage, self.base.name)
        self.target: DataSource | None = None
        if held_out:
            self.target = DataSource(base, base_arguments, held_out, seed=seed)
        elif target:
            if target == base and target_root is None:
                target_root = base_root
            self.target = DataSource(target, _arguments(target_root, target_args), target_categories, seed=seed)
            self._refuse_leakage(self.base == self.target, "the same data set")
        self.train_data: QueryPromptDataset
        self.base_samples: DataSetSamples
        self.target_samples: DataSetSamples | None = None

    @property
    def name(self) -> str:  # type: ignore[override]
        """Name of the folder of the results: base and target."""
        return results_name(f"{self.base.label}-{self.target.label}" if self.target else self.base.label)

    @property
    def trains_maps(self) -> bool:
        """Whether the base has masks to train maps with, once it is set up."""
        return self.base_samples.has_masks or bool(self.base_samples.abnormal.has_mask.any())

    def prepare_data(self) -> None:
        """Let the data modules download what is missing."""
        for source in filter(None, (self.base, self.target)):
            source.prepare()

    def _setup(self, _stage: str | None = None) -> None:
        """List all files, and check them before training starts."""
        if self.target:
            self._refuse_shared_categories(self.target)
        self.base_samples = self.base.collect(as_base=True)
        if len(self.base_samples.queries) < 2:
            msg = f"{self.base.label} has a single test image, and batch norms need two a batch. Add images."
            raise ValueError(msg)
        self.train_data = QueryPromptDataset(self.base_samples)
        if self.target:
            self.target_samples = self.target.collect(as_base=False)
            self._refuse_shared_files(self.target_samples)
            self.val_data = self.test_data = TargetDataset(self.target_samples)

    def _create_test_split(self) -> None:
        """The target is the test split."""

    def _create_val_split(self) -> None:
        """The target is the validation split too."""

    def _refuse_shared_categories(self, target: DataSource) -> None:
        if target.module_class is self.base.module_class:
            shared = sorted({*self.base.categories} & {*target.categories})
            self._refuse_leakage(bool(shared), f"of the same kind and share the categories {shared}")

    def _refuse_shared_files(self, target: DataSetSamples) -> None:
        base_files, target_files = (
            {Path(path).resolve() for path in samples.queries.image_path} for samples in (self.base_samples, target)
        )
        shared = sorted(str(path) for path in base_files & target_files)
        self._refuse_leakage(bool(shared), f"sharing {len(shared)} images, {shared[:1]} for one")

    def _refuse_leakage(self, leaks: bool, how: str) -> None:
        if not leaks or self.target is None:
            return
        if self.allow_leakage == self.base.name:
            logger.warning("LEAKAGE, allowed by name: base and target are %s. The figures will be too good.", how)
            return
        msg = (
            f"Leakage: base {self.base.label} and target {self.target.label} are {how}, so the figures would say "
            "nothing about new data. Take another target, other categories, holdout_categories, or allow it by name: "
            f"allow_leakage={self.base.name!r}."
        )
        raise ValueError(msg)

    def train_dataloader(self) -> DataLoader[Any]:
        """Load query-prompt pairs of the base.

        Raises:
            ValueError: If a batch has a single query, for which batch norm is undefined.
        """
        replicas, rank = self._processes()
        if self.train_batch_size * replicas < 2:
            msg = f"train_batch_size must be at least 2, for batch norms need two images; got {self.train_batch_size}."
            raise ValueError(msg)
        sampler = QueryPromptSampler(
            self.train_data.prompt_counts(), self.train_batch_size, replicas, rank, seed=self.seed
        )
        return QueryPromptLoader(
            self.train_data,
            self.train_batch_size,
            sampler=sampler,
            num_workers=self.num_workers,
            collate_fn=self.train_data.collate_fn,
        )

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Load the images of the target. Several processes share them, and none is loaded twice."""
        if not hasattr(self, "val_data"):
            return empty_dataloader()
        replicas, rank = self._processes()
        return DataLoader(
            self.val_data,
            self.eval_batch_size,
            sampler=UnrepeatedDistributedSampler(self.val_data, replicas, rank, shuffle=False),
            num_workers=self.num_workers,
            collate_fn=self.val_data.collate_fn,
        )

    def test_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Load the images of the target, as for validation."""
        return self.val_dataloader()

    def target_prompts(self, seed: int = 10, k_shot: int = 1) -> dict[str, list[str]]:
        """Draw normal images for each category of the target, as the published protocol does.

        Args:
            seed: Seed for drawing the images; the paper uses 10, 20 and 30.
            k_shot: Images for each category. They are drawn with replacement.

        Returns:
            Paths by category. Categories without normal train images are left out.
        """
        prompts = self.target_samples.prompts if self.target_samples else {}
        return {category: draw_files(files, k_shot, seed) for category, files in prompts.items() if files}

    def image_files(self) -> list[str]:
        """List all images of base and target, both queries and prompts, each once."""
        found = [samples for samples in (self.base_samples, self.target_samples) if samples]
        prompts = [path for samples in found for files in samples.prompts.values() for path in files]
        queries = [str(path) for samples in found for path in samples.queries.image_path]
        return sorted({*queries, *prompts})

    def use_tokens(self, store: TokenStore | None) -> None:
        """Read tokens from a store instead of images.

        Args:
            store: Store of tokens; None to read images again.
        """
        for name in ("train_data", "val_data"):
            if hasattr(self, name):
                getattr(self, name).token_store = store

    def summary(self) -> str:
        """Summarise base and target in a line each: categories, numbers of images, share of abnormal ones."""
        lines = []
        for role, source, samples in (
            ("base", self.base, self.base_samples),
            ("target", self.target, self.target_samples),
        ):
            if source is None or samples is None:
                lines.append(f"{role}: none, so nothing is validated")
                continue
            abnormal = len(samples.abnormal) / len(samples.queries)
            masked = int(samples.abnormal.has_mask.sum())
            count = len(samples.categories)
            lines.append(
                f"{role}: {source.label}, {count} {'category' if count == 1 else 'categories'} "
                f"({', '.join(samples.categories)}), "
                f"{len(samples.queries)} queries, {abnormal:.0%} abnormal, "
                f"{'' if samples.has_masks else f'{masked} of {len(samples.abnormal)} abnormal ones with a mask, '}"
                f"{sum(map(len, samples.prompts.values()))} normal images for prompts"
            )
        return "\n".join(lines)

    def _processes(self) -> tuple[int, int]:
        """Return the number of processes and the rank of this one."""
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)


def require_target(target: str | None, further: Sequence[str]) -> None:
    """Check that there is a target where more is said of it.

    Args:
        target: Class of its data module.
        further: Names of further arguments of the target that are given.

    Raises:
        ValueError: If there is none.
    """
    if further and target is None:
        msg = f"{', '.join(further)} say more of a target, and there is none. Give target, or leave them out."
        raise ValueError(msg)


def require_leakage(allowed: str | None, base: str) -> str | None:
    """Check that leakage is allowed for the base, by its name.

    Raises:
        ValueError: If another name is given, which would have no effect.
    """
    if allowed not in {None, base}:
        msg = f"allow_leakage must be the name of the base, {base!r}, or be left out; got {allowed!r}."
        raise ValueError(msg)
    return allowed


def _arguments(root: Path | str | None, arguments: Mapping[str, Any] | None) -> dict[str, Any]:
    """Arguments of a data module; a command line may give either type of root.

    Raises:
        ValueError: If the root is given twice.
    """
    if root is not None and arguments and "root" in arguments:
        msg = f"The root of a data set is given twice: {str(root)!r} and {str(arguments['root'])!r}. Give it once."
        raise ValueError(msg)
    return ({} if root is None else {"root": Path(root)}) | dict(arguments or {})
