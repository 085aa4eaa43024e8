"""The model that is being monitored: the shop's own intent classifier, TF-IDF and logistic regression.

It stands for whatever you serve; drift-monitor sees nothing of it but the predictions in the log.
"""

from __future__ import annotations

from collections.abc import Sequence

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import FeatureUnion, Pipeline

__all__ = ["DeskModel"]


class DeskModel:
    """Trained on texts and intents; predicts an intent and how sure it is."""

    def __init__(self, texts: Sequence[str], intents: Sequence[str]) -> None:
        features = FeatureUnion(
            [
                ("words", TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)),
                ("characters", TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)),
            ]
        )
        self._pipeline = Pipeline([("features", features), ("classifier", LogisticRegression(C=20, max_iter=1_000))])
        self._texts = list(texts)
        self._intents = list(intents)
        self._pipeline.fit(self._texts, self._intents)

    def held_out_predictions(self) -> list[str]:
        """Predictions for the training texts by models that have not seen them (5 folds): the honest baseline."""
        return [str(p) for p in cross_val_predict(self._pipeline, self._texts, self._intents, cv=5)]

    def predict(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        """(intent, probability of it) for each text."""
        probabilities = self._pipeline.predict_proba(list(texts))
        names = self._pipeline.classes_
        return [(str(names[row.argmax()]), float(row.max())) for row in probabilities]
