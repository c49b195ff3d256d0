"""The text that goes into the page, and the bundle in it."""

from pathlib import Path

import pytest

from daemon.core.errors import FatalError
from shards.page import bundle as bundles
from shards.page.bundle import Bundle, load_bundle
from shards.page.script import call_expression, document_script, page_origin


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://web.whatsapp.com/", "https://web.whatsapp.com"),
        ("https://WEB.whatsapp.com:443/x?y", "https://web.whatsapp.com"),
        ("http://127.0.0.1:8090/", "http://127.0.0.1:8090"),
        ("http://[::1]:8090/", "http://[::1]:8090"),
        ("http://localhost:80", "http://localhost"),
    ],
)
def test_origin(url: str, origin: str) -> None:
    assert page_origin(url) == origin


def test_the_script_acts_only_in_the_main_frame_of_its_origin_and_sets_wa_js_first() -> None:
    script = document_script(Bundle(source="BUNDLE", version="1"), "https://web.whatsapp.com", 8.0)
    first = script.splitlines()[0]
    assert first == 'if (window === window.top && location.origin === "https://web.whatsapp.com") {'
    assert script.index('"disableGoogleAnalytics": true') < script.index("BUNDLE") < script.index("(options) =>")
    assert '"linkPreviewApiServers": []' in script
    assert script.rstrip("}\n").endswith('"holdMs": 8000});')


def test_arguments_cannot_leave_their_text() -> None:
    expression = call_expression("sendText", "1", "'\"</script>\u2028`${x}\\", None, 5)
    assert expression.endswith('["1", "\'\\"</script>\\u2028`${x}\\\\", null, 5]) : null')


def test_another_bundle_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mine.js"
    path.write_text("self.WPP = {}")
    assert load_bundle(path).source == "self.WPP = {}"


def test_a_missing_or_changed_bundle_names_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_bundle.cache_clear()
    monkeypatch.setattr(bundles, "_VENDORED", tmp_path / "wppconnect-wa.js")
    with pytest.raises(FatalError) as missing:
        load_bundle()
    assert "bin/setup" in missing.value.hint
    (tmp_path / "wppconnect-wa.js").write_text("changed")
    with pytest.raises(FatalError, match="SHA-256") as changed:
        load_bundle()
    assert "bin/setup" in changed.value.hint
    load_bundle.cache_clear()
