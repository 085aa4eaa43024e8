"""Texts whose writing is spoilt and whose meaning is not: what no label mends.

Each kind is one function of a text and a generator. There is no parallel text in another language among the data sets, so another language is
a list of words put in for the commonest ones, the rest left standing as names and terms do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

import numpy as np
from real_data import Strings, embed, embedded
from selection_worlds import slips

from monitor.values import Vectors

__all__ = ["KINDS", "UNSEEN", "spoilt"]

Spoil = Callable[[str, np.random.Generator], str]

_ROWS = "qwertyuiop", "asdfghjkl", "zxcvbnm"
_BESIDE = {row[i]: row[max(i - 1, 0)] + row[min(i + 1, len(row) - 1)] for row in _ROWS for i in range(len(row))}
_TYPOS, _REPLACED, _HARD_SPACES = 0.3, 0.12, 0.4

_SPANISH = {
    "i": "yo", "my": "mi", "to": "para", "the": "el", "a": "un", "an": "un", "you": "tú", "what": "qué", "is": "es",
    "for": "por", "how": "cómo", "do": "hago", "can": "puedo", "me": "me", "it": "eso", "in": "en", "of": "de",
    "on": "sobre", "card": "tarjeta", "cards": "tarjetas", "have": "tengo", "why": "por qué", "and": "y",
    "account": "cuenta", "money": "dinero", "was": "fue", "transfer": "transferencia", "up": "arriba", "not": "no",
    "that": "ese", "there": "allí", "this": "este", "get": "obtener", "need": "necesito", "payment": "pago",
    "but": "pero", "from": "desde", "be": "ser", "with": "con", "are": "son", "charged": "cobrado", "when": "cuándo",
    "please": "por favor", "will": "va a", "use": "usar", "been": "sido", "fee": "comisión", "if": "si",
    "where": "dónde", "has": "ha", "did": "hizo", "help": "ayuda", "would": "quisiera", "still": "todavía",
    "made": "hecho", "new": "nuevo", "make": "hacer", "rate": "tasa", "take": "tomar", "didn't": "no hizo",
    "does": "hace", "know": "saber", "want": "quiero", "through": "a través", "i'm": "estoy", "like": "gustaría",
    "at": "en", "out": "fuera", "one": "uno", "got": "recibí", "tell": "dime", "just": "solo", "go": "ir",
    "using": "usando", "see": "ver", "some": "algunos", "work": "funciona", "now": "ahora", "change": "cambiar",
    "can't": "no puedo", "any": "alguno", "something": "algo", "it's": "es", "your": "tu",
    "check": "comprobar", "so": "entonces", "working": "funcionando", "should": "debería", "pay": "pagar",
    "going": "yendo", "someone": "alguien", "bank": "banco", "think": "creo", "back": "atrás", "find": "encontrar",
    "what's": "cuál es", "or": "o", "by": "por", "much": "mucho", "time": "tiempo", "more": "más", "all": "todos",
    "could": "podría", "add": "añadir", "which": "cuál", "show": "mostrar", "lost": "perdido", "days": "días",
    "today": "hoy", "before": "antes", "phone": "teléfono", "after": "después", "right": "correcto",
    "bought": "compré", "credit": "crédito", "list": "lista", "car": "coche", "many": "muchos", "name": "nombre",
    "next": "siguiente", "long": "largo", "bill": "factura", "set": "poner", "about": "sobre", "oil": "aceite",
    "call": "llamar", "song": "canción", "reservation": "reserva", "good": "bueno", "last": "último",
    "number": "número", "flight": "vuelo", "put": "pon", "shopping": "compras", "off": "apagar", "date": "fecha",
    "give": "dar", "who": "quién", "let": "deja", "order": "pedido", "current": "actual", "day": "día",
    "say": "decir", "location": "lugar", "request": "solicitud", "meeting": "reunión", "things": "cosas",
    "looking": "buscando", "look": "mirar", "start": "empezar", "schedule": "horario", "way": "manera",
    "book": "libro", "as": "como", "were": "fueron", "between": "entre", "balance": "saldo", "am": "soy",
    "wrong": "mal", "week": "semana", "weather": "tiempo", "they": "ellos", "we": "nosotros", "he": "él",
    "she": "ella", "than": "que", "other": "otro", "because": "porque", "home": "casa", "food": "comida",
}  # fmt: skip


def typed(text: str, rng: np.random.Generator) -> str:
    """A wrong key, a letter left out, doubled or swapped with the next, in three of ten words of four letters or more."""
    return " ".join(_slip(word, rng) if len(word) > 3 and rng.random() < _TYPOS else word for word in text.split())


def _slip(word: str, rng: np.random.Generator) -> str:
    at = int(rng.integers(1, len(word) - 1))
    beside = _BESIDE.get(word[at].lower(), word[at])
    return (
        word[:at] + beside[int(rng.integers(len(beside)))] + word[at + 1 :],
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
    )[rng.integers(4)]


def misread(text: str, rng: np.random.Generator) -> str:
    """Typographic apostrophes and hard spaces, written as UTF-8 and read as Windows-1252."""
    marked = text.replace("'", "\u2019").replace('"', "\u201d").replace("-", "\u2013")
    spaced = "".join("\u00a0" if one == " " and rng.random() < _HARD_SPACES else one for one in marked)
    return spaced.encode().decode("cp1252", errors="replace")


def replaced(text: str, rng: np.random.Generator) -> str:
    """The replacement sign instead of one letter in eight."""
    return "".join("\ufffd" if one.isalpha() and rng.random() < _REPLACED else one for one in text)


def translated(text: str, rng: np.random.Generator) -> str:
    """Common English words in Spanish."""
    del rng
    return re.sub(r"[A-Za-z']+", lambda found: _SPANISH.get(found[0].lower(), found[0]), text)


def shouted(text: str, rng: np.random.Generator) -> str:
    """All capitals."""
    del rng
    return text.upper()


def run_together(text: str, rng: np.random.Generator) -> str:
    """No spaces."""
    del rng
    return "".join(text.split())


KINDS: dict[str, Spoil | None] = {
    "slips and slang": None,
    "typos": typed,
    "misread encoding": misread,
    "replaced characters": replaced,
    "another language": translated,
    "lost spaces": run_together,
    "all capitals": shouted,
}
"""``None``: the copies of ``selection_worlds.slips``."""

UNSEEN = ("all capitals",)
"""Kinds that the embedder, which lowers all letters, cannot see: nothing drifts."""


@cache
def spoilt(name: str, kind: str) -> tuple[np.ndarray, Strings, Vectors]:
    """Rows of a data set that have a spoilt copy, the same for every kind, with the copies and their vectors."""
    rows, copies, vectors = slips(name)
    spoil = KINDS[kind]
    if spoil is None:
        return rows, copies, vectors
    rng = np.random.default_rng(12)
    texts = [spoil(str(text), rng) or str(text) for text in embedded(name).texts[rows]]
    return rows, np.array(texts), embed(texts)
