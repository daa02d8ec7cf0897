"""A sweep: many cells of a grid under one parent run, from the first to the table at the end.

Hydra composes and launches the cells; this module knows which grid they fill. A sweep is found again by what it
computes: its base configuration and its axes, whatever launches it and wherever it stopped.
"""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dfx.config.identity import config_hash

Axes = dict[str, list[str]]


@dataclass
class Sweep:
    """A sweep that this process has started.

    Attributes:
        axes: values of each key that the cells differ in, in the order of the command; for a sweeper that draws them,
            what it draws from.
        parent: run id.
        began_ms: when it was started this time.
    """

    axes: Axes
    parent: str = ""
    began_ms: int = 0
    # At most one; here, because it is Hydra that makes the callback.
    opened: ClassVar[list[Sweep]] = []

    @property
    def num_cells(self) -> int | None:
        """Cells of the grid; None where a sweeper decides it."""
        if not _is_grid(self.axes):
            return None
        return math.prod(len(values) for values in self.axes.values())


class ParentRun(Callback):
    """Opens the parent run before Hydra launches the cells, and tells every cell of it; see `conf/train.yaml`."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Called in the process of the command, before any job."""
        try:
            axes = axes_of(config)
            _compose_each_value(config, axes)
        except (HydraException, OmegaConfBaseException):
            return  # the sweeper will come to the same error and say it; nothing shall be kept of a typing error
        from dfx.tracking import cells, database, launchers

        found = Sweep(axes)
        labels = {
            "axes": json.dumps(axes),
            "cells": str(found.num_cells or "not known yet"),
            "command": shlex.join(["python", "-m", f"dfx.{config.hydra.job.config_name}", *sys.argv[1:]]),
        }
        try:
            launchers.prepare(config, found.num_cells)
            found.began_ms = database.now_ms()
            identity, name = _identity(config, axes), _name(config, axes)
            with database.undisturbed():  # what is opened is closed, also if Ctrl-C comes right now
                found.parent = cells.open_parent(config.experiment_name, identity, name, labels)
                Sweep.opened[:] = [found]
        except Exception as error:  # of which Hydra would make a warning
            raise SystemExit(f"Error: {str(error).strip()}") from error
        # Every launcher hands these overrides to its jobs, on other machines too.
        config.hydra.overrides.hydra.append(f"+hydra.job.env_set.{launchers.PARENT}='{found.parent}'")


@contextmanager
def kept() -> Iterator[None]:
    """Around a command: however it ends, its sweep is closed, and when the cells are through their table is shown.

    Raises:
        SystemExit: with status 1 if a cell has neither a result nor a reason to have none.
    """
    Sweep.opened.clear()
    try:
        yield
    except BaseException as stop:
        if Sweep.opened:
            from dfx.tracking import cells

            interrupted = isinstance(stop, KeyboardInterrupt | SystemExit)
            cells.close_parent(Sweep.opened[0].parent, "KILLED" if interrupted else "FAILED")
        raise
    if Sweep.opened and not _end(Sweep.opened[0]):
        raise SystemExit(1)


def _end(sweep: Sweep) -> bool:
    """Show how the cells ended, close the parent; whether all is well."""
    from dfx.reporting import sweep_summary
    from dfx.tracking import cells

    status, num_cells = "FAILED", None
    try:
        found = cells.settle(sweep.parent, sweep.began_ms)
        if sweep_summary.show(sweep.parent, sweep.axes, sweep.num_cells, sweep.began_ms, found):
            status = "FINISHED"
        num_cells = sweep.num_cells or len(found)
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        cells.close_parent(sweep.parent, status, num_cells)
    return status == "FINISHED"


def axes_of(config: DictConfig) -> Axes:
    """Values of each key that a sweep goes over, `{"feature": ["mfcc", "lfcc"], "seed": ["0", "1"]}`.

    What stands in the file of an experiment is replaced by the command line; a key that gets a single value there is no
    axis any more.

    Args:
        config: Hydra's, of a multirun.
    """
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    params = config.hydra.sweeper.get("params") or {}
    axes = {
        override.get_key_element(): _values(override)
        for override in parser.parse_overrides([f"{key}={value}" for key, value in params.items()])
    }
    for override in parser.parse_overrides(list(config.hydra.overrides.task)):
        if override.is_sweep_override():
            axes[override.get_key_element()] = _values(override)
        else:
            axes.pop(override.get_key_element(), None)
    return axes


def _values(override: Override) -> list[str]:
    if override.is_discrete_sweep():
        return list(dict.fromkeys(override.sweep_string_iterator()))  # seed=0,0 is one cell, made once
    if override.is_sweep_override():
        return [str(override.input_line).partition("=")[2]]  # interval(0,1): the sweeper draws from it
    return [override.get_value_element_as_str()]


def _is_grid(axes: Axes) -> bool:
    return not any(value.startswith("interval(") for values in axes.values() for value in values)


def _compose_each_value(config: DictConfig, axes: Axes) -> None:
    """Compose as few cells as hold every value once; raises what Hydra raises."""
    if not _is_grid(axes):
        return
    loader = GlobalHydra.instance().config_loader()
    fixed = [o for o in config.hydra.overrides.task if o.partition("=")[0] not in axes]
    for number in range(max(map(len, axes.values()), default=1)):
        own = [f"{key}={values[number % len(values)]}" for key, values in axes.items()]
        loader.load_sweep_config(config, [*own, *fixed])


def _identity(config: DictConfig, axes: Axes) -> str:
    """Hash of what the cells share and of what they differ in; Hydra's own part, such as the launcher, left out."""
    base = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    return config_hash(
        base, json.dumps({key: sorted(values) for key, values in axes.items()}, sort_keys=True)
    )


def _name(config: DictConfig, axes: Axes) -> str:
    """What the UI calls the sweep: `sweep 4 feature × 4 model × 3 seed on demo`."""
    sizes = " × ".join(f"{len(values)} {key.lstrip('+')}" for key, values in axes.items() if len(values) > 1)
    corpus = "" if "dataset" in axes else f" on {config.hydra.runtime.choices.get('dataset')}"
    return f"sweep {sizes or 'of one cell'}{corpus}"
