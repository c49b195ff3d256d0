"""The code in docs/laravel.md is PHP that runs, and the page leaves out no problem."""

import hmac
import json
import random
import re
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from daemon.webhooks import signature
from daemon.webhooks.signature import TOLERANCE_S, sign, verify
from tests.php.application import Console, LaravelApplication, Thrown
from tests.php.documented import PAGE, blocks

SECRET = "a-secret-of-the-tests-é"
OTHER = "another-secret-of-the-tests"
NOW = 1_769_860_800


@pytest.fixture(scope="module")
def application(home: Path) -> LaravelApplication:
    return LaravelApplication(home, url="http://127.0.0.1:1", token="t", secrets=SECRET, BLAZZ_WEBHOOK_TOLERANCE="300")


@pytest.fixture(scope="module")
def console(application: LaravelApplication) -> Iterator[Console]:
    with application.console() as console:
        yield console


def test_every_block_is_php_without_a_syntax_error(tmp_path: Path) -> None:
    found = blocks()
    assert len(found) > 40 and PAGE.read_text().count("```php") == len(found)
    names = []
    for block in found:
        assert block.code.startswith("<?php"), f"line {block.line}"
        names.append(tmp_path / f"line{block.line:04d}.php")
        names[-1].write_text(block.code)
    # One process for each file would take longer than all other tests of this file.
    done = subprocess.run(
        ["xargs", "-n1", "-P2", "php", "-l"],
        input="\n".join(map(str, names)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_documented_class_loads_and_is_where_its_name_says(console: Console) -> None:
    paths = [block.path for block in blocks() if block.path and block.path.startswith("app/")]
    assert len(paths) == len(set(paths)) > 30
    names = ["App\\" + path.removeprefix("app/").removesuffix(".php").replace("/", "\\") for path in paths]
    code = "return array_values(array_filter(json_decode('%s'), fn ($n) => ! class_exists($n) && ! enum_exists($n)));"
    assert console.run(code % json.dumps(names).replace("\\", "\\\\")) == []


def test_the_page_says_what_to_do_on_each_problem_of_the_api() -> None:
    errors = (PAGE.parent / "errors.md").read_text().partition("## Inside")[0]
    codes = set(re.findall(r"^\| `(\w+)` \| \d{3} \|", errors, re.MULTILINE))
    table = PAGE.read_text().partition("## What to do on each problem")[2].partition("\n## ")[0]
    assert len(codes) > 15
    missing = codes - set(re.findall(r"`(\w+)`", table))
    assert not missing, f"add to the table of problems in docs/laravel.md: {missing}"


def test_the_signature_of_the_page_agrees_with_the_daemons(console: Console) -> None:
    chosen = random.Random(5)
    bodies = [
        b"",
        b"{}",
        '{"body":"olá 😀 \\u0000 日本"}'.encode(),
        b"  spaces stay \r\n",
        b"\xff\xfe\x00 not UTF-8",
        chosen.randbytes(5000),
    ]
    vectors = []
    for body in bodies:
        good = sign(SECRET, NOW, body)
        stamps = [str(NOW), f"0{NOW}", f"-{NOW}", f" {NOW}", f"{NOW}\n", "", "1e9", "９" * 10, "9" * 400, str(NOW + 1)]
        vectors += [(SECRET, stamp, body, good, NOW) for stamp in stamps]
        vectors += [(SECRET, str(NOW), body, good, NOW + late) for late in (TOLERANCE_S, TOLERANCE_S + 1, -301)]
        vectors += [
            (OTHER, str(NOW), body, good, NOW),
            (SECRET, str(NOW), body + b" ", good, NOW),
            (SECRET, str(NOW), body, good.upper(), NOW),
            (SECRET, str(NOW), body, good.removeprefix("sha256="), NOW),
            (SECRET, str(NOW), body, good[:-1], NOW),
            (SECRET, str(NOW), body, "", NOW),
            (SECRET, str(NOW), body, "sha256=", NOW),
        ]
    pairs = ([OTHER, SECRET], [SECRET, OTHER], [OTHER], ["x"] * 3 + [SECRET], ["x"] * 4 + [SECRET])
    vectors += [(SECRET, str(NOW), b"{}", signature.sign_all(pair, NOW, b"{}"), NOW) for pair in pairs]
    expected = [verify(secret, stamp, body, given, now=now) for secret, stamp, body, given, now in vectors]
    asked = [[secret, stamp, body.hex(), given, now] for secret, stamp, body, given, now in vectors]
    console_file = "vectors.json"
    code = f"""
        $said = [];
        $vectors = json_decode(file_get_contents(base_path('{console_file}')), true);
        foreach ($vectors as [$secret, $at, $body, $given, $now]) {{
            $signature = new App\\Services\\Blazz\\WebhookSignature([$secret], 300);
            $said[] = $signature->isGenuine($at, hex2bin($body), $given, $now);
        }}
        return $said;"""
    (Path(console.run("return base_path();")) / console_file).write_text(json.dumps(asked))
    assert console.run(code) == expected
    assert expected.count(True) in (2 * len(bodies), 2 * len(bodies) + 3)


@pytest.mark.parametrize(
    ("secrets", "signed_with", "genuine"),
    [
        ([OTHER, SECRET], [SECRET], True),
        ([OTHER], ["old", OTHER], True),
        (["new", OTHER], ["old", "new"], True),
        (["new", ""], ["old", "older"], False),
        ([SECRET], [""], False),
        ([SECRET], ["x"] * 3 + [SECRET], True),
        ([SECRET], ["x"] * 4 + [SECRET], False),
    ],
)
def test_any_signature_with_any_secret_counts(
    console: Console, secrets: list[str], signed_with: list[str], genuine: bool
) -> None:
    given = ", ".join(f"sha256={hmac.new(s.encode(), b'%d.body' % NOW, sha256).hexdigest()}" for s in signed_with)
    known = "json_decode('" + json.dumps(secrets, ensure_ascii=False) + "')"
    code = (
        f"return (new App\\Services\\Blazz\\WebhookSignature({known}))->isGenuine('{NOW}', 'body', '{given}', {NOW});"
    )
    assert console.run(code) is genuine


def test_without_a_secret_nothing_can_be_genuine(console: Console) -> None:
    with pytest.raises(Thrown, match="BLAZZ_WEBHOOK_SECRETS is empty"):
        console.run("return new App\\Services\\Blazz\\WebhookSignature(['', '']);")


def test_the_example_of_a_faked_daemon_works(console: Console) -> None:
    example = next(b.code for b in blocks() if b.path is None and "Http::fake" in b.code)
    code = example.replace("<?php", "") + "\nreturn $e->problemCode;"
    assert console.run(code) == "session_not_connected"
