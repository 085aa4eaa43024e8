"""A small labelled set for redaction: what must be masked, of each kind, in sentences as customers write them, and what must not.

Every value is made up or published as an example: numbers reserved for fiction, test cards, example IBANs, keys from documentation,
random keys in the services' forms.
"""

from __future__ import annotations

import random
import string
from itertools import cycle

VALUES = {
    "email": [
        "kim.lee+orders@example.com", "o'brien@mail.example.ie", "anna_müller@example.de", "x@example.org",
        "first.last@sub.domain.example.co.uk", "USER@EXAMPLE.COM", "a-b.c@xn--80ak6aa92e.com", "jo%home@example.org",
        "1234567@student.example.ac.uk", "info@bücher.de",
    ],
    "phone": [
        "+44 20 7946 0958", "+1 (415) 555-2671", "(415) 555-2671", "415-555-2671", "415.555.2671", "+49 30 901820", "030 901820",
        "+33 1 42 68 53 00", "01 42 68 53 00", "+34 912 345 678", "+39 06 6982", "+31 20 624 1111", "+91 98765 43210", "098765 43210",
        "+61 2 9374 4000", "+81 3-6384-9000", "+55 11 2395-8400", "+86 10 6250 3000", "0044 20 7946 0958", "+1 800 555 0199 ext. 42",
        "020 7946 0958", "+47 22 86 44 00", "+27 21 409 8000", "+52 55 5342 8400",
    ],
    "card": [
        "4111 1111 1111 1111", "4111111111111111", "5500-0055-5555-5559", "5555 5555 5555 4444", "378282246310005", "3782 822463 10005",
        "6011 1111 1111 1117", "3530 1113 3330 0000", "30569309025904", "6304000000000000", "4222222222222", "2223 0031 2200 3222",
    ],
    "iban": [
        "GB82 WEST 1234 5698 7654 32", "DE89370400440532013000", "DE89 3704 0044 0532 0130 00", "FR14 2004 1010 0505 0001 3M02 606",
        "NL91ABNA0417164300", "ES91 2100 0418 4502 0005 1332", "IT60 X054 2811 1010 0000 0123 456", "CH93 0076 2011 6238 5295 7",
        "NO93 8601 1117 947", "PL61109010140000071219812874", "SA03 8000 0000 6080 1016 7519", "BE68539007547034", "se45 5000 0000 0583 9825 7466",
        "MT84 MALT 0110 0001 2345 MTLC AST0 01S",
    ],
    "ip": [
        "192.168.0.12", "10.0.0.1", "203.0.113.77", "8.8.8.8", "2001:db8::1", "fe80::1ff:fe23:4567:890a", "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
        "::1", "::ffff:192.0.2.128", "172.16.254.1",
    ],
    "link": [
        "https://shop.example/track?id=77&mail=kim@example.org", "http://user:hunter2@intranet.example.com/login", "www.example.com/reset/abc",
        "ftp://anna:geheim@files.example/x.zip", "postgres://app:s3cret@db.example:5432/orders", "https://example.org", "redis://:p4ss@cache.example:6379/0",
        "HTTPS://EXAMPLE.COM/A",
    ],
}  # fmt: skip

NEGATIVES = (
    "The lamp flickers every 10 seconds and I paid 49.99 for it in 2024.",
    "I bought 3 chairs, 2 tables and 1 sofa on 12/05, delivery was due at 14:30.",
    "Version 2.4.1 of the app crashes on Android 14 when I open std::vector docs.",
    "My password is not working and the token is expired, what now?",
    "Ratio 16:9, size 1.5 x 2.0 m, weight 7.25 kg, colour #ffcc00.",
    "The secret is that nobody answers; the pin was fine @ your store.",
    "Is it a-b-c or A/B? See page 12-14, section 3.2.1.",
    "I waited from 9:15:30 to 9:45:10 and got error E42.",
    "supercalifragilisticexpialidocious-antidisestablishmentarianism is a long word",
    "Order two of the blue ones and one of the red, size 42, please.",
    "Can I change the address on my order? It says 10 Downing Street now.",
    "He@home and you@work, both @ the same time.",
)
_CARRIERS = (
    "Hello, you can reach me under {} any time.",
    "{} is what I gave at the checkout",
    "Why does my account show {}? I never entered that.",
    "my details: {}, please change them",
    "Bonjour, voici {} merci",
    "I sent it from\n{}\nyesterday (twice).",
    "(see {})",
    "Please delete {}.",
)


def _keys(rng: random.Random) -> list[str]:
    def made(count: int, letters: str = string.ascii_letters + string.digits) -> str:
        return "".join(rng.choices(letters, k=count))

    upper = string.ascii_uppercase + string.digits
    head = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIn0."
    pem = "\n".join(made(64) for _ in range(4))
    return [
        *(f"AKIA{made(16, upper)}" for _ in range(3)),
        *(f"{prefix}_{made(36)}" for prefix in ("ghp", "gho", "ghs")),
        f"github_pat_{made(22)}_{made(59)}",
        f"xoxb-{made(11, string.digits)}-{made(12, string.digits)}-{made(24)}",
        f"https://hooks.slack.com/services/T{made(8, upper)}/B{made(8, upper)}/{made(24)}",
        *(head + made(43) for _ in range(2)),
        f"-----BEGIN RSA PRIVATE KEY-----\n{pem}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{pem}\n-----END OPENSSH PRIVATE KEY-----",
        f"sk_live_{made(24)}",
        f"glpat-{made(20)}",
        f"npm_{made(36)}",
        f"SG.{made(22)}.{made(43)}",
        made(40),
        made(64, "0123456789abcdef"),
    ]


_SAID = (
    ("my password is {} and I cannot log in", "Hunter2!"),
    ("password: {}", "correct-horse"),
    ("pwd={} user=kim", "s3cr3t"),
    ("the PIN is {} I think", "4821"),
    ("api_key = '{}'", "zq81-aa-77"),
    ("token: {}", "swordfish"),
)


def labelled() -> list[tuple[str, str, str]]:
    """(text, kind, value): the value stands in the text and must not be read off what is shown; kind and value are empty where nothing must be masked."""
    carriers = cycle(_CARRIERS)
    found = [
        (next(carriers).format(value), kind, value)
        for kind, values in {**VALUES, "key": _keys(random.Random(7))}.items()
        for value in values
        for _ in range(2)
    ]
    found += [(carrier.format(value), "key", value) for carrier, value in _SAID]
    return [*found, *((text, "", "") for text in NEGATIVES)]
