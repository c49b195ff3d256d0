"""README and .env.example name every setting with the default that the code has."""

import re
from pathlib import Path

from daemon.cli.root import settings_table
from daemon.core.settings import SECTIONS

ROOT = Path(__file__).parents[3]
NAMES = {str(field.alias) for section in SECTIONS.values() for field in section.model_fields.values()}


def test_the_readme_has_the_table_that_the_code_gives() -> None:
    readme = (ROOT / "README.md").read_text()
    shown = readme.partition("<!-- settings -->\n")[2].partition("<!-- /settings -->")[0]
    assert shown == settings_table(), "put the output of `blazz settings --markdown` between the two marks"


def test_the_example_names_every_setting_and_no_other() -> None:
    named = set(re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert named == NAMES
