"""presidio-analyzer's pattern recognisers on texts from stdin, without a language model; spans and seconds to stdout.

Run with the interpreter of an environment of its own: ``pip install presidio-analyzer``.
"""

import json
import sys
import time

_KINDS = {
    "EMAIL_ADDRESS": "email", "PHONE_NUMBER": "phone", "CREDIT_CARD": "card", "IBAN_CODE": "iban", "IP_ADDRESS": "ip", "URL": "link",
}  # fmt: skip


def main() -> None:
    began = time.process_time()
    import tldextract  # noqa: PLC0415 - imports are what is timed

    # As it comes it fetches a list from the network at the first e-mail address.
    extract = tldextract.TLDExtract(suffix_list_urls=())
    tldextract.extract = extract
    from presidio_analyzer.predefined_recognizers import (  # noqa: PLC0415
        CreditCardRecognizer,
        EmailRecognizer,
        IbanRecognizer,
        IpRecognizer,
        PhoneRecognizer,
        UrlRecognizer,
    )

    made = [
        one()
        for one in (EmailRecognizer, PhoneRecognizer, CreditCardRecognizer, IbanRecognizer, IpRecognizer, UrlRecognizer)
    ]
    ready = time.process_time() - began
    labelled, plain = json.load(sys.stdin)

    def spans(text: str) -> list[tuple[int, int, str]]:
        found = [one for each in made for one in each.analyze(text, each.supported_entities, nlp_artifacts=None) or ()]
        return [(one.start, one.end, _KINDS[one.entity_type]) for one in found if one.score > 0]

    found = [spans(text) for text in labelled]
    began = time.process_time()
    for text in plain:
        spans(text)
    json.dump({"spans": found, "import_seconds": ready, "seconds": time.process_time() - began}, sys.stdout)


if __name__ == "__main__":
    main()
