"""The review studio, the optional extra [studio]: pages and the keypoint editor."""

from importlib.util import find_spec

from synthstudio.core.errors import StudioError

_PACKAGES = ("streamlit", "sqlalchemy", "fastapi", "itsdangerous", "authlib", "httpx", "plotly")
if _missing := [name for name in _PACKAGES if find_spec(name) is None]:
    raise StudioError(
        f"the studio needs packages that are not installed: {', '.join(_missing)}",
        where="studio",
        then='Install them with: pip install "synthstudio[studio]"',
    )
