"""What every command shares at the prompt: `--help` that teaches, and one sentence instead of a stack trace."""

from __future__ import annotations

import functools
import itertools
import os
import re
import sys
import traceback
from collections.abc import Callable
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

from dfx.cli import sweep
from dfx.config.corpora import expand
from dfx.config.schema import CONF_DIR, closest, flatten, register_schema
from dfx.tracking import launchers

USER_ERRORS = (HydraException, OmegaConfBaseException, ValueError, OSError)
# The same of libraries that --help must not import, by name.
LATE_USER_ERRORS = (
    "MisconfigurationException",
    "MlflowException",
    # A launcher's worker that died, as of too little memory.
    "TerminatedWorkerError",
    "WorkerCrashedError",
    "UncompletedJobError",
    "FailedJobError",
)

USAGE = """dfx.{command}: {purpose}

  python -m dfx.{command} [GROUP=OPTION ...] [KEY=VALUE ...]

{examples}
"""


def run(command: str, purpose: str, examples: str, job: Callable[[DictConfig], Any]) -> None:
    """Run a command under Hydra: `job` gets the composed configuration; an error of the user's becomes a sentence.

    Args:
        command: the name of the module and of `conf/COMMAND.yaml`.
        purpose: one line for `--help`.
        examples: lines for `--help`, commands to type.
        job: called with the configuration, in which every corpus that is named is filled in.

    With HYDRA_FULL_ERROR=1 in the environment the whole stack trace is shown instead.
    """
    arguments = sys.argv[1:]
    if "--help" in arguments or "-h" in arguments:
        sys.stdout.write(help_text(command, purpose, examples, arguments))
        return
    wants_trace = os.environ.get("HYDRA_FULL_ERROR", "0") not in ("", "0")
    # OpenMP threads spin while they wait, so that two runs on one machine slow each other down tenfold.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # what people run is theirs
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then lets exceptions through, and the sentence is made here
    register_schema()
    launchers.register()

    @functools.wraps(job)
    def told(cfg: DictConfig) -> Any:
        try:
            return job(expand(cfg))
        except Exception as error:
            wanted = wants_trace or not _is_users(error)
            text = sentence(error, command, arguments)
            if launchers.PARENT in os.environ and HydraConfig.get().mode == RunMode.MULTIRUN:
                if wanted:
                    traceback.print_exc()
                return _no_result(cfg, error, text)  # a sweep goes on with the next cell
            if launchers.PARENT in os.environ and os.environ.get("LOCAL_RANK", "0") == "0":
                if wanted:
                    traceback.print_exc()
                # The first process of a cell that has its own: only here it is known what went wrong.
                _no_result(cfg, error, text)
                raise SystemExit(launchers.RECORDED) from None
            if wanted:
                raise
            if HydraConfig.get().mode == RunMode.RUN:
                raise SystemExit(f"Error: {text}") from None
            # The next job is done all the same, and the command fails at its end.
            sys.stderr.write(f"Error: {text}\n")
            raise

    try:
        with sweep.kept():
            hydra.main(config_path=str(CONF_DIR), config_name=command, version_base="1.3")(told)()
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, SystemExit) and not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        # Lightning makes a SystemExit of Ctrl-C.
        raise SystemExit("Interrupted; the same command continues from the last checkpoint.") from None
    except Exception as error:
        if wants_trace or not _is_users(error):
            raise
        raise SystemExit(f"Error: {sentence(error, command, arguments)}") from None


def _no_result(cfg: DictConfig, error: Exception, text: str) -> float:
    """Keep with the sweep why a cell of it has no result; what the cell gives its sweeper then."""
    from dfx.tracking import cells

    # By its name, because torch comes with the class. Hydra wraps what a constructor raises.
    kinds = {kind.__name__ for cause in (error, error.__cause__) for kind in type(cause).__mro__}
    skipped = "IncompatiblePairError" in kinds
    said = text if _is_users(error) else f"{type(error).__name__}: {text}"
    sys.stderr.write(f"{'Skipped' if skipped else 'Error'}: {said}\n")
    cells.record(cfg, said, skipped)
    return float("nan")


def _is_users(error: Exception) -> bool:
    return isinstance(error, USER_ERRORS) or type(error).__name__ in LATE_USER_ERRORS


def help_text(command: str, purpose: str, examples: str, arguments: list[str]) -> str:
    """Every key of the root and every option of every group, each with its one line of meaning."""
    folders = [CONF_DIR, *_config_dirs(arguments)]
    text = (CONF_DIR / f"{command}.yaml").read_text(encoding="utf-8")
    lines = [
        USAGE.format(command=command, purpose=purpose, examples=examples.rstrip()),
        "Keys (KEY=VALUE), with their defaults:",
        "",
    ]
    for match in re.finditer(
        r"^( *)(\w+): *([^#\n]*?) *# (.+)$",
        text,
        re.MULTILINE,
    ):
        indent, key, value, meaning = match.groups()
        name = f"data.{key}" if indent else key
        lines.append(f"  {name + '=' + value:<32} {meaning}")
    groups = re.findall(r"^  - (\w+): ", text, re.MULTILINE)
    for group in sorted(groups):
        lines += ["", f"{group}= one of:", ""]
        options = {
            path.stem: path for folder in reversed(folders) for path in (folder / group).glob("*.yaml")
        }
        lines += [f"  {name:<22} {_meaning(path)}" for name, path in sorted(options.items())]
    lines += ["", "-m sweeps over comma-separated values; 'glob(*)' means every option of a group.", ""]
    return "\n".join(lines)


def sentence(error: Exception, command: str, arguments: list[str]) -> str:
    """The error as one sentence that says what is wrong, what was got and what to do."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        options = error.options or []
        if not options:
            return f"There is no option group {group!r}; python -m dfx.{command} --help lists them."
        hint = closest(option, options)
        listed = f"Options: {', '.join(options)}."
        return f"{group}={option}: there is no such {group}; {f'{hint} {listed}' if hint else listed}"
    if isinstance(error, ConfigCompositionException):
        return _composition_sentence(error, command, arguments)
    if isinstance(error, OverrideParseException):
        return f"{error.override!r} cannot be read as KEY=VALUE; quote a value with special characters, 'KEY=\"a, b\"'."
    if isinstance(error, InstantiationException):
        return str(error.__cause__ or error)
    return str(error).strip()


def _composition_sentence(error: Exception, command: str, arguments: list[str]) -> str:
    """The sentence for a key that does not exist, on the command line or in a file, or a value of the wrong type."""
    text = f"{error} {error.__cause__ or ''}"
    unknown = re.search(r"Key '([^']+)'(?: is)? not in", text)
    if unknown:
        named = re.search(r"full_key: (\S+)", text) or re.search(r"override '([^']+)'", text) or unknown
        key = named.group(1)
        file = re.search(r"In '([^']+)'", text)
        if file and command != "train":  # an option that sets keys of a run
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
        near = f"did you mean {same[0]!r}?" if same else closest(key, siblings) or closest(key, keys)
        place = f" (in {file.group(1)}.yaml)" if file else ""
        listed = f"the keys there are {', '.join(siblings)}." if siblings else "--help lists them all."
        return f"{key}: there is no such key{place}; {near or listed}"
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException):
        return f"{cause.full_key}: {str(cause).splitlines()[0]}"
    return " ".join(str(error).split())


def _known_keys(command: str, arguments: list[str], wrong: str) -> list[str]:
    """Every dotted key of the configuration as it would be without the override that failed."""
    from hydra import compose, initialize_config_dir

    kept = [
        argument
        for argument in arguments
        if "=" in argument and not argument.startswith("-") and argument.split("=")[0].lstrip("+~") != wrong
    ]
    kept = [argument for argument in kept if "," not in argument and "(" not in argument]
    for overrides in (kept, []):
        try:
            with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
                cfg = compose(command, overrides=overrides)
            leaves = flatten(OmegaConf.to_container(cfg, resolve=False))
            return list(dict.fromkeys([*(key.partition(".")[0] for key in leaves), *leaves]))
        except (HydraException, OmegaConfBaseException):
            continue
    return []


def _config_dirs(arguments: list[str]) -> list[Path]:
    folders = [a.partition("=")[2] for a in arguments if a.startswith("--config-dir=")]
    folders += [b for a, b in itertools.pairwise(arguments) if a in ("--config-dir", "-cd")]
    return [Path(folder) for folder in folders if Path(folder).is_dir()]


def _meaning(path: Path) -> str:
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# ") and "@package" not in line:
            return line[2:].strip()
    return ""
