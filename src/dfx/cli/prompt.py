"""Run a command with Hydra: compose the configuration, print `--help`, and show errors as one sentence."""

from __future__ import annotations

import functools
import itertools
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dfx import files
from dfx.cli import sweep
from dfx.config import overrides
from dfx.config.corpora import expand_corpora
from dfx.config.schema import CONF_DIR, did_you_mean, flatten_config, register_schema
from dfx.tracking import launchers
from dfx.tracking.place import lacks_driver, name_default_database, tracking_error_sentence

USER_ERRORS = (HydraException, OmegaConfBaseException, ValueError, OSError)
# Errors of libraries that --help must not import, by name.
TRACKING_ERRORS = {"MlflowException", "SQLAlchemyError"}  # of MLflow, and of the databases below it
LATE_USER_ERRORS = (
    "MisconfigurationException",
    *TRACKING_ERRORS,
    # A worker of a launcher died, for example because memory ran out.
    "TerminatedWorkerError",
    "WorkerCrashedError",
    "UncompletedJobError",
    "FailedJobError",
)

USAGE = """dfx.{command}: {purpose}

  python -m dfx.{command} {usage}

{examples}
"""
KEYS_ONLY = "[GROUP=OPTION ...] [KEY=VALUE ...]"


def run_command(command: str, examples: str, job: Callable[[DictConfig], Any], usage: str = KEYS_ONLY) -> None:
    """Run a command with Hydra; show errors of the user as one sentence.

    With HYDRA_FULL_ERROR=1 the whole traceback is shown.

    Args:
        command: name of the module and of `conf/COMMAND.yaml`, whose first line says what it is for.
        examples: example commands for `--help`.
        job: called with the composed configuration, in which the options of named corpora are filled in.
        usage: of the command, for `--help`.
    """
    arguments = list(sys.argv[1:])
    if "--help" in arguments or "-h" in arguments:
        sys.stdout.write(_help_text(command, examples, arguments, usage))
        return
    sys.argv[1:] = overrides.wrap_group_values(overrides.quote_paths(arguments), command)
    wants_trace = os.environ.get("HYDRA_FULL_ERROR", "0") not in ("", "0")
    # Waiting OpenMP threads use their core: two runs on one machine would slow each other down tenfold.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # sends nothing about users' runs
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # half a minute; a run goes on without its server
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # a warning for each of them
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra pass exceptions on to this function
    register_schema()
    launchers.register_launchers()

    @functools.wraps(job)
    def run_job(cfg: DictConfig) -> Any:
        launchers.end_with_sweep()
        try:
            return job(expand_corpora(overrides.unwrap_group_values(cfg)))
        except Exception as error:
            show_trace = wants_trace or not _is_users(error)
            text = _error_sentence(error, command, arguments)
            multirun = HydraConfig.get().mode == RunMode.MULTIRUN
            # In a cell with several processes the first one records what went wrong.
            if launchers.PARENT_VARIABLE in os.environ and (multirun or os.environ.get("LOCAL_RANK", "0") == "0"):
                if show_trace:
                    traceback.print_exc()
                result = _record_no_result(cfg, error, text)
                if multirun:
                    return result  # the sweep goes on with its next cell
                raise SystemExit(launchers.EXIT_RECORDED) from None
            if show_trace:
                raise
            if not multirun:
                raise SystemExit(f"Error: {text}") from None
            sys.stderr.write(f"Error: {text}\n")
            raise  # the next job still runs, and the command fails at its end

    try:
        name_default_database()
        with sweep.closing_sweep():
            hydra.main(config_path=str(CONF_DIR), config_name=command, version_base="1.3")(run_job)()
    except (KeyboardInterrupt, SystemExit) as stop:
        # Lightning turns Ctrl-C into SystemExit.
        if isinstance(stop, SystemExit) and not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        raise SystemExit("Interrupted; the same command continues where it stopped.") from None
    except Exception as error:
        if wants_trace or not _is_users(error):
            raise
        raise SystemExit(f"Error: {_error_sentence(error, command, arguments)}") from None


def _record_no_result(cfg: DictConfig, error: Exception, text: str) -> float:
    """Record and print why a cell of a sweep has no result; return NaN for the sweeper."""
    from dfx.tracking import cells

    # By name, because the class imports torch; and the cause, because Hydra wraps errors of constructors.
    skipped = "IncompatiblePairError" in _kinds(error) | _kinds(error.__cause__ or error)
    said = text if _is_users(error) else f"{type(error).__name__}: {text}"
    sys.stderr.write(f"{'Skipped' if skipped else 'Error'}: {said}\n")
    try:
        cells.record_cell_without_result(cfg, said, skipped)
    except Exception as second:
        if not _is_users(second):
            raise
        sys.stderr.write(f"This was not recorded in MLflow: {_error_sentence(second, '', [])}\n")
    return float("nan")


def _is_users(error: Exception) -> bool:
    return isinstance(error, USER_ERRORS) or not _kinds(error).isdisjoint(LATE_USER_ERRORS) or lacks_driver(error)


def _kinds(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _help_text(command: str, examples: str, arguments: list[str], usage: str) -> str:
    """Make the text of `--help`: every key and every option of each group, with one line on each."""
    given = [argument.partition("=")[2] for argument in arguments if argument.startswith("--config-dir=")]
    given += [value for key, value in itertools.pairwise(arguments) if key in ("--config-dir", "-cd")]
    folders = [CONF_DIR, *(Path(folder) for folder in given if Path(folder).is_dir())]
    file = CONF_DIR / f"{command}.yaml"
    text = file.read_text(encoding="utf-8")
    lines = [
        USAGE.format(command=command, purpose=first_comment(file), usage=usage, examples=examples.rstrip()),
        "Keys (KEY=VALUE), with their defaults:",
        "",
    ]
    places = {"": text}
    for shared, node in re.findall(r"^  - /(audio/\w+)@(\w+)$", text, re.MULTILINE):
        places[f"{node}."] = (CONF_DIR / f"{shared}.yaml").read_text(encoding="utf-8")
    for place, keys in places.items():
        for indent, key, value, meaning in re.findall(r"^( *)(\w+): *([^#\n]*?) *# (.+)$", keys, re.MULTILINE):
            name = f"data.{key}" if indent else f"{place}{key}"
            lines.append(f"  {name + '=' + value:<32} {meaning}")
    groups = re.findall(r"^  - (\w+): ", text, re.MULTILINE)
    for group in sorted(groups):
        options = {path.stem: path for folder in reversed(folders) for path in (folder / group).glob("*.yaml")}
        headings = {name: option_heading(name, options) for name in sorted(options)}
        # Options without a heading, such as those of --config-dir, stand last.
        for heading in sorted(set(headings.values()), key=lambda text: (not text, text)):
            lines += ["", f"{group}= {heading or 'one of'}:", ""]
            named = [name for name in headings if headings[name] == heading]
            lines += [f"  {name:<22} {first_comment(options[name])}" for name in named]
    lines += ["", "-m sweeps over comma-separated values; 'glob(*)' means every option of a group.", ""]
    return "\n".join(lines)


def _error_sentence(error: Exception, command: str, arguments: list[str]) -> str:
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        options = error.options or []
        if not options:
            return f"There is no option group {group!r}; python -m dfx.{command} --help lists them."
        hint = did_you_mean(option, options)
        listed = f"Options: {', '.join(options)}."
        return f"{group}={option}: there is no such {group}; {f'{hint} {listed}' if hint else listed}"
    if isinstance(error, ConfigCompositionException):
        return _composition_sentence(error, command, arguments)
    if isinstance(error, OverrideParseException):
        return f"{error.override!r} cannot be read as KEY=VALUE; quote a value with special characters, 'KEY=\"a, b\"'."
    if isinstance(error, InstantiationException):
        cause = error.__cause__
        return _error_sentence(cause, command, arguments) if isinstance(cause, Exception) else str(error)
    if isinstance(error, OSError):
        return files.os_error_sentence(error)
    if (_kinds(error) & TRACKING_ERRORS or lacks_driver(error)) and (sentence := tracking_error_sentence(error)):
        return sentence
    return str(error).strip()


def _composition_sentence(error: Exception, command: str, arguments: list[str]) -> str:
    """Make the error message for an unknown key or for a value of the wrong type."""
    text = f"{error} {error.__cause__ or ''}"
    unknown = re.search(r"Key '([^']+)'(?: is)? not in", text)
    if unknown:
        named = re.search(r"full_key: (\S+)", text) or re.search(r"override '([^']+)'", text) or unknown
        key = named.group(1)
        file = re.search(r"In '([^']+)'", text)
        if file and command != "train":  # an option that sets keys of dfx.train
            option = file.group(1).replace("/", "=", 1)
            return f"{option} sets {key}, which dfx.{command} does not have: it is for dfx.train; choose another."
        if ".corpora." in f".{key}":
            typed = next((a for a in arguments if a.startswith(key)), f"{key}.root=DIR")
            return f"{key}: the options of a corpus that is named are new keys; put a + in front, +{typed}"
        keys = _known_keys(command, arguments, key)
        parent = key.rpartition(".")[0]
        siblings = [k for k in keys if k.rpartition(".")[0] == parent and not k.endswith("_")]
        leaf = key.rpartition(".")[2]
        same = [known for known in keys if known.rpartition(".")[2] == leaf]
        near = f"did you mean {same[0]!r}?" if same else did_you_mean(key, siblings) or did_you_mean(key, keys)
        place = f" (in {file.group(1)}.yaml)" if file else ""
        listed = f"the keys there are {', '.join(siblings)}." if siblings else "--help lists them all."
        return f"{key}: there is no such key{place}; {near or listed}"
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException):
        return f"{cause.full_key}: {str(cause).splitlines()[0]}"
    return " ".join(str(error).split())


def _known_keys(command: str, arguments: list[str], wrong: str) -> list[str]:
    """Return all dotted keys of the configuration, without the override that failed."""
    from hydra import compose, initialize_config_dir

    given = [
        argument
        for argument in arguments
        if "=" in argument and not argument.startswith("-") and argument.split("=")[0].lstrip("+~") != wrong
        if "," not in argument and "(" not in argument
    ]
    for chosen in (given, []):
        try:
            with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
                cfg = compose(command, overrides=chosen)
            leaves = flatten_config(OmegaConf.to_container(cfg, resolve=False))
            return list(dict.fromkeys([*(key.partition(".")[0] for key in leaves), *leaves]))
        except (HydraException, OmegaConfBaseException):
            continue
    return []


def first_comment(path: Path) -> str:
    """Return the first comment line of a YAML file, which says what the file is for."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# ") and "@package" not in line:
            return line[2:].strip()
    return ""


def option_heading(name: str, options: Mapping[str, Path]) -> str:
    """Return the heading of an option in `--help`: its line `# Group: …`, or that of the option that it extends.

    Args:
        name: of the option.
        options: files of all options of its group by name.
    """
    text = options[name].read_text(encoding="utf-8")
    if own := re.search(r"^# Group: (.+)$", text, re.MULTILINE):
        return own.group(1)
    parent = re.search(r"^defaults:\n  - (\w+)\b(?!:)", text, re.MULTILINE)
    return option_heading(parent.group(1), options) if parent and parent.group(1) in options else ""
