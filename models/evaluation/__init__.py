"""Accuracy on recordings, by the very code of the live workers."""

from models.evaluation.extraction import evaluate_extraction
from models.evaluation.identification import evaluate_identification
from models.evaluation.report import Evaluation, Figure
from models.evaluation.verification import evaluate_verification

__all__ = ["Evaluation", "Figure", "evaluate_extraction", "evaluate_identification", "evaluate_verification"]
