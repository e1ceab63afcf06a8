"""Nothing secret survives, in any form in which people and libraries write secrets; what is none stays; and no text takes long."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterator
from itertools import product
from re import _constants as constants
from re import _parser as parser
from typing import Any

import pytest

from quantlab.core import redaction
from quantlab.core.redaction import hide_known, hide_secret_options, hide_values, redact
from quantlab.core.secrets import names, texts
from quantlab.core.secrets.names import is_secret_name
from quantlab.core.secrets.texts import HIDDEN

NAMES = (
    "apiKey", "api_key", "API-KEY", "X-MBX-APIKEY", "X-BAPI-API-KEY", "X-BAPI-SIGN", "OK-ACCESS-KEY", "OK-ACCESS-SIGN",
    "OK-ACCESS-PASSPHRASE", "KC-API-SIGN", "secret", "secretKey", "client_secret", "SECRET_ACCESS_KEY", "password", "passwd",
    "db_password", "pwd", "passphrase", "token", "access_token", "refreshToken", "TELEGRAM_BOT_TOKEN", "listenKey", "signature",
    "sign", "sig", "privateKey", "wallet_private_key", "mnemonic", "seed_phrase", "Authorization", "Cookie", "Set-Cookie",
    "credential", "aws_credentials", "key", "session_id", "jwt", "auth", "pass", "db_pass", "totp", "app_key", "consumer_key",
    "AccountKey", "ssh_key", "master_key", "webhook_url",
)  # fmt: skip
FORMS = (
    "{name}={value}", "?{name}={value}&x=1", "{name}='{value}'", '{name}="{value}"', '"{name}": "{value}"', "'{name}': '{value}'",
    '{{\\"{name}\\": \\"{value}\\"}}', "{name} = {value}", "{name}=%27{value}%27", "('{name}' => '{value}')",
    "{name}=b'{value}'", "{{b'{name}': b'{value}'}}", "{name}=SecretStr('{value}')", "('{name}', '{value}')", "[b'{name}', b'{value}']",
    "{name}=['x', '{value}']", '"{name}": ["x","{value}"]', "{name}=({value}, 1)", "{name}='correct {value} battery'",
    "{name}='it\\'s {value}'", '"{name}":\n "{value}"', "{name}%3D{value}", "%22{name}%22%3A%22{value}%22", "--{name} {value}",
    '{name}="""{value}"""', "{name}=`{value}`", "{name}=ab,{value}", "{name}=ab;{value}", "{name}=ab&{value}", "{name}=ab'{value}",
    '\\\\\\"{name}\\\\\\":\\\\\\"a {value}\\\\\\"', "note='my {name}={value} it is'", "++job.settings.{name}={{user: {value}}}",
)  # fmt: skip
SHA256 = "4f3edf983ac636a65a842ce7c78d9aa706d3b113bce9c46f30d7d21715b23b1d"
VALUES = ("hunter2", "b3-f_9.x", "correcthorse")
SHAPED = (
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1",
    "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    "4f3edf983ac636a65a842ce7c78d9aa706d3b113bce9c46f30d7d21715b23b1d",
    "0x4f3edf983ac636a65a842ce7c78d9aa706d3b113bce9c46f30d7d21715b23b1d",
    "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY12",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "xoxb-17653672481-19874698323",
    "AKIAIOSFODNN7EXAMPLE",
    "sk-abcdefghij0123456789",
    "glpat-abcdEFGH1234ijklMNOP",
    "xapp-1-A02-123-abc",
    "ASIAIOSFODNN7EXAMPLE",
)
AROUND = (
    "{0}",
    "the key is {0}",
    "rejected: {0}.",
    "GET https://example.com/{0}/me",
    "[{0}]",
    "bot{0}",
    "('{0}',)",
    "sent {0}, got 401",
)


@pytest.mark.parametrize("form", FORMS)
def test_what_stands_under_a_secrets_name_is_hidden(form: str) -> None:
    for name, value in product(NAMES, VALUES):
        text = form.format(name=name, value=value)
        shown = redact(f"before {text} after")
        assert value not in shown, text
        assert HIDDEN in shown
        assert shown.startswith("before ")
        assert shown.endswith(" after")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "key"])
def test_headers_are_hidden(name: str) -> None:
    for value in VALUES:
        assert value not in redact(f"{name}: {value}\nHost: x")
        assert value not in redact(f"{name}: Bearer {value}\r\nHost: x")
        assert redact({"headers": [{name: value}]}) == {"headers": [{name: HIDDEN}]}


@pytest.mark.parametrize("secret", SHAPED)
def test_what_looks_like_a_secret_is_hidden_wherever_it_stands(secret: str) -> None:
    for around in AROUND:
        if around == "bot{0}" and ":" not in secret:
            continue
        assert secret not in redact(around.format(secret)), around


def test_logins_webhooks_and_private_keys_are_hidden() -> None:
    for text, secret in (
        ("https://user:hunter2@proxy.example:8080/path", "hunter2"),
        ("postgresql+psycopg://u:p4ss@db/x", "p4ss"),
        ("https://ghostly@github.com/x", "ghostly"),
        ("https://u:p4@ss@host/", "ss@"),
        ("https://u:p4/ss@host/", "ss@"),
        ("redis://:p4ss@host", "p4ss"),
        ("curl -u user:p4ss https://x", "p4ss"),
        ('Digest username="u", response="p4ss"', "p4ss"),
        ('Authorization: Digest username="u", response="p4ss"', "p4ss"),
        ("Authorization: ApiKey p4ss", "p4ss"),
        ("authorization: JWT p4ss", "p4ss"),
        ("Authorization: Negotiate p4ss", "p4ss"),
        ("Authorization: AWS4-HMAC-SHA256 Credential=AK/x, Signature=p4ss", "p4ss"),
        ("Cookie: a=1; id=p4ss; b=2", "p4ss"),
        ("Set-Cookie: sid=p4ss; Path=/", "p4ss"),
        ("${oc.env:X,p4ss} and ${oc.env:Y,{a: p4ss}}", "p4ss"),
        ("https://hooks.slack.com/services/T00/B00/abcxyz", "abcxyz"),
        ("https://discord.com/api/webhooks/123/abcxyz", "abcxyz"),
        ("Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("a -----BEGIN EC PRIVATE KEY-----\nMHcCAQ\n-----END EC PRIVATE KEY----- b", "MHcCAQ"),
        ("-----BEGIN PRIVATE KEY-----\nMHcCAQ and no end", "MHcCAQ"),
    ):
        assert secret not in redact(text)
    whole = "a -----BEGIN EC PRIVATE KEY-----\nMHcCAQ\n-----END EC PRIVATE KEY----- b"
    assert redact(whole) == f"a {HIDDEN} b"


@pytest.mark.parametrize(
    "text",
    [
        "equity 10000.25 USD on 2025-03-16T00:00:00Z",
        "order 1742083200000-BTC-increase",
        "runs/paper/baseline/journal.db",
        "signal=0.5 design=new signs: 3 monkey=1",
        "a known key: did you mean cash?",
        "KeyError: 'close'",
        "expected features.interval_ms = 300000; found 60000",
        "learning.members.xgboost.max_rounds=10",
        "quantlab.trading.strategy.policies.EnsembleThreshold",
        "/srv/Market1/quantlab/models/bundles/ensemble_v2-20261130",
        "/srv/Market1/quantlab/models/bundles/Ensemble_v2-20261130_203224_832-8b57f69a",
        "runs/paper/Experiment2_ABCdef/20261130_203224_832-8b57f69a/journal.db",
        "quantlab/trading/signals/MovingAverageSignal2Long_Name_Of_Class",
        "/srv/pytest-of-Market/pytest-12/test_A1/sessions_and_more_folders_here/journal.db",
        f"expected a sha256 {SHA256}; found {SHA256[::-1]}. Restore it",
        f"the strategy {SHA256} in good",
        f"metrics_sha256={SHA256} fingerprint: {SHA256}",
        "1742083200000-1000PEPEUSDT-IncreaseTheLong",
        "tokens=5 max_tokens: 12 session_id: 7",
        "sign: BUY",
        "pwd: /srv/quantlab",
        "secret: none, token: expired",
        "set secret: to ${oc.env:X}",
        "leveraged_tokens: 12 of 400 excluded",
        "fapi/v1/order?symbol=BTCUSDT&side=BUY&quantity=0.5&timestamp=1742083200000&recvWindow=5000",
    ],
)
def test_what_is_not_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_facts_keep_hashes_and_counts_and_lose_what_is_named() -> None:
    facts = {
        "metrics_sha256": SHA256,
        "tokens": 5,
        "apiKey": 1,
        "value": SHA256,
        "password": {"a": ["b"]},
        "found": SHA256,
    }
    assert redact(facts) == {**facts, "apiKey": HIDDEN, "value": HIDDEN, "password": HIDDEN}


def test_random_keys_of_any_length_are_hidden() -> None:
    """Keys of 32 and more letters and digits, with and without the marks of base64: drawn, not chosen."""
    draw = random.Random(17)  # noqa: S311 - a test
    for marks, length in product(("", "+/", "-_"), (40, 48, 64, 88)):
        letters = string.ascii_letters + string.digits + marks
        keys = ["x" + "".join(draw.choices(letters, k=length)) for _ in range(300)]
        shown = [redact(f"sent {key}, got 401") for key in keys]
        assert sum(HIDDEN not in text for text in shown) == 0


@pytest.fixture
def known() -> Iterator[None]:
    before = set(redaction._known)
    yield
    redaction._known.clear()
    redaction._known.update(before)


def test_values_that_are_known_to_be_secret_are_hidden_whatever_they_look_like(known: None) -> None:
    hide_values(["correct horse", "correct horse battery", "1", ""])
    assert redact("it is correct horse battery, 1") == f"it is {HIDDEN}, 1"
    assert redact({"note": ["correct horse"]}) == {"note": [HIDDEN]}
    assert hide_known("order 4f3edf983ac636a65a842ce7c78d9aa7 of correct horse") == (
        f"order 4f3edf983ac636a65a842ce7c78d9aa7 of {HIDDEN}"
    )


def test_options_keep_references_and_lose_secrets() -> None:
    config = {
        "a": {"apiKey": "x1", "secret": "${oc.env:S}", "token": None, "pin": 1234, "max_tokens": 5},
        "excluded": {"leveraged_token": {"names": ["UP"]}},
        "tokens": ["x", "${oc.env:S}"],
        "credentials": {"user": "u", "deep": [{"x": 1}], "key": "ab${oc.env:S}"},
        "url": "https://u:p4ss@h/",
        "note": "my password=abc",
        "fallback": "${oc.env:S,typed}",
    }
    assert hide_secret_options(config) == {
        "a": {"apiKey": HIDDEN, "secret": "${oc.env:S}", "token": None, "pin": HIDDEN, "max_tokens": 5},
        "excluded": {"leveraged_token": {"names": ["UP"]}},
        "tokens": [HIDDEN, "${oc.env:S}"],
        "credentials": {"user": HIDDEN, "deep": [{"x": HIDDEN}], "key": HIDDEN},
        "url": f"https://{HIDDEN}@h/",
        "note": f"my password={HIDDEN}",
        "fallback": f"${{oc.env:S,'{HIDDEN}'}}",
    }
    assert not is_secret_name("signal")


def patterns() -> Iterator[re.Pattern[str]]:
    """Every pattern that texts are read with."""
    for module in (redaction, names, texts):
        for value in vars(module).values():
            yield from (one for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, re.Pattern))


def open_ended(pattern: Any) -> Iterator[Any]:
    """Repetitions without an upper bound that may give back what they took, of a parsed pattern."""
    for operation, argument in pattern:
        if operation in (constants.MAX_REPEAT, constants.MIN_REPEAT) and argument[1] is constants.MAXREPEAT:
            yield argument
        for inner in argument if isinstance(argument, tuple) else (argument,):
            if isinstance(inner, parser.SubPattern):
                yield from open_ended(inner)
            elif isinstance(inner, list):
                yield from (
                    found for branch in inner if isinstance(branch, parser.SubPattern) for found in open_ended(branch)
                )


def test_no_pattern_steps_back_over_what_it_has_read() -> None:
    """So the work grows with the length of a text and not faster, whatever the text."""
    found = list(patterns())
    assert len(found) > 20
    for pattern in found:
        if pattern is names.WORD:  # its run of capitals gives back one letter: what is left of it passes the look ahead
            continue
        assert not list(open_ended(parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE))), pattern.pattern
    for steps_back in (r"(?:a|b+)c", r"(a*)b", r"(?=a+b)", r"(?:(?:x{2,})y)?", r"a.*?b"):
        assert list(open_ended(parser.parse(steps_back))), steps_back
    assert not list(open_ended(parser.parse(r"a++b*+[xy]{1,9}")))


@pytest.mark.parametrize(
    "unit",
    [
        "a", "apikey", "a-", 'secret="', "key: '", "eyJ", "1", "a:", "bearer ", "-----BEGIN PRIVATE KEY-----", "http://", "a://b:",
        '\\"x\\":\\"', "%27=", "=>", "A1b", "x=", "token token ", "@:", "0x", "key:", "pwd:/srv/", "token=''",
        "token=[", "--token ", "token,", "('token', '", "${oc.env:X,", "${oc.env:X,{", "Digest a=", "token=\\\\", "token=,", "-u a:", "token='\n",
        "Cookie:", "token: ${",
    ],
)  # fmt: skip
def test_what_is_hidden_in_a_long_text_is_what_is_hidden_in_its_end(unit: str) -> None:
    """A text that means trouble hides no secret that follows it."""
    assert "hunter2" not in redact(unit * (20_000 // len(unit)) + "\npassword=hunter2")
