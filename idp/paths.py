"""paths — where templates, migrations and the example configuration lie: beside the package in a checkout, inside it in a wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def find(name: str) -> Path:
    """Return the path of a top-level part (`templates`, `migrations`, `config.example.toml`).

    A checkout has it beside the package, an installed wheel inside (directories with a leading underscore).
    Raises FileNotFoundError when the installation is incomplete.
    """
    candidates = (_PACKAGE.parent / name, _PACKAGE / f"_{name}", _PACKAGE / name)
    for path in candidates:
        if path.exists() and (path.parent != _PACKAGE.parent or _is_checkout()):
            return path
    raise FileNotFoundError(f"{name} is missing from this installation of idp; install it again")


def _is_checkout() -> bool:
    return (_PACKAGE.parent / "pyproject.toml").exists()
