"""Upload an export or an adapter to the Hugging Face Hub; files that could run code when loaded are refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.checkpoints.provenance import PROVENANCE
from foundation.errors import CheckpointError
from foundation.models.folder import read_object
from foundation.redaction import published
from foundation.released import released

if TYPE_CHECKING:
    from huggingface_hub import HfApi

#: Required files of an export, of an adapter to a task and of one to a domain, and optional files of all.
EXPORT = frozenset({"config.json", "model.safetensors", "README.md"})
ADAPTER = frozenset({"adapter_config.json", "adapter_model.safetensors", "head.safetensors", "task.json"})
DOMAIN = frozenset({"adapter_config.json", "adapter_model.safetensors", "domain.json", "pretraining.json"})
OPTIONAL = frozenset(
    {
        *("README.md", "LICENSE", "pretraining.json", "content_hashes.safetensors", "preprocessor_config.json"),
        *("calibration.safetensors", "memory.safetensors"),
    }
)

#: What `wfm finetune` writes beside an adapter, for its own user.
LEFT_OUT = frozenset({"predictions.json", "report.html"})

#: Formats that run code when they are loaded.
PICKLE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib"})


def push(folder: Path, repo_id: str, *, private: bool = False, tag: str | None = None) -> str:
    """Upload the files of `folder` in one commit to the model repository `repo_id`, created where it is missing.

    The endpoint is `HF_ENDPOINT` (default https://huggingface.co), the token the one of `hf auth login` or `HF_TOKEN`.

    Args:
        folder: an export (config.json, model.safetensors, README.md) or an adapter (adapter_config.json,
            adapter_model.safetensors, head.safetensors, task.json).
        private: create the repository private. A repository that is already public is refused, not published to.
        tag: name of a new tag on the uploaded commit.

    Returns:
        The address of the uploaded files.

    Raises:
        CheckpointError: the folder is not fit to be shared; there is no token, or it may not write; the name is not
            valid or the tag is taken; the Hub cannot be reached.
    """
    names = shareable_files(folder)
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # httpx's or httpx2's, by version

    if get_token() is None:
        raise CheckpointError("push needs a token that may write: run 'hf auth login', or set HF_TOKEN.")
    api = HfApi()
    try:
        return _upload(api, folder, repo_id, names, private=private, tag=tag)
    # The client wraps a failed upload of a large file in a RuntimeError and reports a bad name as a ValueError.
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(_explain(error, repo_id, api.endpoint)) from error


def shareable_files(folder: Path) -> list[str]:
    """Names of the files to upload, after checking that they are complete, expected and readable.

    Raises:
        CheckpointError: a file is missing, unexpected, in a format that runs code when loaded, damaged, or names an
            address that may carry a secret.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder; write one with 'wfm hub export'.")
    entries = {path.name: path for path in sorted(folder.iterdir()) if path.name not in LEFT_OUT}
    for path in entries.values():
        if path.suffix.lower() in PICKLE_SUFFIXES:
            raise CheckpointError(f"{path}: can run code when it is loaded; remove it and share safetensors.")
        if path.is_symlink() or not path.is_file():
            raise CheckpointError(f"{path}: expected a plain file; links and folders are not uploaded, remove it.")
    required = EXPORT
    if "adapter_config.json" in entries:
        required = DOMAIN if "domain.json" in entries else ADAPTER
    if missing := sorted(required - entries.keys()):
        what = "an export" if required is EXPORT else "an adapter"
        raise CheckpointError(f"{folder}: {missing[0]} is missing; {what} holds {', '.join(sorted(required))}.")
    if unexpected := sorted(entries.keys() - required - OPTIONAL):
        raise CheckpointError(f"{folder / unexpected[0]}: not part of what is shared; move it out of the folder.")
    for path in entries.values():
        _check_content(path)
    return list(entries)


def _check_content(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        if path.suffix == ".json":
            content = read_object(path)
            shown = content.get("recipe") if path.name == PROVENANCE else content  # a homepage may have a query
            if published(shown) != shown:
                raise CheckpointError(
                    f"{path}: holds an address with a user, a query or a command, which may carry a key; export again, "
                    "or take it out."
                )
            if path.name == "adapter_config.json":
                _warn_of_base(path, content.get("base_model_name_or_path"))
        elif path.suffix == ".safetensors":
            with safe_open(path, "np"):  # reads the header and compares it with the file's length
                pass
    except (ValueError, RecursionError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); export again.") from error


def _warn_of_base(path: Path, base: Any) -> None:
    """An adapter that names a folder as its base cannot find it elsewhere."""
    if isinstance(base, str) and base not in released() and Path(base).exists():
        warnings.warn(
            f"{path}: its base is the folder {base}, which others do not have; push that too, and write its name on "
            "the Hub in place of the folder's as base_model_name_or_path.",
            stacklevel=4,
        )


def _upload(api: HfApi, folder: Path, repo_id: str, names: list[str], *, private: bool, tag: str | None) -> str:
    url = api.create_repo(repo_id, private=private or None, exist_ok=True)
    if private and not api.model_info(url.repo_id).private:
        raise CheckpointError(
            f"{url} is public already, and a private upload was requested; choose another name or change its settings."
        )
    if tag and api.revision_exists(url.repo_id, tag):
        raise CheckpointError(f"{url} already has a revision named {tag!r}; choose another tag.")
    commit = api.upload_folder(
        repo_id=url.repo_id, folder_path=folder, allow_patterns=names, commit_message="Upload with wfm hub push"
    )
    if tag:
        api.create_tag(url.repo_id, tag=tag, revision=commit.oid)
    return f"{url}/tree/{tag or 'main'}"


def _explain(error: Exception, repo_id: str, endpoint: str) -> str:
    """The error in one sentence, from the status code and never from request headers, which contain the token."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    if isinstance(error, HFValidationError):
        return f"{repo_id!r} is not a valid repository name ({error}); expected 'organisation/name'."
    if isinstance(error, OfflineModeIsEnabled):
        return f"push needs the network and HF_HUB_OFFLINE is set; unset it to upload to {endpoint}."
    if not isinstance(error, HfHubHTTPError):
        refused = isinstance(error, ValueError | RuntimeError)
        what = f"did not take the upload to {repo_id}" if refused else "cannot be reached"
        return f"{endpoint} {what} ({error}); check the network and HF_ENDPOINT, then push again."
    status = error.response.status_code
    if status == 401:
        return f"{endpoint} does not accept the token (status 401); run 'hf auth login', or set HF_TOKEN."
    if status == 403:
        return f"{endpoint}: the token may not write to {repo_id} (status 403); use one with write access to it."
    return f"{endpoint} refused the upload to {repo_id} (status {status}: {error.server_message or 'no reason given'})."
