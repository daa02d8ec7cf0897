"""Run a sweep: open its parent run in MLflow, and show the results table at the end.

Hydra composes and launches the cells of the grid. A sweep is identified by its base configuration and its axes, not by
its launcher, so the same command continues it.
"""

from __future__ import annotations

import json
import math
import os
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
from dfx.console import plain_console
from dfx.files import os_error_sentence
from dfx.tracking.place import tracking_error_sentence

Axes = dict[str, list[str]]


@dataclass
class Sweep:
    """Sweep that this process has started.

    Attributes:
        axes: values of each key in which the cells differ, in the order of the command; the range if a sweeper draws
            them.
        parent: run id.
        began_ms: when this command started.
    """

    axes: Axes
    parent: str = ""
    began_ms: int = 0
    # At most one; a class attribute, because Hydra creates the callback.
    opened: ClassVar[list[Sweep]] = []

    @property
    def num_cells(self) -> int | None:
        """Number of cells of the sweep; None if a sweeper decides it."""
        return math.prod(map(len, self.axes.values())) if _is_grid(self.axes) else None


class ParentRun(Callback):
    """Hydra callback that opens the parent run of a sweep and passes its id to every cell; see `conf/train.yaml`."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Open the parent run; Hydra calls this once, before any cell starts."""
        try:
            axes = _axes_of(config)
            _compose_each_value(config, axes)
        except (HydraException, OmegaConfBaseException):
            return  # a typing error: Hydra's sweeper raises it again, and no run is logged for it
        from dfx.tracking import cells, database, launchers

        found = Sweep(axes)
        labels = {
            "axes": json.dumps(axes),
            "cells": str(found.num_cells or "not known yet"),
            "command": shlex.join(["python", "-m", f"dfx.{config.hydra.job.config_name}", *sys.argv[1:]]),
        }
        try:
            launchers.prepare_launcher(config, found.num_cells)
            found.began_ms = database.now_ms()
            identity, name = _identity(config, axes), _name(config, axes)
            with database.defer_interrupts():  # an opened parent is closed, also after a Ctrl-C here
                found.parent = cells.open_sweep_parent(config.experiment_name, identity, name, labels)
                Sweep.opened[:] = [found]
        except Exception as error:  # Hydra would only warn
            known = os_error_sentence(error) if isinstance(error, OSError) else tracking_error_sentence(error)
            raise SystemExit(f"Error: {known or str(error).strip()}") from error
        # Every launcher passes these overrides to its jobs, on other machines too.
        passed = {launchers.PARENT_VARIABLE: found.parent, launchers.PROCESS_VARIABLE: os.getpid()}
        config.hydra.overrides.hydra += [f"+hydra.job.env_set.{key}='{value}'" for key, value in passed.items()]


@contextmanager
def closing_sweep() -> Iterator[None]:
    """Context manager that shows the results table and closes the parent run, also after an error.

    Raises:
        SystemExit: with status 1 if a cell has no result and was not skipped.
    """
    Sweep.opened.clear()
    try:
        yield
    except BaseException as stop:
        if Sweep.opened:
            from dfx.tracking import cells

            interrupted = isinstance(stop, KeyboardInterrupt | SystemExit)
            cells.close_sweep_parent(Sweep.opened[0].parent, "KILLED" if interrupted else "FAILED")
        raise
    if Sweep.opened and not _finish(Sweep.opened[0]):
        raise SystemExit(1)


def _finish(sweep: Sweep) -> bool:
    """Show the results of the cells and close the parent run; return whether no cell failed."""
    from dfx.reporting import sweep_summary
    from dfx.tracking import cells
    from dfx.tracking.database import ui_command
    from dfx.tracking.ui import shared_view_link

    status, num_cells = "FAILED", None
    try:
        found = cells.drop_superseded_runs(sweep.parent, sweep.began_ms)
        summary = sweep_summary.show_sweep_summary(sweep.parent, sweep.axes, sweep.num_cells, sweep.began_ms, found)
        status = "FINISHED" if summary.complete else "FAILED"
        plain_console().print(f"compare  {ui_command()}", soft_wrap=True)
        plain_console().print(f"view     {shared_view_link(sweep.parent)}", soft_wrap=True)
        cells.describe_sweep_parent(sweep.parent, summary.metrics, summary.description)
        summary.log_page(sweep.parent)
        num_cells = sweep.num_cells or len(found)
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        cells.close_sweep_parent(sweep.parent, status, num_cells)
    return status == "FINISHED"


def _axes_of(config: DictConfig) -> Axes:
    """Return the axes of a sweep with their values: `{"feature": ["mfcc", "lfcc"], "seed": ["0", "1"]}`.

    The command line replaces the axes of an experiment's file; a key with a single value there is no axis any more.
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
        return list(dict.fromkeys(override.sweep_string_iterator()))  # seed=0,0 is one cell
    if override.is_sweep_override():
        return [str(override.input_line).partition("=")[2]]  # interval(0,1): the sweeper draws from it
    return [override.get_value_element_as_str()]


def _is_grid(axes: Axes) -> bool:
    return not any(value.startswith("interval(") for values in axes.values() for value in values)


def _compose_each_value(config: DictConfig, axes: Axes) -> None:
    """Compose a few cells that use every value once, so that Hydra reports wrong values early."""
    if not _is_grid(axes):
        return
    loader = GlobalHydra.instance().config_loader()
    fixed = [o for o in config.hydra.overrides.task if o.partition("=")[0] not in axes]
    for number in range(max(map(len, axes.values()), default=1)):
        own = [f"{key}={values[number % len(values)]}" for key, values in axes.items()]
        loader.load_sweep_config(config, [*own, *fixed])


def _identity(config: DictConfig, axes: Axes) -> str:
    """Compute the hash of a sweep: its base configuration and axes, without Hydra's own settings."""
    base = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    return config_hash(base, json.dumps({key: sorted(values) for key, values in axes.items()}, sort_keys=True))


def _name(config: DictConfig, axes: Axes) -> str:
    """Make the name of a sweep in MLflow's UI: `sweep 4 feature × 4 model × 3 seed on demo`."""
    sizes = " × ".join(f"{len(values)} {key.lstrip('+')}" for key, values in axes.items() if len(values) > 1)
    corpus = "" if "dataset" in axes else f" on {config.hydra.runtime.choices.get('dataset')}"
    return f"sweep {sizes or 'of one cell'}{corpus}"
