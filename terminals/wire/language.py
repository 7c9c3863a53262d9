"""The language in which a command line speaks: Korean, or English with NARU_LANG=en.

The code holds the English text; terminals/locale has the Korean one. The server's own texts come from Django."""

import gettext as catalogues
import os
from pathlib import Path

_FOLDER = Path(__file__).resolve().parents[1] / "locale"


def _texts() -> catalogues.NullTranslations:
    if os.environ.get("NARU_LANG", "").strip() == "en":
        return catalogues.NullTranslations()
    return catalogues.translation("django", _FOLDER, languages=["ko"], fallback=True)


gettext = _texts().gettext
